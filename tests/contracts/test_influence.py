"""No pixel is without influence unless the loss says so: every family of networks, by the gradient."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
import torch
from torch import nn

from lossnets.errors import ImageError
from lossnets.losses import LossBank, PerceptualLoss
from lossnets.networks import LossNetwork, influence, load_network, study_networks, wrap_network

LIGHT = ("alexnet", "vgg11", "resnet18", "googlenet", "inception_v3", "squeezenet1_1", "efficientnet_b0")
LEAVING = ("alexnet", "inception_v3", "squeezenet1_1")  # alexnet at 2 more than a multiple of 4 only
PATCHES = {
    "timm/vit_tiny_patch16_224": 16, "timm/convnext_atto": 4, "timm/swin_tiny_patch4_window7_224": 4,
}  # fmt: skip
WINDOWS = (
    "timm/resnet10t", "timm/efficientvit_b0", "timm/mobilenetv4_conv_small", "timm/poolformer_s12",
    "timm/pvt_v2_b0", "efficientnet_lite0",
)  # fmt: skip
FIXED = ("timm/mixer_s32_224", "vit_b_32", "timm/beit_base_patch16_224")
MANY = (
    "timm/hrnet_w18_small", "timm/dla34", "timm/twins_svt_small", "timm/edgenext_xx_small",
    "timm/mobilevit_xxs", "timm/inception_v3", "timm/inception_v4", "timm/xception41",
    "timm/crossvit_tiny_240", "timm/vit_small_patch14_dinov2", "timm/convmixer_768_32", "swin_t",
    "convnext_tiny",
    "mobilenet_v3_small", "shufflenet_v2_x0_5", "squeezenet1_0",
    "timm/focalnet_tiny_srf", "timm/davit_tiny", "timm/tresnet_m", "timm/repvit_m0_9", "timm/fastvit_t8",
    "timm/sequencer2d_s", "timm/rdnet_tiny", "timm/nasnetalarge", "maxvit_t", "regnet_x_400mf", "swin_v2_t",
)  # fmt: skip


@pytest.fixture(autouse=True)
def nothing_said() -> Iterator[None]:
    before = set(influence._SAID)
    influence._SAID.clear()
    yield
    influence._SAID.update(before)


def unseen(network: LossNetwork, height: int, width: int) -> tuple[int, int]:
    """Rows and columns without a gradient of a random sum of all taps, on the whole image."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(1, 3, height, width, generator=generator).requires_grad_()
    total = torch.zeros(())
    for features in network.features(x):
        total = total + (features * torch.randn(features.shape, generator=generator)).sum()
    (slope,) = torch.autograd.grad(total, x)
    zero = (slope == 0).all(1)[0]
    return int(zero.all(1).sum()), int(zero.all(0).sum())


def check(network: LossNetwork, height: int, width: int, caplog: pytest.LogCaptureFixture) -> str:
    """Every pixel counts, the size is refused with the next ones, or it is said; -> which."""
    influence._SAID.clear()
    caplog.clear()
    try:
        network.check_size(height, width)
    except ImageError:
        return "refused"
    said = [r for r in caplog.records if "does not look at" in r.getMessage()]
    found = network.ignored_border(height, width)
    assert found == unseen(network, height, width)
    assert bool(said) == any(found)
    return "said" if said else "whole"


@pytest.mark.parametrize(
    "name",
    [n if n in LIGHT else pytest.param(n, marks=pytest.mark.slow) for n in study_networks()],
)
def test_the_studys_networks(name: str, caplog: pytest.LogCaptureFixture) -> None:
    network = load_network(name, weights="random-0")
    assert check(network, 46, 47, caplog) == ("said" if name in LEAVING else "whole")
    assert network.ignored_border(46, 47) == ((1, 0) if name in LEAVING else (0, 0))
    assert network.ignored_border(47, 48) == ((0, 1) if name in LEAVING[1:] else (0, 0))


@pytest.mark.parametrize("name", PATCHES)
def test_patches_are_refused_with_the_next_sizes(name: str, caplog: pytest.LogCaptureFixture) -> None:
    network, patch = load_network(name, weights="random-0"), PATCHES[name]
    whole = -(-33 // patch) * patch
    assert check(network, whole, whole + patch, caplog) == "whole"
    with pytest.raises(ImageError) as caught:
        network.check_size(whole + 3, whole)
    assert str(whole) in str(caught.value)
    assert str(whole + patch) in str(caught.value)


@pytest.mark.parametrize("name", WINDOWS)
def test_overlapping_windows(name: str, caplog: pytest.LogCaptureFixture) -> None:
    network = load_network(name, weights="random-0")
    assert check(network, 50, 47, caplog) in ("whole", "said")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*FIXED, *MANY])
