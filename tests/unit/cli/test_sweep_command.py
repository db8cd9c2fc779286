"""``lossnets sweep`` and ``lossnets results`` on the packaged sample, as a user types them."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from lossnets.analysis import Board, Standing
from lossnets.cli import main
from lossnets.cli.boards import print_boards
from lossnets.runs.store import Store

Captured = pytest.CaptureFixture[str]

PLAN = """\
name: test
losses: [pixel:mse, pixel:l1, vgg16/relu3_3]
benchmarks: {benchmark: similarity, data: sample}
profile: smoke
store: results.sqlite
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path / "plan.yaml"


@pytest.fixture
def stored(plan: Path, capsys: Captured) -> str:
    """A store with two finished runs and one that failed (its weights are not here)."""
    assert main(["sweep", str(plan)]) == 1
    capsys.readouterr()
    return str(plan.with_name("results.sqlite"))


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_dry_run_prints_the_runs_and_runs_nothing(plan: Path, capsys: Captured) -> None:
    assert main(["sweep", str(plan), "--dry-run"]) == 0
    captured = capsys.readouterr()
    words = [line.split() for line in captured.out.splitlines() if line.strip()]
    assert [line for line in words if line[0] in "123"] == [
        ["1", "pixel:mse"], ["2", "pixel:l1"], ["3", "vgg16/relu3_3"],
    ]  # fmt: skip
    row = next(line for line in words if line[0] == "similarity-sample")
    assert row[1:7] == ["-", "smoke", "baseline", "0", "3", "3"]
    assert "missing on this machine" in captured.out
    assert next(line for line in words if line[0] == "weights")[:2] == ["weights", "vgg16"]
    assert captured.err.splitlines()[-1].startswith("3 runs, estimated ")
    assert captured.err.endswith("Nothing was run (--dry-run)\n")
    assert not plan.with_name("results.sqlite").exists()


def test_a_sweep_prints_the_leaderboard_and_ends_with_1_for_a_failure(plan: Path, capsys: Captured) -> None:
    assert main(["sweep", str(plan)]) == 1
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    assert lines[0].startswith("similarity-sample on ")
    assert "severity_agreement, overall (higher is better, fraction)" in lines[0]
    assert "No human judgement." in lines[1]
    assert [line.split()[:2] for line in lines if "pixel:" in line or "vgg16/" in line][-1] == [
        "failed",
        "vgg16/relu3_3",
    ]
    assert "3 runs, 0 done before" in captured.err
    assert "[3/3]" in captured.err
    assert "WeightsError" in captured.err
    assert "3 runs: 2 done, 1 failed. Stored in" in captured.err


def test_a_second_sweep_runs_only_what_failed(stored: str, plan: Path, capsys: Captured) -> None:
    assert main(["sweep", str(plan)]) == 1
    assert "3 runs: 2 skipped (done before), 1 failed" in capsys.readouterr().err


def test_existing_error_refuses(stored: str, plan: Path, capsys: Captured) -> None:
    assert main(["sweep", str(plan), "--existing", "error"]) == 2
    assert "2 of 3 runs are already done" in capsys.readouterr().err


def test_a_store_on_the_command_line_wins(plan: Path, tmp_path: Path) -> None:
    assert main(["sweep", str(plan), "--store", str(tmp_path / "other.sqlite")]) == 1
    with Store(tmp_path / "other.sqlite", create=False) as store:
        assert len(store.records()) == 3
    assert not (tmp_path / "results.sqlite").exists()


def test_workers_give_the_same_scores(stored: str, plan: Path, tmp_path: Path) -> None:
    other = str(tmp_path / "other.sqlite")
    assert main(["sweep", str(plan), "--store", other, "--workers", "2"]) == 1
    with Store(stored) as one, Store(other) as two:
        assert {r.identity: r.scores for r in one.records()} == {r.identity: r.scores for r in two.records()}


def test_results_show_the_boards(stored: str, capsys: Captured) -> None:
    assert main(["results", "--store", stored]) == 0
    captured = capsys.readouterr()
    assert "pixel:mse" in captured.out
    assert captured.err == "3 runs, 1 failed\n"


def test_results_of_a_pattern(stored: str, capsys: Captured) -> None:
    assert main(["results", "--store", stored, "--loss", "pixel:*", "--csv", "-"]) == 0
    found = rows(capsys.readouterr().out)
    assert {row["loss"] for row in found} == {"pixel:mse", "pixel:l1"}
    assert {row["score"] for row in found} == {"severity_agreement"}
    assert all(0 <= float(row["low"]) <= float(row["value"]) <= float(row["high"]) <= 1 for row in found)
    assert "not human judgement" in found[0]["note"]


def test_failed_results_come_with_their_errors(stored: str, capsys: Captured) -> None:
    assert main(["results", "--store", stored, "--failed"]) == 0
    out = capsys.readouterr().out
    assert "vgg16/relu3_3" in out
    assert "WeightsError" in out
    assert "pixel:mse" not in out


