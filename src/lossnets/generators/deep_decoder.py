"""The deep decoder (Heckel and Hand 2019): too few parameters to fit noise, no convolution over pixels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossnets.generators.population import Population, check_whole


class DeepDecoder(Population):
    """Pointwise convolutions and bilinear enlargement: () -> images (count, 3, side, side) in [0, 1].

    Args:
        count: how many independent generators.
        side: a multiple of 2^levels.
        width: channels; the number of parameters, and so what can be fitted, grows with its square.
        levels: enlargements by 2.
        generator: draws inputs and parameters.
    """

    def __init__(
        self,
        count: int,
        side: int,
        *,
        width: int = 32,
        levels: int = 4,
        generator: torch.Generator | None = None,
    ) -> None:
        check_whole(width=width, levels=levels)
        self.multiple = 2**levels
        super().__init__(count, side, inputs=width, shrink=2**levels, generator=generator)
        self.levels = nn.ModuleList(
            nn.Sequential(
                self.conv(width, width, bias=False),
                nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
                nn.ReLU(),
                self.norm(width),
            )
            for _ in range(levels)
        )
        self.last = nn.Sequential(
            self.conv(width, width, bias=False), nn.ReLU(), self.norm(width), self.conv(width, 3)
        )
        self.initialise(generator)

    def decode(self, code: Tensor) -> Tensor:
        """(1, count * width, h, w) -> (1, count * 3, side, side) in [0, 1]."""
        for level in self.levels:
            code = level(code)
        images: Tensor = self.last(code).sigmoid()
        return images
