"""Gradient clipping by a running average of the norm (the released training code of Nikulin et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn


class RunningClip:
    """Scales gradients down to ``factor`` times their average norm so far.

    After every step the average becomes (1 - momentum) · average + momentum · norm, with the norm from before
    clipping. A norm that is not finite is not averaged: it is reported, by being returned.

    Args:
        factor: 0 switches the clipping off; norms are still averaged.
        start: average before the first step.
        momentum: weight of a new norm.

    Attributes:
        average: of the norms so far.
    """

    def __init__(self, factor: float, start: float, momentum: float) -> None:
        self._factor, self._momentum = factor, momentum
        self.average = start

    def __call__(self, parameters: Iterable[nn.Parameter]) -> float:
        """Clip in place; returns the norm from before."""
        gradients = [p.grad for p in parameters if p.grad is not None]
        norm = float(total_norm(gradients))
        limit = self._factor * self.average
        if self._factor and norm > limit and math.isfinite(norm):
            torch._foreach_mul_(gradients, limit / norm)
        if math.isfinite(norm):
            self.average += self._momentum * (norm - self.average)
        return norm


def total_norm(gradients: list[Tensor]) -> Tensor:
    """Euclidean norm of all of them together; 0 of none."""
    if not gradients:
        return torch.zeros(())
    norm: Tensor = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(g) for g in gradients]))
    return norm
