"""Where lossnets keeps files, whether it may use the network, and how it writes a file safely."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import shutil
import sys
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .errors import ConfigError, LossnetsError

logger = logging.getLogger("lossnets")

_YES = ("1", "true", "yes", "on")
_NO = ("", "0", "false", "no", "off")
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_WRITE_ERRORS = (*_DISK_FULL, errno.EACCES, errno.EPERM, errno.EROFS, errno.EIO, errno.EFBIG)
_switches: list[tuple[object, bool]] = []  # process-wide: a worker thread must not slip out of offline_mode
_switches_lock = threading.Lock()


def home() -> Path:
    """Folder for downloaded weights and results: ``$LOSSNETS_HOME``, else ``~/.cache/lossnets``.

    Nothing is created.

    Raises:
        ConfigError: the path is a file, or there is no home directory to fall back on.
    """
    setting = os.environ.get("LOSSNETS_HOME", "")
    try:
        folder = Path(setting or "~/.cache/lossnets").expanduser().absolute()
    except RuntimeError as error:
        raise ConfigError(
            f"no home directory was found ({error}); set LOSSNETS_HOME to a folder that can be written"
        ) from error
    if is_there(folder) and not is_folder(folder):
        raise ConfigError(f"LOSSNETS_HOME must be a folder, {folder} is a file; set it to another path")
    return folder


def is_file(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a file. A path that the system refuses, e.g. as too long, names none."""
    return os.path.isfile(path)  # noqa: PTH113  # unlike Path's own, it raises nothing


def is_folder(path: str | os.PathLike[str]) -> bool:
    """Whether there is such a folder; see `is_file`."""
    return os.path.isdir(path)  # noqa: PTH112


def is_there(path: str | os.PathLike[str]) -> bool:
    """Whether there is something of that name; see `is_file`."""
    return os.path.exists(path)  # noqa: PTH110


def user_path(path: str | os.PathLike[str], argument: str = "path") -> Path:
    """The path with ``~`` and ``~NAME`` at its beginning replaced by the home directory of that user.

    Raises:
        ConfigError: there is no such home directory; the message names the argument.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{argument}: {str(path)!r} begins with a user that has no home directory here; write the whole "
            "path, or ./~... for a name that begins with ~."
        ) from error


def make_folder(folder: Path) -> Path:
    """Create ``folder`` and its parents where they are missing, and return it.

    Raises:
        ConfigError: it cannot be created; the message says why and names LOSSNETS_HOME.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the folder {folder} cannot be created ({error.strerror}); choose a folder that can be "
            "written, e.g. by setting LOSSNETS_HOME"
        ) from error
    return folder


def offline() -> bool:
    """Whether the network is out of bounds: the innermost `offline_mode`, else ``$LOSSNETS_OFFLINE``.

    Raises:
        ConfigError: LOSSNETS_OFFLINE is none of 1, true, yes, on, 0, false, no, off.
    """
    with _switches_lock:
        if _switches:
            return _switches[-1][1]
    setting = os.environ.get("LOSSNETS_OFFLINE", "").strip().lower()
    if setting not in _YES + _NO:
        raise ConfigError(
            f"LOSSNETS_OFFLINE must be one of {', '.join(_YES)} or {', '.join(_NO[1:])}; got {setting!r}"
        )
    return setting in _YES


def hub_offline() -> bool:
    """Whether Hugging Face's own switch, ``$HF_HUB_OFFLINE``, forbids its hub (and nothing else)."""
    return os.environ.get("HF_HUB_OFFLINE", "").strip().lower() in _YES


@contextlib.contextmanager
def offline_mode(enabled: bool = True) -> Iterator[None]:
    """Forbid the network (or allow it, with ``enabled=False``) inside a ``with`` block.

    It holds for the whole process, threads started elsewhere included, and wins over LOSSNETS_OFFLINE.

    >>> with offline_mode():
    ...     offline()
    True
    """
    switch = (object(), enabled)
    with _switches_lock:
        _switches.append(switch)
    try:
        yield
    finally:
        with _switches_lock:
            _switches.remove(switch)


