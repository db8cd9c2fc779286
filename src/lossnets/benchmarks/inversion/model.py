"""What is fitted in inversion: latents; the generator stays as it is."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from lossnets.benchmarks.fitting import FittedModel
from lossnets.benchmarks.inversion.generator import Generator


class FittedLatents(FittedModel):
    """Latents of a group of images, seen through a frozen generator that is no part of the state dict.

    Args:
        count: images in all.
        group: images side by side.
        generator: makes images of latents.
        phases: of a fit.
    """

    generator: Generator

    def __init__(self, count: int, group: int, generator: Generator, phases: int) -> None:
        super().__init__(count, group, generator.size, phases)
        object.__setattr__(self, "generator", generator)
        self.latents = nn.Parameter(generator.start(group, 0))

    def make_ready(self) -> None:
        """Train the packaged decoder, where that was not done yet."""
        self.generator.make_ready()

    def restart(self, seed: int) -> None:
        """Draw latents near their mean."""
        with torch.no_grad():
            self.latents.copy_(self.generator.start(self.group, seed))

    def images(self) -> Tensor:
        """What the generator makes of the latents: (group, 3, H, W) in [0, 1]."""
        made: Tensor = self.generator.module(self.latents)
        return made

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> FittedLatents:
        """Move the generator, too."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.generator.module._apply(fn)  # type: ignore[no-untyped-call]
        return self
