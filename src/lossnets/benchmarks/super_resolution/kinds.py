"""The kinds of data: the packaged sample, folders, and the study's own sets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from lossnets.benchmarks.base import register_benchmark
from lossnets.benchmarks.super_resolution.benchmark import SuperResolutionBenchmark
from lossnets.benchmarks.super_resolution.data import ImageSet
from lossnets.datasets.catalogue import card
from lossnets.datasets.folders import image_folder
from lossnets.datasets.places import find
from lossnets.datasets.sample_photographs import (
    held_out_photographs,
    training_photographs,
    validation_photographs,
)
from lossnets.errors import ConfigError, DataError
from lossnets.home import user_path
from lossnets.losses import DEFAULT_LOSS


@register_benchmark
class SuperResolutionSample(SuperResolutionBenchmark):
    """Photographs shipped with scikit-image and scikit-learn; see `lossnets.datasets.sample_photographs`."""

    name = "super-resolution-sample"
    data = "sample-photographs"
    profiles = ("small", "smoke")

    def training_sets(self) -> tuple[ImageSet, ImageSet | None]:
        """Four photographs, and one to choose the epoch by."""
        return ImageSet(training_photographs(), None), ImageSet(validation_photographs(), None)

    def test_sets(self) -> Mapping[str, ImageSet]:
        """Three photographs."""
        return {"photographs": ImageSet(held_out_photographs(), None)}


@register_benchmark
class SuperResolutionFolders(SuperResolutionBenchmark):
    """Folders of images.

    Args:
        train: folder of the images to learn from, e.g. COCO's ``train2014``.
        test: folders of test images by the name of the set, or one folder: its name is the set's.
        validation: folder of the images by which the best epoch is chosen; None: some of ``train``.
        train_names: text file with names of the training images, see `image_folder`; None: all.
        validation_names: the same for ``validation``.
        scale: see `SuperResolutionBenchmark`, as the other options.
        judge: name of the judging loss.
        shrinking: how low resolution is made.
        precision: of the training.
    """

    name = "super-resolution-folders"
    data = "image-folder"

    def __init__(
        self,
        train: str | Path,
        test: Mapping[str, str | Path] | str | Path,
        validation: str | Path | None = None,
        *,
        train_names: str | Path | None = None,
        validation_names: str | Path | None = None,
        scale: int = 4,
        judge: str = DEFAULT_LOSS,
        shrinking: str = "blurred",
        precision: str = "32",
    ) -> None:
        super().__init__(scale=scale, judge=judge, shrinking=shrinking, precision=precision)
        if validation is None and validation_names is not None:
            raise ConfigError(
                "validation_names names images of the folder 'validation', which is not given; give it, too."
            )
        self._train, self._train_names = Path(train), train_names
        self._validation, self._validation_names = validation, validation_names
        self._test = _named(test)
        self._read: tuple[ImageSet, ImageSet | None] | None = None
        self._read_test: dict[str, ImageSet] | None = None

    def forget(self) -> None:
        """See `KeepsData.forget`."""
        super().forget()
        self._read = self._read_test = None

    @property
    def data_name(self) -> str:
        """Names of the folders, for people."""
        return f"{self._train.name} to {', '.join(self._test)}"

    def training_sets(self) -> tuple[ImageSet, ImageSet | None]:
        """What the folders hold; they are listed once.

        Raises:
            DataError: a folder or a named image is missing, or there is no image.
        """
        if self._read is None:
            validation = None
            if self._validation is not None:
                validation = _folder(Path(self._validation), self._validation_names)
            self._read = _folder(self._train, self._train_names), validation
        return self._read

    def test_sets(self) -> Mapping[str, ImageSet]:
        """What the folders hold; errors as in `training_sets`."""
        if self._read_test is None:
            self._read_test = {name: _folder(folder) for name, folder in self._test.items()}
        return self._read_test


def _named(test: Mapping[str, str | Path] | str | Path) -> dict[str, Path]:
    if isinstance(test, str | Path):
        return {Path(test).name or "test": Path(test)}
    sets = {str(name): Path(folder) for name, folder in test.items()}
    if not sets:
        raise ConfigError("test must name at least one folder of test images; got none.")
    reserved = sorted(set(sets) & {"overall", "pooled"})
    if reserved:
        raise ConfigError(
            f"test must not name a set {reserved[0]!r}, which means all sets; choose another name."
        )
    return sets


def _folder(folder: Path, names: str | Path | None = None) -> ImageSet:
    return ImageSet(image_folder(folder, names=names), folder)


@register_benchmark
class SuperResolutionStudy(SuperResolutionBenchmark):
    """COCO 2014 to learn from; Set5, Set14 and BSD100 (the test images of BSDS300) to test on.

    Args:
        coco2014: its folder; None: looked for in the places of the data catalogue, as the others.
        set5: its folder.
        set14: its folder.
        bsds300: its folder.
        scale: see `SuperResolutionBenchmark`, as the other options.
        judge: name of the judging loss; the study's own would be ``lpips:alexnet``.
        shrinking: how low resolution is made.
        precision: of the training.
    """

    name = "super-resolution-study"
    needs = ("coco2014", "set5", "set14", "bsds300")
    data = "coco2014"

    def __init__(
        self,
        *,
        coco2014: str | Path | None = None,
        set5: str | Path | None = None,
        set14: str | Path | None = None,
        bsds300: str | Path | None = None,
        scale: int = 4,
        judge: str = DEFAULT_LOSS,
        shrinking: str = "blurred",
        precision: str = "32",
    ) -> None:
        super().__init__(scale=scale, judge=judge, shrinking=shrinking, precision=precision)
        self._given = {"coco2014": coco2014, "set5": set5, "set14": set14, "bsds300": bsds300}
        self._read: dict[tuple[str, str], ImageSet] = {}

    def forget(self) -> None:
        """See `KeepsData.forget`."""
        super().forget()
        self._read = {}

    def training_sets(self) -> tuple[ImageSet, ImageSet | None]:
        """COCO's training and validation images.

        Raises:
            DataError: they are missing or not all there.
        """
        return self._part("coco2014", "train"), self._part("coco2014", "val")

    def test_sets(self) -> Mapping[str, ImageSet]:
        """The three test sets; errors as in `training_sets`."""
        return {
            "set5": self._part("set5", "test"),
            "set14": self._part("set14", "test"),
            "bsd100": self._part("bsds300", "test"),
        }

    def _part(self, name: str, part: str) -> ImageSet:
        if (name, part) not in self._read:
            self._read[name, part] = _published(name, part, self._given[name])
        return self._read[name, part]


def _published(name: str, part: str, given: str | Path | None) -> ImageSet:
    """A part of a data set of the catalogue, in any of its layouts."""
    root = find(name, parts=[part]) if given is None else user_path(given, "given")
    content = next(content for content in card(name).contents if content.part == part)
    problem = content.problem(root)
    if problem:
        raise DataError(
            f"folder {str(root)!r} does not hold the {part} images of {name}: {problem}. "
            f"{card(name).how_to_get}"
        )
    files: Sequence[Path] = content.found(root)[1]
    return ImageSet(tuple(files), files[0].parent)  # the same names, whatever the layout