@contextlib.contextmanager
def atomic_write(
    path: str | os.PathLike[str], mode: str = "wb", *, error: type[LossnetsError] = LossnetsError
) -> Iterator[IO[Any]]:
    """Open a file that appears at ``path`` complete, or not at all.

    What is written goes to a temporary file in the same folder, which replaces ``path`` when the
    ``with`` block ends well and is removed when it does not. Text is written as UTF-8, names of files as
    `text_bytes` says.

    Args:
        path: the file to write; an existing one keeps its content until the new one is complete.
        mode: ``"wb"`` or ``"w"``.
        error: class of the error when the file cannot be written.

    Raises:
        ConfigError: ``mode`` is something else.
        LossnetsError: (or ``error``) the folder is missing or cannot be written, or the disk is full.
    """
    if mode not in ("wb", "w"):
        raise ConfigError(f"mode must be 'wb' or 'w', got {mode!r}")
    target = Path(os.path.realpath(path))  # through a symbolic link, which stays one
    temporary = target.with_name(f".{target.name[:200]}.{uuid.uuid4().hex[:12]}.tmp")
    try:
        encoding, errors = (None, None) if "b" in mode else ("utf-8", "backslashreplace")
        with temporary.open(mode, encoding=encoding, errors=errors) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as cause:
        if _is_about(cause, temporary):
            raise write_error(target, cause, error) from cause
        raise
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()  # only there when something went wrong


def printable(name: str) -> str:
    r"""A name of a file as it can be written anywhere: bytes that are no UTF-8 appear as ``\udcXX``.

    Python holds such a byte as a lone surrogate, which no encoder takes. In JSON this is its own escape, so
    that reading it gives the very name back; elsewhere `original_name` does.

    >>> printable("caf\udce9.png") == "caf" + chr(92) + "udce9.png"
    True
    """
    return text_bytes(name).decode("utf-8")


def text_bytes(text: str) -> bytes:
    """Text as UTF-8, with names of files as `printable` writes them."""
    return text.encode("utf-8", "backslashreplace")


def original_name(written: str) -> str:
    r"""The name of a file that `printable` wrote, as Python and the system know it.

    >>> original_name(printable("caf\udce9.png")) == "caf\udce9.png"
    True
    """
    return re.sub(r"\\u(dc[89a-f][0-9a-f])", lambda found: chr(int(found[1], 16)), written)


def _is_about(cause: OSError, temporary: Path) -> bool:
    """Whether an error inside the ``with`` block is about the file written, not some other file."""
    if cause.filename is not None:
        return str(cause.filename) == str(temporary)
    return cause.errno in _WRITE_ERRORS


def write_error(
    path: Path, cause: OSError, error: type[LossnetsError], *, needed: int | None = None, note: str = ""
) -> LossnetsError:
    """Build the error for a file that cannot be written, with needed and free bytes for a full disk.

    Args:
        path: the file that was to be written.
        cause: what the system said.
        error: class of the error.
        needed: bytes that are still to be written, where known.
        note: one more sentence, e.g. what was kept.
    """
    message = f"{path} cannot be written: {cause.strerror or cause}. "
    if cause.errno in _DISK_FULL:
        free = free_bytes(path.parent)
        if needed is not None and needed > 0:
            message += f"{needed} more bytes are needed, "
        message += f"{'an unknown number' if free is None else free} are free in {path.parent}: make room "
        message += "there, or choose another disk (for weights: by setting LOSSNETS_HOME)."
    else:
        message += "Choose a folder that exists and can be written (for weights: by setting LOSSNETS_HOME)."
    return error(f"{message} {note}".rstrip())


def free_bytes(folder: Path) -> int | None:
    """Bytes that can still be written in ``folder``; None where the system does not tell."""
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Wait until no other process or thread holds the lock file ``path``, and hold it inside the block.

    The file is removed at the end; a process that is killed leaves it behind, but not the lock.

    Raises:
        OSError: the file cannot be created.
    """
    while True:
        file = path.open("ab")
        try:
            _lock(file.fileno(), path)
            if _same_file(file.fileno(), path):  # else its last holder removed it while we waited
                break
        except BaseException:
            file.close()
            raise
        file.close()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
        file.close()


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


if sys.platform == "win32":

    def _lock(descriptor: int, _path: Path) -> None:
        import msvcrt

        msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)

else:

    def _lock(descriptor: int, _path: Path) -> None:
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("waiting for another process that holds %s", _path)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        except OSError as error:  # a file system without locks: verification still guards the result
            logger.debug("%s cannot be locked: %s", _path, error)
