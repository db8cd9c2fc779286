"""``lossnets report`` as a user types it."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossnets.cli import main
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Outcome, ScoreRecord
from lossnets.runs.store import Store

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def store_of(path: Path, losses: tuple[str, ...] = ("pixel:mse", "pixel:bce")) -> None:
    outcomes = [
        Outcome(
            RunConfig(loss, f"{loss}|1", "autoencoding-folders", "d", "sha256:d", seed=seed),
            scores=(ScoreRecord("accuracy", k / 10 + seed / 100, "fraction", n=10),),
        )
        for k, loss in enumerate(losses)
        for seed in range(2)
    ]
    with Store(path) as store:
        store.adopt(outcomes)


def test_the_store_in_the_folder_is_taken(here: Path, capsys: Captured) -> None:
    store_of(here / "results.sqlite")
    assert main(["report", "-o", "report.html", "--title", "A <title>"]) == 0
    out, err = capsys.readouterr()
    text = (here / "report.html").read_text(encoding="utf-8")
    assert out == ""
    assert err.splitlines()[0] == "Results: results.sqlite"
    size = (here / "report.html").stat().st_size / 1e6
    assert f"4 runs in report.html, {size:.1f} MB" in err
    assert "<h1>A &lt;title&gt;</h1>" in text
    assert '<p class="source">Results: results.sqlite</p>' in text
    assert [path.name for path in here.iterdir() if path.name.startswith(".")] == []


def test_without_a_store_the_shipped_results_are_shown_and_called_so(here: Path, capsys: Captured) -> None:
    assert main(["report", "-o", "report.html", "--no-pictures"]) == 0
    said = "Results: the results that ship with lossnets (there is no results.sqlite here"
    assert capsys.readouterr().err.startswith(said)
    text = (here / "report.html").read_text(encoding="utf-8")
    assert said in text
    assert "Pictures were left out of this page on request." in text


def test_stores_are_merged(here: Path, capsys: Captured) -> None:
    store_of(here / "a.sqlite", ("pixel:mse",))
    store_of(here / "b.sqlite", ("pixel:mse", "pixel:bce"))
    assert main(["report", "-o", "r.html", "--store", "a.sqlite", "--store", "b.sqlite"]) == 0
    assert "Results: a.sqlite, b.sqlite\n4 runs in r.html" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "folder"], "--output must be a file such as report.html; 'folder' is a folder"),
        (["-o", "s.sqlite", "--store", "s.sqlite"], "is one of the results; choose another"),
        (["-o", "results.sqlite"], "is one of the results; choose another"),
        (["-o", "none/r.html", "--store", "s.sqlite"], "none/r.html cannot be written"),
        (["-o", "r.html", "--store", "none.sqlite"], "none.sqlite"),
        (["-o", "r.html", "--store", "shipped", "--store", "s.sqlite"], "--store shipped"),
        (["-o", "r.html", "--store", "s.sqlite", "--profile", "none.json"], "none.json"),
        ([], "--output"),
    ],
)
def test_errors_leave_everything_as_it_was(
    here: Path, capsys: Captured, arguments: list[str], message: str
) -> None:
    (here / "folder").mkdir()
    store_of(here / "s.sqlite")
    store_of(here / "results.sqlite")
    before = {path: path.stat().st_mtime_ns for path in here.glob("*")}
    assert main(["report", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (here / "r.html").exists()
    assert {path: path.stat().st_mtime_ns for path in here.glob("*")} == before


def test_an_older_page_is_replaced_only_by_a_whole_one(
    here: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    store_of(here / "results.sqlite")
    (here / "r.html").write_text("old")

    def fails(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr("lossnets.cli.report.build_report", fails)
    assert main(["report", "-o", "r.html"]) == 130
    assert (here / "r.html").read_text() == "old"
