"""What a file holds, by the hash of its content: read once in a process while the file stays as it is.

Everything that is made from a file and kept (decoded pictures, results, checkpoints, networks) goes by this
hash. Names, paths, sizes and times say nothing about content; they only say whether a file has to be read
again.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
from pathlib import Path

_RACY = 2_000_000_000
"""Nanoseconds: a file written so shortly before may be written again without another time stamp."""
_CHUNK = 1 << 20
_kept: dict[tuple[str, str], tuple[tuple[int, ...], str]] = {}
_lock = threading.Lock()


def content_hash(path: str | os.PathLike[str], algorithm: str = "sha256") -> str:
    """Hash of a file's content, in hexadecimal digits.

    The file is read when it is first asked for, and again when its device, inode, size, time of modification
    or time of change is another one. A hash of a file that was written within the last two seconds is not
    kept: what is written next may bear the same time stamp.

    Args:
        path: the file.
        algorithm: of `hashlib`; ``md5`` where nothing else is published.

    Raises:
        OSError: the file is missing or cannot be read.
    """
    place = os.path.realpath(path)
    state = _state(Path(place).stat())
    with _lock:
        known = _kept.get((place, algorithm))
    if known is not None and known[0] == state:
        return known[1]
    digest, settled = _read(place, algorithm)
    with _lock:
        if settled is None:
            _kept.pop((place, algorithm), None)
        else:
            _kept[place, algorithm] = settled, digest
    return digest


def _read(place: str, algorithm: str) -> tuple[str, tuple[int, ...] | None]:
    """The hash, and the state of the file that it can be kept for; None: it cannot."""
    now = time.time_ns()
    digest = hashlib.new(algorithm, usedforsecurity=False)
    with Path(place).open("rb") as file:
        before = os.fstat(file.fileno())
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
        after = os.fstat(file.fileno())
    settled = _state(before) == _state(after) and max(before.st_mtime_ns, before.st_ctime_ns) < now - _RACY
    return digest.hexdigest(), _state(before) if settled else None


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
