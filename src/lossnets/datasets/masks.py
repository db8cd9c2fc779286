"""Images with a mask for each: which mask belongs to which image, and how a mask is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from lossnets.datasets.columns import (
    FILE_COLUMNS,
    SPLIT_COLUMNS,
    FileIndex,
    column,
    needed,
    read_rows,
    refuse_contradictions,
    split_name,
)
from lossnets.errors import ConfigError, DataError, ImageError
from lossnets.home import is_file, is_folder, user_path
from lossnets.images.files import read_image
from lossnets.images.folders import LeftOut, find_pairs, folded, list_images, scan_folder, tell_left_out

PAIRS = (
    ("images", "masks"),
    ("sat", "map"),
    ("image", "mask"),
    ("images", "labels"),
    ("image", "label"),
    ("image", "groundtruth"),
    ("images", "groundtruth"),
    ("images", "gt"),
    ("images", "boundaries"),
)
"""Usual names of the two sub-folders, in lower case."""

MASK_FOLDERS = frozenset(mask for _, mask in PAIRS)
MASK_ENDINGS = ("_mask", "-mask", "_label", "_labels", "_gt", "_seg", "_annotation")
"""What names of masks may have beyond those of their images, all the same: ``x_mask.png`` for ``x.jpg``."""

SPLITS = ("train", "val", "valid", "validation", "test")
"""Names of sub-folders that are taken for splits, in lower case."""

_TABLES = ("tiles.csv", "splits.csv", "split.csv")
_Part = tuple[str | None, Path, Path]  # split, folder of images, folder of masks
_NEAR = 16.5 / 255  # how far JPEG may move a value from black or white


@dataclass(frozen=True)
class Masked:
    """One image with its mask.

    Attributes:
        image: the image file.
        mask: the mask file, of the same size; see `read_mask`.
        split: "train", "val", "test" or as the data set calls it; None where it has no splits.
    """

    image: Path
    mask: Path
    split: str | None


def masked_folder(
    images: str | Path, masks: str | Path | None = None, *, csv: str | Path | None = None
) -> tuple[Masked, ...]:
    """Pairs of image and mask with the same name, file endings aside, sorted by split and name.

    Where these do not go together, the names of all masks may have one of `MASK_ENDINGS` in addition.
    Other images below the folders are left out, counted, and named in the log.

    Args:
        images: folder of the images; or, with ``masks=None``, a folder with two sub-folders of usual
            names (`PAIRS`: images/masks, sat/map, ...), or one whose ``train``, ``valid``, ``test`` each
            hold such a pair, as Massachusetts Roads is published: then these are the splits.
        masks: folder of the masks.
        csv: a table of the images to take, in its order, with a column of names (`columns.FILE_COLUMNS`)
            and perhaps one of splits (`columns.SPLIT_COLUMNS`). None: ``tiles.csv``, ``splits.csv`` or
            ``split.csv`` in the folder, if there.

    Raises:
        DataError: a folder, table, column, image or mask is missing; an image is in two splits; or both the
            folder and its train, valid or test hold images with masks.
    """
    root = _folder(images)
    parts: list[_Part] = list(_find_pairs(root)) if masks is None else [(None, root, _folder(masks))]
    if not parts:
        usual = ", ".join("/".join(pair) for pair in PAIRS)
        raise DataError(
            f"folder {str(root)!r} has no two sub-folders of images and masks (looked for {usual}, also "
            "below train, valid and test); name the second folder: masks=."
        )
    table = _table(root, csv)
    if table is None:
        items = tuple(item for split, image, mask in parts for item in _pairs(image, mask, split))
        _tell_others([root] if masks is None else [folder for part in parts for folder in part[1:]], items)
    else:
        items = _from_table(table, parts)
    refuse_contradictions(
        ((i.image.resolve(), i.split, f"{i.image.name!r} in split {i.split!r}") for i in items),
        str(table or root),
    )
    return items


def _tell_others(roots: list[Path], items: tuple[Masked, ...]) -> None:
    """Name in the log which images below the folders are neither an image with a mask nor a mask."""
    taken = {file for item in items for file in (item.image, item.mask)}
    for root in roots:
        listing = scan_folder(root, recursive=True)
        others = [
            LeftOut(path, "neither an image with a mask nor a mask of one", picture=True)
            for path in listing.images
            if path not in taken
        ]
        tell_left_out(replace(listing, left_out=(*others, *listing.left_out)))


def _folder(path: str | Path) -> Path:
    folder = user_path(path, "folder")
    if not is_folder(folder):
        raise DataError(f"folder {str(folder)!r} of images with masks does not exist; check the path.")
    return folder


def _find_pairs(root: Path) -> Iterator[_Part]:
    below, pair = _sub_folders(root), _pair_in(root)
    of_splits = {name: _pair_in(below[name]) for name in SPLITS if name in below}
    if pair is not None:
        also = [below[name].name for name, found in of_splits.items() if found is not None]
        if also:
            raise DataError(
                f"folder {str(root)!r} has images with masks in {pair[0].name!r} and {pair[1].name!r}, and "
                f"also in {', '.join(map(repr, also))}; name the folders that are meant (masks=), or take "
                "one away."
            )
        yield (None, *pair)
    for name, found in of_splits.items():
        if found is not None:
            yield (split_name(name), *found)


def _pair_in(folder: Path) -> tuple[Path, Path] | None:
    below = _sub_folders(folder)
    return next(((below[a], below[b]) for a, b in PAIRS if a in below and b in below), None)


def _sub_folders(folder: Path) -> dict[str, Path]:
    """Sub-folders by their names in lower case.

    Raises:
        DataError: two of the usual names differ in case only.
    """
    below: dict[str, Path] = {}
    for entry in sorted(folder.iterdir()):
        name = entry.name.lower()
        if not entry.is_dir():
            continue
        if name in below and any(name in (*pair, *SPLITS) for pair in PAIRS):
            raise DataError(
                f"folder {str(folder)!r} has {below[name].name!r} and {entry.name!r}, which differ in "
                "letter case only; take one away, or name the folders of images and masks: masks=."
            )
        below[name] = entry
    return below


def _table(root: Path, csv: str | Path | None) -> Path | None:
    if csv is not None:
        return user_path(csv, "csv")
    return next((root / name for name in _TABLES if is_file(root / name)), None)


def _pairs(images: Path, masks: Path, split: str | None) -> list[Masked]:
    try:
        pairs = [(image, mask) for _, image, mask in find_pairs(images, masks).pairs]
    except ImageError as error:
        found = [list(scan_folder(folder, below=False).images) for folder in (images, masks)]
        pairs = _pairs_by_ending(*found)
        if not pairs:
            raise DataError(
                f"images and masks do not go together: {error} Names of masks may also have one of "
                f"{', '.join(MASK_ENDINGS)} at their end, the same one for all, if then all have a partner."
            ) from error
    return [Masked(image, mask, split) for image, mask in pairs]


def _pairs_by_ending(images: list[Path], masks: list[Path]) -> list[tuple[Path, Path]]:
    """Every image with the mask of its name and one ending; none where they do not all go together."""
    stems = {folded(image.stem): image for image in images}
    named = [(folded(mask.stem), mask) for mask in masks]
    for ending in MASK_ENDINGS:
        mates = {name.removesuffix(ending): mask for name, mask in named if name.endswith(ending)}
        if len(images) == len(stems) == len(mates) == len(masks) and mates.keys() == stems.keys():
            return [(stems[stem], mates[stem]) for stem in sorted(stems, key=lambda key: stems[key].stem)]
    return []


def _from_table(table: Path, parts: list[_Part]) -> tuple[Masked, ...]:
    rows = read_rows(table)
    name = needed(table, rows[0], "file", None, FILE_COLUMNS)
    split = column(table, rows[0], "split", None, SPLIT_COLUMNS)
    if len(parts) > 1:
        raise DataError(
            f"{table.name} lists images, but they lie in the splits "
            f"{', '.join(str(part[0]) for part in parts)}; give one folder of images and one of masks."
        )
    (_, images, masks), names = parts[0], [row[name] for row in rows]
    found = FileIndex(list_images(images, recursive=True), images).find_all(names, table.name)
    partners = FileIndex(list_images(masks, recursive=True), masks)
    mates = _mates(partners, [image.stem for image in found], f"masks of {table.name}")
    return tuple(
        Masked(image, mask, split_name(row[split]) if split else None)
        for image, mask, row in zip(found, mates, rows, strict=True)
    )


def _mates(partners: FileIndex, stems: list[str], where: str) -> list[Path]:
    """The masks of images by their names; if some are missing, by these and one ending for all."""
    for ending in ("", *MASK_ENDINGS):
        found = [partners.find(stem + ending, where) for stem in stems]
        mates = [mask for mask in found if mask is not None]
        if len(mates) == len(stems):
            return mates
    return partners.find_all(stems, where)  # which says what is missing


def read_mask(path: str | Path, *, threshold: float | None = None) -> Tensor:
    """Read one mask -> (1, H, W) float32, 0 or 1.

    Known encodings: black and white (0 and the largest value, give or take what JPEG does), 0 and 1,
    and one colour on black.

    Args:
        path: the file.
        threshold: for masks with greys, e.g. shares of annotators, or what JPEG makes of two levels: what
            is at least this share of white is 1. Masks of 0 and 1, or of one colour on black, are read
            as without it.

    Raises:
        DataError: it has more than two levels and no threshold is given.
        ImageError: it cannot be read; see `read_image`.
        ConfigError: threshold is not a number above 0 and up to 1.
    """
    check_threshold("threshold", threshold)
    image = read_image(path)
    grey = image.amax(0, keepdim=True)
    coloured = not bool((image.amin(0, keepdim=True) == grey).all())
    if _one_colour(image) if coloured else _zero_and_one(grey):
        return (grey > 0).float()
    if threshold is not None:
        return (image.mean(0, keepdim=True) >= threshold).float()
    if not coloured and bool(((grey <= _NEAR) | (grey >= 1 - _NEAR)).all()) and grey.max() >= 0.5:
        return (grey > 0.5).float()
    levels = [round(v * 255) for v in torch.unique(grey).tolist()]
    some = ", ".join(map(str, levels[:6])) + (", ..." if len(levels) > 6 else "")
    raise DataError(
        f"mask {str(path)!r} must have two levels (0 and 255, 0 and 1, or one colour on black); it has "
        f"{'several colours' if coloured else f'{len(levels)} levels of grey ({some})'}. Save it with two "
        "levels, or say from which share of white on a pixel counts, e.g. 0.5: mask_threshold of the data "
        "kind 'folders' of delineation, threshold= of read_mask."
    )


def check_threshold(argument: str, value: object) -> None:
    """Raise ConfigError unless the value is None or a number above 0 and up to 1."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if value is not None and not (number and 0 < value <= 1):  # type: ignore[operator]
        raise ConfigError(f"{argument} must be a number above 0 and at most 1, or None; got {value!r}.")


def _one_colour(image: Tensor) -> bool:
    """Whether (3, H, W) is one colour on black."""
    return _count(image.flatten(1)) == 2 and bool((image.amax(0) == 0).any())


def _zero_and_one(grey: Tensor) -> bool:
    ones = torch.tensor([0.0, 1 / 255, 1 / 65535])  # 0/1 in a file of 8 or 16 bits
    return bool(torch.isin(grey, ones).all()) and _count(grey.flatten(1)) <= 2


def _count(values: Tensor) -> int:
    """Different columns of (channels, pixels)."""
    return int(torch.unique(values, dim=1).shape[1])
