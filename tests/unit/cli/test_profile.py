"""``lossnets profile`` as a user types it: what is kept, what is merged, what fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lossnets.analysis.cost import profile_path
from lossnets.cli import main
from lossnets.cli import profile as command
from lossnets.runs.cost_records import Cost, read_costs
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Outcome, ScoreRecord
from lossnets.runs.store import Store

Captured = pytest.CaptureFixture[str]
SMALL = ["--rounds", "1", "--images", "1", "--side", "32"]
NETWORK = "efficientnet_lite0/blocks.0"


@pytest.fixture(autouse=True)
def no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory has tests of its own; it takes a process that imports torch."""
    monkeypatch.setattr("lossnets.runs.peak_memory._possible", lambda: False)


def keys(path: Path) -> list[tuple[str, str]]:
    return [(cost.loss, cost.task) for cost in read_costs(path)]


def test_costs_are_kept_at_home_and_shown(capsys: Captured) -> None:
    assert main(["profile", "--loss", "pixel:l1", *SMALL]) == 0
    out, err = capsys.readouterr()
    assert "The loss alone, for one image" in out
    assert "pixel:l1" in out
    assert "32x32" in out
    assert f"kept in {profile_path()}" in err
    assert keys(profile_path()) == [("pixel:mse", ""), ("pixel:l1", "")]


def test_a_second_measurement_joins_the_first(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    assert main(["profile", "--loss", "pixel:l1", "-o", str(path), *SMALL]) == 0
    first = {cost.loss: cost for cost in read_costs(path)}
    assert main(["profile", "--loss", "pixel:l2", "--loss", "pixel:mse", "-o", str(path), *SMALL]) == 0
    second = {cost.loss: cost for cost in read_costs(path)}
    assert set(second) == {"pixel:mse", "pixel:l1", "pixel:l2"}
    assert second["pixel:l1"] == first["pixel:l1"]
    assert second["pixel:mse"].seconds != first["pixel:mse"].seconds
    assert not profile_path().exists()


def test_json_has_every_number(tmp_path: Path, capsys: Captured) -> None:
    arguments = ["profile", "--loss", NETWORK, "--task", "super-resolution", "-o", str(tmp_path / "c.json")]
    assert main([*arguments, "--json", *SMALL]) == 0
    rows: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert [(row["loss"], row["task"], row["images"]) for row in rows] == [
        ("pixel:mse", "", 1), (NETWORK, "", 1), ("pixel:mse", "super-resolution", 8),
        (NETWORK, "super-resolution", 8),
    ]  # fmt: skip
    assert rows[1]["ratio"] > 0
    assert rows[1]["machine"]["threads"] >= 1


def test_shorthands_and_weights_of_other_people(tmp_path: Path) -> None:
    path = tmp_path / "c.json"
    loss = "squeezenet1_1/*points:weights=somewhere/else.pth"
    assert main(["profile", "--loss", loss, "-o", str(path), *SMALL]) == 0
    taps = ("features.1", "features.3", "features.7", "features.12")
    assert [name for name, _ in keys(path)] == ["pixel:mse", *(f"squeezenet1_1/{tap}" for tap in taps)]


def store_of(path: Path, *runs: tuple[str, str]) -> None:
    outcomes = [
        Outcome(
            RunConfig(
                loss=loss,
                signature=f"{loss}|1",
                benchmark=benchmark,
                data="d",
                fingerprint="f",
                profile="small",
            ),
            scores=(ScoreRecord("s", 0.5),),
        )
        for loss, benchmark in runs
    ]
    with Store(path) as store:
        store.adopt(outcomes)


def test_losses_of_results_are_measured_in_their_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    asked: dict[str, list[str]] = {}

    def remember(jobs: dict[str, list[str]], **_: Any) -> Iterator[list[Cost]]:
        asked.update(jobs)
        yield []

    monkeypatch.setattr(command, "iter_costs", remember)
    monkeypatch.chdir(tmp_path)
    runs = [
        ("pixel:l1", "delineation-folders"), ("pixel:l1", "super-resolution-folders"),
        ("mine/layer", "similarity-triplets"),
    ]  # fmt: skip
    store_of(tmp_path / "results.sqlite", *runs)
    assert main(["profile"]) == 0
    assert asked == {"pixel:l1": ["delineation", "super-resolution"], "mine/layer": []}
    assert "Results: results.sqlite" in capsys.readouterr().err
    asked.clear()
    arguments = ["--results", "results.sqlite", "--loss", "pixel:l2", "--task", "delineation"]
    assert main(["profile", *arguments]) == 0
    assert asked == {"pixel:l2": ["delineation"], "pixel:l1": ["delineation"], "mine/layer": []}
    (tmp_path / "results.sqlite").unlink()
    asked.clear()
    assert main(["profile"]) == 0
    assert "the results that ship with lossnets" in capsys.readouterr().err
    assert len(asked) > 10
    asked.clear()
    monkeypatch.setattr(command, "study_networks", lambda: ["alexnet", "squeezenet1_1"])
    assert main(["profile", "--study"]) == 0
    assert len(asked) == 8


def test_a_loss_that_fails_is_listed_and_the_others_are_kept(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "c.json"
    store_of(
        tmp_path / "r.sqlite", ("mine/layer", "similarity-triplets"), ("pixel:l1", "similarity-triplets")
    )
    assert main(["profile", "--results", str(tmp_path / "r.sqlite"), "-o", str(path), *SMALL]) == 1
    out = capsys.readouterr().out
    assert "Not measured" in out
    assert "network 'mine' is not known" in out
    assert {cost.loss: bool(cost.error) for cost in read_costs(path)} == {
        "pixel:mse": False, "mine/layer": True, "pixel:l1": False,
    }  # fmt: skip


def test_an_interruption_keeps_what_was_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    measure = command.iter_costs

    def interrupted(jobs: dict[str, list[str]], **rest: Any) -> Iterator[list[Cost]]:
        yield from measure({"pixel:l1": []}, **rest)
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "iter_costs", interrupted)
    path = tmp_path / "c.json"
    assert main(["profile", "--loss", "pixel:l1", "--loss", "pixel:l2", "-o", str(path), *SMALL]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert keys(path) == [("pixel:mse", ""), ("pixel:l1", "")]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--loss", "vgg61/relu3_3"], "network 'vgg61' is not known. Did you mean"),
        (["--loss", "pixel:l1", "--task", "similarity"], "task 'similarity' has no training step"),
        (["--loss", "pixel:l1", "--task", "nothing"], "task 'nothing' is not known"),
        (["--loss", "pixel:l1", "--device", "gpu"], "device must be like 'cpu'"),
        (["--loss", "pixel:l1", "--rounds", "0"], "--rounds"),
        (["--results", "nothing.sqlite"], "nothing.sqlite"),
        (["--results", "empty.json"], "empty.json holds no runs, so no losses to measure"),
    ],
)
def test_errors_come_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.json").write_text("[]")
    assert main(["profile", *arguments]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert "measuring" not in err
    assert not profile_path().exists()


def test_a_damaged_file_is_not_overwritten(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "c.json"
    path.write_text("not mine")
    assert main(["profile", "--loss", "pixel:l1", "-o", str(path), *SMALL]) == 2
    assert "is no file of costs" in capsys.readouterr().err
    assert path.read_text() == "not mine"
