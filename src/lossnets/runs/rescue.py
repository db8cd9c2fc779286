"""Finished runs that the store would not take: kept in a file, taken in by the next sweep.

The file (JSON lines, one finished run a line) is written as soon as storing fails once, so that not
even a killed process loses what it had computed. It lies beside the store, else in the home of
lossnets, else in the temporary folder, and its name says which store it is for.
"""

from __future__ import annotations

import base64
import contextlib
import glob
import hashlib
import json
import logging
import os
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lossnets.errors import LossnetsError, StoreError
from lossnets.home import home, is_file, make_folder
from lossnets.runs import arrays
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Failure, Outcome, ScoreRecord
from lossnets.runs.store import Store

logger = logging.getLogger("lossnets")

_FORMAT = "lossnets-rescue-1"


class Rescue:
    """Where one process keeps the outcomes that the store would not take.

    Attributes:
        files: those that were written, one unless a disk filled up.
        lost: outcomes that no folder would take.
    """

    def __init__(self, store: Store) -> None:
        self.files: list[Path] = []
        self.lost = 0
        self._name = f"{uuid.uuid4().hex[:12]}.jsonl"
        self._places = list(_places(store))

    def add(self, outcome: Outcome) -> None:
        """Write an outcome to disk, in the first place that takes it."""
        line = json.dumps(_to_json(outcome), allow_nan=False).encode() + b"\n"
        while self._places:
            folder, prefix = self._places[0]
            path = folder / f"{prefix}{self._name}"
            try:
                _append(path, line)
            except (OSError, LossnetsError) as error:
                logger.debug("no rescue file at %s: %s", path, error)
                del self._places[0]
                continue
            if path not in self.files:
                self.files.append(path)
            return
        self.lost += 1

    def forget(self) -> None:
        """Remove the files: the store has taken everything."""
        for path in self.files:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self.files = []

    def __str__(self) -> str:
        places = " and ".join(str(path) for path in self.files)
        told = f"Finished runs that could not be stored are kept in {places}; " if places else ""
        told += "the next sweep on this store takes them in." if places else ""
        if self.lost:
            told += f" {self.lost} finished runs could not be kept anywhere and are lost."
        return told.strip()


def take_in(store: Store) -> int:
    """Store what earlier processes could not, and remove their files; returns how many runs.

    A line that is damaged stays where it is, with a warning; the others are stored all the same.

    Raises:
        StoreError: the store cannot be written; the files stay.
    """
    taken = 0
    for path in rescue_files(store):
        outcomes, damaged = _read(path)
        taken += store.adopt(outcomes)
        if damaged:
            logger.warning(
                "%d of %d lines of the rescue file %s are damaged; the others are stored. Remove the file "
                "if you do not need it", damaged, damaged + len(outcomes), path,
            )  # fmt: skip
            continue
        logger.warning(
            "%d finished runs that could not be stored before are taken in: %s", len(outcomes), path
        )
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    return taken


def rescue_files(store: Store) -> list[Path]:
    """Files that wait to be taken into a store; those of other users in shared folders are left alone."""
    if store.in_memory:
        return []
    found: list[Path] = []
    for folder, prefix in _places(store):
        paths = sorted(glob.glob(f"{glob.escape(str(folder / prefix))}*.jsonl"))  # noqa: PTH207  # it escapes
        found += [path for path in map(Path, paths) if is_file(path) and _is_ours(path)]
    return found


def _places(store: Store) -> Iterator[tuple[Path, str]]:
    """Folders and beginnings of file names, best first."""
    if store.file is not None:
        yield store.file.parent, f"{store.file.name}.rescue-"
    where = os.path.realpath(store.file) if store.file is not None else store.name
    stem = store.file.name if store.file is not None else "store"
    prefix = f"{stem}-{hashlib.sha256(where.encode()).hexdigest()[:12]}-"
    with contextlib.suppress(LossnetsError):
        yield home() / "rescue", prefix
    yield Path(tempfile.gettempdir()), f"lossnets-rescue-{prefix}"


def _is_ours(path: Path) -> bool:
    return not hasattr(os, "geteuid") or path.stat().st_uid == os.geteuid()


def _append(path: Path, line: bytes) -> None:
    """All of the line is safe on disk, or none of it is in the file."""
    if path.parent == home() / "rescue":
        make_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        before = os.fstat(descriptor).st_size
        try:
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(descriptor, rest) :]
            os.fsync(descriptor)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(descriptor, before)
            if before == 0:
                with contextlib.suppress(OSError):
                    path.unlink()
            raise
    finally:
        os.close(descriptor)


def _to_json(outcome: Outcome) -> dict[str, Any]:
    packed = base64.b64encode(arrays.pack(outcome.items)).decode() if outcome.items else None
    return {
        "format": _FORMAT,
        "config": outcome.config.to_dict(),
        "scores": [asdict(score) for score in outcome.scores],
        "items": packed,
        "failure": asdict(outcome.failure) if outcome.failure else None,
        "seconds": outcome.seconds,
        "group_size": outcome.group_size,
        "environment": dict(outcome.environment),
        "facts": dict(outcome.facts),
    }


def _from_json(values: dict[str, Any]) -> Outcome:
    if values.pop("format") != _FORMAT:
        raise ValueError(f"format is not {_FORMAT}")
    return Outcome(
        config=RunConfig.from_dict(values["config"]),
        scores=tuple(ScoreRecord(**score) for score in values["scores"]),
        items=arrays.unpack(base64.b64decode(values["items"])) if values["items"] else {},
        failure=Failure(**values["failure"]) if values["failure"] else None,
        seconds=values["seconds"],
        group_size=values["group_size"],
        environment=values["environment"],
        facts=values["facts"],
    )


def _read(path: Path) -> tuple[list[Outcome], int]:
    """Outcomes of a rescue file, and the number of lines that are damaged."""
    outcomes: list[Outcome] = []
    damaged = 0
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise StoreError(f"the rescue file {path} cannot be read: {error.strerror}") from error
    for line in lines:
        try:
            outcomes.append(_from_json(json.loads(line)))
        except (ValueError, KeyError, TypeError, AttributeError, LossnetsError):  # noqa: PERF203
            damaged += 1
    return outcomes, damaged
