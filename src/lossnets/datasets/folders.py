"""Readers for folders of images: plain, labelled, with masks. All sorted; nothing is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lossnets.datasets.columns import (
    FILE_COLUMNS,
    LABEL_COLUMNS,
    SPLIT_COLUMNS,
    FileIndex,
    column,
    needed,
    read_rows,
    refuse_contradictions,
    split_name,
)
from lossnets.datasets.contents import contents
from lossnets.datasets.masks import MASK_FOLDERS, SPLITS, Masked, masked_folder, read_mask
from lossnets.errors import ConfigError, DataError
from lossnets.home import is_file, is_folder, user_path
from lossnets.images.folders import LeftOut, composed, folded, list_images, scan_folder, tell_left_out
from lossnets.images.kinds import SUFFIXES

__all__ = [
    "Labelled",
    "Masked",
    "class_names",
    "fingerprint",
    "image_folder",
    "labelled_folder",
    "masked_folder",
    "read_mask",
]


def image_folder(
    path: str | Path, *, names: str | Path | Sequence[str] | None = None, limit: int | None = None
) -> tuple[Path, ...]:
    """The image files of a folder, sorted by relative path.

    Where the folder itself holds images, those are taken; else those of its sub-folders.

    Args:
        path: the folder, e.g. COCO's ``train2014`` or BSDS500's ``images/train``.
        names: only these, in this order: a list, or a text file with one name a line (empty lines and
            lines that begin with # are left out). A name is a path relative to the folder, or a file
            name, with or without its ending, that occurs once.
        limit: at most so many, the first ones.

    Raises:
        DataError: the folder or an image is missing, or its sub-folders hold masks, too.
        ConfigError: limit is not a whole number above 0, or names is empty.
    """
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ConfigError(f"limit must be a whole number above 0, or None for all; got {limit!r}.")
    root = _folder(path, "path")
    if names is None:
        listing = scan_folder(root)
        images = list(listing.images) or _images_below(root)
        if listing.images:
            tell_left_out(listing)
    else:
        wanted, where = _names(names)
        images = FileIndex(list_images(root, recursive=True), root).find_all(wanted, where)
    return tuple(images[:limit])


def _folder(path: str | Path, argument: str) -> Path:
    folder = user_path(path, argument)
    if not is_folder(folder):
        raise DataError(f"{argument}: folder {str(folder)!r} does not exist; check the path.")
    return folder


def _images_below(root: Path) -> list[Path]:
    images = list_images(root, recursive=True)
    if not images:
        raise DataError(
            f"folder {str(root)!r} and its sub-folders hold no image; known endings: {', '.join(SUFFIXES)}."
        )
    parts = {part for image in images for part in image.relative_to(root).parts[:-1]}
    masks = sorted(part for part in parts if part.lower() in MASK_FOLDERS)
    if masks:
        raise DataError(
            f"folder {str(root)!r} holds masks beside images (sub-folder {masks[0]!r}); give the folder of "
            "the images alone."
        )
    return images


def _names(names: str | Path | Sequence[str]) -> tuple[list[str], str]:
    """The names, and whose they are for messages."""
    if isinstance(names, str | Path):
        file = user_path(names, "names")
        try:
            lines = [line.strip() for line in file.read_text("utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"names: text file {str(file)!r} cannot be read: {error}") from error
        wanted, where = [line for line in lines if line and not line.startswith("#")], file.name
    else:
        wanted, where = [str(name) for name in names], "names"
    if not wanted:
        raise ConfigError(f"names must hold at least one image name, or be None for all; {where} has none.")
    return wanted, where


@dataclass(frozen=True)
class Labelled:
    """One image with its class.

    Attributes:
        path: the image file.
        label: name of its class.
        split: "train", "val", "test" or as the data set calls it; None where it has no splits.
    """

    path: Path
    label: str
    split: str | None


def labelled_folder(
    path: str | Path,
    *,
    csv: str | Path | None = None,
    file: str | None = None,
    label: str | None = None,
    split: str | None = None,
) -> tuple[Labelled, ...]:
    """Images with classes: from a table, or from a folder for each class.

    Without a table (and without ``labels.csv`` in the folder) the files are ``CLASS/IMAGE`` or
    ``SPLIT/CLASS/IMAGE``, sorted; with one, they come in the order of its rows.

    Args:
        path: the folder; names in the table are relative to it, or to its ``images``.
        csv: the table; None: ``labels.csv`` in the folder if it is there.
        file: column of the file names; None: the first there is of `columns.FILE_COLUMNS`.
        label: column of the classes; None: the first there is of `columns.LABEL_COLUMNS`.
        split: column of the splits; None: the first there is of `columns.SPLIT_COLUMNS`, if any.

    Raises:
        DataError: the folder, the table, a column or an image is missing, a value is empty, an image is
            listed with two classes or splits, or classes differ in letter case (folders) or Unicode
            normalisation only.
    """
    root = _folder(path, "path")
    table = user_path(csv, "csv") if csv is not None else root / "labels.csv"
    if csv is None and not is_file(table):
        if (file, label, split) != (None, None, None):
            raise DataError(f"a column is named, but {str(root)!r} has no labels.csv; name the table: csv=.")
        return _by_class_folder(root)
    rows = read_rows(table)
    file = needed(table, rows[0], "file", file, FILE_COLUMNS)
    label = needed(table, rows[0], "label", label, LABEL_COLUMNS)
    split = column(table, rows[0], "split", split, SPLIT_COLUMNS)
    for number, row in enumerate(rows, start=1):
        if not row[file] or not row[label]:
            raise DataError(f"{table.name}, row {number}: {file!r} and {label!r} must not be empty.")
    files = FileIndex(list_images(root, recursive=True), root).find_all([r[file] for r in rows], table.name)
    items = tuple(
        Labelled(image, row[label], split_name(row[split]) if split else None)
        for image, row in zip(files, rows, strict=True)
    )
    _refuse_alike({item.label for item in items}, composed, "Unicode normalisation only", table)
    refuse_contradictions(
        (
            (i.path, (i.label, i.split), f"{i.path.name!r} of class {i.label!r}{_in_split(i.split)}")
            for i in items
        ),
        table.name,
    )
    return items


def _in_split(split: str | None) -> str:
    return "" if split is None else f" in split {split!r}"


def _refuse_alike(labels: set[str], alike: Callable[[str], str], differ: str, where: Path) -> None:
    """Raise DataError where two classes differ in what ``alike`` takes away."""
    known: dict[str, str] = {}
    for label in sorted(labels):
        other = known.setdefault(alike(label), label)
        if other != label:
            raise DataError(
                f"{str(where)!r}: classes {other!a} and {label!a} differ in {differ}; give them one name, or "
                "names that differ in more."
            )


def _by_class_folder(root: Path) -> tuple[Labelled, ...]:
    items = _classes(root)
    if not items:
        raise DataError(
            f"no labelled image in {str(root)!r}: expected a table labels.csv (or csv=), a sub-folder for "
            "each class, or train/ and test/ with a sub-folder for each class."
        )
    _refuse_alike({i.label for i in items}, folded, "letter case or Unicode normalisation only", root)
    everything, labelled = scan_folder(root, recursive=True), {item.path for item in items}
    others = [
        LeftOut(path, "in no folder of a class", picture=True)
        for path in everything.images
        if path not in labelled
    ]
    tell_left_out(replace(everything, left_out=(*others, *everything.left_out)))
    return items


def _classes(root: Path) -> tuple[Labelled, ...]:
    folders = _sub_folders(root)
    if folders and all(folder.name.lower() in SPLITS for folder in folders):
        items = [
            Labelled(image, kind.name, split_name(folder.name))
            for folder in folders
            for kind in _sub_folders(folder)
            for image in scan_folder(kind, below=False).images
        ]
    else:
        items = [
            Labelled(image, kind.name, None)
            for kind in folders
            for image in scan_folder(kind, below=False).images
        ]
    return tuple(items)


def _sub_folders(root: Path) -> list[Path]:
    return sorted(f for f in root.iterdir() if f.is_dir() and not f.name.startswith((".", "__")))


def class_names(items: Iterable[Labelled]) -> tuple[str, ...]:
    """All classes of the items, each once: sorted, as numbers where all of them are whole numbers.

    >>> class_names([Labelled(Path("a.png"), "10", None), Labelled(Path("b.png"), "9", None)])
    ('9', '10')
    """
    names = {item.label for item in items}
    return tuple(sorted(names, key=int) if all(map(str.isdecimal, names)) else sorted(names))


def fingerprint(paths: Iterable[Path], root: Path) -> str:
    """SHA-256 (64 hexadecimal digits) over the names relative to ``root`` and the contents of files.

    The order does not matter. Each file is read once in a process, and again when it has changed.

    Raises:
        DataError: a file is not there, cannot be read, or is not below root.
    """
    files = sorted(set(paths))
    try:
        names = [path.relative_to(root).as_posix() for path in files]
    except ValueError as error:
        raise DataError(f"fingerprint: a file is not below root {str(root)!r}: {error}") from error
    lines = sorted(f"{name}\0{content}\n" for name, content in zip(names, contents(files), strict=True))
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
