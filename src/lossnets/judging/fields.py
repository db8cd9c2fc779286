"""Gradient fields of losses for fixed targets: field(x̂ (N, 3, H, W) in [0, 1], step) -> (N, 3, H, W)."""

from __future__ import annotations

import random
from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lossnets.losses import ImageLoss

Field = Callable[[Tensor, int], Tensor]
"""(images, step) -> gradient of the loss of each image with respect to it."""


def loss_field(loss: ImageLoss, targets: Tensor) -> Field:
    """Of a loss of each image (reduction ``none``), its target encoded once."""
    kept = loss.encode(targets)
    return lambda images, _step: _gradient(lambda x: loss(x, kept), images)


def halved(loss: ImageLoss, targets: Tensor) -> Field:
    """Of a loss between images averaged over 2×2 pixels; at an odd side the last row or column over one."""
    kept = loss.encode(_half(targets))
    return lambda images, _step: _gradient(lambda x: loss(_half(x), kept), images)


def cropped(loss: ImageLoss, targets: Tensor, seed: int) -> Field:
    """Of a loss on one crop of half the side, at a place drawn anew each step; zero elsewhere.

    The place depends on seed and step alone, so that an image's fit does not depend on those beside it.
    """
    height, width = (-(-side // 2) for side in targets.shape[2:])
    free = (targets.shape[2] - height, targets.shape[3] - width)

    def field(images: Tensor, step: int) -> Tensor:
        draw = random.Random(f"{seed}/{step}")  # noqa: S311 - nothing secret
        top, left = draw.randint(0, free[0]), draw.randint(0, free[1])
        window = (..., slice(top, top + height), slice(left, left + width))
        return _gradient(lambda x: loss(x[window], targets[window]), images)

    return field


def alternating(first: Field, between: Field, weight: float, period: int) -> Field:
    """``first`` at every ``period``-th step from step 0, ``weight`` times ``between`` at all others."""
    return lambda images, step: first(images, step) if step % period == 0 else weight * between(images, step)


def mixed(first: Field, second: Field, weight: float) -> Field:
    """``first`` + ``weight`` · ``second``."""
    return lambda images, step: first(images, step) + weight * second(images, step)


def _half(images: Tensor) -> Tensor:
    return F.avg_pool2d(images, 2, ceil_mode=True)


def _gradient(value: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    with torch.enable_grad():
        x = images.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(value(x).sum(), x)
    return gradient
