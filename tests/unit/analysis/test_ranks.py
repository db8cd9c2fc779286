"""Ranks have intervals that hold, ties share, and whatever was left out is named."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lossnets.analysis import Results, average_ranks, compare_losses, rank_table
from lossnets.errors import ConfigError

from .handmade import made, runs, several
from .simulate import NETWORKS, simulated, study_losses


def at(value: float, half: float = 0.02) -> list[Any]:
    return [(value, value - half, value + half)]


FOUR = {"a": at(0.9), "b": at(0.6), "c": at(0.59), "d": at(0.3)}
"""Only b and c overlap."""


def test_rank_intervals_by_hand() -> None:
    frame = rank_table(made(FOUR, "similarity"))
    assert frame[["loss", "rank", "low", "high", "better", "worse"]].values.tolist() == [
        ["a", 1, 1, 1, 0, 3],
        ["b", 2, 2, 3, 1, 1],
        ["c", 3, 2, 3, 1, 1],
        ["d", 4, 4, 4, 3, 0],
    ]
    assert set(frame["of"]) == {4}
    assert set(frame["basis"]) == {"items"}


def test_ranks_count_from_the_best_where_lower_is_better() -> None:
    frame = rank_table(made(FOUR, "similarity", higher=False))
    assert frame["loss"].tolist() == ["d", "c", "b", "a"]
    assert frame["rank"].tolist() == [1, 2, 3, 4]
    assert frame["low"].tolist() == [1, 2, 2, 4]


def test_equal_values_share_their_mean_rank() -> None:
    frame = rank_table(made({"a": at(0.9), "b": at(0.5), "c": at(0.5), "d": at(0.1)}, "similarity"))
    assert frame["rank"].tolist() == [1, 2.5, 2.5, 4]
    assert frame["low"].tolist() == [1, 2, 2, 4]
    assert frame["high"].tolist() == [1, 3, 3, 4]


def test_one_seed_leaves_every_rank_open() -> None:
    frame = rank_table(made({"a": [0.9], "b": [0.5], "c": [0.1]}))
    assert frame["rank"].tolist() == [1, 2, 3]
    assert frame[["low", "high"]].values.tolist() == [[1, 3]] * 3
    assert set(frame["basis"]) == {"one seed"}
    assert frame["note"].str.contains("any rank is possible").all()


def test_losses_without_a_value_keep_their_row_and_no_rank() -> None:
    values: dict[str, Any] = {"a": [1.0, 1.1], "b": ["failed", "failed"], "c": [None], "d": ["running"]}
    frame = rank_table(made(values)).set_index("loss")
    assert frame["state"].to_dict() == {"a": "ranked", "b": "failed", "c": "undefined", "d": "running"}
    assert frame["rank"].isna().to_dict() == {"a": False, "b": True, "c": True, "d": True}
    assert frame.loc["b", "note"] == "DataError: broken.png"
    assert frame.loc["b", "failed"] == 2
    assert math.isnan(frame.loc["c", "low"])
    assert frame.loc["a", "of"] == 1


def test_seeds_without_scatter_are_not_called_one_seed() -> None:
    values = {"autoencoding": {"a": [1.0, 1.0], "b": [2.0, 2.0]}, "delineation": {"a": [1.0]}}
    frame = rank_table(several(values))
    assert frame[["task", "loss", "seeds", "basis", "low", "high"]].values.tolist() == [
        ["autoencoding", "b", 2, "seeds", 1.0, 2.0],
        ["autoencoding", "a", 2, "seeds", 1.0, 2.0],
        ["delineation", "a", 1, "one seed", 1.0, 1.0],
    ]
    assert frame["note"][0].startswith("nothing is known of the scatter")


def test_a_setting_where_nothing_finished_keeps_its_rows() -> None:
    frame = rank_table(
        several({"autoencoding": {"a": [1.0]}, "delineation": {"a": ["failed"], "b": ["running"]}})
    )
    rows = frame[frame["task"] == "delineation"]
    assert rows[["loss", "state", "failed"]].values.tolist() == [["b", "running", 0], ["a", "failed", 1]]
    assert rows["rank"].isna().all()


def test_a_reference_has_no_rank_and_no_row() -> None:
    (record,) = made({"a": [0.5]}).records
    reference = replace(record.scores[0], name="accuracy@chance", value=0.9)
    frame = rank_table(Results((replace(record, scores=(*record.scores, reference)),)))
    assert frame["loss"].tolist() == ["a"]
    assert frame["rank"].tolist() == [1]


def test_two_signatures_of_one_name_are_ranked_apart() -> None:
    records = (*runs({"a": at(0.9)}, "similarity"), *runs({"a": at(0.1)}, "similarity", signature="a|2"))
    frame = rank_table(Results(records))
    assert frame["loss"].tolist() == ["a |a|1", "a |a|2"]
    assert frame["high"].tolist() == [1, 2]


def test_a_rank_by_other_seeds_than_the_test_stays_in_its_interval() -> None:
    """On the common seeds a is better; its mean over all of its own is not."""
    values = {"a": [1.0, 1.01, 1.02, 1.0, -9.0], "b": [0.5, 0.5, 0.51, 0.51]}
    frame = rank_table(made(values)).set_index("loss")
    assert compare_losses(made(values), made(values).settings[0])["significant"].all()
    assert (frame["low"] <= frame["rank"]).all()
    assert (frame["rank"] <= frame["high"]).all()


# --- averages ------------------------------------------------------------------------------------------

TWO_TASKS = {
    "similarity": FOUR,
    "similarity/other": {"a": at(0.1), "b": at(0.9), "c": at(0.5), "d": at(0.3)},
    "autoencoding": {"a": [0.1], "b": [0.2], "c": [0.3], "d": [0.4], "e": [0.5]},
}
"""Ranks: a 1, 4 and 4; b 2, 1 and 3; c 3, 2 and 2; d 4, 3 and 1."""


def test_average_ranks_by_hand() -> None:
    frame = average_ranks(several(TWO_TASKS)).set_index("contender")
    assert frame["similarity"].to_dict() == {"a": 2.5, "b": 1.5, "c": 2.5, "d": 3.5}
    assert frame["autoencoding"].to_dict() == {"a": 4, "b": 3, "c": 2, "d": 1}
    assert frame["average"].to_dict() == {"a": 3.25, "b": 2.25, "c": 2.25, "d": 2.25}
    # similarity: a [1,1] and [4,4]; b [2,3] and [1,1]; autoencoding, one seed: 1 to 4
    assert frame.loc["a", ["low", "high"]].tolist() == [(2.5 + 1) / 2, (2.5 + 4) / 2]
    assert frame.loc["b", ["low", "high"]].tolist() == [(1.5 + 1) / 2, (2.0 + 4) / 2]
    assert frame.index.tolist() == ["b", "c", "d", "a"]
    assert set(frame["tasks"]) == {2}
    left_out = frame.attrs["left_out"]
    assert list(left_out) == ["e"]
    assert left_out["e"].count("no value in similarity") == 2


def test_average_ranks_of_all_name_what_is_missing() -> None:
    frame = average_ranks(several(TWO_TASKS), common=False).set_index("contender")
    assert frame.loc["e", "average"] == 1
    assert math.isnan(frame.loc["e", "similarity"])
    assert frame.loc["e", "tasks"] == 1
    assert frame.loc["e", "missing"] == "similarity: similarity (small); similarity: other (small)"
    assert frame.loc["a", "autoencoding"] == 5
    assert frame.attrs["left_out"] == {}
    assert "different settings" in frame.attrs["note"]


BY_NETWORK = {
    "vgg11/features.1": at(0.9),
    "vgg11/features.4": at(0.2),
    "alexnet/features.1": at(0.6),
    "alexnet/features.4": at(0.7),
    "squeezenet1_1/features.1": at(0.69),
    "pixel:mse": at(0.99),
}


def test_architectures_are_ranked_by_their_best_tap() -> None:
    frame = average_ranks(made(BY_NETWORK, "similarity"), by="architecture")
    assert frame[["architecture", "points", "average", "low", "high"]].values.tolist() == [
        ["vgg11", 2, 1, 1, 1],
        ["alexnet", 2, 2, 2, 3],  # 0.7 against 0.69 is not told apart
        ["squeezenet1_1", 1, 3, 2, 3],
    ]
    assert "optimistic" in frame.attrs["note"]


def test_contenders_stand_for_networks_and_taps_whatever_the_distance() -> None:
    results = several(
        {
            "similarity": {"vgg11/features.1:unit-spatial-sum": at(0.9), "pixel:mse": at(0.1)},
            "autoencoding": {"vgg11/features.1": [0.2], "pixel:mse": [0.3]},
        }
    )
    assert average_ranks(results)["contender"].tolist() == ["pixel:mse", "vgg11/features.1"]


def test_what_several_losses_stand_for_is_left_out() -> None:
    values = {
        "vgg11/features.1:weights=random-0": [1.0],
        "vgg11/features.1:weights=random-1": [2.0],
        "a": [3.0],
    }
    frame = average_ranks(made(values))
    assert frame["contender"].tolist() == ["a"]
    assert "several losses stand for it" in frame.attrs["left_out"]["vgg11 (random)/features.1"]


def test_nothing_in_common_gives_no_row_and_the_reasons() -> None:
    frame = average_ranks(several({"autoencoding": {"a": [1.0]}, "delineation": {"b": [1.0]}}))
    assert frame.empty
    assert set(frame.attrs["left_out"]) == {"a", "b"}


def test_what_is_not_allowed() -> None:
    with pytest.raises(ConfigError, match="by must be one of contender, architecture; got 'tap'"):
        average_ranks(made(FOUR), by="tap")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1"):
        rank_table(made(FOUR), alpha=0)


# --- coverage ------------------------------------------------------------------------------------------

SETS = 200
MOST = int(stats.binom.isf(1e-3, SETS, 0.05))


@pytest.mark.parametrize("task", ["similarity", "autoencoding"])
def test_all_true_ranks_of_a_setting_lie_in_their_intervals(task: str) -> None:
    rng = np.random.default_rng(11)
    names, missed, widths = study_losses(3), 0, []
    for _ in range(SETS):
        effects = 0.03 * rng.standard_normal((3, 4))
        frame = rank_table(simulated(rng, architectures=3, settings=(task,), effects=effects, seeds=4))
        own = frame["contender"].map(pd.Series(effects.ravel(), names).rank(ascending=False))
        missed += bool(((own < frame["low"]) | (own > frame["high"])).any())
        widths.append((frame["high"] - frame["low"]).mean())
    assert missed <= MOST
    assert np.mean(widths) < 8  # of 11: the intervals say something


@pytest.mark.slow
def test_all_true_average_ranks_lie_in_their_intervals() -> None:
    """Also of architectures by their best tap, though the best is chosen by the numbers themselves."""
    rng = np.random.default_rng(12)
    tasks, names = ("similarity", "autoencoding"), study_losses(2)
    missed, widths = {"contender": 0, "architecture": 0}, {"contender": 0.0, "architecture": 0.0}
    for _ in range(SETS):
        effects = {task: 0.03 * rng.standard_normal((2, 4)) for task in tasks}
        results = simulated(rng, architectures=2, settings=tasks, effects=effects, seeds=4)
        best = {task: pd.Series(own.max(1), NETWORKS[:2]) for task, own in effects.items()}
        points = {task: pd.Series(own.ravel(), names) for task, own in effects.items()}
        for by, values in (("contender", points), ("architecture", best)):
            frame = average_ranks(results, by=by)  # type: ignore[arg-type]
            own = frame[by].map(pd.DataFrame(values).rank(ascending=False).mean(axis=1))
            missed[by] += bool(((own < frame["low"]) | (own > frame["high"])).any())
            widths[by] += (frame["high"] - frame["low"]).mean() / SETS
    assert max(missed.values()) <= MOST
    assert widths["contender"] < 5
    assert widths["architecture"] < 0.95
