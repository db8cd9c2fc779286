"""Files in the layout of the released checkpoints, made here from the published list of keys and shapes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lossnets.errors import WeightsError
from lossnets.gradients import PGNLoss, load_released, pretrained_card
from lossnets.gradients.backbones import make_backbone

RESNET: dict[str, Any] = {
    "version": 2,
    "backbone_type": "resnet",
    "backbone_params": {"num_blocks": 1},
    "backbone_to_grad_type": "proxy",
    "backbone_to_grad_params": {
        "type": "sigmoid", "sigmoid": {"scale": 1.1}, "grad_type": "mse", "grad_scale": 1 / 40,
    },
}  # fmt: skip


def shapes(kind: str, blocks: int = 0) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Keys and shapes of the released backbones, as the published list has them."""

    def norm(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for entry in ("weight", "bias", "running_mean", "running_var"):
            yield f"{name}.{entry}", (width,)
        yield f"{name}.num_batches_tracked", ()

    def conv(name: str, out: int, into: int, kernel: int, bias: bool = True) -> Iterator[Any]:
        yield f"{name}.weight", (out, into, kernel, kernel)
        if bias:
            yield f"{name}.bias", (out,)

    if kind == "resnet":
        yield from conv("model.0", 64, 6, 3, bias=False)
        yield from norm("model.1", 64)
        yield from conv("model.3", 128, 64, 3, bias=False)
        yield from norm("model.4", 128)
        for n in range(6, 6 + blocks):
            for m in (0, 3):
                yield from conv(f"model.{n}.conv_block.{m}", 128, 128, 3)
                yield from norm(f"model.{n}.conv_block.{m + 1}", 128)
        n = 7 + blocks  # behind the upsampling
        yield from conv(f"model.{n}", 64, 128, 3, bias=False)
        yield from norm(f"model.{n + 1}", 64)
        yield from conv(f"model.{n + 3}", 3, 64, 3)
        return
    yield from ((k, tuple(v.shape)) for k, v in make_backbone("unet").state_dict().items())


def state(kind: str = "resnet", blocks: int = 1) -> dict[str, Tensor]:
    """Seeded numbers of a sensible size."""
    generator = torch.Generator().manual_seed(2)
    found = {}
    for key, shape in shapes(kind, blocks):
        if key.endswith("num_batches_tracked"):
            found[key] = torch.tensor(7)
        elif key.endswith("running_var"):
            found[key] = 0.5 + torch.rand(shape, generator=generator)
        else:
            found[key] = 0.1 * torch.randn(shape, generator=generator)
    return found


def write(path: Path, record: dict[str, Any]) -> Path:
    torch.save(record, path)
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "resnet.pth"


def reference(s: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
    """The released resnet with one block, layer by layer, then its sigmoid proxy's gradient."""
    f = nn.functional

    def norm(v: Tensor, name: str) -> Tensor:
        mean, var, w, b = (s[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias"))
        return f.batch_norm(v, mean, var, w, b, training=False)

    def act(v: Tensor) -> Tensor:
        return f.leaky_relu(v, 0.2)

    v = act(norm(f.conv2d(torch.cat([x, y], 1), s["model.0.weight"], padding=1), "model.1"))
    v = act(norm(f.conv2d(v, s["model.3.weight"], stride=2, padding=1), "model.4"))
    b = "model.6.conv_block."
    u = act(norm(f.conv2d(v, s[f"{b}0.weight"], s[f"{b}0.bias"], padding=1), f"{b}1"))
    v = v + norm(f.conv2d(u, s[f"{b}3.weight"], s[f"{b}3.bias"], padding=1), f"{b}4")
    v = v.repeat_interleave(2, 2).repeat_interleave(2, 3)
    v = act(norm(f.conv2d(v, s["model.8.weight"], padding=1), "model.9"))
    out = f.conv2d(v, s["model.11.weight"], s["model.11.bias"], padding=1)
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]]).view(2, 1, 3, 1, 1)
    t = 1.1 * (torch.sigmoid(out) - mean) / std
    return 2 * (x - t) / x[0].numel() * 40


def test_version_2_gives_the_released_numbers(path: Path) -> None:
    numbers = state()
    network = load_released(write(path, {**RESNET, "state_dict": numbers}))
    x, y = torch.randn(2, 2, 3, 16, 24)
    assert not network.training
    with torch.no_grad():
        torch.testing.assert_close(network.gradient(x, y), reference(numbers, x, y), rtol=1e-4, atol=1e-6)
    assert network.architecture.settings == {"blocks": 1}
    assert network.architecture.grad_scale == 1 / 40


@pytest.mark.shared
@pytest.mark.parametrize("name", ["resnet-4", "resnet-6", "resnet-8", "unet"])
def test_keys_and_shapes_are_the_published_ones(name: str, shared_data: Path) -> None:
    import json

    listed = shared_data.parent / "spec" / "pgn-released-checkpoints.json"
    if not listed.is_file():
        pytest.skip("the published list of keys is not here")
    published = {k: tuple(v) for k, v in json.loads(listed.read_text(encoding="utf-8"))[name].items()}
    kind, _, blocks = name.partition("-")
    assert dict(shapes(kind, int(blocks or 0))) == published
    backbone = make_backbone(kind, **({"blocks": int(blocks)} if blocks else {}))
    assert {k: tuple(v.shape) for k, v in backbone.state_dict().items()} == published


def test_older_versions(path: Path) -> None:
    numbers = state()
    expected = load_released(write(path, {**RESNET, "state_dict": numbers}))
    x, y = torch.randn(2, 1, 3, 8, 8)
    first = {"version": 1, "params": {"num_blocks": 1}, "state_dict": numbers}
    for record in (first, numbers, {**numbers, "grad_scale": 1 / 40, "num_blocks": 1}):
        found = load_released(write(path, record))
        assert torch.equal(found.gradient(x, y), expected.gradient(x, y))
    assert load_released(write(path, {**numbers, "grad_scale": 1e-3})).architecture.grad_scale == 1e-3


def test_the_units_scale_of_version_0_meant_something_else(path: Path) -> None:
    numbers = state("unet")
    for stated, meant in ((1e-3, 0.048), (0.02, 0.02), (None, 0.048)):
        record = numbers if stated is None else {**numbers, "grad_scale": stated}
        architecture = load_released(write(path, record)).architecture
        assert (architecture.backbone, architecture.grad_scale) == ("unet", meant)


def test_direct_prediction_and_the_scale_of_its_output(path: Path) -> None:
    direct = {**RESNET, "backbone_to_grad_type": "direct", "state_dict": state()}
    x, y = torch.randn(2, 1, 3, 8, 8)
    plain, divided = (
        load_released(
            write(path, {**direct, "backbone_to_grad_params": {
                "type": "raw", "raw": {}, "out_scale": scale, "grad_scale": 0.5,
            }})
        )
        for scale in (1.0, 8.0)
    )  # fmt: skip
    assert plain.architecture.family == "direct"
    with torch.no_grad():
        torch.testing.assert_close(divided.gradient(x, y), plain.gradient(x, y) / 8)


class Named:
    """A loss of this name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def signature(self) -> str:
        return f"{self.name}|weights:file:sha256:ab12|mean:0|numerics:1"


def test_as_a_loss_it_says_what_it_imitates(path: Path) -> None:
    write(path, {**RESNET, "state_dict": state()})
    loss = PGNLoss.from_pretrained(path)
    assert loss.imitates.startswith("vgg19/relu1_1,")
    assert loss.imitates.endswith(":spatial-l1:pooling=avg")
    PGNLoss.from_pretrained(path, loss=Named(loss.imitates + ":weights=/a/vgg19.pth"))  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match=r"pooling=avg, asked for vgg19/relu1_1\n"):
        PGNLoss.from_pretrained(path, loss=Named("vgg19/relu1_1"))  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="imitates another loss"):
        PGNLoss.from_pretrained(path, loss="pixel:mse")
    card = pretrained_card(path)
    assert (card.name, card.loss_signature) == ("resnet", "")
    assert "Nikulin" in card.training["source"]


def changed(**settings: Any) -> dict[str, Any]:
    return {**RESNET, "state_dict": state(), **settings}


def target(**settings: Any) -> dict[str, Any]:
    return changed(backbone_to_grad_params={**RESNET["backbone_to_grad_params"], **settings})


class Runs:
    """What a pickle may hold."""


BAD: dict[str, tuple[Any, str]] = {
    "version": (lambda: changed(version=3), "its version is 3; known are 0, 1 and 2"),
    "backbone": (lambda: changed(backbone_type="vit"), "backbone of released checkpoints 'vit' is not known"),
    "family": (lambda: changed(backbone_to_grad_type="both"), "backbone_to_grad_type 'both' is not known"),
    "blocks": (lambda: changed(backbone_params={"num_blocks": 4}), "states 4 residual blocks and has"),
    "setting": (lambda: changed(backbone_params={"heads": 4}), "setting of a released resnet 'heads'"),
    "padding": (
        lambda: changed(backbone_params={"padding_type": "reflect"}),
        "its setting padding_type is 'reflect'; only 'zero' is computed here",
    ),
    "proxy": (lambda: target(type="tanh"), "proxy type of a released proxy network 'tanh'"),
    "warped": (lambda: target(type="warped_target"), "which the released code resamples otherwise"),
    "width": (lambda: target(sigmoid={"scale": 1.5}), "its sigmoid proxy has the scale 1.5; only 1.1"),
    "distance": (lambda: target(grad_type="mse_logit"), "grad_type of released checkpoints 'mse_logit'"),
    "scale missing": (lambda: changed(backbone_to_grad_params={"type": "raw"}), "the entry 'grad_scale' is"),
    "scale": (lambda: target(grad_scale=-1.0), "grad_scale must be a positive number; got -1.0"),
    "entry missing": (lambda: {"version": 2, "state_dict": state()}, "the entry 'backbone_type' is missing"),
    "tensor missing": (
        lambda: changed(state_dict={k: v for k, v in state().items() if k != "model.0.weight"}),
        "missing model.0.weight",
    ),
    "NaN": (
        lambda: changed(state_dict={k: v * torch.nan for k, v in state().items() if v.is_floating_point()}),
        "NaN or infinite numbers in model.0.weight",
    ),
    "other network": (lambda: {"a": torch.zeros(2)}, "neither those of a resnet nor of a unet"),
    "tensors in a list": (lambda: changed(state_dict=[1]), "is refused"),
    "proxy settings": (lambda: target(sigmoid=1.1), "is refused"),
    "a list": (lambda: [1, 2], "must hold a record; got list"),
    "a program": (lambda: {"version": 2, "state_dict": Runs()}, "cannot be read without running code"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_refused(case: str, path: Path) -> None:
    make, text = BAD[case]
    write(path, make())
    with pytest.raises(WeightsError, match=text) as told:
        load_released(path)
    assert str(path) in str(told.value)


def test_missing_and_truncated_files(path: Path) -> None:
    with pytest.raises(WeightsError, match="does not exist"):
        load_released(path)
    write(path, changed())
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(WeightsError, match="is truncated"):
        load_released(path)
