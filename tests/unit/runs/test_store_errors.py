"""What can go wrong with a store's file ends in a StoreError that says what to do, and loses nothing."""

from __future__ import annotations

import os
import sqlite3
import stat
import time
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from lossnets.errors import ConfigError, MissingExtraError, StoreError
from lossnets.runs import arrays, database, owner
from lossnets.runs.identity import RunConfig
from lossnets.runs.lease import Heartbeat
from lossnets.runs.records import Failure, Outcome, RunRecord, ScoreRecord
from lossnets.runs.store import Store

CONFIG = RunConfig("pixel:mse", "sig", "toy", "noise", "f" * 64)
DONE = Outcome(CONFIG, (ScoreRecord("score", 0.5),))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store with one finished run."""
    place = tmp_path / "results.sqlite"
    with Store(place) as store:
        finish(store, DONE)
    return place


def finish(store: Store, outcome: Outcome) -> None:
    claim = store.claim(outcome.config)
    assert claim is not None
    store.finish(claim, outcome)


def other_run(seed: int, size: int = 0) -> Outcome:
    values = np.random.default_rng(seed).random(size)
    config = RunConfig("pixel:mse", "sig", "toy", "noise", "f" * 64, seed=seed)
    return Outcome(config, DONE.scores, {"distance": values} if size else {})


def test_the_folder_of_a_store_is_made(tmp_path: Path) -> None:
    Store(tmp_path / "a" / "b" / "results.sqlite").close()
    assert (tmp_path / "a" / "b" / "results.sqlite").is_file()


def test_two_processes_can_write_at_once_because_of_wal(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    raw.close()


def test_a_missing_store_is_not_made_by_looking(tmp_path: Path) -> None:
    with pytest.raises(
        StoreError, match=r"no results store at .*none\.sqlite\. Make one with: lossnets sweep"
    ):
        Store(tmp_path / "none.sqlite", create=False)
    assert not (tmp_path / "none.sqlite").exists()


def test_a_folder_is_not_a_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"is a folder\. Try .*results\.sqlite"):
        Store(tmp_path)


def test_a_path_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot make the folder of the results store"):
        Store(tmp_path / "file" / "results.sqlite")


def test_a_file_that_is_no_database_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("these are my notes, and no database\n" * 50)
    with pytest.raises(StoreError, match=r"not an SQLite database\. Give another path"):
        Store(tmp_path / "notes.txt")
    assert (tmp_path / "notes.txt").read_text().startswith("these are my notes")


def test_a_database_of_another_program_is_refused_and_kept(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mail.db") as raw:
        raw.execute("CREATE TABLE letters (text)")
    raw.close()
    with pytest.raises(StoreError, match=r"database of another program \(it has the tables letters\)"):
        Store(tmp_path / "mail.db")
    with sqlite3.connect(tmp_path / "mail.db") as raw:
        assert raw.execute("SELECT name FROM sqlite_master").fetchall() == [("letters",)]
    raw.close()


def test_a_newer_schema_is_refused(path: Path) -> None:
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE lossnets_meta SET value = '7'")
    raw.close()
    with pytest.raises(StoreError, match=r"has results schema 7; this lossnets reads schema 1\. Upgrade"):
        Store(path)


def test_a_damaged_database_is_told(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[4096:] = os.urandom(len(content) - 4096)
    path.write_bytes(bytes(content))
    for side in ("-wal", "-shm"):
        path.with_name(path.name + side).unlink(missing_ok=True)
    with pytest.raises(StoreError, match=r"cannot use the results store .*Reported: "), Store(path) as store:
        store.records()


def test_a_full_disk_keeps_what_is_there(path: Path) -> None:
    def limit(raw: sqlite3.Connection, _record: object) -> None:
        raw.execute("PRAGMA max_page_count = 1")  # SQLite's own way to a full disk: no page more than now

    big = other_run(1, 20_000)
    with Store(path) as store:
        before = store.records()
        claim = store.claim(big.config)
        assert claim is not None
        sa.event.listen(store._database.engine, "connect", limit)
        with pytest.raises(StoreError, match=r"the disk is full\. Free some space .*were finished are kept"):
            store.finish(claim, big)
        assert [r for r in store.records() if r.status == "done"] == before
        sa.event.remove(store._database.engine, "connect", limit)
        store.finish(claim, big)  # there is space again: the outcome that was refused can be stored
        np.testing.assert_array_equal(store.items(big.config)["distance"], big.items["distance"])
        assert store.records()[0] == before[0]


def test_a_write_waits_for_a_lock_and_gives_up_with_a_way_out(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
    blocker = sqlite3.connect(path, isolation_level=None)
    with Store(path) as store:
        blocker.execute("BEGIN IMMEDIATE")
        with pytest.raises(
            StoreError, match=r"another process has been writing .*Start again when it has finished"
        ):
            store.claim(other_run(1).config)
        assert [record.status for record in store.records()] == ["done"]  # reading does not wait
        blocker.execute("ROLLBACK")
        finish(store, other_run(1))
        assert len(store.records()) == 2
    blocker.close()


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises(StoreError, match="cannot be opened"):
        Store(tmp_path / "results.sqlite")


@pytest.mark.parametrize(
    ("reported", "told"),
    [
        ("attempt to write a readonly database", "cannot be written. Change the permissions"),
        ("unable to open database file", "Check that its folder exists and can be written"),
        ("disk I/O error", "Check the drive"),
        ("could not extend file: No space left on device", "disk of the database server is full"),
        ("connection to server at localhost failed", "the database server does not answer"),
        ("something new", "check the store's address"),
        ("", "no reason given"),
    ],
)
def test_reports_of_the_database_are_put_in_plain_words(reported: str, told: str) -> None:
    assert told in database.explain(reported, "here")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "mysql://me@host/db",
            "must be a path, sqlite:///PATH or postgresql://USER@HOST/NAME; got a URL of 'mysql'",
        ),
        ("postgresql://host:port/x", "is not a database URL"),
    ],
)
def test_other_urls_are_refused(url: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Store(url)
    assert message in str(caught.value)


def test_a_password_is_never_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name == "psycopg2" or None)
    url = database.store_url("postgresql://me:secret@localhost/x")
    assert url.drivername == "postgresql+psycopg2"
    assert "secret" not in url.render_as_string(hide_password=True)


def test_a_missing_driver_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'lossnets\[postgresql\]'"):
        Store("postgresql://me@localhost/x")


def test_damaged_items_are_told() -> None:
    with pytest.raises(StoreError, match="per-item values are damaged"):
        arrays.unpack(b"not a zip")


def test_items_of_python_objects_are_refused() -> None:
    with pytest.raises(ConfigError, match="must be numbers or text; got dtype object"):
        arrays.pack({"d": np.array([object()])})


@pytest.mark.parametrize("bad", [{"value": float("nan")}, {"low": float("inf")}])
def test_scores_are_finite_or_none(bad: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="must be finite"):
        ScoreRecord(**{"name": "s", "value": 0.0} | bad)  # type: ignore[arg-type]


def test_asking_for_a_score_that_is_not_there_lists_those_that_are() -> None:
    record = RunRecord(CONFIG, "done", scores=(ScoreRecord("2afc", 0.5, split="val"),))
    with pytest.raises(ConfigError, match="it has: 2afc on val"):
        record.score("2afc")


def test_a_failure_without_a_message_says_its_type() -> None:
    assert Failure.of(ValueError()) == Failure("ValueError", "ValueError()")


def test_heartbeats_renew_claims(tmp_path: Path) -> None:
    beats: list[int] = []

    class Counting(Store):
        def heartbeat(self) -> int:
            beats.append(super().heartbeat())
            if len(beats) == 1:
                raise StoreError("once")  # it goes on after a failure
            return 1

    with Counting(tmp_path / "r.sqlite") as store:
        store.claim(CONFIG)
        with Heartbeat(store, every=0.01):
            for _ in range(500):
                if len(beats) >= 3:
                    break
                time.sleep(0.01)
    assert len(beats) >= 3
    assert set(beats) == {1}


def test_only_the_certainly_dead_are_gone() -> None:
    mine = owner.new_owner()
    machine, pid, start, token = mine.split("/")
    assert not owner.is_gone(mine)
    assert owner.is_gone(
        f"{machine}/{pid}/{int(start) + 1}/{token}"
    )  # the number belongs to another process now
    assert not owner.is_gone(f"elsewhere/{2**22 + 1}/{start}/{token}")
    assert not owner.is_gone("who?")
