"""Stored results can be looked at where nothing may be written."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossnets.errors import StoreError
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Outcome, ScoreRecord
from lossnets.runs.store import Store

CONFIG = RunConfig("pixel:mse", "sig", "toy", "noise", "f" * 64)
DONE = Outcome(CONFIG, (ScoreRecord("score", 0.5),))


def fill(path: Path) -> None:
    with Store(path) as store:
        claim = store.claim(CONFIG)
        assert claim is not None
        store.finish(claim, DONE)


@pytest.fixture
def frozen(tmp_path: Path) -> Iterator[Path]:
    """A store in a folder where nobody may write, the superuser included: a read-only mount."""
    place = tmp_path / "disk [1]?#%"
    place.mkdir()
    if os.geteuid() != 0:
        fill(place / "r.sqlite")
        (place / "r.sqlite").chmod(stat.S_IRUSR)
        place.chmod(stat.S_IRUSR | stat.S_IXUSR)
        yield place / "r.sqlite"
        place.chmod(stat.S_IRWXU)
        return
    if shutil.which("mount") is None or subprocess.run(
        ["mount", "-t", "tmpfs", "tmpfs", str(place)], capture_output=True, check=False
    ).returncode:  # fmt: skip
        pytest.skip("the superuser may write everywhere, and may not mount here")
    fill(place / "r.sqlite")
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True)
    yield place / "r.sqlite"
    subprocess.run(["umount", str(place)], check=False)


def test_a_store_that_cannot_be_written_can_be_read(frozen: Path) -> None:
    with Store(frozen, read_only=True) as store:
        assert [r.scores for r in store.records()] == [DONE.scores]
        assert store.items(CONFIG) == {}
    assert [path.name for path in frozen.parent.iterdir()] == ["r.sqlite"]


def test_writing_there_is_told(frozen: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot be (written|opened)"):
        Store(frozen)


def test_the_command_reads_it(frozen: Path) -> None:
    command = [sys.executable, "-m", "lossnets", "results", "--store", str(frozen), "--csv", "-"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")
    assert "pixel:mse" in run.stdout


def test_looking_writes_nothing(tmp_path: Path) -> None:
    fill(tmp_path / "r.sqlite")
    before = (tmp_path / "r.sqlite").read_bytes()
    with Store(tmp_path / "r.sqlite", read_only=True) as store:
        assert len(store.records()) == 1
    assert (tmp_path / "r.sqlite").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["r.sqlite"]


def test_a_reader_sees_what_a_writer_has_committed(tmp_path: Path) -> None:
    fill(tmp_path / "r.sqlite")
    with Store(tmp_path / "r.sqlite") as writer, Store(tmp_path / "r.sqlite", read_only=True) as reader:
        claim = writer.claim(RunConfig("pixel:l1", "sig", "toy", "noise", "f" * 64))
        assert claim is not None
        assert [r.status for r in reader.records()] == ["done", "running"]


def test_a_database_of_another_program_is_no_store(tmp_path: Path) -> None:
    import sqlite3

    with sqlite3.connect(tmp_path / "mail.db") as raw:
        raw.execute("CREATE TABLE letters (text)")
    raw.close()
    with pytest.raises(StoreError, match="no results store of lossnets"):
        Store(tmp_path / "mail.db", read_only=True)
    with pytest.raises(StoreError, match="there is no results store at"):
        Store(tmp_path / "none.db", read_only=True)
    assert not (tmp_path / "none.db").exists()
