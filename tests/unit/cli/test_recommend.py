"""``lossnets recommend`` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lossnets.analysis.cost import profile_path
from lossnets.cli import main
from lossnets.runs.cost_records import Cost, Machine, write_costs
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Outcome, ScoreRecord
from lossnets.runs.store import Store

Captured = pytest.CaptureFixture[str]
FIRST, OTHER = "efficientnet_lite0/blocks.0", "squeezenet1_1/features.3:weights=random-0"
VALUES = {FIRST: 30.0, OTHER: 25.0, "pixel:mse": 27.0}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def store_of(path: Path, gaps: float = 1.0, data: tuple[str, ...] = ("d1", "d2")) -> None:
    """Three seeds; differences times ``gaps``."""
    outcomes = []
    for place in data:
        for loss, value in VALUES.items():
            for seed, shift in enumerate((-0.1, 0.05, 0.04)):
                config = RunConfig(
                    loss=loss, signature=f"{loss}|1", benchmark="super-resolution-folders", data=place,
                    fingerprint=place, profile="small", seed=seed,
                )  # fmt: skip
                score = 20 + gaps * (value - 20) + shift * len(loss) / 10
                scored = ScoreRecord("psnr_y", score, "dB", low=score - 1, high=score + 1, n=10)
                outcomes.append(Outcome(config, scores=(scored,)))
    with Store(path) as store:
        store.adopt(outcomes)


def lines_of(out: str, title: str) -> str:
    """The indented lines below a title."""
    rest = out.split(f"{title}:\n", 1)[1].splitlines()
    taken = []
    for line in rest:
        if not line.startswith("    "):
            break
        taken.append(line.removeprefix("    "))
    return "\n".join(taken)


def test_own_results_are_found_and_answered(here: Path, capsys: Captured) -> None:
    store_of(here / "results.sqlite")
    assert main(["recommend", "--task", "super-resolution"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("Results: results.sqlite\n")
    assert f"For super-resolution, take {FIRST}" in out
    assert "confidence: high (better than every loss outside of the group on each of 2 data sets" in out
    assert "expect: psnr_y 29.99 (28.73 .. 31.14) dB on d1" in out
    assert "super-resolution: d2 (small)" in out
    assert "Weights: packaged, installed with lossnets" in out
    space: dict[str, Any] = {"output": torch.rand(1, 3, 32, 32), "target": torch.rand(1, 3, 32, 32)}
    exec(lines_of(out, "In Python"), space)
    assert float(space["value"]) > 0


def test_without_results_the_shipped_ones_answer_and_say_so_first(here: Path, capsys: Captured) -> None:
    for task in ("super-resolution", "delineation", "autoencoding", "similarity"):
        status = main(["recommend", "--task", task])
        out = capsys.readouterr().out
        assert out.splitlines()[0] == (
            "Results: the results that ship with lossnets "
            "(there is no results.sqlite here, and no --store was given)"
        )
        assert status in (0, 3)
        assert (f"No recommendation for {task}" in out) == (status == 3)
        assert "Evidence" in out
    store_of(here / "results.sqlite")
    main(["recommend", "--task", "delineation", "--store", "shipped"])
    assert capsys.readouterr().out.startswith("Results: the results that ship with lossnets\n")


def test_a_refusal_has_a_status_of_its_own(here: Path, capsys: Captured) -> None:
    store_of(here / "ties.sqlite", gaps=0.0)
    assert main(["recommend", "--task", "super-resolution", "--store", "ties.sqlite"]) == 3
    out, err = capsys.readouterr()
    assert "No recommendation for super-resolution: the results do not tell the losses apart" in out
    assert err == ""
    assert "In Python" not in out
    assert main(["recommend", "--task", "super-resolution", "--store", "ties.sqlite", "--json"]) == 3
    content = json.loads(capsys.readouterr().out)
    assert content["rows"] == []
    assert content["refused"]["settle"].startswith("On d1: about ")


def test_json_is_the_whole_answer(here: Path, capsys: Captured) -> None:
    store_of(here / "results.sqlite")
    assert main(["recommend", "--task", "super-resolution", "--json", "--top", "1"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [row["loss"] for row in content["rows"]] == [FIRST, "pixel:mse", OTHER]
    assert (content["confidence"], content["source"]) == ("high", "results.sqlite")
    assert [item["seeds_least"] for item in content["evidence"]] == [3, 3]


def test_top_shortens_the_table(here: Path, capsys: Captured) -> None:
    store_of(here / "results.sqlite")
    assert main(["recommend", "--task", "super-resolution", "--top", "1"]) == 0
    out = capsys.readouterr().out
    assert "Losses for super-resolution, 1 of 3" in out
    assert OTHER not in out.split("Evidence")[0]


def test_limits_use_the_users_measurements(here: Path, capsys: Captured) -> None:
    store_of(here / "results.sqlite")
    machine = Machine("my processor", 1, "2.0", "0.1", "Linux")
    costs = [
        Cost(
            loss,
            "super-resolution",
            "cpu",
            8,
            48,
            3,
            machine,
            "2026-01-01",
            "pixel:mse",
            1.0,
            1.0,
            1.0,
            r,
            r,
            r,
        )
        for loss, r in ((FIRST, 3.0), ("squeezenet1_1/features.3", 1.5), ("pixel:mse", 1.0))
    ]
    write_costs(costs, profile_path())
    assert main(["recommend", "--task", "super-resolution", "--max-time", "2x-pixel"]) == 0
    out = capsys.readouterr().out
    assert "take pixel:mse" in out
    assert "costs 3.00x-pixel, above 2x-pixel" in out
    assert f"without the limits {FIRST} would have the best average rank" in out
    assert main(["recommend", "--task", "super-resolution", "--max-time", "0.5x-pixel"]) == 3
    assert "1x-pixel would admit pixel:mse" in capsys.readouterr().out


def test_one_data_set_can_be_asked_for(here: Path, capsys: Captured) -> None:
    store_of(here / "results.sqlite")
    assert main(["recommend", "--task", "super-resolution", "--data", "*2"]) == 0
    out = capsys.readouterr().out
    assert "confidence: medium (one data set)" in out
    assert "d1" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--task", "superresolution"],
            "task 'superresolution' is not known. Did you mean 'super-resolution'",
        ),
        (["--task", "delineation", "--max-time", "quick"], "max_time must be like 2x-pixel"),
        (["--task", "delineation", "--max-memory", "much"], "max_memory must be like 500MB"),
        (
            ["--task", "similarity", "--max-time", "2x-pixel"],
            "task 'similarity' has none that can be measured",
        ),
        (["--task", "delineation", "--data", "nowhere"], "data set of task 'delineation'"),
        (["--task", "delineation", "--store", "none.sqlite"], "none.sqlite"),
        (["--task", "delineation", "--device", "gpu"], "device must be like 'cpu', 'cuda'"),
        ([], "--task"),
    ],
)
def test_errors_are_not_refusals(here: Path, capsys: Captured, arguments: list[str], message: str) -> None:
    assert main(["recommend", *arguments]) == 2
    out, err = capsys.readouterr()
    assert message in err
    assert "No recommendation" not in out
