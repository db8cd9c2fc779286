"""Bring a data set here: verified downloads that go on where they stopped, then safe unpacking."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lossnets.datasets.archives import archive_problem
from lossnets.datasets.catalogue import card
from lossnets.datasets.facts import Archive, DataSetCard
from lossnets.datasets.index_pages import fetch_index
from lossnets.datasets.places import check_parts, data_home, human_size, locate, present_parts
from lossnets.datasets.unpack import unpack
from lossnets.download import download
from lossnets.errors import DataError
from lossnets.file_hash import content_hash
from lossnets.home import free_bytes, locked, user_path, write_error

logger = logging.getLogger("lossnets")

Progress = Callable[[str, int, int | None], None]
"""Called with (what is done, done so far, in total or None): bytes, or files of an index page."""

ARCHIVES = ".archives"
"""Folder, in that of the data set, where archives are while they are needed."""
_UNPACKING = ".unpacking"
_SLACK = 1 << 30  # bytes that an archive may hold beyond what its card says, e.g. annotations


def fetch(
    name: str,
    *,
    parts: Sequence[str] | None = None,
    progress: Progress | None = None,
    keep_archives: bool = False,
    folder: str | Path | None = None,
) -> Path:
    """Fetch a data set and return its folder, with all that its card expects in it.

    What is there is not fetched again, in this folder or any of `places.data_places`. A process that was
    killed goes on where it stopped: downloads continue, and what was half unpacked is unpacked again.

    Args:
        name: of the data set.
        parts: parts to fetch; None: all but the optional ones.
        progress: see `Progress`.
        keep_archives: keep the archives in ``.archives`` of the folder, for `verify`.
        folder: where to, the data set's own folder; None: ``data_home()/name``.

    Raises:
        DataError: nothing of this name is fetched, the network is out of reach or forbidden, a file
            is not as published, or the disk is full.
        UnknownNameError: there is no such data set or part.
    """
    the_card = card(name)
    if not the_card.archives:
        raise DataError(f"data set {name!r} is not fetched. {the_card.how_to_get}")
    wanted = check_parts(the_card, parts)
    here = locate(name, parts=wanted) if folder is None else None
    if here is not None:
        return here
    root = data_home() / name if folder is None else user_path(folder, "folder").absolute()
    try:
        root.mkdir(parents=True, exist_ok=True)
        with locked(root / ".fetch.lock"):
            _bring(the_card, wanted, root, progress or _no_progress, keep_archives)
    except OSError as error:
        raise write_error(root, error, DataError) from error
    return root


def _no_progress(_label: str, _done: int, _total: int | None) -> None:
    pass


def _bring(the_card: DataSetCard, wanted: Sequence[str], root: Path, progress: Progress, keep: bool) -> None:
    shutil.rmtree(root / _UNPACKING, ignore_errors=True)  # of a process that was killed
    have = present_parts(the_card, root)
    needed = [part for part in wanted if part not in have]
    archives = [a for a in the_card.archives if set(needed) & set(a.parts or the_card.parts)]
    _check_room(the_card, archives, root, keep)
    for archive in archives:
        if archive.index:
            fetch_index(archive, root, progress)
        else:
            _bring_archive(the_card, archive, root, progress, keep)
    for content in the_card.contents:
        problem = content.problem(root) if content.part in needed else ""
        if problem:
            raise DataError(
                f"data set {the_card.name!r} was fetched to {root}, which does not hold what it should: "
                f"{problem}; take away what does not belong there."
            )
    if not keep:
        shutil.rmtree(root / ARCHIVES, ignore_errors=True)


def _check_room(the_card: DataSetCard, archives: Sequence[Archive], root: Path, keep: bool) -> None:
    """Refuse before hours of downloading rather than after: archives and what is in them must fit."""
    free = free_bytes(root)
    packed = [a for a in archives if a.unpack is not None and not a.index]
    sizes = [(a.size or a.unpacked or 0) - _bytes_here(root / ARCHIVES / a.filename) for a in packed]
    needed = sum(a.unpacked or a.size or 0 for a in archives)
    needed += sum(sizes) if keep else max(sizes, default=0)
    needed -= sum(_bytes_here(root / a.filename) for a in archives if a.unpack is None)
    needed -= sum(_folder_bytes(root / (a.unpack or "")) for a in archives if a.index)
    if free is not None and needed > free:
        raise DataError(
            f"data set {the_card.name!r} needs about {human_size(needed)} in {root}, {human_size(free)} are "
            "free: make room there, or set LOSSNETS_DATA to a folder on another disk."
        )


def _bytes_here(file: Path) -> int:
    for candidate in (file, file.with_name(f"{file.name}.part")):
        if candidate.is_file():
            return candidate.stat().st_size
    return 0


def _folder_bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.iterdir() if f.is_file()) if folder.is_dir() else 0


def _bring_archive(
    the_card: DataSetCard, archive: Archive, root: Path, progress: Progress, keep: bool
) -> None:
    whole = archive.unpack is None
    path = root / archive.filename if whole else root / ARCHIVES / archive.filename
    download(
        archive.url,
        path,
        sha256=archive.sha256,
        size=archive.size,
        progress=lambda done, total: progress(archive.filename, done, total),
        error=DataError,
        check=_check_of(archive),
    )
    if whole:
        return
    staging = root / _UNPACKING
    try:
        _unpack_checked(the_card, archive, path, staging, progress)
        _move(staging, root)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    if not keep:
        path.unlink()


def _check_of(archive: Archive) -> Callable[[Path], str | None] | None:
    """What replaces a published SHA-256: a published MD5, else that the archive can be read to its end."""
    if archive.sha256:
        return None
    if archive.md5:
        return lambda file: md5_problem(file, archive.md5)
    return archive_problem if archive.unpack is not None else None


def md5_problem(file: Path, md5: str | None) -> str | None:
    """What is wrong with a file, as the rest of a sentence ("it ..."); None where nothing is."""
    got = content_hash(file, "md5") if md5 else None
    return f"has md5 {got}, expected {md5}" if got != md5 else None


def _unpack_checked(
    the_card: DataSetCard, archive: Archive, path: Path, staging: Path, progress: Progress
) -> None:
    size = path.stat().st_size
    limit = 2 * (archive.unpacked or 10 * size) + _SLACK
    label = f"unpacking {archive.filename}"
    unpack(path, staging / (archive.unpack or ""), limit=limit, progress=lambda d, t: progress(label, d, t))
    brings = archive.parts or the_card.parts
    problems = [c.problem(staging) for c in the_card.contents if c.part in brings]
    problem = next(filter(None, problems), "")
    if problem:
        path.unlink()
        raise DataError(
            f"{archive.url} does not hold what data set {the_card.name!r} is known for: {problem}. Nothing "
            f"of it is used. It may have been moved or changed; see {the_card.homepage}"
        )


def _move(source: Path, target: Path) -> None:
    """Move all of a folder into another on the same disk: whole folders at once where they are new."""
    for entry in sorted(source.iterdir()):
        destination = target / entry.name
        if entry.is_dir() and destination.is_dir():
            _move(entry, destination)
        else:
            entry.replace(destination)
