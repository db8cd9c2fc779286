"""The hash of a file's content: known answers, read once, read again when the file is another one."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from lossnets import file_hash
from lossnets.file_hash import content_hash

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
OLD = 1_600_000_000


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Paths of the files that were read."""
    seen: list[str] = []
    read = file_hash._read

    def told(place: str, algorithm: str) -> tuple[str, tuple[int, ...] | None]:
        seen.append(place)
        return read(place, algorithm)

    monkeypatch.setattr(file_hash, "_read", told)
    return seen


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is a minute ahead: what was written just now is old."""
    now = time.time_ns
    monkeypatch.setattr(file_hash.time, "time_ns", lambda: now() + 60 * 10**9)


def put(path: Path, content: bytes = b"abc") -> Path:
    path.write_bytes(content)
    os.utime(path, (OLD, OLD))
    return path


def test_known_answers(tmp_path: Path) -> None:
    path = put(tmp_path / "a")
    assert content_hash(path) == ABC
    assert content_hash(str(path), "md5") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321, A.5
    assert content_hash(put(tmp_path / "b", b"")).startswith("e3b0c44298fc1c149afbf4c8996fb924")
    with pytest.raises(FileNotFoundError):
        content_hash(tmp_path / "nothing")


@pytest.mark.usefixtures("later")
def test_a_file_is_read_once_by_whatever_name(tmp_path: Path, reads: list[str]) -> None:
    path = put(tmp_path / "a")
    (tmp_path / "link").symlink_to(path)
    for name in (path, tmp_path / "link", tmp_path / "." / "a"):
        assert content_hash(name) == ABC
    assert reads == [str(path.resolve())]


@pytest.mark.usefixtures("later")
def test_other_content_of_the_same_size_and_time_is_read(tmp_path: Path) -> None:
    """In place, and by another file that takes the name."""
    path = put(tmp_path / "a")
    content_hash(path)
    put(path, b"abd")
    assert content_hash(path) != ABC
    put(tmp_path / "b").replace(path)
    assert content_hash(path) == ABC


def test_what_was_written_just_now_is_not_trusted(tmp_path: Path, reads: list[str]) -> None:
    """A clock may stand still between two writes."""
    path = put(tmp_path / "a")
    assert content_hash(path) == content_hash(path) == ABC
    assert len(reads) == 2


@pytest.mark.usefixtures("later")
def test_a_file_that_changes_while_it_is_read_is_read_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a")
    state = file_hash._state

    def changing(status: os.stat_result) -> tuple[int, ...]:
        if path.read_bytes() == b"abc":
            put(path, b"abcd")
        return state(status)

    monkeypatch.setattr(file_hash, "_state", changing)
    content_hash(path)
    assert content_hash(path) == "88d4266fd4e6338d13b845fcf289579d209c897823b9217da3e161936f031589"
