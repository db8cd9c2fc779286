"""Where numbers come from: published, random, file, state dict; and what the loaded network promises."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from lossnets.errors import ConfigError, ImageError, UnknownNameError, WeightsError
from lossnets.networks import load_network, wrap_network

HOOKED = "timm/edgenext_xx_small"  # cannot be traced
HALF = {"mean": [0.5] * 3, "std": [0.5] * 3}


def small() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True), nn.Conv2d(4, 5, 3))


def test_default_weights_that_are_not_here_give_one_clear_error():
    with pytest.raises(WeightsError) as caught:
        load_network("vgg16", ["relu1_2"])
    text = str(caught.value)
    for part in ("vgg16-397923af.pth", "https://", "397923af", "weights="):
        assert part in text


def test_random_weights_are_reproducible_and_leave_the_callers_random_state_alone():
    state = torch.random.get_rng_state()
    nets = [
        load_network("squeezenet1_1", ["features.3"], weights=w) for w in ("random", "random-0", "random-1")
    ]
    assert torch.equal(torch.random.get_rng_state(), state)
    hashes = [n.weights_sha256 for n in nets]
    assert hashes[0] == hashes[1] != hashes[2]
    assert [n.weights_name for n in nets] == ["RANDOM-0", "RANDOM-0", "RANDOM-1"]
    assert [n.origin for n in nets] == ["random-0", "random-0", "random-1"]
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(nets[0](x)["features.3"], nets[1](x)["features.3"])
    assert "RANDOM-1" in repr(nets[2])


def test_loading_a_hooked_network_does_not_disturb_the_random_state():
    tensors = load_network(HOOKED, weights="random").stage_state()
    state = torch.random.get_rng_state()
    network = load_network(HOOKED, weights=tensors)
    assert network.blueprint.traced is None
    assert torch.equal(torch.random.get_rng_state(), state)


def test_unknown_weights():
    with pytest.raises(UnknownNameError, match="weights of vgg16 'DEFAULT'"):
        load_network("vgg16", weights="DEFAULT")
    with pytest.raises(UnknownNameError, match="weights of vgg16 'IMAGENET'"):
        load_network("vgg16", weights="IMAGENET")
    with pytest.raises(
        ConfigError, match="weights of efficientnet_lite0 must be 'default', 'random', a file"
    ):
        load_network("efficientnet_lite0", weights="IMAGENET1K_V1")
    with pytest.raises(ConfigError, match=r"weights must be 'default'.*got int"):
        load_network("vgg16", weights=3)
    with pytest.raises(WeightsError, match="no published weights"):
        load_network("timm/maxvit_pico_rw_256")


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_files(tmp_path, suffix):
    source = load_network("squeezenet1_1", weights="random-5")
    state = {k: v.contiguous() for k, v in {**source._spare, **source.stage_state()}.items()}
    path = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    network = load_network("squeezenet1_1", weights=path)
    assert network.weights_name == "file"
    assert len(network.weights_sha256) == 64
    x = torch.rand(1, 3, 40, 40)
    for name, f in source(x).items():
        assert torch.equal(network(x)[name], f)
    again = load_network("squeezenet1_1", weights=str(path))
    assert again.weights_sha256 == network.weights_sha256
    assert again.origin == str(path)


def test_a_state_dict_is_copied():
    network = wrap_network(small(), ["3"], **HALF)
    donor = load_network("squeezenet1_1", ["features.0"], weights="random-1")
    state = {**load_network("squeezenet1_1", weights="random-1").stage_state()}
    spare = load_network("squeezenet1_1", weights="random-1")._spare
    full = {**spare, **state}
    network = load_network("squeezenet1_1", ["features.0"], weights=full)
    x = torch.rand(1, 3, 32, 32)
    before = network(x)["features.0"]
    full["features.0.weight"].zero_()
    assert torch.equal(network(x)["features.0"], before)
    assert torch.equal(donor(x)["features.0"], before)


def test_wrong_and_missing_files(tmp_path):
    other = tmp_path / "alexnet.pth"
    torch.save({"lin0.model.1.weight": torch.rand(1, 64, 1, 1)}, other)
    with pytest.raises(WeightsError, match="LPIPS"):
        load_network("vgg16", weights=other)
    with pytest.raises(WeightsError, match="does not exist"):
        load_network("vgg16", weights=tmp_path / "nothing.pth")
    (tmp_path / "cut.pth").write_bytes(b"PK\x03\x04abc")
    with pytest.raises(WeightsError, match="truncated"):
        load_network("vgg16", weights=tmp_path / "cut.pth")


@pytest.mark.shared
def test_a_file_of_features_only(shared_weights):
    path = shared_weights / "vgg16_hed_features.fp16.safetensors"
    network = load_network("vgg16", ["relu3_3"], weights=path)
    assert network.dtype == torch.float32
    assert network(torch.rand(1, 3, 32, 32))["relu3_3"].std() > 0
    with pytest.raises(WeightsError, match=r"end before tap 'classifier.0'.*Choose an earlier tap"):
        load_network("vgg16", ["classifier.0"], weights=path)


def test_missing_numbers_are_an_error_for_hooked_networks_too():
    full = load_network(HOOKED, weights="random").stage_state()
    part = {k: v for k, v in full.items() if k.startswith("stages.")}
    with pytest.raises(WeightsError, match=r"end before tap|missing stem\.0\.weight"):
        load_network(HOOKED, ["stages.0"], weights=part)


class TestSelect:
    def test_shares_tensors(self):
        whole = load_network("squeezenet1_1", weights="random-0")
        part = whole.select(["features.3", "features.0"])
        assert [t.name for t in part.taps] == ["features.0", "features.3"]
        ours, theirs = whole.stage_state(), part.stage_state()
        assert all(ours[k].data_ptr() == v.data_ptr() for k, v in theirs.items())
        assert (part.weights_sha256, part.weights_name) == (whole.weights_sha256, whole.weights_name)

    def test_a_whole_network_can_go_deeper_and_a_cut_one_cannot(self):
        whole = load_network("resnet18", ["layer1"], weights="random-0")
        with pytest.raises(WeightsError, match="end before tap 'layer4'"):
            whole.select(["layer4"])
        assert load_network("resnet18", weights="random-0").select(["fc"]).taps[0].name == "fc"

    def test_what_lies_behind_moves_along(self):
        whole = load_network("squeezenet1_1", weights="random-0").double()
        deeper = whole.select(["classifier.1"])
        assert {p.dtype for p in deeper.parameters()} == {torch.float64}
        x = torch.rand(1, 3, 64, 64, dtype=torch.float64)
        assert deeper(x)["classifier.1"].dtype == torch.float64

    def test_trainable_parameters_stay_the_same_objects(self):
        whole = wrap_network(small(), ["0", "3"], trainable=True, **HALF)
        part = whole.select(["0"])
        assert all(p.requires_grad for p in part.parameters())
        assert {id(p) for p in part.parameters()} <= {id(p) for p in whole.parameters()}


class Branching(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.deep = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x):
        y = self.conv(x)
        if y.shape[2] > 32:
            y = y[:, :, ::2, ::2]
        if y.mean() > 1e6:
            return y
        return self.deep(y)


class AsksWhatItGets(nn.Module):
    """On a stand-in for a tensor it takes another way than on a tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x) if isinstance(x, torch.Tensor) else self.conv(x * 2)