def test_many_families(name: str, caplog: pytest.LogCaptureFixture) -> None:
    network = load_network(name, weights="random-0")
    if network.blueprint.fixed_size is not None:
        size = network.blueprint.fixed_size
        network.check_size(*size)
        assert network.ignored_border(*size) == (0, 0)
        return
    smallest = max(64, network.min_size)
    for side in range(smallest, smallest + 4):
        check(network, side, side + 32, caplog)


def test_sizes_that_the_layers_fail_on_are_refused() -> None:
    class Branches(nn.Module):
        """Two ways whose lengths agree at multiples of 4 only, as in HRNet."""

        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Conv2d(3, 4, 3, stride=2, padding=1)
            self.second = nn.Conv2d(4, 4, 3, stride=2, padding=1)
            self.up = nn.Upsample(scale_factor=2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.first(x)
            return x + self.up(self.second(x))

    network = wrap_network(nn.Sequential(Branches(), nn.ReLU()), ["1"])
    network.check_size(16, 24)
    with pytest.raises(ImageError, match=r"fail on images of 18x16 pixels.*heights of 16 or 19"):
        network.check_size(18, 16)


def test_a_network_that_skips_pixels_everywhere_says_so(caplog: pytest.LogCaptureFixture) -> None:
    network = wrap_network(nn.Sequential(nn.Conv2d(3, 4, 1, stride=2)), ["0"])
    network.check_size(9, 9)
    assert network.ignored_border(9, 9) == (4, 4)
    assert "does not look at the last 4 rows and 4 columns" in caplog.text


def test_it_is_said_once_and_only_where_it_holds(caplog: pytest.LogCaptureFixture) -> None:
    loss = PerceptualLoss("squeezenet1_1", ["features.1"], weights="random-0")
    x = torch.rand(1, 3, 33, 33)
    loss(x, x)
    assert caplog.records == []
    for side in (32, 34, 32):
        loss(torch.rand(1, 3, side, side), torch.rand(1, 3, side, side))
    assert len(caplog.records) == 1
    assert caplog.records[0].levelno == logging.WARNING
    assert "the last 1 row and 1 column of 32x32 pixels" in caplog.text
    assert "sides of 31 or 33 pixels" in caplog.text
    assert loss.ignored_border(40, 41) == (1, 0)


def test_the_state_of_the_process_has_no_part_in_it() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 5, stride=3), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.5))

    def ask() -> list[tuple[int, int]]:
        network = wrap_network(module, ["2"], trainable=True).train()
        before = [b.clone() for b in network.buffers()]
        found = [network.ignored_border(side, 17) for side in (17, 18, 19)]
        assert all(torch.equal(a, b) for a, b in zip(before, network.buffers(), strict=True))
        assert all(p.grad is None for p in network.parameters())
        return found

    state = torch.random.get_rng_state()
    plain = ask()
    assert plain == [(0, 0), (1, 0), (2, 0)]
    with torch.no_grad():
        assert ask() == plain
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert ask() == plain
    torch.set_default_dtype(torch.float64)
    try:
        assert ask() == plain
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    network = wrap_network(module, ["2"])
    with torch.inference_mode():
        assert network.ignored_border(18, 17) == (1, 0)
    other = wrap_network(module, ["2"])

    def value(x: torch.Tensor) -> torch.Tensor:
        assert other.ignored_border(18, 17) == (1, 0)
        return x.sum()

    torch.func.grad(value)(torch.ones(3))
    assert torch.equal(torch.random.get_rng_state(), state)


def test_weights_have_no_part_in_it() -> None:
    module = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU())
    nn.init.zeros_(module[0].weight)
    nn.init.constant_(module[0].bias, -1.0)
    assert wrap_network(module, ["1"]).ignored_border(16, 17) == (1, 0)


def test_banks_check_the_size_for_all_their_losses() -> None:
    seed = "weights=random-0"
    bank = LossBank([f"squeezenet1_1/features.1:{seed}", f"squeezenet1_1/features.12:{seed}"])
    with pytest.raises(ImageError, match="at least 17x17 pixels"):
        bank.distances(torch.rand(1, 3, 9, 9), torch.rand(1, 3, 9, 9))
