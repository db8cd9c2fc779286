"""Backbones: published sizes, names and operations; odd image sizes; errors."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lossnets.errors import ConfigError, UnknownNameError
from lossnets.gradients.backbones import BACKBONES, UNet, make_backbone

# Parameters in millions, 10^9 multiply-accumulates at 256 x 256 (Nikulin et al. 2021, table of the appendix).
PUBLISHED = {
    "resnet-4": ("resnet", {"blocks": 4}, 1.34, 25.7),
    "resnet-6": ("resnet", {"blocks": 6}, 1.93, 35.4),
    "resnet-8": ("resnet", {"blocks": 8}, 2.52, 45.0),
    "unet": ("unet", {}, 1.77, 2.54),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_parameters_and_operations(name: str) -> None:
    kind, settings, millions, gmacs = PUBLISHED[name]
    with torch.device("meta"):
        backbone = make_backbone(kind, **settings)
        images = torch.zeros(1, 3, 256, 256)
        with FlopCounterMode(display=False) as counter:
            assert backbone(images, backbone.encode(images)).shape == images.shape
    assert sum(p.numel() for p in backbone.parameters()) / 1e6 == pytest.approx(millions, abs=0.005)
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmacs, rel=0.005)


@pytest.mark.parametrize("kind", BACKBONES)
@pytest.mark.parametrize("size", [(1, 1), (33, 47), (64, 32)])
def test_any_size_of_images(kind: str, size: tuple[int, int]) -> None:
    backbone = make_backbone(kind, channels=5).eval()
    x, y = torch.rand(2, 2, 3, *size)
    with torch.no_grad():
        out = backbone(x, backbone.encode(y))
    assert out.shape == (2, 5, *size)
    assert bool(out.isfinite().all())


@pytest.mark.parametrize("kind", BACKBONES)
def test_images_do_not_see_each_other_and_both_inputs_matter(kind: str) -> None:
    backbone = make_backbone(kind).eval()
    x, y = torch.rand(2, 2, 3, 32, 32)
    with torch.no_grad():
        together = backbone(x, backbone.encode(y))
        alone = backbone(x[1:], backbone.encode(y[1:]))
        torch.testing.assert_close(together[1:], alone, rtol=1e-4, atol=1e-5)
        for other in (backbone(y, backbone.encode(y)), backbone(x, backbone.encode(x))):
            assert float((other - together).abs().max()) > 1e-6


def test_activations_are_the_released_ones() -> None:
    """LeakyReLU(0.2) in the resnet, ReLU in the U-Net: other ones would misread released weights."""
    found = {
        kind: {str(m) for m in make_backbone(kind).modules() if isinstance(m, (nn.ReLU, nn.LeakyReLU))}
        for kind in ("resnet", "unet")
    }
    assert found == {"resnet": {"LeakyReLU(negative_slope=0.2)"}, "unet": {"ReLU()"}}
    block = UNet().layer2.eval()
    with torch.no_grad():
        assert float(block(torch.randn(1, 64, 8, 8)).min()) == 0.0


def test_the_shuffled_one_costs_a_fraction() -> None:
    """At a quarter of the resolution: less than a seventh of resnet-4 with three quarters of its width."""
    with torch.device("meta"):
        backbone = make_backbone("shuffled", width=96, blocks=4)
        x = torch.zeros(1, 3, 256, 256)
        with FlopCounterMode(display=False) as counter:
            backbone(x, (x,))
    assert counter.get_total_flops() / 2e9 < 25.7 / 7


@pytest.mark.parametrize(
    ("kind", "settings", "text"),
    [
        ("resnet", {"blocks": -1}, "blocks of backbone 'resnet' must be a whole number, 0 or more; got -1"),
        ("resnet", {"blocks": 2.5}, "0 or more; got 2.5"),
        ("shuffled", {"width": 0}, "width of backbone 'shuffled' must be a whole number, 1 or more; got 0"),
        ("shuffled", {"width": "a"}, "1 or more; got 'a'"),
        ("shuffled", {"factor": True}, "1 or more; got True"),
    ],
)
def test_settings_out_of_range(kind: str, settings: dict[str, object], text: str) -> None:
    with pytest.raises(ConfigError, match=text):
        make_backbone(kind, **settings)


def test_errors_name_kind_and_setting() -> None:
    with pytest.raises(UnknownNameError, match=r"backbone 'resnett' is not known. Did you mean 'resnet'"):
        make_backbone("resnett")
    with pytest.raises(ConfigError, match=r"settings of backbone 'resnet' do not fit:.*'depth'"):
        make_backbone("resnet", depth=3)