class Counts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        return self.conv(x * torch.rand(1))


class NoGradInside(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        with torch.no_grad():
            return self.conv(x)


class PlainTensors(nn.Module):
    """Its constants are neither parameters nor buffers, as in some loss packages."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1)
        self.conv = nn.Conv2d(3, 4, 1)

    def forward(self, x):
        return self.conv(x - self.mean)


class TestWrap:
    def test_the_users_module_is_left_as_it_is(self):
        module = small().train()
        state = copy.deepcopy(module.state_dict())
        network = wrap_network(module, ["0", "1", "3"], trainable=True, **HALF)
        network.train()
        network(torch.rand(2, 3, 8, 8))["3"].sum().backward()
        assert module.training
        assert module[2].inplace
        assert all(p.grad is None and p.requires_grad for p in module.parameters())
        assert all(torch.equal(v, state[k]) for k, v in module.state_dict().items())
        with torch.no_grad():
            module[0].weight.zero_()
        assert network(torch.rand(1, 3, 8, 8))["0"].std() > 0

    @pytest.mark.parametrize("size", [(24, 24), (40, 48)])
    def test_control_flow_is_followed_image_by_image(self, size):
        module = Branching().eval()
        network = wrap_network(module, ["deep"], size=(64, 64), **HALF)
        assert network.blueprint.traced is None
        x = torch.rand(1, 3, *size)
        with torch.no_grad():
            torch.testing.assert_close(network(x)["deep"], module((x - 0.5) / 0.5))
        assert network.min_size == 1

    @pytest.mark.parametrize("kind", [AsksWhatItGets, NoGradInside, Counts])
    def test_a_graph_that_would_be_something_else_is_not_used(self, kind):
        module = kind().eval()
        network = wrap_network(module, ["conv"], **HALF)
        assert network.blueprint.traced is None
        x = torch.rand(1, 3, 8, 8, requires_grad=True)
        f = network(x)["conv"]
        if kind is not Counts:
            want = module((x - 0.5) / 0.5)
            torch.testing.assert_close(f, want)
            assert f.requires_grad == want.requires_grad

    def test_plain_tensors_as_attributes(self):
        module = PlainTensors().eval()
        x = torch.rand(1, 3, 8, 8)
        network = wrap_network(module, ["conv"], **HALF)
        torch.testing.assert_close(network(x)["conv"], module((x - 0.5) / 0.5).detach())

    def test_channels(self):
        net = nn.Sequential(nn.Conv2d(5, 4, 3))
        network = wrap_network(net, mean=[0.1] * 5, std=[1.0] * 5)
        assert network(torch.rand(1, 5, 8, 8))["0"].shape == (1, 4, 6, 6)
        with pytest.raises(ImageError, match=r"must have 5 channel\(s\); got shape \(1, 3, 8, 8\)"):
            network(torch.rand(1, 3, 8, 8))
        with pytest.raises(
            ConfigError, match=r"does not process an image of shape \(1, 3, 224, 224\).*mean and std"
        ):
            wrap_network(net)
        with pytest.raises(ConfigError, match="one value per input channel; got 3 and 1"):
            wrap_network(net, mean=[0.0] * 3, std=[1.0])

    def test_errors(self):
        with pytest.raises(ConfigError, match=r"must be a torch.nn.Module; got function"):
            wrap_network(lambda x: x)
        with pytest.raises(UnknownNameError, match="tap of Sequential '9' is not known"):
            wrap_network(small(), ["9"], **HALF)
        with pytest.raises(ConfigError, match="at least one extraction point"):
            wrap_network(small(), [], **HALF)


class TestFixedSize:
    def test_error(self):
        network = load_network("vit_b_16", ["conv_proj"], weights="random")
        with pytest.raises(ImageError, match=r"takes images of 224x224 pixels only; got 64x64"):
            network(torch.rand(1, 3, 64, 64))

    def test_multiples_of_something(self):
        network = wrap_network(nn.Sequential(nn.PixelUnshuffle(8), nn.Conv2d(192, 4, 1)), **HALF)
        assert network.min_size == 8
        assert network(torch.rand(1, 3, 16, 24))["1"].shape == (1, 4, 2, 3)
        with pytest.raises(ImageError, match=r"sides of 8, 16, 24, ... pixels.*got 32x36"):
            network(torch.rand(1, 3, 32, 36))


def save_and_load(network):
    return pickle.loads(pickle.dumps(network))


@pytest.mark.parametrize("again", [copy.deepcopy, save_and_load])
@pytest.mark.parametrize("name", ["vgg11", "efficientnet_b0", "googlenet", "timm/vit_tiny_patch16_224"])
def test_copies_compute_the_same(name, again):
    network = load_network(name, weights="random-0")
    deep = [t for t in network.blueprint.taps.values() if t.layout != "NC"][-2].module
    network = network.select([deep])
    side = max(network.min_size, 64)
    x = torch.rand(1, 3, side, side)
    twin = again(network)
    with torch.no_grad():
        assert all(torch.equal(f, twin(x)[tap]) for tap, f in network(x).items())
    assert twin.weights_sha256 == network.weights_sha256
    next(twin.parameters()).data.zero_()
    assert next(network.parameters()).abs().sum() > 0


@pytest.mark.parametrize("again", [copy.deepcopy, save_and_load])
def test_copies_of_wrapped_modules(again):
    for module in (Branching(), PlainTensors()):
        network = wrap_network(module, size=(64, 64), **HALF)
        x = torch.rand(1, 3, 64, 64)
        with torch.no_grad():
            assert all(torch.equal(f, again(network)(x)[tap]) for tap, f in network(x).items())
