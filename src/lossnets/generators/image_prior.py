"""The deep image prior (Ulyanov et al. 2018): an hourglass with skip connections, fitted from noise."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lossnets.generators.population import Population, check_whole


class ImagePrior(Population):
    """Skip network of the paper at any width: () -> images (count, 3, side, side) in [0, 1].

    The published one has width 128, skip 4, scales 5 and inputs 32.

    Args:
        count: how many independent generators.
        side: a multiple of 2^scales.
        width: channels of every scale.
        skip: channels of the skip connections.
        scales: halvings of the resolution.
        inputs: channels of the fixed noise.
        generator: draws inputs and parameters.
    """

    def __init__(
        self,
        count: int,
        side: int,
        *,
        width: int = 24,
        skip: int = 4,
        scales: int = 3,
        inputs: int = 16,
        generator: torch.Generator | None = None,
    ) -> None:
        check_whole(width=width, skip=skip, scales=scales, inputs=inputs)
        self.multiple = 2**scales
        super().__init__(count, side, inputs=inputs, shrink=1, generator=generator)
        before = [inputs] + [width] * (scales - 1)
        self.skips = nn.ModuleList(self._layer(c, skip, 1) for c in before)
        self.down = nn.ModuleList(
            nn.Sequential(self._layer(c, width, 3, 2), self._layer(width, width, 3)) for c in before
        )
        self.up = nn.ModuleList(
            nn.Sequential(self._layer(width + skip, width, 3), self._layer(width, width, 1)) for _ in before
        )
        self.last = self.conv(width, 3)
        self.initialise(generator)

    def _layer(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
        return nn.Sequential(
            self.conv(inputs, outputs, kernel, stride), self.norm(outputs), nn.LeakyReLU(0.2)
        )

    def decode(self, code: Tensor) -> Tensor:
        """(1, count * inputs, side, side) -> (1, count * 3, side, side) in [0, 1]."""
        kept = []
        for skip, down in zip(self.skips, self.down, strict=True):
            kept.append(skip(code))
            code = down(code)
        for skipped, up in zip(reversed(kept), reversed(self.up), strict=True):
            code = F.interpolate(code, scale_factor=2, mode="bilinear", align_corners=False)
            code = up(self._beside(code, skipped))
        images: Tensor = self.last(code).sigmoid()
        return images

    def _beside(self, a: Tensor, b: Tensor) -> Tensor:
        """Stack the channels of each generator, not all of one after all of the other."""
        parts = [v.view(1, self.count, -1, *v.shape[2:]) for v in (a, b)]
        return torch.cat(parts, 2).flatten(1, 2)
