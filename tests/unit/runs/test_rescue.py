"""When the store breaks while results come in, every finished run survives and is taken in later."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import sqlite3
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import sqlalchemy as sa

from lossnets.errors import StoreError
from lossnets.home import home
from lossnets.runs import database, recorder, rescue
from lossnets.runs.executors import Executor, LocalExecutor, ProcessExecutor
from lossnets.runs.identity import RunConfig
from lossnets.runs.plan import Plan
from lossnets.runs.records import Failure, Outcome, ScoreRecord
from lossnets.runs.store import Store
from lossnets.runs.sweep import SweepEvent, run_sweep

MakePlan = Callable[..., Plan]
CONFIG = RunConfig("pixel:mse", "sig", "toy", "noise", "f" * 64, options={"a": 1})
OUTCOME = Outcome(
    CONFIG,
    (ScoreRecord("s", 0.1 + 0.2, "dB", False, "x", 0.25, None, 3, "é"), ScoreRecord("t", None, note="no")),
    {"d": np.arange(5, dtype=np.float32) / 7, "name": np.array(["a", "ü"])},
    seconds=1 / 3,
    group_size=2,
    environment={"torch": "2", "commit": None},
    facts={"items": 5},
)
FAILED = Outcome(CONFIG, failure=Failure("ValueError", "why\nnot"))


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 0.0)
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()


def scores(store: Store) -> dict[str, object]:
    return {r.identity: (r.status, r.scores, dict(r.facts)) for r in store.records() if r.status == "done"}


@pytest.fixture
def whole(plan: MakePlan) -> dict[str, object]:
    """What the plan gives when nothing goes wrong."""
    with Store("sqlite://") as store:
        run_sweep(plan(), store)
        return scores(store)


def broken_at(store: Store, breaking: Callable[[], object], runs: int = 2) -> Callable[[SweepEvent], None]:
    """A progress callback that breaks the store when so many runs are stored."""

    def tell(event: SweepEvent) -> None:
        if event.record is not None and event.finished == runs:
            breaking()

    return tell


# --- the file -------------------------------------------------------------------------------------


def test_an_outcome_comes_back_bit_by_bit(store: Store) -> None:
    kept = rescue.Rescue(store)
    kept.add(OUTCOME)
    kept.add(FAILED)
    (path,) = kept.files
    assert path.parent == store.file.parent  # type: ignore[union-attr]
    assert rescue.rescue_files(store) == [path]
    assert rescue.take_in(store) == 2
    assert not path.exists()
    first, second = store.records(history=True)
    assert (first.config, first.scores, first.seconds, first.group_size) == (CONFIG, OUTCOME.scores, 1 / 3, 2)
    assert (dict(first.environment), dict(first.facts)) == (dict(OUTCOME.environment), dict(OUTCOME.facts))
    assert second.failure == FAILED.failure
    for name, values in OUTCOME.items.items():
        np.testing.assert_array_equal(store.items(CONFIG)[name], values)


def test_what_is_stored_already_is_not_stored_twice(store: Store) -> None:
    assert store.adopt([OUTCOME, FAILED]) == 2
    assert store.adopt([OUTCOME, FAILED]) == 0  # a process that was killed before it removed the file
    assert len(store.records(history=True)) == 2


def test_adopting_ends_the_claim_of_a_dead_process(tmp_path: Path) -> None:
    with Store(tmp_path / "r.sqlite", clock=lambda: 0.0, owner_name="long gone") as dead:
        assert dead.claim(CONFIG) is not None
    with Store(tmp_path / "r.sqlite") as store:
        store.adopt([OUTCOME])
        assert [r.status for r in store.records(history=True)] == ["done"]


def test_a_damaged_line_is_told_and_costs_no_other(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    kept = rescue.Rescue(store)
    kept.add(OUTCOME)
    (path,) = kept.files
    path.write_bytes(path.read_bytes() + path.read_bytes()[:100])
    with caplog.at_level(logging.WARNING, "lossnets"):
        assert rescue.take_in(store) == 1
    assert f"1 of 2 lines of the rescue file {path} are damaged" in caplog.text
    assert path.exists()
    assert store.standing(CONFIG) is not None


def test_files_of_other_stores_are_left_alone(store: Store, tmp_path: Path) -> None:
    with Store(tmp_path / "other.sqlite") as other:
        rescue.Rescue(other).add(OUTCOME)
        assert rescue.rescue_files(store) == []
        assert len(rescue.rescue_files(other)) == 1
    with Store("sqlite://") as memory:
        rescue.Rescue(memory).add(OUTCOME)
        assert rescue.rescue_files(memory) == []


def test_the_next_place_is_taken_when_one_fails(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    real, full = os.open, [str(store.file.parent)]  # type: ignore[union-attr]

    def no_space(path: str | Path, *args: int) -> int:
        if str(Path(path).parent) in full:
            raise OSError(28, "No space left on device")
        return real(path, *args)

    kept = rescue.Rescue(store)
    with monkeypatch.context() as patch:
        patch.setattr(rescue.os, "open", no_space)
        kept.add(OUTCOME)
        assert [path.parent for path in kept.files] == [home() / "rescue"]
        full.append(str(home() / "rescue"))
        kept.add(FAILED)
        assert len(kept.files) == 2
        assert "lossnets-rescue-results.sqlite-" in kept.files[1].name
        full.append(str(kept.files[1].parent))
        kept.add(FAILED)
    assert kept.lost == 1
    assert "1 finished runs could not be kept anywhere" in str(kept)
    assert rescue.rescue_files(store) == kept.files
    assert rescue.take_in(store) == 2


# --- a sweep whose store breaks -------------------------------------------------------------------


def full(store: Store) -> Callable[[], None]:
    """Make SQLite's own full disk: no page more than now."""

    def limit(raw: sqlite3.Connection, _record: object) -> None:
        raw.execute("PRAGMA max_page_count = 1")

    return lambda: sa.event.listen(store._database.engine, "connect", limit)


