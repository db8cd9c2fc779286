"""What the tests of judging share: small images, a small true loss, gradient networks right and wrong."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lossnets.gradients import GradientNetwork, PGNLoss
from lossnets.gradients.architecture import Architecture
from lossnets.losses import ImageLoss, PerceptualLoss

SETTINGS: dict[str, dict[str, Any]] = {
    "deep-decoder": {"width": 6, "levels": 2},
    "image-prior": {"width": 6, "scales": 2, "inputs": 4},
    "autoencoder": {"depth": 0, "width": 4},
}


def images(count: int = 2, side: int = 16, seed: int = 0) -> Tensor:
    """Smooth random images (N, 3, S, S) in [0, 1]."""
    noise = torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(noise, 3, 1, 1)


def true_loss(**options: Any) -> PerceptualLoss:
    """Three taps of a small network with random weights."""
    taps = {"features.1": 1.0, "features.3": 0.5, "features.4": 2.0}
    options = {"distance": "l1", "weights": "random-1", **options}
    return PerceptualLoss("squeezenet1_1", taps, **options)


class FieldOf(GradientNetwork):
    """Predicts the exact gradient of a loss of normalised images, times a factor (-1: just the wrong one)."""

    def __init__(self, loss: ImageLoss, factor: float = 1.0) -> None:
        super().__init__(Architecture("direct"))
        object.__setattr__(self, "loss", loss)
        self.factor = nn.Parameter(torch.tensor(factor), requires_grad=False)

    def encode(self, target: Tensor) -> tuple[Tensor, ...]:
        return (target,)

    def predict(self, images: Tensor, kept: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        with torch.enable_grad():
            x = images.detach().requires_grad_()
            value = self.loss(self.denormalise(x), self.denormalise(kept[0]))
            (gradient,) = torch.autograd.grad(value.sum(), x)
        return value.detach(), self.factor * gradient


def pgn_of(loss: ImageLoss, factor: float = 1.0) -> PGNLoss:
    """A "gradient network" that knows the gradient of a loss, times a factor."""
    from lossnets.judging.rivals import per_image

    return PGNLoss(FieldOf(per_image(loss), factor), name="custom")
