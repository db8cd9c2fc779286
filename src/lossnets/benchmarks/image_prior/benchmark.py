"""Image prior: fit an untrained network to each image with each loss, compare what it makes with the image.

The deep image prior (Ulyanov, Vedaldi, Lempitsky, CVPR 2018) as a test of gradients, after Nikulin et al.
(Perceptual gradient networks, arXiv 2105.01957): it does not make every image at once, so that the gradient
decides what comes first. See docs/image_prior.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor

from lossnets.benchmarks.fitting import FittedModel, FittingBenchmark, Phase
from lossnets.benchmarks.image_prior.profiles import SIZES, Size
from lossnets.errors import unknown_name
from lossnets.generators import make_population
from lossnets.losses import DEFAULT_LOSS, ImageLoss

GENERATORS = ("image-prior", "deep-decoder")


class FittedPopulation(FittedModel):
    """Untrained generators, one for each image of a group.

    Args:
        count: images in all.
        group: images side by side.
        side: of the images.
        kind: one of `GENERATORS`.
        settings: of the generator.
    """

    def __init__(self, count: int, group: int, side: int, kind: str, settings: Mapping[str, int]) -> None:
        super().__init__(count, group, (side, side))
        self._kind, self._side, self._settings = kind, side, dict[str, Any](settings)
        self.population = self._drawn(0)

    def _drawn(self, seed: int) -> torch.nn.Module:
        return make_population(self._kind, self.group, self._side, seed=seed, **self._settings)

    def restart(self, seed: int) -> None:
        """Draw noise and parameters anew."""
        self.population.load_state_dict(self._drawn(seed).state_dict())

    def images(self) -> Tensor:
        """What the generators make: (group, 3, side, side) in [0, 1]."""
        made: Tensor = self.population()
        return made


class ImagePriorBenchmark(FittingBenchmark):
    """What the kinds of data share; a subclass says where images are.

    Args:
        generator: what is fitted: ``image-prior`` or ``deep-decoder`` (Heckel and Hand 2019).
        judge: see `FittingBenchmark`, as ``precision``.
        precision: of the generators.

    Raises:
        UnknownNameError: there is no such generator.
    """

    sizes: ClassVar[Mapping[str, Size]] = SIZES

    def __init__(
        self, *, generator: str = GENERATORS[0], judge: str = DEFAULT_LOSS, precision: str = "32"
    ) -> None:
        super().__init__(judge=judge, precision=precision)
        if generator not in GENERATORS:
            raise unknown_name("generator", str(generator), GENERATORS)
        self._generator = generator

    def build(self, profile: str, count: int) -> FittedPopulation:
        """Generators for a group of images."""
        size = self.sizes[profile]
        settings = size.settings(self._generator)
        return FittedPopulation(count, size.group, size.side, self._generator, settings)

    def phases(self, loss: ImageLoss | None, profile: str) -> tuple[Phase, ...]:
        """One: the loss alone."""
        del loss
        return (Phase(self.sizes[profile].epochs),)
