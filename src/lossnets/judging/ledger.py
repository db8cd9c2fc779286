"""A file of results already earned, one line of JSON each: what is in it is never computed again.

Several processes may write to one file; each reads it once, when it opens it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossnets.errors import DataError
from lossnets.home import locked, make_folder, printable, write_error
from lossnets.judging.records import plain

logger = logging.getLogger("lossnets")


class Ledger:
    """Results by key, kept in a file as they come: survives a kill at any moment.

    Args:
        path: the file (JSON lines), made when the first result comes; None: kept in memory only.

    Raises:
        DataError: a line in the middle cannot be read. A last line that a kill cut off is dropped.

    >>> ledger = Ledger(None)
    >>> ledger.put({"seed": 0}, {"score": 1.0})
    >>> ledger.get({"seed": 0}), ledger.get({"seed": 1})
    ({'score': 1.0}, None)
    """

    def __init__(self, path: str | Path | None) -> None:
        self.path = None if path is None else Path(path)
        self._found: dict[str, Any] = {}
        if self.path is not None and self.path.exists():
            self._read(self.path)

    def get(self, key: Mapping[str, Any]) -> Any | None:
        """The result of these settings; None where it has not been earned yet."""
        return self._found.get(digest(key))

    def put(self, key: Mapping[str, Any], result: Any) -> None:
        """Keep a result; when this returns it is on the disk.

        Raises:
            DataError: the file cannot be written.
        """
        identity, result = digest(key), plain(result)
        self._found[identity] = result
        if self.path is None:
            return
        line = printable(
            json.dumps({"key": identity, "of": plain(key), "result": result}, ensure_ascii=False)
        )
        make_folder(self.path.parent)
        try:
            with locked(_lock(self.path)), self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise write_error(self.path, error, DataError, note="Results before it are kept.") from error

    def __len__(self) -> int:
        """Results that there are."""
        return len(self._found)

    def _read(self, path: Path) -> None:
        data = path.read_bytes()
        if data and not data.endswith(b"\n"):  # cut off by a kill, or another process is just writing
            data = _without_torn_line(path)
        for number, line in enumerate(data.split(b"\n")[:-1], 1):
            key, result = _entry(line, f"line {number} of {path}")
            self._found[key] = result


def _lock(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def _without_torn_line(path: Path) -> bytes:
    with locked(_lock(path)):
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            logger.warning("%s: its last line was cut off; that result is computed again", path)
            with path.open("r+b") as file:
                file.truncate(whole)
        return data[:whole]


def _entry(line: bytes, where: str) -> tuple[str, Any]:
    try:
        entry = json.loads(line)
        return str(entry["key"]), entry["result"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{where} is not a result ({type(error).__name__}: {error}); remove that line, or the "
            "file to start anew"
        ) from None


def digest(key: Mapping[str, Any]) -> str:
    """Hash of settings, whatever their order."""
    return hashlib.sha256(json.dumps(plain(key), sort_keys=True).encode()).hexdigest()[:24]


def images_hash(images: Tensor) -> str:
    """Hash of images (N, C, H, W), values and shape."""
    values = images.detach().to("cpu", torch.float32).contiguous()
    return hashlib.sha256(str(tuple(values.shape)).encode() + values.numpy().tobytes()).hexdigest()[:24]
