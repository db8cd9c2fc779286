"""Every kind of loss, each on a small network with random weights and small images."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.losses import LPIPS, ImageLoss, PerceptualLoss, PixelLoss, load_loss
from lossnets.networks import load_network, wrap_network

SQUEEZE = "squeezenet1_1/features.1,features.4=0.5"
SIZE = 32


def tiny_network(bias: bool = True) -> nn.Module:
    """Two convolutions of stride 2 and 1: 32x32 -> 16x16, three channels -> six."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3, 2, 1, bias=bias), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, 1, 1, bias=bias)
        )


def tiny_loss(*taps: str, bias: bool = True, **options: Any) -> PerceptualLoss:
    """A perceptual loss on `tiny_network`."""
    return PerceptualLoss(wrap_network(tiny_network(bias), taps or ["1", "2"]), **options)


def largest_difference(a: Tensor, b: Tensor) -> Tensor:
    """A distance function of a user's own."""
    return (a - b).abs().amax((1, 2, 3))


def channel_weights() -> dict[str, Tensor]:
    """Seeded weights for the taps of SQUEEZE."""
    generator = torch.Generator().manual_seed(3)
    return {
        "features.1": torch.rand(64, generator=generator),
        "features.4": torch.rand(128, generator=generator),
    }


@dataclass(frozen=True)
class Case:
    """A kind of loss under examination.

    Attributes:
        name: for the test's name.
        make: builds it, with options such as ``reduction``.
        spatial: maps and masks are possible.
        named: its name parses back.
        channels: of its images.
        symmetric: input and target may change places.
    """

    name: str
    make: Callable[..., ImageLoss]
    spatial: bool = True
    named: bool = True
    channels: int = 3
    symmetric: bool = True


def _squeeze(name: str, text: str, **facts: Any) -> Case:
    return Case(name, lambda **options: load_loss(f"{SQUEEZE}{text}:weights=random-0", **options), **facts)


CASES = [
    Case("pixel-mse", lambda **o: PixelLoss("mse", **o)),
    Case("pixel-l1", lambda **o: PixelLoss("l1", **o)),
    Case("pixel-l2", lambda **o: PixelLoss("l2", **o)),
    Case("pixel-ssim", lambda **o: load_loss("pixel:ssim", **o), spatial=False),
    Case("pixel-bce", lambda **o: load_loss("pixel:bce", **o), symmetric=False),
    Case("lpips-alex", lambda **o: LPIPS("alex", weights="random-0", **o)),
    Case("lpips-squeeze-v0.0", lambda **o: LPIPS("squeeze", "0.0", weights="random-0", **o)),
    _squeeze("spatial", ""),
    _squeeze("l1", ":l1"),
    _squeeze("l2", ":l2"),
    _squeeze("lpips-like", ":lpips"),
    _squeeze("gram", ":gram", spatial=False),
    _squeeze("mean", ":mean", spatial=False),
    _squeeze("spatial+mean", ":spatial+mean", spatial=False),
    _squeeze("spatial+sort", ":spatial+sort", spatial=False),
    _squeeze("unit-sort", ":unit-sort", spatial=False),
    _squeeze("avg-pooling", ":pooling=avg"),
    _squeeze("raw-input", ":input=raw"),
    _squeeze("bf16", ":lpips:dtype=bfloat16"),
    _squeeze("gray", ":channels=gray", channels=1),
    _squeeze("per-channel", ":lpips:channels=per-channel", channels=5),
    Case(
        "channel-weights",
        lambda **o: PerceptualLoss(
            load_network("squeezenet1_1", list(channel_weights()), weights="random-0"),
            distance="lpips", channel_weights=channel_weights(), **o,
        ),
        named=False,
    ),
    Case(
        "own-function",
        lambda **o: tiny_loss("1", distance=largest_difference, **o),
        spatial=False,
        named=False,
    ),
    Case("own-module", lambda **o: tiny_loss(**o), named=False),
]  # fmt: skip
SPATIAL = [case for case in CASES if case.spatial]
NAMED = [case for case in CASES if case.named]
_BY_NAME = {case.name: case for case in CASES}


@cache
def _built(name: str) -> ImageLoss:
    return _BY_NAME[name].make()


def built(case: Case, reduction: str = "mean") -> ImageLoss:
    """The loss, built once for all tests that leave it as it is."""
    loss = copy.copy(_built(case.name))  # shares the network
    loss.reduction = reduction
    return loss


def fresh(case: Case) -> ImageLoss:
    """A copy that a test may change."""
    return copy.deepcopy(_built(case.name))


def pair(case: Case | int = 3, count: int = 2, size: tuple[int, int] = (SIZE, SIZE)) -> tuple[Tensor, Tensor]:
    """Two seeded batches of images in [0, 1] that are alike, but not the same."""
    channels = case if isinstance(case, int) else case.channels
    generator = torch.Generator().manual_seed(5)
    x = torch.rand(count, channels, *size, generator=generator)
    noise = torch.rand(count, channels, *size, generator=generator) - 0.5
    return x, (x + 0.2 * noise).clamp(0, 1)


def ids(case: Case) -> str:
    """Name of a case in test names."""
    return case.name
