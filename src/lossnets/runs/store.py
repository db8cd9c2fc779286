"""The results store: every run, once, for good.

Promises, the same for every backend (SQLite file, SQLite memory, PostgreSQL):

* A finished run (done or failed) is never modified. Trying again adds a record with the next
  attempt number; the one that counts is the latest done, else the latest.
* `finish` returns when the record is safe on disk: killing the process afterwards loses nothing,
  killing it before loses the runs in flight and no other.
* A run is worked on by one process at a time. `claim` says who: it gives the run to exactly one of
  any number of processes. A claim is a lease that `heartbeat` renews; the claim of a dead process
  is free at once on the same machine, elsewhere when the lease ends.
* A result that was computed is stored even if its claim was lost in between (a laptop slept).
* Records and arrays that are returned are copies. Every method may be called from several threads.
* Every failure of the database is a `StoreError` that says what to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa
from sqlalchemy import exc

from lossnets.errors import StoreError
from lossnets.runs import arrays, owner, rows
from lossnets.runs.database import Database
from lossnets.runs.identity import RunConfig, canonical_json
from lossnets.runs.records import Outcome, RunRecord
from lossnets.runs.schema import items, runs, scores

LEASE_SECONDS = 60.0
"""How long a claim stands without a heartbeat, where nobody can see whether its process lives."""


@dataclass(frozen=True)
class Claim:
    """The right to work on one attempt of one run."""

    config: RunConfig
    run_id: int
    attempt: int


class Store:
    """Results store at a path or URL; the promises are in this file's first lines.

    Args:
        where: path of an SQLite file, ``sqlite://`` (memory), or ``postgresql://USER@HOST/NAME``.
        create: make the file where there is none; False raises instead.
        read_only: never write, so that a file or folder without permission to write can be read.
        owner_name: who claims; this object in this process by default (tests play several).
        clock: Unix time in seconds.

    Raises:
        StoreError: the store cannot be opened, read or written, or is not one of ours.
        ConfigError: the URL is malformed.

    >>> with Store("sqlite://") as store:
    ...     store.records()
    []
    """

    def __init__(
        self,
        where: str | Path,
        *,
        create: bool = True,
        read_only: bool = False,
        owner_name: str | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._database = Database(where, create=create, read_only=read_only)
        self._owner = owner_name or owner.new_owner()
        self._clock = clock
        self._mine: set[int] = set()  # row numbers of the claims that this object handed out

    def __enter__(self) -> Store:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Store({self.name!r})"

    @property
    def name(self) -> str:
        """Path, or URL without its password."""
        return self._database.name

    @property
    def file(self) -> Path | None:
        """The SQLite file; None for a store in memory or on a server."""
        return self._database.file

    @property
    def in_memory(self) -> bool:
        """Whether the store ends with this object."""
        return self._database.in_memory

    def close(self) -> None:
        """Release the connections."""
        self._database.close()

    # --- claiming ---------------------------------------------------------------------------------

    def claim(self, config: RunConfig, *, rerun: bool = False) -> Claim | None:
        """Take a run to work on; None if it is done (unless ``rerun``) or another process has it."""
        try:
            with self._database.writing() as connection:
                claim = self._claim(connection, config, rerun)
                if claim is not None:
                    self._mine.add(claim.run_id)  # inside: threads of this process are kept out by the lock
                return claim
        except exc.IntegrityError:
            return None  # another process inserted the same attempt first

    def _claim(self, connection: sa.Connection, config: RunConfig, rerun: bool) -> Claim | None:
        query = sa.select(runs).where(runs.c.identity == config.identity).order_by(runs.c.attempt)
        tries = connection.execute(query).all()
        if any(row.status == "done" for row in tries) and not rerun:
            return None
        if tries and tries[-1].status == "running":
            return self._take_over(connection, config, tries[-1])
        attempt = tries[-1].attempt + 1 if tries else 1
        values = rows.config_columns(config) | {"attempt": attempt, "status": "running"} | self._lease()
        return Claim(config, _insert(connection, values), attempt)

    def _take_over(self, connection: sa.Connection, config: RunConfig, row: Any) -> Claim | None:
        if self._is_held(row):
            return None
        as_seen = (runs.c.id == row.id, runs.c.owner == row.owner, runs.c.lease_until == row.lease_until)
        result = connection.execute(
            runs.update().where(*as_seen, runs.c.status == "running").values(self._lease())
        )
        return Claim(config, row.id, row.attempt) if result.rowcount == 1 else None

    def _is_held(self, row: Any) -> bool:
        if row.owner == self._owner:
            return row.id in self._mine
        return row.lease_until > self._clock() and not owner.is_gone(row.owner)

    def _lease(self) -> dict[str, Any]:
        now = self._clock()
        return {"owner": self._owner, "started": now, "lease_until": now + LEASE_SECONDS}

    def heartbeat(self) -> int:
        """Renew every claim of this process; returns how many it has."""
        mine = (runs.c.owner == self._owner, runs.c.status == "running")
        with self._database.writing() as connection:
            until = {"lease_until": self._clock() + LEASE_SECONDS}
            return connection.execute(runs.update().where(*mine).values(until)).rowcount

    def release(self, claims: Sequence[Claim]) -> None:
        """Give claims back unfinished; those that are finished stay what they are."""
        self._mine -= {claim.run_id for claim in claims}
        with self._database.writing() as connection:
            for claim in claims:
                connection.execute(runs.delete().where(*self._held(claim)))

    def _held(self, claim: Claim) -> tuple[sa.ColumnElement[bool], ...]:
        return (runs.c.id == claim.run_id, runs.c.owner == self._owner, runs.c.status == "running")

    # --- writing ----------------------------------------------------------------------------------

    def finish(self, claim: Claim, outcome: Outcome) -> RunRecord:
        """Store what came of a claimed run, for good; returns the record.

        Raises:
            StoreError: the outcome is of another run, or the store cannot be written; nothing of
                the outcome is stored then, and the claim still stands.
        """
        if outcome.config.identity != claim.config.identity:
            raise StoreError(f"the outcome is of {outcome.config}; the claim is on {claim.config}")
        blob = _packed(outcome)
        try:
            with self._database.writing() as connection:
                run_id = self._finish(connection, claim, outcome, blob)
                record = rows.read(connection, runs.c.id == run_id)[
                    0
                ]  # before the commit: it may be the last
        except exc.IntegrityError as error:
            raise StoreError(
                f"the outcome of {outcome.config} breaks the store's rules: {error.orig}"
            ) from error
        self._mine.discard(claim.run_id)
        return record

    def adopt(self, outcomes: Sequence[Outcome]) -> int:
        """Store outcomes of an earlier process, all or none; those that are stored already are left out.

        Returns:
            How many were new.

        Raises:
            StoreError: the store cannot be written; nothing of the outcomes is stored then.
        """
        packed = [_packed(outcome) for outcome in outcomes]
        try:
            with self._database.writing() as connection:
                adopted = [self._adopt(connection, o, blob) for o, blob in zip(outcomes, packed, strict=True)]
        except exc.IntegrityError as error:
            raise StoreError(
                f"{self.name} is being written by another process; start again ({error.orig})"
            ) from error
        return sum(adopted)

    def _adopt(self, connection: sa.Connection, outcome: Outcome, blob: bytes | None) -> bool:
        values = rows.outcome_columns(outcome)
        told = ("status", "seconds", "environment", "facts", "error_message")
        same = [runs.c.identity == outcome.config.identity, *(runs.c[key] == values[key] for key in told)]
        if connection.scalar(sa.select(runs.c.id).where(*same)) is not None:
            return False
        claim = self._claim(connection, outcome.config, rerun=True)
        self._finish(connection, claim or Claim(outcome.config, -1, 0), outcome, blob)
        return True

    def _finish(self, connection: sa.Connection, claim: Claim, outcome: Outcome, blob: bytes | None) -> int:
        values = rows.outcome_columns(outcome)
        updated = connection.execute(runs.update().where(*self._held(claim)).values(values))
        run_id = claim.run_id
        if updated.rowcount == 0:
            run_id = self._insert_late(connection, claim, values)
        entries = rows.score_columns(run_id, outcome.scores)
        if entries:
            connection.execute(scores.insert(), entries)
        if blob is not None:
            names = canonical_json(list(outcome.items))
            connection.execute(items.insert().values(run_id=run_id, names=names, arrays=blob))
        return run_id

    def _insert_late(self, connection: sa.Connection, claim: Claim, values: Mapping[str, Any]) -> int:
        """The claim was taken over by another process: what was earned becomes a further attempt."""
        of_run = runs.c.identity == claim.config.identity
        last = connection.scalar(sa.select(sa.func.max(runs.c.attempt)).where(of_run)) or 0
        columns = rows.config_columns(claim.config) | {"started": self._clock(), "attempt": last + 1}
        return _insert(connection, columns | dict(values))

    # --- reading ----------------------------------------------------------------------------------

    def standing(self, config: RunConfig) -> RunRecord | None:
        """The record that counts for a run: the latest done attempt, else the latest; None if none."""
        with self._database.reading() as connection:
            found = rows.read(connection, runs.c.identity == config.identity)
        return rows.standing(found)[0] if found else None

    def records(self, *, history: bool = False) -> list[RunRecord]:
        """One record for each run, in order of first claim; with ``history``, every attempt.

        A failure to load a loss is left out once the same loss has loaded since.
        """
        with self._database.reading() as connection:
            found = rows.read(connection)
        return found if history else rows.standing(found)

    def items(self, config: RunConfig) -> dict[str, npt.NDArray[np.generic]]:
        """Per-item arrays of the record that counts, in the order of the data set; may be empty.

        Raises:
            StoreError: there is no finished run of that configuration.
        """
        record = self.standing(config)
        if record is None or record.status != "done":
            raise StoreError(f"the store {self.name} has no finished run of {config}")
        query = (
            sa.select(items.c.arrays)
            .join(runs, runs.c.id == items.c.run_id)
            .where(runs.c.identity == config.identity, runs.c.attempt == record.attempt)
        )
        with self._database.reading() as connection:
            blob = connection.scalar(query)
        return arrays.unpack(blob) if blob is not None else {}

    def statuses(self, configs: Sequence[RunConfig]) -> dict[str, str]:
        """Identity -> ``done``, ``failed`` or ``running``, of those configurations that are stored."""
        wanted = {config.identity for config in configs}
        with self._database.reading() as connection:
            query = sa.select(runs.c.identity, runs.c.status).order_by(runs.c.attempt)
            found = [(row.identity, row.status) for row in connection.execute(query)]
        latest: dict[str, str] = {}
        for identity, status in found:
            if identity in wanted and latest.get(identity) != "done":
                latest[identity] = status
        return latest


def _packed(outcome: Outcome) -> bytes | None:
    return arrays.pack(outcome.items) if outcome.items else None


def _insert(connection: sa.Connection, values: Mapping[str, Any]) -> int:
    key: Any = connection.execute(runs.insert().values(values)).inserted_primary_key
    return int(key[0])
