"""Claim runs, record what comes of them, and lose nothing when the store does not answer."""

from __future__ import annotations

import itertools
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from lossnets.errors import LossnetsError, StoreError
from lossnets.runs.environment import environment
from lossnets.runs.evaluate import Group
from lossnets.runs.executors import Executor
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Failure, Outcome, RunRecord
from lossnets.runs.rescue import Rescue
from lossnets.runs.store import Claim, Store

logger = logging.getLogger("lossnets")

RETRY_SECONDS = 30.0
"""How long a store that does not answer is asked again before the sweep ends."""

_T = TypeVar("_T")


@dataclass(frozen=True)
class SweepEvent:
    """What a progress callback is told after each run.

    Attributes:
        record: the run that has just been stored; None for the first call, before any run.
        finished: runs that need no more work, those skipped included.
        total: runs of the plan.
    """

    record: RunRecord | None
    finished: int
    total: int


Progress = Callable[[SweepEvent], None]


@dataclass
class Recorder:
    """The state of one sweep: claims that are held, records that were stored, outcomes that wait.

    An outcome that the store does not take is at once written to a rescue file. No new work is begun
    then until the store has taken it; if it does not for `RETRY_SECONDS`, what is under way is
    finished and kept in the file, and the sweep ends with one error that says where.
    """

    store: Store
    rerun: bool
    progress: Progress | None
    skipped: int
    total: int
    claims: dict[str, Claim] = field(default_factory=dict)
    records: list[RunRecord] = field(default_factory=list)
    elsewhere: list[RunConfig] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._waiting: list[Outcome] = []
        self._trouble: StoreError | None = None  # the store was given up
        self._rescue = Rescue(self.store)

    def work(self, groups: Iterable[Group], executor: Executor) -> None:
        """Evaluate groups and record every outcome.

        Raises:
            StoreError: the store did not take everything; the message says where the rest is.
        """
        outcomes = executor.map(self._claimed(groups))
        try:
            for outcome in outcomes:
                self._record(outcome)
            self._settled()
        except BaseException:
            if self._waiting:
                logger.warning("%s", self._rescue)
            raise
        finally:
            close = getattr(outcomes, "close", None)  # ends worker processes at once, not at collection
            if close:
                close()
        if self._trouble is not None:
            raise StoreError(f"{self._trouble} {self._rescue}".strip()) from self._trouble

    def fail(self, configs: Sequence[RunConfig], errors: dict[RunConfig, LossnetsError], device: str) -> None:
        """Record runs whose loss could not be loaded, or whose data could not be read."""
        for config in configs:
            if self._claim(config):
                failure = Failure.of(errors[config])
                self._record(Outcome(config, failure=failure, environment=environment(device)))

    def tell(self, record: RunRecord | None) -> None:
        """Report progress."""
        if self.progress is not None:
            self.progress(SweepEvent(record, self.skipped + len(self.records), self.total))

    def release(self) -> None:
        """Give back the claims of what was not finished."""
        held = list(self.claims.values())
        if not held:
            return
        try:
            self.store.release(held)
        except StoreError as error:  # it must not hide the error that brought us here
            logger.info("claims of %d runs end by themselves: %s", len(held), error)

    def _claimed(self, groups: Iterable[Group]) -> Iterator[Group]:
        """Each group reduced to the runs that this process got; claimed when there is room for it."""
        for group in groups:
            if not self._settled():
                return
            try:
                mine = tuple(config for config in group.configs if self._claim(config))
            except StoreError as error:
                self._trouble = error
                return
            if mine:
                logger.info("evaluating %s", group)
                yield replace(group, configs=mine)

    def _claim(self, config: RunConfig) -> bool:
        claim = self._patiently(lambda: self.store.claim(config, rerun=self.rerun))
        if claim is None:
            self.elsewhere.append(config)
            return False
        self.claims[config.identity] = claim
        return True

    def _record(self, outcome: Outcome) -> None:
        if not self._waiting and self._trouble is None:
            try:
                self._finish(outcome)
            except StoreError as error:
                logger.info("not stored yet: %s: %s", outcome.config, error)
            else:
                return
        self._waiting.append(outcome)
        self._rescue.add(outcome)

    def _finish(self, outcome: Outcome) -> None:
        record = self.store.finish(self.claims[outcome.config.identity], outcome)
        del self.claims[outcome.config.identity]  # only now: an error above leaves it to be released
        self.records.append(record)
        if record.failure:
            logger.info("failed: %s: %s: %s", record.config, record.failure.type, record.failure.message)
        self.tell(record)

    def _settled(self) -> bool:
        """Whether the store has everything so far; asks it again for a while if it has not."""
        if self._waiting and self._trouble is None:
            try:
                self._patiently(self._finish_waiting)
            except StoreError as error:
                self._trouble = error
            else:
                self._rescue.forget()
        return self._trouble is None

    def _finish_waiting(self) -> None:
        while self._waiting:
            self._finish(self._waiting[0])
            del self._waiting[0]

    def _patiently(self, action: Callable[[], _T]) -> _T:
        end: float | None = None
        for pause in itertools.chain((0.5, 1.0, 2.0, 4.0), itertools.repeat(8.0)):
            try:
                return action()
            except StoreError as error:  # noqa: PERF203
                now = time.monotonic()
                if end is None:
                    end = now + RETRY_SECONDS
                    if RETRY_SECONDS > 0:
                        logger.warning("%s Trying again for %.0f seconds.", error, RETRY_SECONDS)
                if now >= end:
                    raise
                time.sleep(min(pause, end - now))
        raise AssertionError  # the pauses never end
