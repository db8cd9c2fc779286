"""The kinds of data: the packaged sample, and a folder."""

from __future__ import annotations

from pathlib import Path

from lossnets.benchmarks.base import register_benchmark
from lossnets.benchmarks.image_prior.benchmark import GENERATORS, ImagePriorBenchmark
from lossnets.benchmarks.super_resolution.data import ImageSet
from lossnets.datasets.folders import image_folder
from lossnets.datasets.sample_photographs import all_photographs
from lossnets.home import user_path
from lossnets.losses import DEFAULT_LOSS


@register_benchmark
class ImagePriorSample(ImagePriorBenchmark):
    """Image prior on the photographs shipped with scikit-image and scikit-learn."""

    name = "image-prior-sample"
    data = "sample-photographs"
    profiles = ("small", "smoke")

    def image_set(self) -> ImageSet:
        """All eight photographs: nothing is learned from others."""
        return ImageSet(all_photographs(), None)


@register_benchmark
class ImagePriorFolders(ImagePriorBenchmark):
    """Image prior on a folder of images.

    Args:
        images: the folder.
        names: text file with the names of the images to take, see `image_folder`; None: all.
        generator: see `ImagePriorBenchmark`, as the other options.
        judge: name of the judging loss.
        precision: of the generators.
    """

    name = "image-prior-folders"
    data = "image-folder"

    def __init__(
        self,
        images: str | Path,
        names: str | Path | None = None,
        *,
        generator: str = GENERATORS[0],
        judge: str = DEFAULT_LOSS,
        precision: str = "32",
    ) -> None:
        super().__init__(generator=generator, judge=judge, precision=precision)
        self._images, self._names = user_path(images, "images"), names
        self._listed: ImageSet | None = None

    def forget(self) -> None:
        """See `KeepsData.forget`."""
        super().forget()
        self._listed = None

    @property
    def data_name(self) -> str:
        """Name of the folder, for people."""
        return self._images.name

    def image_set(self) -> ImageSet:
        """What the folder holds; it is listed once."""
        if self._listed is None:
            self._listed = ImageSet(image_folder(self._images, names=self._names), self._images)
        return self._listed
