"""Weights files good and bad, and state dicts that fit a network or do not."""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from lossnets.errors import ConfigError, WeightsError
from lossnets.networks.state_dicts import file_problem, match_state, read_state_dict, state_sha256

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.tensor([1.5, -2.0])}


class Net(nn.Module):
    """The shape of many: features, then a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
        self.classifier = nn.Linear(4, 2)


def same(a: dict[str, torch.Tensor], b: dict[str, torch.Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def saved(folder: Path, kind: str, content: Any = None) -> Path:
    content = STATE if content is None else content
    path = folder / f"file.{kind}"
    if kind == "safetensors":
        save_file(content, path)
    else:
        torch.save(content, path, _use_new_zipfile_serialization=kind != "legacy")
    return path


KINDS = ["safetensors", "pth", "pt", "bin", "legacy"]


class TestRead:
    @pytest.mark.parametrize("kind", KINDS)
    def test_every_format_gives_the_same_tensors(self, kind, tmp_path):
        assert same(read_state_dict(saved(tmp_path, kind)), STATE)
        assert file_problem(saved(tmp_path, kind)) is None

    @pytest.mark.parametrize("kind", ["safetensors", "pth", "legacy"])
    def test_the_content_decides_not_the_name(self, kind, tmp_path):
        path = saved(tmp_path, kind).rename(tmp_path / "weights.ckpt")
        assert same(read_state_dict(str(path)), STATE)

    @pytest.mark.parametrize("kind", ["pth", "legacy"])
    @pytest.mark.parametrize("wrapper", ["state_dict", "model"])
    def test_checkpoints_are_unwrapped(self, kind, wrapper, tmp_path):
        content = {"epoch": 3, wrapper: OrderedDict(STATE), "optimizer": {"lr": 0.1}}
        assert same(read_state_dict(saved(tmp_path, kind, content)), STATE)

    def test_parameters_come_without_gradients(self, tmp_path):
        state = read_state_dict(saved(tmp_path, "pth", {"w": nn.Parameter(torch.ones(2))}))
        assert not state["w"].requires_grad

    @pytest.mark.parametrize("kind", KINDS)
    def test_a_file_that_changes_afterwards_does_not_change_the_tensors(self, kind, tmp_path):
        path = saved(tmp_path, kind)
        state = read_state_dict(path)
        size = path.stat().st_size
        with path.open("r+b") as file:
            file.write(bytes(size))
        assert same(state, STATE)
        path.write_bytes(b"")
        assert same(state, STATE)

    @pytest.mark.shared
    @pytest.mark.parametrize(
        ("name", "tensors", "first"),
        [
            ("squeezenet1_0-deepcompression.safetensors", 52, "features.0.weight"),
            ("mobilenet_v2-b0353104.pth", 314, "features.0.0.weight"),
            ("vgg16_hed_features.fp16.safetensors", 26, "0.weight"),
        ],
    )
    def test_real_files(self, name, tensors, first, shared_weights):
        state = read_state_dict(shared_weights / name)
        assert len(state) == tensors
        assert first in state


class TestDamaged:
    @pytest.mark.parametrize("kind", KINDS)
    def test_truncated_anywhere(self, kind, tmp_path):
        """Cut at every length: always our error, never that of a reader."""
        whole = saved(tmp_path, kind).read_bytes()
        step = max(1, len(whole) // 150)
        for length in (*range(0, len(whole), step), len(whole) - 1):
            path = tmp_path / f"cut.{kind}"
            path.write_bytes(whole[:length])
            with pytest.raises(WeightsError, match=r"cut\.") as caught:
                read_state_dict(path)
            assert len(str(caught.value)) < 600

    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("seed", range(5))
    def test_garbage(self, kind, seed, tmp_path):
        path = tmp_path / f"garbage.{kind}"
        generator = torch.Generator().manual_seed(seed)
        path.write_bytes(bytes(torch.randint(0, 256, (500,), generator=generator).tolist()))
        with pytest.raises(WeightsError, match="garbage"):
            read_state_dict(path)

    @pytest.mark.parametrize("start", [b"PK\x03\x04", b"\x80\x02", b"\x80\x04\x95", b"\x10\0\0\0\0\0\0\0{"])
    def test_garbage_behind_a_right_beginning(self, start, tmp_path):
        path = tmp_path / "garbage.pth"
        path.write_bytes(start + bytes(range(256)))
        with pytest.raises(WeightsError, match=r"garbage\.pth"):
            read_state_dict(path)

    @pytest.mark.parametrize(
        "header", [b"[1]", b'{"a": 1}', b'{"a": {}}', b"{nonsense", b'{"a":{"data_offsets":[0]}}']
    )
    def test_a_safetensors_header_that_makes_no_sense(self, header, tmp_path):
        path = tmp_path / "bad.safetensors"
        path.write_bytes(len(header).to_bytes(8, "little") + header)
        with pytest.raises(WeightsError, match="its header cannot be read"):
            read_state_dict(path)

    def test_a_safetensors_type_that_nobody_knows(self, tmp_path):
        header = b'{"a":{"dtype":"F1","shape":[1],"data_offsets":[0,1]}}'
        path = tmp_path / "bad.safetensors"
        path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
        with pytest.raises(WeightsError, match="cannot be read"):
            read_state_dict(path)

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "it is empty"),
            (b"<!DOCTYPE html><html>404</html>", "it is a web page"),
            (b"<HTML><body>", "it is a web page"),
            (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS pointer"),
            (b"\x89HDF\r\n\x1a\nxxxx", "neither a safetensors nor a torch file"),
        ],
    )
    def test_what_it_is_instead(self, content, message, tmp_path):
        path = tmp_path / "weights.pth"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match=message):
            read_state_dict(path)
        assert message.removeprefix("it ") in str(file_problem(path))

    def test_missing_and_folder(self, tmp_path):
        with pytest.raises(
            WeightsError, match=r"no\.pth cannot be read: it does not exist. Allowed are .safetensors"
        ):
            read_state_dict(tmp_path / "no.pth")
        with pytest.raises(WeightsError, match="it is a folder, not a file"):
            read_state_dict(tmp_path)

    def test_the_frame_tells_how_much_is_missing(self, tmp_path):
        path = saved(tmp_path, "safetensors")
        size = path.stat().st_size
        path.write_bytes(path.read_bytes()[:-5])
        assert file_problem(path) == f"is truncated: {size - 5} of {size} bytes"


class Bomb:
    """What a hostile file does when a careless reader opens it."""

    def __reduce__(self) -> Any:
        return exec, ("raise SystemExit('the file ran its code')",)


class TestPickles:
    @pytest.mark.parametrize("kind", ["pth", "legacy"])
    def test_a_pickled_module_is_refused_with_the_way_out(self, kind, tmp_path):
        path = saved(tmp_path, kind, nn.Linear(2, 2))
        with pytest.raises(
            WeightsError, match=r"pickled Python objects.*state_dict\(\), 'weights.safetensors'\)"
        ):
            read_state_dict(path)

    @pytest.mark.parametrize("kind", ["pth", "legacy"])
    def test_code_in_a_file_does_not_run(self, kind, tmp_path):
        with pytest.raises(WeightsError, match="pickled Python objects"):
            read_state_dict(saved(tmp_path, kind, {"state_dict": Bomb()}))

    def test_a_bare_pickle(self, tmp_path):
        (tmp_path / "a.pth").write_bytes(pickle.dumps(Bomb()))
        with pytest.raises(WeightsError, match=r"a\.pth"):
            read_state_dict(tmp_path / "a.pth")

    def test_a_checkpoint_with_options_of_a_script(self, tmp_path):
        content = {"state_dict": STATE, "args": argparse.Namespace(lr=1)}
        with pytest.raises(WeightsError, match="pickled Python objects"):
            read_state_dict(saved(tmp_path, "pth", content))

    @pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
    def test_torchscript(self, tmp_path):
        buffer = io.BytesIO()
        torch.jit.save(torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2)), buffer)
        (tmp_path / "a.pt").write_bytes(buffer.getvalue())
        with pytest.raises(WeightsError, match="TorchScript program and is refused"):
            read_state_dict(tmp_path / "a.pt")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (torch.ones(3), "must hold named tensors, got Tensor"),
            ([torch.ones(3)], "must hold named tensors, got list"),
            ({"a": torch.ones(1), "epoch": 3}, r"got also 'epoch' \(int\). Save the state dict alone"),
            ({}, "holds no tensors"),
            ({"state_dict": {}}, "holds no tensors"),
        ],
    )
    def test_something_else_than_named_tensors(self, content, message, tmp_path):
        with pytest.raises(WeightsError, match=message):
            read_state_dict(saved(tmp_path, "pth", content))


def numpy_hash(state: dict[str, torch.Tensor]) -> str:
    """The definition once more, with NumPy."""
    parts = []
    for name, tensor in sorted(state.items()):
        array = tensor.numpy()
        parts.append(f"{name}\0torch.{array.dtype}\0{list(array.shape)}\0".encode() + array.tobytes())
    return hashlib.sha256(b"".join(parts)).hexdigest()


class TestHash:
    @given(st.dictionaries(st.text(min_size=1), st.lists(st.floats(width=32), max_size=4), max_size=4))
    def test_second_implementation(self, lists):
        state = {name: torch.tensor(values, dtype=torch.float32) for name, values in lists.items()}
        assert state_sha256(state) == numpy_hash(state)

    def test_order_format_and_memory_layout_do_not_count(self, tmp_path):
        backwards = dict(reversed(STATE.items()))
        strided = {**STATE, "a.weight": STATE["a.weight"].T.contiguous().T}
        read = [read_state_dict(saved(tmp_path, kind)) for kind in KINDS]
        assert len({state_sha256(state) for state in (STATE, backwards, strided, *read)}) == 1

    def test_names_shapes_types_and_values_count(self):
        variants = [
            STATE,
            {"b.weight": STATE["a.weight"], "a.bias": STATE["a.bias"]},
            {**STATE, "a.weight": STATE["a.weight"].reshape(3, 2)},
            {**STATE, "a.weight": STATE["a.weight"].double()},
            {**STATE, "a.bias": STATE["a.bias"].nextafter(torch.tensor(9.0))},
            {"a.bias": STATE["a.bias"]},
        ]
        assert len({state_sha256(state) for state in variants}) == len(variants)

    @pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.bool, torch.int64, torch.float64])
    def test_every_type_and_a_scalar(self, dtype):
        assert len(state_sha256({"a": torch.ones((), dtype=dtype), "b": torch.ones(0, 3, dtype=dtype)})) == 64


class TestMatch:
    @pytest.fixture
    def net(self) -> Net:
        return Net()

    def test_the_whole_network(self, net):
        state = net.state_dict()
        fitted = match_state(state, state)
        assert same(fitted, state)
        Net().load_state_dict(fitted, strict=True)

    def test_shapes_or_the_meta_device_will_do(self, net):
        with torch.device("meta"):
            meta = Net().state_dict()
        shapes = {name: tensor.shape for name, tensor in meta.items()}
        assert same(match_state(net.state_dict(), meta), net.state_dict())
        assert same(match_state(net.state_dict(), shapes), net.state_dict())

    @pytest.mark.parametrize("prefix", ["", "features."])
    def test_a_file_of_the_features(self, prefix, net):
        state = {prefix + name: tensor for name, tensor in net.features.state_dict().items()}
        fitted = match_state(state, net.state_dict())
        assert same(fitted, {f"features.{n}": t for n, t in net.features.state_dict().items()})

    def test_another_child_only_when_it_is_asked_for(self, net):
        state = net.classifier.state_dict()
        assert set(match_state(state, net.state_dict(), part="classifier")) == {
            "classifier.weight",
            "classifier.bias",
        }
        with pytest.raises(WeightsError, match=r"missing features\.0\.weight"):
            match_state(state, net.state_dict())

    def test_an_unknown_part(self, net):
        with pytest.raises(ConfigError, match=r"part must be a child .*\(features, classifier\), got 'body'"):
            match_state(net.state_dict(), net.state_dict(), part="body")

    def test_the_prefix_of_data_parallel(self, net):
        state = {f"module.{name}": tensor for name, tensor in net.state_dict().items()}
        assert same(match_state(state, net.state_dict()), net.state_dict())
        state = {f"module.{name}": tensor for name, tensor in net.features.state_dict().items()}
        assert len(match_state(state, net.state_dict())) == 7

    def test_old_files_lack_the_counters_of_batch_norm(self, net):
        state = net.state_dict()
        del state["features.1.num_batches_tracked"]
        fitted = match_state(state, net.state_dict())
        assert fitted["features.1.num_batches_tracked"].item() == 0
        Net().load_state_dict(fitted, strict=True)

    @pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn])
    def test_half_precision_becomes_float32_without_changing_values(self, dtype, net):
        state = {n: t.to(dtype) if t.is_floating_point() else t for n, t in net.state_dict().items()}
        fitted = match_state(state, net.state_dict())
        for name, tensor in fitted.items():
            assert tensor.dtype == net.state_dict()[name].dtype
            assert torch.equal(tensor.double(), state[name].double())

    def test_double_precision_stays(self, net):
        fitted = match_state(net.double().state_dict(), net.state_dict())
        assert fitted["classifier.weight"].dtype == torch.float64

    def test_the_state_that_was_given_is_not_changed(self, net):
        state = {f"module.{n}": t.half() for n, t in net.features.state_dict().items() if t.ndim}
        before = dict(state)
        match_state(state, net.state_dict())
        assert state.keys() == before.keys()
        assert all(state[n] is before[n] for n in state)

    def test_the_error_lists_what_differs(self, net):
        state = net.state_dict()
        state["classifier.weight"] = torch.zeros(1000, 4)
        state["head.extra"] = state.pop("features.0.bias")
        with pytest.raises(WeightsError) as caught:
            match_state(state, net.state_dict())
        assert str(caught.value) == (
            "the weights do not fit the network: missing features.0.bias; unexpected head.extra; "
            "mis-shaped classifier.weight (1000, 4) float32 instead of (2, 4) float32."
        )

    def test_the_error_is_about_the_part_where_the_state_is_one(self, net):
        state = net.features.state_dict()
        del state["0.bias"]
        with pytest.raises(WeightsError) as caught:
            match_state(state, net.state_dict())
        assert str(caught.value) == "the weights do not fit the network: missing features.0.bias."

    def test_long_lists_are_cut_at_five(self):
        expected = {f"layer{i}.weight": (1,) for i in range(9)}
        with pytest.raises(WeightsError, match=r"layer4\.weight and 4 more; unexpected a\.b\."):
            match_state({"a.b": torch.ones(1)}, expected)

    def test_integers_of_a_quantised_file_are_not_weights(self, net):
        state = net.state_dict()
        state["classifier.weight"] = torch.ones(2, 4, dtype=torch.int8)
        with pytest.raises(
            WeightsError, match=r"classifier\.weight \(2, 4\) int8 instead of \(2, 4\) float32"
        ):
            match_state(state, net.state_dict())

    def test_nothing_at_all(self, net):
        with pytest.raises(WeightsError, match="The state dict is empty"):
            match_state({}, net.state_dict())

    @pytest.mark.parametrize("name", ["lin{}.model.1.weight", "lins.{}.model.1.weight"])
    def test_an_lpips_head_is_recognised(self, name, net):
        head = {name.format(i): torch.ones(1, 64, 1, 1) for i in range(5)}
        with pytest.raises(WeightsError, match="This is an LPIPS head"):
            match_state(head, net.state_dict())
        whole = {**head, "net.slice1.0.weight": torch.ones(64, 3, 11, 11)}
        with pytest.raises(WeightsError, match=r"whole lpips\.LPIPS module"):
            match_state(whole, net.state_dict())

    def test_the_real_lpips_heads_are_recognised(self, net):
        lpips = pytest.importorskip("importlib.util").find_spec("lpips")
        if lpips is None:
            pytest.skip("lpips is not installed")
        for file in sorted(Path(lpips.submodule_search_locations[0]).glob("weights/v0.1/*.pth")):
            with pytest.raises(WeightsError, match="This is an LPIPS head"):
                match_state(read_state_dict(file), net.state_dict())

    @pytest.mark.shared
    @pytest.mark.parametrize(
        ("name", "file", "tensors"),
        [
            ("squeezenet1_0", "squeezenet1_0-deepcompression.safetensors", 52),
            ("mobilenet_v2", "mobilenet_v2-b0353104.pth", 314),
            ("vgg16", "vgg16_hed_features.fp16.safetensors", 26),
        ],
    )
    def test_real_files_fit_their_networks_and_no_other(self, name, file, tensors, shared_weights):
        from lossnets.torchvision_compat import ensure_torchvision

        ensure_torchvision()
        import torchvision

        def expected(network: str) -> dict[str, torch.Tensor]:
            with torch.device("meta"):
                return torchvision.models.get_model(network).state_dict()

        fitted = match_state(read_state_dict(shared_weights / file), expected(name))
        assert len(fitted) == tensors
        assert {t.dtype for t in fitted.values()} <= {torch.float32, torch.int64}
        with pytest.raises(WeightsError, match="missing"):
            match_state(read_state_dict(shared_weights / file), expected("alexnet"))
