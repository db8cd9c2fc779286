"""The kinds of data: the packaged sample, and folders with or without a generator of one's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from lossnets.benchmarks.base import register_benchmark
from lossnets.benchmarks.inversion.benchmark import InversionBenchmark
from lossnets.benchmarks.inversion.generator import Generator, load_generator
from lossnets.benchmarks.super_resolution.data import ImageSet
from lossnets.datasets.folders import image_folder
from lossnets.datasets.sample_photographs import (
    held_out_photographs,
    training_photographs,
    validation_photographs,
)
from lossnets.errors import ConfigError
from lossnets.home import user_path
from lossnets.losses import DEFAULT_LOSS


@register_benchmark
class InversionSample(InversionBenchmark):
    """Inversion of a small decoder, both on the photographs shipped with scikit-image and scikit-learn."""

    name = "inversion-sample"
    data = "sample-photographs"
    profiles = ("small", "smoke")

    def training_set(self) -> ImageSet:
        """Five photographs that the decoder learns from."""
        return ImageSet((*training_photographs(), *validation_photographs()), None)

    def image_set(self) -> ImageSet:
        """Three other photographs."""
        return ImageSet(held_out_photographs(), None)


@register_benchmark
class InversionFolders(InversionBenchmark):
    """Inversion on a folder of images, of a decoder that learns from another, or of a generator of one's own.

    Args:
        images: folder of the images whose latents are looked for.
        train: folder of the images that the packaged decoder learns from.
        generator: instead of it, the user's: ``FILE.py:FUNCTION`` that returns a module, or the module.
        names: text file with the names of the images to take, see `image_folder`; None: all.
        mse_weight: see `InversionBenchmark`, as the other options.
        judge: name of the judging loss.
        precision: of the generator.

    Raises:
        ConfigError: both or neither of ``train`` and ``generator`` are given, or an option is not allowed.
    """

    name = "inversion-folders"
    data = "image-folder"

    def __init__(
        self,
        images: str | Path,
        train: str | Path | None = None,
        generator: str | Path | nn.Module | None = None,
        *,
        names: str | Path | None = None,
        mse_weight: float | None = None,
        judge: str = DEFAULT_LOSS,
        precision: str = "32",
    ) -> None:
        super().__init__(mse_weight=mse_weight, judge=judge, precision=precision)
        if (train is None) == (generator is None):
            raise ConfigError(
                "give train (folder that the packaged decoder learns from) or generator (FILE.py:FUNCTION); "
                f"got {'neither' if train is None else 'both'}."
            )
        self._images, self._names = user_path(images, "images"), names
        self._train = None if train is None else user_path(train, "train")
        self._given = generator
        self._listed: dict[Path, ImageSet] = {}
        self._own: tuple[Generator, str] | None = None

    def forget(self) -> None:
        """See `KeepsData.forget`."""
        super().forget()
        self._listed, self._own = {}, None

    @property
    def data_name(self) -> str:
        """Names of folder and generator, for people."""
        if self._train is not None:
            return f"{self._train.name} to {self._images.name}"
        given = self._given
        text = type(given).__name__ if isinstance(given, nn.Module) else Path(str(given)).name
        return f"{self._images.name} by {text}"

    def prepare(self) -> None:
        """Find all images and load the generator.

        Raises:
            DataError: a folder is missing or has no image; the generator cannot be had.
            ConfigError: the generator is no such module.
        """
        super().prepare()
        self.training_set()
        self.own_generator()

    def image_set(self) -> ImageSet:
        """What the folder holds; it is listed once."""
        return self._folder(self._images, self._names)

    def training_set(self) -> ImageSet | None:
        """What the decoder learns from; None: the generator is the user's."""
        return None if self._train is None else self._folder(self._train, None)

    def own_generator(self) -> Generator | None:
        """The user's generator, loaded once; None: there is none."""
        if self._given is None:
            return None
        if self._own is None:
            given = self._given
            module, text = (given, "") if isinstance(given, nn.Module) else load_generator(given)
            self._own = Generator(module), text
        return self._own[0]

    def more_identity(self) -> Sequence[str]:
        """What the packaged decoder learns from, or code and weights of the user's generator."""
        own = self.own_generator()
        if own is None or self._own is None:
            return super().more_identity()
        return ("generator", self._own[1], own.identity())

    def _folder(self, folder: Path, names: str | Path | None) -> ImageSet:
        if folder not in self._listed:
            self._listed[folder] = ImageSet(image_folder(folder, names=names), folder)
        return self._listed[folder]
