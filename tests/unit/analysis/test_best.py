"""The best tap and the best architecture are named, and whether they are told apart from the others."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from lossnets.analysis import Results, best_architectures, best_taps, grid, grid_states
from lossnets.errors import ConfigError, UnknownNameError

from .handmade import made, runs, several
from .simulate import simulated


def at(value: float, half: float = 0.02) -> list[Any]:
    return [(value, value - half, value + half)]


VALUES = {
    "vgg11/features.1": at(0.9),
    "vgg11/features.4": at(0.5),
    "vgg11/features.9": at(0.4),
    "alexnet/features.1": at(0.6),
    "alexnet/features.4": at(0.61),
    "squeezenet1_1/features.12": at(0.2),
    "pixel:mse": at(0.99),
    "vgg16/features.3,features.8": at(0.98),
    "vgg16/features.3:unit-spatial-mean": at(0.97),
}
"""Not single taps of the main design: the last three."""


def test_best_taps_by_hand() -> None:
    frame = best_taps(made(VALUES, "similarity"))
    columns = ["architecture", "tap", "position", "value", "runner_up", "distinguishable", "compared"]
    assert frame[columns].fillna({"runner_up": "none"}).values.tolist() == [
        ["vgg11", "features.1", 1, 0.9, "features.4", "yes", 3],
        ["alexnet", "features.4", 2, 0.61, "features.1", "no", 2],
        ["squeezenet1_1", "features.12", 4, 0.2, "none", "not decidable", 1],
    ]
    row = frame.iloc[0]
    assert (row["difference"], row["low"], row["high"]) == (pytest.approx(0.4), 0.88, 0.92)
    assert frame["note"].tolist() == ["", "", "nothing to compare it with"]


def test_best_architectures_by_hand() -> None:
    frame = best_architectures(made(VALUES, "similarity"))
    assert frame[["position", "architecture", "runner_up", "distinguishable"]].values.tolist()[:2] == [
        [1, "vgg11", "alexnet", "yes"],
        [2, "alexnet", "vgg11", "yes"],
    ]
    assert frame["position"].tolist() == [1, 2, 3, 4]


def test_the_best_is_the_lowest_where_lower_is_better() -> None:
    frame = best_taps(made(VALUES, "similarity", higher=False))
    assert frame.set_index("architecture")["tap"].to_dict() == {
        "squeezenet1_1": "features.12",
        "vgg11": "features.9",
        "alexnet": "features.1",
    }
    assert (frame["difference"].dropna() > 0).all()


def test_best_means_better_than_every_other_not_only_the_runner_up() -> None:
    """The runner-up scatters little and is told apart; the third has no interval of use."""
    values = {
        "vgg11/features.1": at(0.9),
        "vgg11/features.4": at(0.7),
        "vgg11/features.9": at(0.6, 0.5),
    }
    (row,) = best_taps(made(values, "similarity")).to_dict("records")
    assert (row["runner_up"], row["distinguishable"]) == ("features.4", "no")
    assert row["p_adjusted"] < 0.05


def test_one_seed_is_not_decidable() -> None:
    values: Any = {"vgg11/features.1": [0.9], "vgg11/features.4": [0.1], "vgg11/features.9": ["failed"]}
    (row,) = best_taps(made(values)).to_dict("records")
    assert (row["tap"], row["distinguishable"]) == ("features.1", "not decidable")
    assert row["note"] == "one seed: the scatter between trainings is unknown"
    assert row["missing"] == "features.9 (failed)"


def test_an_architecture_without_a_value_keeps_its_row() -> None:
    values: Any = {"vgg11/features.1": [0.9], "alexnet/features.1": ["failed"]}
    frame = best_taps(made(values)).set_index("architecture")
    assert frame.loc["alexnet", "note"] == "no value"
    assert frame.loc["alexnet", "missing"] == "features.1 (failed)"
    assert math.isnan(frame.loc["alexnet", "value"])


def test_grid_by_hand() -> None:
    results = made(VALUES, "similarity")
    frame = grid(results, results.settings[0])
    nan = math.nan
    expected = [[0.9, 0.5, 0.4, nan], [0.6, 0.61, nan, nan], [nan, nan, nan, 0.2]]
    assert frame.index.tolist() == ["alexnet", "vgg11", "squeezenet1_1"]  # by mean: 0.605, 0.6, 0.2
    np.testing.assert_array_equal(frame.loc[["vgg11", "alexnet", "squeezenet1_1"]], expected)
    assert frame.columns.tolist() == [1, 2, 3, 4]
    states = grid_states(results, results.settings[0])
    assert states.index.equals(frame.index)
    assert states.loc["vgg11"].tolist() == ["ranked", "ranked", "ranked", "missing"]


def test_grid_states_say_why_a_number_is_not_there() -> None:
    values: Any = {
        "vgg11/features.1": ["failed"],
        "vgg11/features.4": [None],
        "vgg11/features.9": ["running"],
        "vgg11/features.19": [0.5],
    }
    results = made(values)
    assert grid_states(results, "autoencoding: autoencoding (small)").loc["vgg11"].tolist() == [
        "failed",
        "undefined",
        "running",
        "ranked",
    ]
    assert grid(results, "autoencoding: autoencoding (small)").loc["vgg11"].isna().tolist() == [True] * 3 + [
        False
    ]


def test_several_random_networks_are_averaged_and_say_so() -> None:
    values = {f"vgg11/features.1:weights=random-{seed}": [float(seed)] for seed in range(3)}
    results = made(values)
    assert grid(results, results.settings[0]).loc["vgg11 (random)", 1] == 1.0
    assert grid_states(results, results.settings[0]).loc["vgg11 (random)", 1] == "mean of 3"


def test_a_grid_of_nothing_is_empty() -> None:
    results = made({"pixel:mse": [1.0]})
    assert grid(results, results.settings[0]).shape == (0, 4)
    assert best_taps(results).empty
    assert best_architectures(results).empty


def test_two_signatures_of_one_tap_are_both_compared() -> None:
    name = "vgg11/features.1"
    records = (*runs({name: at(0.9)}, "similarity"), *runs({name: at(0.1)}, "similarity", signature="x|2"))
    (row,) = best_taps(Results(records)).to_dict("records")
    assert (row["loss"], row["compared"], row["distinguishable"]) == (f"{name} |{name}|1", 2, "yes")


def test_every_setting_has_its_rows() -> None:
    results = several({"similarity": VALUES, "delineation": {"vgg11/features.1": [1.0]}})
    assert best_taps(results)["task"].tolist() == ["similarity"] * 3 + ["delineation"]


def test_what_is_not_allowed() -> None:
    results = made(VALUES)
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1"):
        best_taps(results, alpha=2)
    with pytest.raises(UnknownNameError, match="setting in these results 'x' is not known"):
        grid(results, "x")


def test_a_planted_best_tap_is_found_and_none_is_made_up() -> None:
    rng = np.random.default_rng(5)
    effects = np.zeros((3, 4))
    effects[1, 2] = 0.2
    planted = best_taps(simulated(rng, architectures=3, settings=("autoencoding",), seeds=6, effects=effects))
    found = planted.set_index("architecture")
    assert found.loc["alexnet", ["position", "distinguishable"]].tolist() == [3, "yes"]
    assert set(found.loc[["vgg16", "squeezenet1_1"], "distinguishable"]) == {"no"}