def test_every_format_says_the_same(stored: str, tmp_path: Path, capsys: Captured) -> None:
    files = [f"--{form}={tmp_path / form}" for form in ("csv", "json", "markdown")]
    assert main(["results", "--store", stored, *files]) == 0
    captured = capsys.readouterr()
    assert captured.out == ""
    assert f"rows written to {tmp_path / 'csv'}" in captured.err
    from_json = json.loads((tmp_path / "json").read_text())
    from_csv = rows((tmp_path / "csv").read_text())
    assert [(r["loss"], r["split"]) for r in from_csv] == [(r["loss"], r["split"] or "") for r in from_json]
    assert len((tmp_path / "markdown").read_text().splitlines()) == len(from_json) + 2
    assert {row["status"] for row in from_json} == {"done", "failed"}


def test_items_are_exported_with_their_distances(stored: str, capsys: Captured) -> None:
    assert main(["results", "--store", stored, "--loss", "pixel:mse", "--items"]) == 0
    found = rows(capsys.readouterr().out)
    with Store(stored) as store:
        record = next(r for r in store.records() if r.config.loss == "pixel:mse")
        kept = store.items(record.config)
    assert [float(row["item.d0"]) for row in found] == kept["d0"].tolist()
    agreement = [float(r["item.d0"]) < float(r["item.d1"]) for r in found]
    judged = [float(r["item.judge"]) == 0.0 for r in found]
    pooled = sum(a == j for a, j in zip(agreement, judged, strict=True)) / len(found)
    assert pooled == pytest.approx(record.score("severity_agreement", "pooled").value)


def test_sorting_by_value_puts_the_best_first(stored: str, capsys: Captured) -> None:
    assert main(["results", "--store", stored, "--sort", "value", "--json", "-"]) == 0
    found = [row for row in json.loads(capsys.readouterr().out) if row["split"] == "overall"]
    assert found == sorted(found, key=lambda row: -row["value"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--store", "none.sqlite"], "there is no results store at"),
        (["--benchmark", "similarty-sample"], "Did you mean 'similarity-sample'"),
        (["--csv", "/dev/null/x.csv"], "cannot be written"),
    ],
)
def test_mistakes_end_with_2(stored: str, arguments: list[str], message: str, capsys: Captured) -> None:
    given = arguments if "--store" in arguments else ["--store", stored, *arguments]
    assert main(["results", *given]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err


def test_warnings_of_the_library_reach_stderr_and_results_do_not_mix(plan: Path, capsys: Captured) -> None:
    place = plan.with_name("results.sqlite.rescue-0123.jsonl")
    place.write_text("{half a line")
    assert main(["sweep", str(plan)]) == 1
    captured = capsys.readouterr()
    assert f"warning: 1 of 1 lines of the rescue file {place} are damaged" in captured.err
    assert "rescue" not in captured.out
    assert captured.err.count("WeightsError") == 1  # a failed run is told once


TABLE = [
    "efficientnet_lite0/bn1,blocks.0,blocks.3,blocks.6:unit-spatial-sum:weights=random-0",
    "squeezenet1_0/features.0,features.4,features.7,features.12:unit-spatial-sum",
    "pixel:mse",
]


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_board_fits_a_terminal(width: int, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    from rich.console import Console

    monkeypatch.setattr(
        "lossnets.cli.console.results_console", lambda: Console(width=width, force_terminal=False)
    )
    rows = [
        Standing(k, loss, 0.5, 0.4, 0.6, 1, note="a reason " * 9 if k == 3 else "")
        for k, loss in enumerate(TABLE, start=1)
    ]
    board = Board(
        "similarity-sample", "s", "f", "small", "baseline", "{}", "severity_agreement", "", True, "overall",
        tuple(rows),
    )  # fmt: skip
    for kept in (rows[:2], rows):
        print_boards([replace(board, rows=tuple(kept))])
        lines = capsys.readouterr().out.splitlines()
        assert max(len(line.rstrip()) for line in lines) <= width
        head = next(line for line in lines if "0.5000" in line)
        assert head.split()[0] == "1"
        assert head.split()[1].startswith("efficientnet_lite0/")
        assert "0.400 .. 0.600" in head  # numbers are never broken
        start = lines.index(head)
        parts = [head.split()[1], *(line.split()[0] for line in lines[start + 1 : start + 6] if line.split())]
        assert "".join(parts).startswith(TABLE[0])  # broken between its parts only


def test_a_plan_with_a_mistake_names_the_line(tmp_path: Path, capsys: Captured) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN + "profle: x\n")
    assert main(["sweep", str(tmp_path / "plan.yaml")]) == 2
    assert (
        "plan.yaml, line 6, profle: key 'profle' is not known. Did you mean 'profile'?"
        in capsys.readouterr().err
    )


def test_the_plan_of_the_demo_is_good(capsys: Captured) -> None:
    demo = Path(__file__).parents[3] / "examples" / "plans" / "demo.yaml"
    assert main(["sweep", str(demo), "--dry-run"]) == 0
    assert "20 runs" in capsys.readouterr().err
