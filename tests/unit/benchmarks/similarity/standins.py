"""Stand-ins for what the benchmarks are built on, small enough to compute by hand."""

from __future__ import annotations

import sys
import types

import torch
from torch import Tensor, nn
from torch.nn import functional


class PixelBank:
    """A bank of pixel losses that counts the images it encodes and compares."""

    def __init__(self, *names: str) -> None:
        self.names = list(names or ("mse", "l1"))
        self.encoded = 0
        self.compared = 0

    def encode(self, images: Tensor) -> Tensor:
        self.encoded += len(images)
        return images

    def distances(self, images: Tensor, target: Tensor) -> dict[str, Tensor]:
        self.compared += len(images)
        d = images - target
        known = {
            "mse": (d**2).mean((1, 2, 3)),
            "l1": d.abs().mean((1, 2, 3)),
            "nan": torch.full((len(d),), torch.nan),
            "constant": torch.ones(len(d)),
        }
        return {name: known[name] for name in self.names}


class SquaredPerChannel:
    """The part of a distance that training needs."""

    unit = True
    channels = "sum"

    def per_channel(self, a: Tensor, b: Tensor) -> Tensor:
        return ((a - b) ** 2).mean((2, 3))

    def __str__(self) -> str:
        return "unit-spatial-sum"


class ChannelWeights(nn.Module):
    def __init__(self, channels: dict[str, int], dropout: float = 0.5) -> None:
        super().__init__()
        self.taps = list(channels)
        self.weights = nn.ParameterList([nn.Parameter(torch.rand(c)) for c in channels.values()])
        self.dropout = dropout

    def forward(self, shares: dict[str, Tensor]) -> Tensor:
        return sum(
            functional.dropout(shares[t], self.dropout, self.training) @ w
            for t, w in zip(self.taps, self.weights, strict=True)
        )

    def clamp_(self) -> None:
        with torch.no_grad():
            for w in self.weights:
                w.clamp_(min=0)


class TwoAFCHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(5, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1)
        )

    def forward(self, d0: Tensor, d1: Tensor) -> Tensor:
        x = torch.stack([d0, d1, d0 - d1, d0 / (d1 + 0.1), d1 / (d0 + 0.1)], dim=1)
        return self.net(x)[:, 0]


def calibrate_module() -> types.ModuleType:
    """`lossnets.distances.calibrate`, or a stand-in where there is none."""
    try:
        import lossnets.distances.calibrate as module
    except ModuleNotFoundError:
        module = types.ModuleType("lossnets.distances.calibrate")
        module.ChannelWeights, module.TwoAFCHead = ChannelWeights, TwoAFCHead  # type: ignore[attr-defined]
        sys.modules["lossnets.distances.calibrate"] = module
    return module
