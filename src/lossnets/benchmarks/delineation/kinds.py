"""The kinds of delineation data: any folder, Massachusetts Roads, and generated road scenes."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from lossnets.benchmarks.base import register_benchmark
from lossnets.benchmarks.delineation.benchmark import MU, REFINEMENTS, Delineation
from lossnets.benchmarks.delineation.data import Scenes, folder_scenes
from lossnets.benchmarks.delineation.task import DelineationTask
from lossnets.datasets.columns import needed, read_rows
from lossnets.datasets.folders import masked_folder
from lossnets.datasets.masks import check_threshold
from lossnets.datasets.sample_roads import ROAD_SIZES, read_sample_roads, sample_roads_fingerprint
from lossnets.errors import ConfigError, DataError
from lossnets.home import user_path

PUBLISHED = 1108, 1500
"""Training images of Massachusetts Roads, and their side in pixels."""


@register_benchmark
class DelineationFolders(Delineation):
    """Any images with masks.

    Where the data have no split, one is drawn with ``split_seed``, the same for all runs; where they
    have one without validation, validation images are drawn from those for training.

    Args:
        images: see `lossnets.datasets.folders.masked_folder`.
        masks: folder of the masks; None: it lies beside the images under a usual name.
        csv: table of images, perhaps with a column of splits.
        group: column of that table that says where an image was cut from, e.g. the photograph of a tile:
            what is drawn for a split, or for an interval, is drawn by whole groups. It needs ``csv``.
        validation: share of the images for validation.
        test: share of the images for testing.
        split_seed: of the drawing.
        mask_threshold: share of white from which on a pixel of a mask with greys counts; None: such masks
            are refused. See `lossnets.datasets.folders.read_mask`.
        mu: see `Delineation`.
        refinements: see `Delineation`.
        precision: see `Delineation`.

    Raises:
        ConfigError: an option is out of range.
    """

    name = "delineation-folders"
    data = "masks-folder"

    def __init__(
        self,
        images: str | Path,
        *,
        masks: str | Path | None = None,
        csv: str | Path | None = None,
        group: str | None = None,
        validation: float = 0.2,
        test: float = 0.2,
        split_seed: int = 0,
        mask_threshold: float | None = None,
        mu: float = MU,
        refinements: int = REFINEMENTS,
        precision: str = "32",
    ) -> None:
        super().__init__(mu=mu, refinements=refinements, precision=precision)
        if group is not None and csv is None:
            raise ConfigError(f"group={group!r} names a column of a table; give the table, too: csv=.")
        self._images, self._masks, self._csv, self._group = images, masks, csv, group
        self._shares = (validation, test, split_seed)
        check_threshold("mask_threshold", mask_threshold)
        self._mask_threshold = None if mask_threshold is None else float(mask_threshold)

    @property
    def data_name(self) -> str:
        """Name of the folder, for people."""
        return user_path(self._images, "images").name

    def find(self, profile: str) -> Scenes:  # noqa: ARG002
        """See `Delineation.find`."""
        items = masked_folder(self._images, self._masks, csv=self._csv)
        root = user_path(self._images, "images")
        masks = root if self._masks is None else user_path(self._masks, "masks")
        validation, test, seed = self._shares
        groups = _groups(self._csv, self._group)
        return folder_scenes(
            items,
            (root, masks),
            groups=groups,
            validation=validation,
            test=test,
            seed=seed,
            mask_threshold=self._mask_threshold,
        )

    def _facts(self, task: DelineationTask, profile: str) -> dict[str, str | int | float | None]:
        threshold = {} if self._mask_threshold is None else {"mask_threshold": self._mask_threshold}
        return super()._facts(task, profile) | threshold


def _groups(csv: str | Path | None, group: str | None) -> tuple[str, ...]:
    """Values of column ``group``, in the order of the table, which is that of the scenes; or none."""
    if group is None or csv is None:
        return ()
    table = user_path(csv, "csv")
    rows = read_rows(table)
    needed(table, rows[0], "group", group, ())
    return tuple(row[group] for row in rows)


@register_benchmark
class DelineationRoads(Delineation):
    """Massachusetts Roads: 1108 training, 14 validation and 49 test images of 1500×1500.

    Args:
        root: folder with train, valid and test, each with sat and map; None: where the data
            catalogue finds it.
        mu: see `Delineation`.
        refinements: see `Delineation`.
        precision: see `Delineation`.
    """

    name = "delineation-roads"
    needs = ("massachusetts-roads",)
    data = "massachusetts-roads"

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        mu: float = MU,
        refinements: int = REFINEMENTS,
        precision: str = "32",
    ) -> None:
        super().__init__(mu=mu, refinements=refinements, precision=precision)
        self._root = root

    def find(self, profile: str) -> Scenes:  # noqa: ARG002
        """See `Delineation.find`."""
        root = self._place()
        items = masked_folder(root)
        splits = {item.split for item in items}
        if splits != {"train", "val", "test"}:
            raise DataError(
                f"{str(root)!r} must hold train, valid and test as Massachusetts Roads is published; got "
                f"{', '.join(sorted(map(str, splits)))}. Any other layout: the kind 'folders'."
            )
        return folder_scenes(items, (root, root))

    def training_images(self, profile: str) -> tuple[int, int]:
        """See `Delineation.training_images`; as published while the data are out of reach."""
        try:
            return super().training_images(profile)
        except DataError:
            return PUBLISHED

    def _place(self) -> Path:
        if self._root is not None:
            return user_path(self._root, "root")
        from lossnets.datasets.places import find

        return find("massachusetts-roads")


@register_benchmark
class DelineationSample(Delineation):
    """Generated road scenes over textures of real photographs, for a machine without data.

    Args:
        mu: see `Delineation`.
        refinements: see `Delineation`.
        precision: see `Delineation`.
    """

    name = "delineation-sample"
    data = "sample-roads"
    profiles: ClassVar[tuple[str, ...]] = ("small", "smoke")

    def __init__(self, *, mu: float = MU, refinements: int = REFINEMENTS, precision: str = "32") -> None:
        super().__init__(mu=mu, refinements=refinements, precision=precision)

    def find(self, profile: str) -> Scenes:
        """See `Delineation.find`; the scenes are made now, the same ones on every machine."""
        sample = read_sample_roads(profile)
        side = sample.images.shape[-1]
        return Scenes(
            sample.names,
            sample.splits,
            side,
            sample.read,
            sample_roads_fingerprint(),
        )

    def training_images(self, profile: str) -> tuple[int, int]:
        """See `Delineation.training_images`; no scene is made for it."""
        return ROAD_SIZES[profile].train, ROAD_SIZES[profile].side

    def data_fingerprint(self) -> str:
        """sha256 of what the scenes are made from; none is made for it."""
        return sample_roads_fingerprint()
