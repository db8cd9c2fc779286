"""Costs are found by the name of a loss, the user's before the shipped ones, and never made up."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lossnets.analysis import costs_for, known_costs, load_costs, shipped_costs, shipped_results
from lossnets.analysis.cost import COST_COLUMNS, LONG_COLUMNS, SHIPPED_COSTS_NAME, Costs, profile_path
from lossnets.errors import DataError
from lossnets.runs.cost_records import Cost, Machine, cost_key, write_costs
from lossnets.runs.cost_steps import step_tasks

HERE = Machine("a processor", 1, "2.0", "0.1", "Linux x86_64")


def cost(loss: str, task: str = "", **rest: Any) -> Cost:
    values = {
        "device": "cpu", "images": 2, "side": 64, "rounds": 3, "machine": HERE, "measured": "2026-01-01",
        "baseline": "pixel:mse", "seconds": 0.5, "seconds_low": 0.4, "seconds_high": 0.6, "ratio": 4.0,
        "ratio_low": 3.0, "ratio_high": 5.0,
    }  # fmt: skip
    return Cost(loss, task, **(values | rest))


def only(frame: Any) -> dict[str, Any]:
    assert len(frame) == 1
    return dict(frame.to_dict("records")[0])


def of(*costs: Cost) -> Costs:
    return Costs(costs, ("here",) * len(costs))


def test_a_row_has_the_loss_alone_and_the_step_of_the_task() -> None:
    costs = of(
        cost("vgg16/relu3_3", memory=7_000_000),
        cost("vgg16/relu3_3", "delineation", seconds=0.3, ratio=2.0, baseline="pixel:bce"),
    )
    frame = costs.of(["vgg16/features.15:weights=mine.pth"], "delineation")
    assert tuple(frame.columns) == COST_COLUMNS
    row = only(frame)
    assert (row["loss"], row["key"]) == ("vgg16/features.15:weights=mine.pth", "vgg16/relu3_3")
    assert (row["step_ratio"], row["step_ratio_low"], row["step_ratio_high"]) == (2.0, 3.0, 5.0)
    assert row["step_ms"] == pytest.approx(300)
    assert (row["ms_per_image"], row["ms_low"], row["ms_high"]) == pytest.approx((250, 200, 300))
    assert (row["pixel_ratio"], row["memory"], row["side"]) == (4.0, 7e6, 64)
    assert (row["baseline"], row["source"]) == ("pixel:bce", "here")
    assert row["machine"] == "a processor, 1 thread, torch 2.0"


def test_what_was_not_measured_is_nan() -> None:
    costs = of(
        cost("vgg16/relu3_3"), cost("vgg16/relu2_2", error="ImageError: too small", seconds=None, ratio=None)
    )
    row = only(costs.of(["vgg16/relu3_3"], "delineation"))
    assert math.isnan(row["step_ratio"])
    assert math.isnan(row["memory"])
    row = only(costs.of(["alexnet/features.1"]))
    assert all(math.isnan(row[name]) for name in ("step_ratio", "ms_per_image", "memory"))
    assert (row["source"], row["machine"]) == ("", "")
    row = only(costs.of(["vgg16/relu2_2"]))
    assert math.isnan(row["ms_per_image"])
    assert row["note"] == "ImageError: too small"
    row = only(costs.of(["vgg16/relu3_3"], device="cuda"))
    assert math.isnan(row["ms_per_image"])


def test_the_distance_is_part_of_what_costs() -> None:
    row = only(of(cost("vgg16/relu3_3")).of(["vgg16/relu3_3:gram"]))
    assert math.isnan(row["ms_per_image"])


def test_the_long_frame_has_every_record() -> None:
    frame = of(cost("a/b"), cost("a/b", "delineation")).frame
    assert tuple(frame.columns) == LONG_COLUMNS
    assert frame.task.tolist() == ["", "delineation"]
    assert set(frame.machine) == {"a processor, 1 thread, torch 2.0"}
    empty = Costs((), ())
    assert empty.frame.empty
    assert empty.source == "no measured costs"


def test_the_users_measurements_win() -> None:
    loss = next(c.loss for c in shipped_costs().records if not c.task and not c.error)
    assert known_costs().source == SHIPPED_COSTS_NAME
    assert only(costs_for([loss]))["source"] == SHIPPED_COSTS_NAME
    own = replace(cost(loss), seconds=123.0)
    write_costs([own, cost("a/b")], profile_path())
    row = only(costs_for([loss]))
    assert row["ms_per_image"] == pytest.approx(61500)
    assert row["source"] == str(profile_path())
    assert known_costs().source == f"{profile_path()} and {SHIPPED_COSTS_NAME}"
    others = {c.loss for c in shipped_costs().records} - {loss}
    assert set(costs_for(sorted(others)).source) == {SHIPPED_COSTS_NAME}


def test_an_own_failure_does_not_hide_a_shipped_cost() -> None:
    loss = next(c.loss for c in shipped_costs().records if not c.task and not c.error)
    broken = {"seconds": None, "ratio": None, "error": "E: no"}
    write_costs([cost(loss, **broken), cost("a/b", **broken)], profile_path())
    assert only(costs_for([loss]))["source"] == SHIPPED_COSTS_NAME
    assert only(costs_for(["a/b"]))["note"] == "E: no"


def test_a_damaged_file_is_an_error(tmp_path: Path) -> None:
    profile_path().parent.mkdir(parents=True)
    profile_path().write_text("{")
    with pytest.raises(DataError, match=r"profile\.json is no file of costs"):
        known_costs()
    with pytest.raises(DataError, match="cannot be read"):
        load_costs(tmp_path / "none.json")


def test_shipped_costs_cover_the_shipped_results() -> None:
    have = {(c.loss, c.task) for c in shipped_costs().records if not c.error}
    results = shipped_results()
    for setting, runs in results.members.items():
        keys = {cost_key(run.config.loss) for run in runs}
        assert {(key, "") for key in keys} <= have
        if setting.task in step_tasks():
            assert {(key, setting.task) for key in keys} <= have
    assert shipped_costs().machine
