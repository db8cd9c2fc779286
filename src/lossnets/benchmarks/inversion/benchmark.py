"""Inversion: find the latents for which a frozen generator makes an image, with each loss.

The third experiment of Nikulin et al. (Perceptual gradient networks, arXiv 2105.01957), after Image2StyleGAN
(Abdal, Qin, Wonka, ICCV 2019): squared differences first, then the loss with a share of them. See
docs/inversion.md.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence
from functools import partial
from typing import ClassVar

from lossnets.benchmarks.fitting import FittingBenchmark, Phase, read_targets
from lossnets.benchmarks.fitting.benchmark import TARGET
from lossnets.benchmarks.inversion.generator import Generator
from lossnets.benchmarks.inversion.model import FittedLatents
from lossnets.benchmarks.inversion.profiles import SIZES, Size
from lossnets.benchmarks.pictures import OUTPUT
from lossnets.benchmarks.super_resolution.data import ImageSet
from lossnets.errors import ConfigError
from lossnets.generators import LatentDecoder, train_decoder
from lossnets.losses import DEFAULT_LOSS, ImageLoss

FIRST = "mse phase"
MSE_WEIGHTS = {"pgn": 20.0}
"""Of squared differences beside the loss, by its family (Nikulin et al. 2021); 1 for all others."""


class InversionBenchmark(FittingBenchmark):
    """What the kinds of data share; a subclass says where images and generator are.

    Args:
        mse_weight: of squared differences beside the loss in the second phase; None: 20 for a gradient
            network, 1 for every other loss, as published.
        judge: see `FittingBenchmark`, as ``precision``.
        precision: of the generator.

    Raises:
        ConfigError: an option has a value that is not allowed.
    """

    sizes: ClassVar[Mapping[str, Size]] = SIZES
    phase_names = (FIRST, OUTPUT)
    sheet_columns = ((FIRST,), (TARGET,))

    def __init__(
        self, *, mse_weight: float | None = None, judge: str = DEFAULT_LOSS, precision: str = "32"
    ) -> None:
        super().__init__(judge=judge, precision=precision)
        if mse_weight is not None and (isinstance(mse_weight, bool) or not 0 <= mse_weight < float("inf")):
            raise ConfigError(f"mse_weight must be 0 or more, or None; got {mse_weight!r}.")
        self._mse_weight = mse_weight
        self._generators: dict[str, Generator] = {}

    def forget(self) -> None:
        """See `KeepsData.forget`."""
        super().forget()
        self._generators = {}

    @abc.abstractmethod
    def training_set(self) -> ImageSet | None:
        """What the packaged decoder learns from; None: there is another generator."""

    def own_generator(self) -> Generator | None:
        """The user's; None: the packaged decoder is trained."""
        return None

    def generator(self, profile: str) -> Generator:
        """What is inverted, made once; the packaged decoder is trained when it is needed."""
        if profile not in self._generators:
            self._generators[profile] = self.own_generator() or self._decoder(self.sizes[profile])
        return self._generators[profile]

    def _decoder(self, size: Size) -> Generator:
        untrained = LatentDecoder(size.side, channels=size.channels, width=size.width)
        return Generator(untrained, partial(_trained, self, size))

    def frame(self, profile: str) -> tuple[int, int]:
        """Height and width of what the generator makes."""
        own = self.own_generator()
        return (self._size(profile).side,) * 2 if own is None else own.size

    def more_identity(self) -> Sequence[str]:
        """What the packaged decoder learns from."""
        training = self.training_set()
        return () if training is None else ("train", training.fingerprint())

    def build(self, profile: str, count: int) -> FittedLatents:
        """Latents for a group of images."""
        size = self.sizes[profile]
        return FittedLatents(count, size.group, self.generator(profile), len(self.phase_names))

    def phases(self, loss: ImageLoss | None, profile: str) -> tuple[Phase, ...]:
        """Squared differences, then the loss with a share of them."""
        size, weight = self.sizes[profile], self._mse_weight
        if weight is None:
            weight = MSE_WEIGHTS.get(loss.spec.family, 1.0) if loss is not None else 1.0
        return Phase(size.first, loss=0.0, mse=1.0), Phase(size.epochs, mse=weight)


def _trained(benchmark: InversionBenchmark, size: Size) -> LatentDecoder:
    """The packaged decoder.

    Raises:
        ImageError: an image that it learns from cannot be read, or is too small.
    """
    training = benchmark.training_set()
    if training is None:
        raise ConfigError("the packaged decoder needs images to learn from; give train, or generator.")
    crops = read_targets(training, (size.side,) * 2, limit=size.crops, parts=size.crops)
    return train_decoder(crops.images, steps=size.decoder_steps, channels=size.channels, width=size.width)
