"""The losses that are examined: a new one joins by one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from lossnets import LPIPS, PGNLoss, load_loss, wrap_network
from lossnets.gradients import PerceptualGradientNetwork
from lossnets.losses import ImageLoss, PerceptualLoss
from lossnets.losses.heads import lpips_head_file

from . import plain

SIDE = 32
TAPS = {"features.1": 1.0, "features.4": 0.5}


def squeeze() -> nn.Module:
    return plain.torchvision_model("squeezenet1_1")


def _head(name: str, version: str = "0.1") -> Callable[[], list[Tensor]]:
    def read() -> list[Tensor]:
        state = torch.load(lpips_head_file(name, version), weights_only=True, map_location="cpu")
        return [value.flatten() for value in state.values()]

    return read


class Odd(nn.Module):
    """A network that cannot be traced: it asks for values, so its taps are read through hooks."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, 2, 1)
        self.factor = 2.0

    def forward(self, x: Tensor) -> Tensor:
        if x.shape[0] < 0 or bool((self.first.bias > 1e9).any()):
            return x
        return self.first(x) * self.factor


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(7)
        return make()


@cache
def own_module() -> nn.Module:
    return _seeded(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3, 1, 1))
    )


@cache
def odd_module() -> nn.Module:
    return _seeded(Odd)


def _own_reference(module: Callable[[], nn.Module], path: str, compare: plain.Compare) -> plain.Loss:
    import copy

    frozen = cache(lambda: copy.deepcopy(module()).double().eval().requires_grad_(False))
    return plain.perceptual(frozen, {path: 1.0}, compare)


@dataclass(frozen=True)
class Candidate:
    """A loss under examination.

    Attributes:
        name: in tests and in the table.
        make: builds it, with options such as ``reduction``.
        reference: the same in float64, by other code; None: its own number in a plain process counts.
        network: whether it holds weights.
        second: whether it has second derivatives with ``double_backward=True``.
        smooth: whether second derivatives exist (not for absolute values and sorted features).
        predicts: whether its gradient is predicted, and is no derivative.
        slow: examined in the slow part of the tests only; others of its kind are examined always.
        traceable: whether a compiler can follow all of its code.
        rounding: factor to the exam's tolerances, for layers that compute in half precision.
    """

    name: str
    make: Callable[..., Any]
    reference: plain.Loss | None
    network: bool = True
    second: bool = True
    smooth: bool = True
    predicts: bool = False
    slow: bool = False
    traceable: bool = True
    rounding: float = 1.0


def _named(text: str, reference: plain.Loss | None, **facts: Any) -> Candidate:
    return Candidate(text, lambda **options: load_loss(text, **options), reference, **facts)


def _squeeze(text: str, compare: plain.Compare, scaling: tuple = plain.IMAGENET, **facts: Any) -> Candidate:
    name = "squeezenet1_1/features.1,features.4=0.5" + text + ":weights=random-0"
    return _named(name, plain.perceptual(squeeze, TAPS, compare, scaling), **facts)


def _own(module: Callable[[], nn.Module], path: str, **options: Any) -> ImageLoss:
    return PerceptualLoss(wrap_network(module(), [path], size=(SIDE, SIDE)), **options)


CANDIDATES = [
    _named("pixel:mse", plain.spatial, network=False),
    _named("pixel:l1", plain.absolute, network=False, smooth=False),
    _named("pixel:l2", plain.euclidean, network=False),
    _named("pixel:ssim", plain.structural, network=False),
    _named("pixel:bce", plain.cross_entropy, network=False),
    _squeeze("", plain.spatial),
    _squeeze(":l1", plain.absolute, smooth=False, slow=True),
    _squeeze(":l2", plain.euclidean, slow=True),
    _squeeze(":lpips", plain.lpips_like),
    _squeeze(":gram", plain.gram),
    _squeeze(":mean", plain.mean, slow=True),
    _squeeze(":unit-sort", plain.unit_sort, smooth=False),
    _squeeze(":unit-spatial+mean", plain.spatial_and_unit_mean, slow=True),
    _squeeze(":input=raw", plain.spatial, plain.RAW, slow=True),
    _named("squeezenet1_1/features.4:weights=random-0:pooling=avg",
           plain.perceptual(lambda: plain.averaging("squeezenet1_1"), {"features.4": 1.0}), slow=True),
    _named("squeezenet1_1/features.1:weights=random-0:channels=per-channel",
           plain.each_channel(plain.perceptual(squeeze, {"features.1": 1.0})), slow=True),
    Candidate("lpips:squeezenet1_1:weights=random-0:version=0.0",
              lambda **o: LPIPS("squeeze", "0.0", weights="random-0", **o),
              plain.perceptual(squeeze, {f"features.{k}": 1.0 for k in (1, 4, 7, 9, 10, 11, 12)},
                               scaling=plain.HALVES, heads=_head("squeezenet1_1", "0.0")), slow=True),
    _named("squeezenet1_1/features.1:lpips:weights=random-0:dtype=bfloat16", None, smooth=False, rounding=40),
    Candidate(
        "lpips:squeezenet1_1:weights=random-0",
        lambda **o: LPIPS("squeeze", weights="random-0", **o),
        plain.perceptual(
            squeeze,
            {f"features.{k}": 1.0 for k in (1, 4, 7, 9, 10, 11, 12)},
            heads=_head("squeezenet1_1"),
        ),
    ),
    _named(
        "timm/vit_tiny_patch16_224/blocks.0:weights=random-0",
        plain.perceptual(
            lambda: plain.timm_model("vit_tiny_patch16_224"), {"blocks.0": 1.0}, scaling=plain.HALVES
        ),
    ),
    Candidate("own function", lambda **o: _own(own_module, "2", distance=plain.largest, **o),
              _own_reference(own_module, "2", plain.largest), smooth=False),
    Candidate("own network", lambda **o: _own(own_module, "2", **o),
              _own_reference(own_module, "2", plain.spatial)),
    Candidate("own network read through hooks", lambda **o: _own(odd_module, "first", **o),
              _own_reference(odd_module, "first", plain.spatial), traceable=False),
    Candidate("gradient network, distilled", lambda **o: PGNLoss.from_pretrained(**o), None, second=False,
              predicts=True, slow=True),
    Candidate("gradient network, proxy", lambda **o: PGNLoss(_proxy(), **o), None, second=False,
              predicts=True),
]  # fmt: skip


@cache
def _proxy() -> PerceptualGradientNetwork:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return PerceptualGradientNetwork("shuffled", width=8, blocks=1)
