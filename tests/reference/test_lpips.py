"""LPIPS against the package of its authors: live where it is installed, and as literal values.

Three opinions: the package ``lpips``, torchmetrics' copy of it, and fifteen lines of plain PyTorch.
"""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import Tensor

from lossnets.losses import LPIPS, load_loss
from lossnets.losses.heads import load_lpips_head
from lossnets.torchvision_compat import ensure_torchvision

from .lpips_recipe import NETWORKS, SIZES, images, peer, peer_value
from .lpips_values import VALUES

slow = pytest.mark.slow
FAST = [
    ("alexnet", "64"),
    ("alexnet", "127x93"),
    ("squeezenet1_1", "64"),
    ("squeezenet1_1", "127x93"),
    ("vgg16", "64"),
]
SLOW = [(network, size) for network in NETWORKS for size in SIZES if (network, size) not in FAST]
OLD = [(network, size, "0.0") for network in NETWORKS for size in SIZES]
every = pytest.mark.parametrize(
    ("network", "size", "version"),
    [
        *((network, size, "0.1") for network, size in FAST),
        ("alexnet", "64", "0.0"),
        *(pytest.param(network, size, "0.1", marks=slow) for network, size in SLOW),
        *(pytest.param(*case, marks=slow) for case in OLD if case != ("alexnet", "64", "0.0")),
    ],
)
ensure_torchvision()  # the packages import it


def value_and_gradient(loss: LPIPS, x: Tensor, target: object) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    value = loss(x, target)
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


def cosine(a: Tensor, b: Tensor) -> float:
    a, b = a.double().flatten(), b.double().flatten()
    return float(a @ b / (a.norm() * b.norm()))


@every
def test_literal_values(network: str, size: str, version: str) -> None:
    expected, norm, probe = VALUES[network, version, size]
    x, y = images(SIZES[size])
    loss = LPIPS(network, version, weights="random-0", reduction="none")
    value, slope = value_and_gradient(loss, x, y)
    torch.testing.assert_close(value, torch.tensor(expected), rtol=0, atol=1e-6)
    assert float(slope.double().norm()) == pytest.approx(norm, rel=1e-3)
    assert float(slope[0, 1, 20, 30]) == pytest.approx(probe, rel=0.02, abs=1e-7)


@every
def test_values_and_gradients_of_the_package(network: str, size: str, version: str) -> None:
    pytest.importorskip("lpips", reason="the package lpips is not installed")
    x, y = images(SIZES[size])
    model = peer(network, version)
    wanted = x.clone().requires_grad_()
    expected = peer_value(model, wanted, y)
    (slope,) = torch.autograd.grad(expected.sum(), wanted)
    loss = LPIPS(network, version, weights="random-0", reduction="none")
    for target in (y, loss.encode(y)):
        value, ours = value_and_gradient(loss, x, target)
        torch.testing.assert_close(value, expected.detach(), rtol=0, atol=1e-6)
        assert cosine(ours, slope) >= 0.99999


@pytest.mark.parametrize("network", NETWORKS)
def test_each_tap_is_the_packages_layer(network: str) -> None:
    pytest.importorskip("lpips", reason="the package lpips is not installed")
    x, y = images((32, 32))
    total, layers = peer(network, "0.1")(x, y, normalize=True, retPerLayer=True)
    loss = LPIPS(network, weights="random-0", reduction="none")
    ours = loss(x, y, per_tap=True)
    assert len(ours) == len(layers)
    for layer, value in zip(layers, ours.values(), strict=True):
        torch.testing.assert_close(value, layer.flatten(), rtol=0, atol=1e-6)
    torch.testing.assert_close(sum(ours.values()), total.flatten(), rtol=0, atol=1e-6)


def test_map_lies_where_the_packages_map_lies() -> None:
    """The package enlarges bilinearly, which moves the mean; ours keeps it, so the maps are only alike."""
    pytest.importorskip("lpips", reason="the package lpips is not installed")
    x, y = images((127, 93))
    theirs = peer("alexnet", "0.1", spatial=True)(x, y, normalize=True)
    loss = LPIPS("alexnet", weights="random-0", reduction="none")
    ours = loss(x, y, output="map")
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours.mean((1, 2, 3)), loss(x, y), rtol=0, atol=1e-6)
    assert cosine(ours - ours.mean(), theirs - theirs.mean()) > 0.9


def test_torchmetrics_agrees() -> None:
    pytest.importorskip("torchmetrics", reason="the package torchmetrics is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torchmetrics.functional.image.lpips import _LPIPS

        model = _LPIPS(pretrained=True, net="alex", pnet_rand=True).eval()
    model.net.load_state_dict(peer("alexnet", "0.1").net.state_dict())
    x, y = images((64, 64))
    with torch.no_grad():
        expected = model(x, y, normalize=True).flatten()
        value = LPIPS("alexnet", weights="random-0", reduction="none")(x, y)
    torch.testing.assert_close(value, expected, rtol=0, atol=1e-6)


def plain_lpips(network: str, x: Tensor, y: Tensor) -> Tensor:
    """Zhang et al. 2018, eq. 1, written down once more in float64: features -> (N,)."""
    loss = LPIPS(network, weights="random-0").double()
    head = load_lpips_head(network, loss.network.taps)
    total = torch.zeros(x.shape[0], dtype=torch.float64)
    for tap, a in loss.network(x.double()).items():
        b = loss.network(y.double())[tap]
        a, b = (f / f.square().sum(1, keepdim=True).add(1e-20).sqrt() for f in (a, b))
        weights = head[tap].double().view(1, -1, 1, 1)
        total += (weights * (a - b).square()).sum(1).mean((1, 2))
    return total


@pytest.mark.parametrize("network", NETWORKS)
def test_fifteen_plain_lines_agree(network: str) -> None:
    x, y = images((32, 32))
    value = LPIPS(network, weights="random-0", reduction="none")(x, y)
    torch.testing.assert_close(value.double(), plain_lpips(network, x, y), rtol=0, atol=1e-6)


def test_versions_and_networks_differ_and_names_mean_the_same() -> None:
    x, y = images((64, 64))
    values = {
        name: float(load_loss(f"lpips:{name}:weights=random-0")(x, y))
        for name in ("alex", "alexnet", "alex:version=0.0", "squeeze", "squeezenet1_1:version=0.1")
    }
    assert values["alex"] == values["alexnet"]
    assert values["squeeze"] == values["squeezenet1_1:version=0.1"]
    assert len(set(values.values())) == 3
