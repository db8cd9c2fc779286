"""Folders of images: what is in them, what is left out and why, and which files of two belong together."""

from __future__ import annotations

import logging
import os
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lossnets.errors import ImageError
from lossnets.home import is_folder, printable
from lossnets.images.kinds import NOT_READ, READ, SUFFIXES, kind_of

logger = logging.getLogger("lossnets")

_SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini", ".ds_store", "@eadir", "__macosx", ".gitkeep"}
_NAMED = 5


@dataclass(frozen=True)
class LeftOut:
    """Something in a folder that is not among its images.

    Attributes:
        path: the file or sub-folder.
        reason: why, as a phrase.
        picture: whether it looks as if it were meant to be among them.
    """

    path: Path
    reason: str
    picture: bool


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        folder: the folder.
        images: all files that end as images do, sorted by their path relative to the folder.
        left_out: all else, but for files that systems write on their own (Thumbs.db, .DS_Store, ...).
    """

    folder: Path
    images: tuple[Path, ...]
    left_out: tuple[LeftOut, ...]

    def below(self) -> int:
        """How many images are in sub-folders that were not looked into."""
        return sum(found.reason.startswith(_BELOW) for found in self.left_out)


_BELOW = "in a sub-folder"


def scan_folder(folder: str | Path, *, recursive: bool = False, below: bool = True) -> Listing:
    """Find the images of a folder, and what is left out: the one reader of folders of pictures.

    Images are told by their ending (`kinds.SUFFIXES`). Hidden files and folders are left out, broken links,
    and files with other endings; linked folders are followed, unless they lead back to a folder above.

    Args:
        folder: the folder.
        recursive: look into sub-folders, too. Else images there are left out.
        below: without ``recursive``: whether to look for such images at all.

    Raises:
        ImageError: the folder does not exist, is not a folder, or cannot be read.
    """
    root = Path(folder)
    if not is_folder(root):
        raise ImageError(f"image folder {str(root)!r} does not exist or is not a folder; check the path.")
    images: list[Path] = []
    left_out: list[LeftOut] = []
    _walk(root, (), images, left_out, deep=recursive or below)
    if not recursive:
        left_out += [LeftOut(path, _BELOW, picture=True) for path in images if path.parent != root]
        left_out = [found for found in left_out if found.path.parent == root or found.reason == _BELOW]
        images = [path for path in images if path.parent == root]

    def order(path: Path) -> str:
        return path.relative_to(root).as_posix()

    return Listing(
        root, tuple(sorted(images, key=order)), tuple(sorted(left_out, key=lambda f: order(f.path)))
    )


def _walk(
    folder: Path,
    above: tuple[tuple[int, int], ...],
    images: list[Path],
    left_out: list[LeftOut],
    *,
    deep: bool,
) -> None:
    try:
        status = folder.stat()
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        if not above:
            raise ImageError(
                f"image folder {str(folder)!r} cannot be read: {error.strerror or error}."
            ) from error
        left_out.append(LeftOut(folder, f"cannot be read ({error.strerror or error})", picture=True))
        return
    here = (*above, (status.st_dev, status.st_ino))
    for entry in entries:
        path = folder / entry.name
        if entry.name.lower() in _SYSTEM or entry.name.startswith("._"):
            continue
        if entry.name.startswith("."):
            left_out.append(LeftOut(path, "hidden", picture=False))
        elif _is_folder(entry):
            if entry.is_symlink() and _identity(path) in here:
                left_out.append(LeftOut(path, "a link to a folder above it", picture=True))
            elif deep:
                _walk(path, here, images, left_out, deep=True)
        else:
            reason, picture = _why_not(path, entry)
            if reason:
                left_out.append(LeftOut(path, reason, picture))
            else:
                images.append(path)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # e.g. a link that leads to itself
        return False


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _why_not(path: Path, entry: os.DirEntry[str]) -> tuple[str, bool]:
    """Why a file is not listed ("" where it is), and whether it looks like a picture."""
    suffix = path.suffix.lower()
    try:
        if entry.is_symlink() and not entry.is_file():
            return "broken link", suffix in SUFFIXES or suffix in NOT_READ or not suffix
        if not entry.is_file():
            return "no file", False
        if suffix in SUFFIXES:
            return "", True
        if suffix in NOT_READ:
            return f"{NOT_READ[suffix]}, not read", True
        with path.open("rb") as file:
            kind = kind_of(file.read(64))
    except OSError as error:
        return f"cannot be read ({error.strerror or error})", True
    if kind in READ:
        return f"{kind} under another ending", True
    return (f"{kind}, not read", True) if kind else ("no image ending", False)


def describe_left_out(left_out: Sequence[LeftOut], folder: Path) -> str:
    """One line on what was left out: how many, and the first ones with their reasons; "" for nothing.

    Args:
        left_out: what was.
        folder: names are relative to it, where they are below it.
    """
    if not left_out:
        return ""
    shown = left_out[:_NAMED]
    paths = [found.path for found in shown]
    names = [(p.relative_to(folder) if p.is_relative_to(folder) else p).as_posix() for p in paths]
    some = "; ".join(f"{printable(name)}: {f.reason}" for name, f in zip(names, shown, strict=True))
    more = f"; and {len(left_out) - _NAMED} more" if len(left_out) > _NAMED else ""
    return f"left out: {len(left_out)} file{'s' if len(left_out) > 1 else ''} ({some}{more})"


def list_images(folder: str | Path, *, recursive: bool = False) -> list[Path]:
    """All image files (by their endings, `kinds.SUFFIXES`) of a folder, sorted by their path relative to it.

    An empty folder gives an empty list. What looks like an image and is left out (another ending, a kind that
    is not read, a broken link) is named in the log; `scan_folder` has all that is left out.

    Args:
        folder: the folder.
        recursive: look into sub-folders, too; linked ones are followed.

    Raises:
        ImageError: the folder does not exist, is not a folder, or cannot be read.
    """
    listing = scan_folder(folder, recursive=recursive, below=False)
    tell_left_out(listing)
    return list(listing.images)


def tell_left_out(listing: Listing) -> None:
    """Name in the log what looks like an image and was left out."""
    lost = [found for found in listing.left_out if found.picture]
    if lost:
        logger.warning(
            "folder %s: %s", printable(str(listing.folder)), describe_left_out(lost, listing.folder)
        )


@dataclass(frozen=True)
class Pairs:
    """The images of two folders that belong together.

    Attributes:
        pairs: name, path in a, path in b; sorted by name.
        a: what the first folder holds.
        b: what the second folder holds.
    """

    pairs: tuple[tuple[str, Path, Path], ...]
    a: Listing
    b: Listing


def pair_folders(a: str | Path, b: str | Path, *, recursive: bool = False) -> list[tuple[str, Path, Path]]:
    """Pair the images of two folders by file name -> [(name, path in a, path in b), ...], sorted.

    Endings do not matter (``x.png`` pairs with ``x.jpg``) unless a folder holds two images that
    differ in nothing else; then whole names are compared. Names may differ in Unicode normalisation and in
    letter case, as long as it is clear what belongs together; the name of the pair is then that of a.

    Args:
        a: a folder.
        b: another one.
        recursive: look into sub-folders, too; names are then paths relative to the folders.

    Raises:
        ImageError: a folder is missing or empty, or an image has no partner, or several.
    """
    found = find_pairs(a, b, recursive=recursive)
    for listing in (found.a, found.b):
        tell_left_out(listing)
    return list(found.pairs)


def find_pairs(a: str | Path, b: str | Path, *, recursive: bool = False) -> Pairs:
    """As `pair_folders`, with what was left out.

    Raises:
        ImageError: see `pair_folders`.
    """
    listings = [scan_folder(folder, recursive=recursive) for folder in (a, b)]
    for listing in listings:
        if not listing.images:
            raise ImageError(_no_image(listing))
    by_stem = all(max(Counter(_stems(listing)).values()) == 1 for listing in listings)
    keyed = [
        dict(zip(_stems(found) if by_stem else _names(found), found.images, strict=True))
        for found in listings
    ]
    partner = _partners(keyed[0], keyed[1], *listings)
    pairs = tuple((key, keyed[0][key], keyed[1][partner[key]]) for key in sorted(keyed[0]))
    return Pairs(pairs, *listings)


def _no_image(listing: Listing) -> str:
    text = f"folder {str(listing.folder)!r} holds no image"
    if listing.below():
        count = listing.below()
        return f"{text} itself, but {count} in its sub-folders; look there with --recursive (recursive=True)."
    said = describe_left_out(listing.left_out, listing.folder)
    return f"{text}; known endings: {', '.join(SUFFIXES)}.{f' {said.capitalize()}.' if said else ''}"


def _names(listing: Listing) -> list[str]:
    return [path.relative_to(listing.folder).as_posix() for path in listing.images]


def _stems(listing: Listing) -> list[str]:
    return [path.relative_to(listing.folder).with_suffix("").as_posix() for path in listing.images]


def composed(name: str) -> str:
    """A name in the composed form of Unicode (NFC), whatever form the file system holds it in."""
    return unicodedata.normalize("NFC", name)


def folded(name: str) -> str:
    """A name without what file systems disagree on: the normalisation of Unicode, and letter case.

    Capital letters become small ones. Small letters stay what they are: ``ß`` is not ``ss``, and ``ſ`` is not
    ``s``, since such names stand for different files everywhere.

    >>> folded("Maße.PNG") == folded("maße.png"), folded("Maße.png") == folded("Masse.png")
    (True, False)
    """
    return composed(composed(name).lower())


def _partners(a: Iterable[str], b: Iterable[str], in_a: Listing, in_b: Listing) -> dict[str, str]:
    """The key in b of each key in a: the same, else the same but for normalisation, else also for case."""
    partner: dict[str, str] = {}
    rest_a, rest_b = set(a), set(b)
    alike: Callable[[str], str]
    for alike in (str, composed, folded):
        groups_a, groups_b = _groups(rest_a, alike), _groups(rest_b, alike)
        for name in groups_a.keys() & groups_b.keys():
            if len(groups_a[name]) == len(groups_b[name]) == 1:
                partner[groups_a[name][0]] = groups_b[name][0]
        rest_a -= partner.keys()
        rest_b -= set(partner.values())
    _refuse_leftovers(rest_a, rest_b, in_a, in_b)
    return partner


def _groups(names: Iterable[str], alike: Callable[[str], str]) -> dict[str, list[str]]:
    groups = defaultdict(list)
    for name in sorted(names):
        groups[alike(name)].append(name)
    return groups


def _refuse_leftovers(a: set[str], b: set[str], in_a: Listing, in_b: Listing) -> None:
    parts = []
    for alone, listing in ((a, in_a), (b, in_b)):
        if alone:
            some = ", ".join(map(printable, sorted(alone)[:5])) + (", ..." if len(alone) > 5 else "")
            parts.append(f"{len(alone)} only in {str(listing.folder)!r}: {some}")
    if not parts:
        return
    for alone, listing in ((a, in_a), (b, in_b)):
        for name in sorted(alone):
            names = (*_names(listing), *_stems(listing))
            same = [other for other in names if other != name and folded(other) == folded(name)]
            if same:
                parts.append(
                    f"{name!a} and {same[0]!a} in {str(listing.folder)!r} differ in Unicode normalisation or "
                    "letter case only"
                )
                break
    raise ImageError(
        "folders are paired by file name, and some images have no partner: "
        + "; ".join(parts)
        + ". Add the missing images, or take away the others."
    )
