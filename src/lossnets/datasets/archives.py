"""Read zip and tar files entry by entry, and tell a damaged one from a full disk."""

from __future__ import annotations

import errno
import lzma
import posixpath
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from lossnets.errors import DataError

CHUNK = 1 << 20
_LONGEST_LINK = 4096
_IMPOSSIBLE = (errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)
_BROKEN = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, EOFError, NotImplementedError)


@dataclass(frozen=True)
class Entry:
    """One member of an archive: "file", "folder", "link" or "other"."""

    name: str
    kind: str
    size: int
    target: str  # of a link, relative to the archive's root
    open: Callable[[], IO[bytes]]


def archive_problem(archive: Path) -> str | None:
    """What is wrong with an archive, as the rest of a sentence ("it ..."); None where all of it can be read.

    Nothing is written.

    Raises:
        OSError: the file itself cannot be read.
    """
    try:
        for entry in entries(archive, lambda _total: None):
            if entry.kind == "file":
                _read_through(entry)
    except Exception as error:
        reason = fault(error)
        if reason is None:
            raise
        return f"is damaged or incomplete ({reason})"
    return None


def _read_through(entry: Entry) -> None:
    got = 0
    with entry.open() as source:
        while chunk := source.read(CHUNK):
            got += len(chunk)
    if got != entry.size:
        raise DamagedError(f"{entry.name} has {got} of {entry.size} bytes")


class DamagedError(Exception):
    """The archive is not what it should be; the message says why."""


def fault(error: Exception) -> str | None:
    """Why an archive is at fault; None where it is not."""
    if isinstance(error, DataError):
        return None
    if isinstance(error, DamagedError):
        return str(error)
    if isinstance(error, _BROKEN) or type(error) is RuntimeError:  # the latter: zipfile, encrypted
        return f"{type(error).__name__}: {error}"
    if isinstance(error, OSError) and (error.errno is None or error.errno in _IMPOSSIBLE):
        return str(error)  # gzip says "CRC check failed" without a number
    return None


def entries(archive: Path, expect: Callable[[int], None]) -> Iterator[Entry]:
    """All entries of a zip or (compressed) tar file, each to be read before the next is asked for.

    Args:
        archive: the file; its kind is told by its content.
        expect: called with the bytes in total, where the archive tells them beforehand (zip).

    Raises:
        DamagedError: it is neither; for other damage, what the standard library raises (see `fault`).
    """
    with archive.open("rb") as start:
        is_zip = start.read(2) == b"PK"
    if is_zip:
        with zipfile.ZipFile(archive) as file:
            infos = file.infolist()
            expect(sum(info.file_size for info in infos))
            for info in infos:
                yield _zip_entry(file, info)
    elif _is_tar(archive):
        yield from _tar_entries(archive)
    else:
        raise DamagedError("it is neither zip nor tar")


def _is_tar(archive: Path) -> bool:
    try:
        return tarfile.is_tarfile(archive)
    except (EOFError, zlib.error, lzma.LZMAError):  # cut within its first block
        return False


def _zip_entry(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> Entry:
    mode = info.external_attr >> 16
    target = ""
    if info.is_dir():
        kind = "folder"
    elif stat.S_ISLNK(mode) and info.file_size <= _LONGEST_LINK:
        kind = "link"
        target = posixpath.join(posixpath.dirname(info.filename), file.read(info).decode("utf-8", "replace"))
    elif stat.S_IFMT(mode) in (0, stat.S_IFREG):
        kind = "file"
    else:
        kind = "other"
    return Entry(info.filename, kind, info.file_size, target, lambda: file.open(info))


def _tar_entries(archive: Path) -> Iterator[Entry]:
    with tarfile.open(archive) as file:
        while (member := file.next()) is not None:
            yield _tar_entry(file, member)
            file.members = []  # type: ignore[attr-defined]  # else a million of them stay in memory
        _check_end(file)


def _tar_entry(file: tarfile.TarFile, member: tarfile.TarInfo) -> Entry:
    target = ""
    if member.isdir():
        kind = "folder"
    elif member.issym():
        kind, target = "link", posixpath.join(posixpath.dirname(member.name), member.linkname)
    elif member.islnk():
        kind, target = "link", member.linkname
    else:
        kind = "file" if member.isreg() else "other"

    def opened() -> IO[bytes]:
        content = file.extractfile(member)
        if content is None:
            raise tarfile.ReadError(f"{member.name} has no content")
        return content

    return Entry(member.name, kind, member.size if kind == "file" else 0, target, opened)


def _check_end(file: tarfile.TarFile) -> None:
    """A tar file ends in zeros; tarfile itself takes a damaged header in the middle for the end."""
    while chunk := file.fileobj.read(CHUNK):  # to the last byte: only then gzip compares its checksum
        if chunk.strip(b"\0"):
            raise DamagedError("there is something behind its last readable entry")