def read_only(store: Store) -> Callable[[], None]:
    def forbid(raw: sqlite3.Connection, _record: object) -> None:
        raw.execute("PRAGMA query_only = ON")

    return lambda: sa.event.listen(store._database.engine, "connect", forbid)


def deleted(store: Store) -> Callable[[], None]:
    return lambda: store.file.unlink()  # type: ignore[union-attr]


def folder_deleted(store: Store) -> Callable[[], None]:
    return lambda: shutil.rmtree(store.file.parent)  # type: ignore[union-attr]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("trouble", [read_only, deleted, folder_deleted])
def test_finished_runs_survive_a_store_that_breaks(
    plan: MakePlan,
    whole: dict[str, object],
    tmp_path: Path,
    trouble: Callable[[Store], Callable[[], None]],
    workers: int,
) -> None:
    if workers and trouble is not deleted:
        pytest.skip("one trouble is enough for worker processes")
    place = tmp_path / "results" / "r.sqlite"
    executor: Executor = ProcessExecutor(workers) if workers else LocalExecutor()
    with Store(place) as store:
        tell = broken_at(store, trouble(store), 1)
        with pytest.raises(StoreError) as caught:
            run_sweep(plan(), store, progress=tell, executor=executor)
        told = str(caught.value)
        (path,) = rescue.rescue_files(store)
    assert f"are kept in {path}; the next sweep on this store takes them in." in told
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    # the second loss of the pass that was under way; with workers also what they had in work
    assert [line["config"]["seed"] for line in lines][:1] == [0] or workers
    with Store(place) as store:
        kept = set(scores(store)) if trouble is read_only else set()
        summary = run_sweep(plan(), store)
        assert len(summary.skipped) == len(kept) + len(lines)
        assert scores(store) == whole
    assert not path.exists()


def test_a_full_disk_keeps_every_finished_run(
    plan: MakePlan, whole: dict[str, object], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = {"d": np.random.default_rng(0).random(30_000)}
    finish = Store.finish
    with monkeypatch.context() as patch:
        patch.setattr(  # results that need further pages of the file
            Store, "finish", lambda self, claim, o: finish(self, claim, Outcome(**{**vars(o), "items": big}))
        )
        with pytest.raises(StoreError, match=r"the disk is full\. .*are kept in .*rescue-"):
            run_sweep(plan(), store, progress=broken_at(store, full(store), 3))
    with Store(store.file or "") as again:
        summary = run_sweep(plan(), again)
        assert len(summary.skipped) == 4  # three stored, one kept in the file
        assert scores(again) == whole


def test_a_lock_that_ends_costs_nothing(
    plan: MakePlan, whole: dict[str, object], store: Store, monkeypatch: pytest.MonkeyPatch, log: Path
) -> None:
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 30.0)
    blocker = sqlite3.connect(store.file or "", isolation_level=None, check_same_thread=False)

    def lock() -> None:
        blocker.execute("BEGIN IMMEDIATE")
        threading.Timer(1.0, lambda: blocker.execute("ROLLBACK")).start()

    summary = run_sweep(plan(), store, progress=broken_at(store, lock, 3))
    assert (len(summary.done), summary.failed) == (6, ())
    assert scores(store) == whole
    assert len(log.read_text().splitlines()) >= 6
    assert rescue.rescue_files(store) == []
    blocker.close()


def test_a_store_that_stays_locked_begins_no_new_work(plan: MakePlan, store: Store, log: Path) -> None:
    blocker = sqlite3.connect(store.file or "", isolation_level=None)
    tell = broken_at(store, lambda: blocker.execute("BEGIN IMMEDIATE"), 1)
    with pytest.raises(StoreError, match="another process has been writing"):
        run_sweep(plan(), store, progress=tell)
    blocker.close()
    assert log.read_text().splitlines() == ["pixel:mse 0", "pixel:l1 0"]
    assert len(run_sweep(plan(), store).skipped) == 2


def test_an_interrupt_while_waiting_for_the_store_keeps_the_runs(
    plan: MakePlan, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recorder, "RETRY_SECONDS", 30.0)

    def interrupted(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(recorder, "time", SimpleNamespace(monotonic=time.monotonic, sleep=interrupted))
    with pytest.raises(KeyboardInterrupt), caplog.at_level(logging.WARNING, "lossnets"):
        run_sweep(plan(), store, progress=broken_at(store, read_only(store), 1))
    assert "are kept in" in caplog.text
    assert len(rescue.rescue_files(store)) == 1


# --- a disk that is really full -------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=320k", "tmpfs", str(place)]
    try:
        made = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        pytest.skip("there is no mount command")
    if made.returncode:
        pytest.skip("a small disk needs the right to mount one")
    yield place
    subprocess.run(["umount", str(place)], check=False)


def test_a_disk_that_is_really_full(small_disk: Path, plan: MakePlan, whole: dict[str, object]) -> None:
    def fill() -> None:
        with (small_disk / "film.mp4").open("wb", buffering=0) as film, contextlib.suppress(OSError):
            while True:
                film.write(b"\0" * 4096)

    with Store(small_disk / "r.sqlite") as store, pytest.raises(StoreError) as caught:
        run_sweep(plan(), store, progress=broken_at(store, fill, 2))
    told = str(caught.value)
    assert "disk" in told
    (small_disk / "film.mp4").unlink()
    with Store(small_disk / "r.sqlite") as store:
        assert {r.status for r in store.records() if r.status != "running"} == {"done"}
        run_sweep(plan(), store)
        assert scores(store) == whole
