"""Unit length over channels, with a gradient that is finite everywhere."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-10
"""Added to the squared length, inside the root: at a zero vector the gradient is 1/sqrt(EPSILON) = 1e5
at most, where ``x / (|x| + eps)`` has NaN. For |x| >= 0.01 the result moves by less than 1e-6 of itself.
It is representable in float32, in which lengths are always computed."""


def at_least_float32(x: Tensor) -> Tensor:
    """Return half-precision tensors as float32, others as they are."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x


def full_precision(x: Tensor) -> torch.autocast:
    """Context in which a surrounding autocast does not touch the arithmetic on ``x``'s device."""
    return torch.autocast(x.device.type, enabled=False)


def unit_normalise(x: Tensor) -> Tensor:
    """Scale the channel vector at every position to length 1: (N, C, H, W) -> (N, C, H, W).

    x / sqrt(sum_c x_c^2 + EPSILON), computed in float32 at least (Zhang et al. 2018, eq. 1).
    Zero vectors stay zero.

    >>> unit_normalise(torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)).flatten().tolist()
    [0.6000000238418579, 0.800000011920929]
    """
    x = at_least_float32(x)
    return x * torch.rsqrt(x.square().sum(dim=1, keepdim=True) + EPSILON)
