"""Simple distances from x̂ to its proxy target, and their exact gradients: (N, C, H, W) -> (N,), (N, C, H, W).

Nikulin et al. 2021, section 3.1, eq. 3: the predicted gradient is that of a simple distance between x̂
and a target t that is held constant. Each distance is a mean over all C·H·W entries of d(u - v), where u
and v are x̂ and t as they are, or in logit space: u = log(p / (1 - p)) of the images p in [0, 1].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lossnets.errors import unknown_name

LOGIT_MARGIN = 1e-3
"""Logits are taken of images clamped to [LOGIT_MARGIN, 1 - LOGIT_MARGIN], where the gradient is finite."""


class Shape(NamedTuple):
    """d and its derivative d', each elementwise."""

    value: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]


def _logcosh(d: Tensor) -> Tensor:
    """Logarithm of cosh d, which neither overflows nor loses digits."""
    return d.abs() + F.softplus(-2 * d.abs()) - math.log(2.0)


SHAPES = {
    "mse": Shape(torch.square, lambda d: 2 * d),
    "l1": Shape(torch.abs, torch.sign),
    "logcosh": Shape(_logcosh, torch.tanh),
}
PULLS = (*SHAPES, *(f"logit-{name}" for name in SHAPES))
"""Names of the distances from x̂ to t."""


class Pull:
    """The distance from x̂ to its proxy target t, by name (`PULLS`).

    Args:
        name: ``mse``, ``l1``, ``logcosh``, or one of them in logit space: ``logit-mse`` and so on.

    Raises:
        UnknownNameError: there is no such distance.

    >>> x, t = torch.zeros(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    >>> value, gradient = Pull("mse")(x, t, torch.zeros(1, 3, 1, 1), torch.ones(1, 3, 1, 1))
    >>> value.tolist(), round(float(gradient.sum()), 6)
    ([0.25], -1.0)
    """

    def __init__(self, name: str) -> None:
        if name not in PULLS:
            raise unknown_name("distance to the proxy target", name, PULLS)
        self.name = name
        self._logit = name.startswith("logit-")

    @property
    def _shape(self) -> Shape:
        """Looked up, not kept: a network that is pickled holds names only."""
        return SHAPES[self.name.removeprefix("logit-")]

    def __call__(self, images: Tensor, proxy: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor]:
        """Distance of each image and its gradient with respect to ``images``; t is held constant.

        Args:
            images: x̂, (N, C, H, W), normalised: (p - mean) / std of images p in [0, 1].
            proxy: t, as ``images``.
            mean: (1, C, 1, 1).
            std: (1, C, 1, 1).
        """
        u, du = self._embed(images, mean, std)
        v, _ = self._embed(proxy, mean, std)
        count = images[0].numel()
        value = self._shape.value(u - v).mean((1, 2, 3))
        slope = self._shape.slope(u - v) / count
        return value, slope if du is None else slope * du

    def map(self, images: Tensor, proxy: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """The distance at each position, averaged over channels: -> (N, 1, H, W); t is held constant."""
        u, _ = self._embed(images, mean, std)
        v, _ = self._embed(proxy.detach(), mean, std)
        return self._shape.value(u - v).mean(1, keepdim=True)

    def _embed(self, images: Tensor, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor | None]:
        """The space in which the difference is taken, and its elementwise derivative."""
        if not self._logit:
            return images, None
        pixels = images * std + mean
        inside = pixels.clamp(LOGIT_MARGIN, 1 - LOGIT_MARGIN)
        slope = torch.where(pixels == inside, std / (inside * (1 - inside)), torch.zeros_like(pixels))
        return inside.logit(), slope

    def __repr__(self) -> str:
        """As it is built."""
        return f"Pull({self.name!r})"
