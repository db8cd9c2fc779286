"""Unpack zip, tar and tgz files so that nothing leaves the folder, whatever the archive says.

Only plain files and folders are written. A link inside the archive is replaced by a copy of the file
that it points to; a link or a name that leaves the folder, and a device, is refused.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from lossnets.datasets.archives import CHUNK, DamagedError, Entry, entries, fault
from lossnets.errors import DataError
from lossnets.home import make_folder, write_error

Progress = Callable[[int, int | None], None]

MAX_FILES = 2_000_000
"""More entries than any known data set has: an archive with more is refused."""


def unpack(archive: Path, folder: Path, *, limit: int, progress: Progress | None = None) -> int:
    """Unpack ``archive`` into ``folder``, which is created; return the bytes written.

    Args:
        archive: a zip, tar, tar.gz, tar.bz2 or tar.xz file, told by its content.
        folder: where to; what is there already is overwritten file by file.
        limit: most bytes that may be written: a small archive must not fill a disk.
        progress: called with (bytes written, bytes in total or None).

    Raises:
        DataError: it is no archive, is damaged, wants to leave the folder, is larger than limit
            unpacked, or cannot be written (disk full, no permission).
    """
    make_folder(folder)
    writer = _Writer(archive, folder, limit, progress)
    with _reported(archive, folder):
        for entry in entries(archive, writer.expect):
            writer.take(entry)
        writer.copy_links()
    return writer.written


@contextlib.contextmanager
def _reported(archive: Path, folder: Path) -> Iterator[None]:
    """Turn what the standard library raises on a bad archive or a full disk into DataError."""
    try:
        yield
    except Exception as error:
        reason = fault(error)
        if reason is not None:
            raise DataError(
                f"archive {archive.name} is damaged or incomplete ({reason}); delete {archive} and fetch it "
                "again."
            ) from error
        if isinstance(error, OSError):
            raise write_error(folder, error, DataError) from error
        raise


class _Writer:
    """Writes entries below a folder, counting bytes."""

    def __init__(self, archive: Path, folder: Path, limit: int, progress: Progress | None) -> None:
        self.archive, self.folder, self.limit, self.progress = archive, folder, limit, progress
        self.written, self.entries = 0, 0
        self.total: int | None = None
        self.links: list[tuple[str, str]] = []

    def expect(self, total: int) -> None:
        """The archive says beforehand how large it gets."""
        self.total = total
        if total > self.limit:
            raise self._too_large(f"{total} bytes")

    def take(self, entry: Entry) -> None:
        """Write one entry.

        Raises:
            DataError: it leaves the folder, is a device, or there is too much of it.
        """
        self.entries += 1
        if self.entries > MAX_FILES:
            raise self._too_large(f"more than {MAX_FILES} entries")
        name = _inside(entry.name)
        if name is None or ".." in entry.name.replace("\\", "/").split("/"):
            raise self._refused(f"its entry {entry.name!r} would leave the folder")
        if entry.kind == "other":
            raise self._refused(f"its entry {entry.name!r} is a device or another special file")
        if entry.kind == "link":
            target = _inside(entry.target)
            if target is None:
                raise self._refused(f"its link {entry.name!r} points outside ({entry.target!r})")
            self.links.append((name, target))
        elif name:
            self._write(entry, self.folder / name)

    def copy_links(self) -> None:
        """Replace each link by a copy of its file; a link to a folder or to nothing is left out."""
        for name, target in self.links:
            source = self.folder / target
            if source.is_file():
                self._count(source.stat().st_size)
                destination = self.folder / name
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, destination)

    def _write(self, entry: Entry, path: Path) -> None:
        if entry.kind == "folder":
            path.mkdir(parents=True, exist_ok=True)
            return
        if self.written + entry.size > self.limit:
            raise self._too_large(f"more than {self.written + entry.size - 1} bytes")
        path.parent.mkdir(parents=True, exist_ok=True)
        got = 0
        with entry.open() as source, path.open("wb") as file:
            while chunk := source.read(CHUNK):
                self._count(len(chunk))
                file.write(chunk)
                got += len(chunk)
        if got != entry.size:
            raise DamagedError(f"{entry.name} has {got} of {entry.size} bytes")

    def _count(self, size: int) -> None:
        self.written += size
        if self.written > self.limit:
            raise self._too_large(f"more than {self.limit} bytes")
        if self.progress is not None:
            self.progress(self.written, self.total)

    def _too_large(self, what: str) -> DataError:
        return DataError(
            f"archive {self.archive.name} is refused: unpacked it has {what}, allowed are {self.limit} bytes "
            f"and {MAX_FILES} entries; it may be made to fill a disk. Nothing of it is used."
        )

    def _refused(self, reason: str) -> DataError:
        return DataError(
            f"archive {self.archive.name} is refused: {reason}. Nothing of it is used; get the data from "
            "another place."
        )


def _inside(name: str) -> str | None:
    r"""The name relative to the folder, "" for the folder itself; None where it would leave it.

    >>> _inside("./a//b/"), _inside("."), _inside("a/../../b"), _inside("/etc/passwd"), _inside(r"C:\x")
    ('a/b', '', None, None, None)
    """
    name = name.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name) or "\0" in name:
        return None
    parts: list[str] = []
    for part in name.split("/"):
        if part == "..":
            if not parts:
                return None
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)
