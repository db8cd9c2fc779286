"""The front holds what nothing beats; what is surely off it is told from what only seems to be."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from lossnets.analysis import pareto_front
from lossnets.errors import UnknownNameError


def frame(*rows: tuple[str, float, float, float, float]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["loss", "value", "low", "high", "step_ratio"])


def test_by_hand() -> None:
    given = frame(
        ("cheap", 0.5, 0.49, 0.51, 1.0),
        ("good", 0.9, 0.85, 0.95, 4.0),
        ("middle", 0.7, 0.6, 0.8, 2.0),
        ("surely bad", 0.4, 0.35, 0.45, 3.0),
        ("perhaps bad", 0.65, 0.55, 0.75, 2.5),
        ("dear", 0.9, 0.85, 0.95, 5.0),
        ("unknown cost", 0.99, 0.98, 1.0, np.nan),
        ("failed", np.nan, np.nan, np.nan, 1.0),
    )
    out = pareto_front(given)
    assert out.loss.tolist() == given.loss.tolist()
    assert out.front.tolist() == [True, True, True, False, False, False, None, None]
    assert out.standing.tolist() == [
        "front", "front", "front", "dominated", "perhaps dominated", "perhaps dominated", "unknown",
        "unknown",
    ]  # fmt: skip
    assert out.dominated_by.tolist() == ["", "", "", "middle", "middle", "good", "", ""]
    assert "front" not in given.columns  # the caller's frame is untouched


def test_lower_is_better_turns_values_and_intervals() -> None:
    given = frame(("a", 0.1, 0.05, 0.15, 1.0), ("b", 0.2, 0.16, 0.3, 1.0), ("c", 0.2, 0.14, 0.3, 1.0))
    out = pareto_front(given, higher_is_better=False)
    assert out.standing.tolist() == ["front", "dominated", "perhaps dominated"]


def test_equals_are_both_on_the_front() -> None:
    assert pareto_front(frame(("a", 0.5, 0.4, 0.6, 1.0), ("b", 0.5, 0.4, 0.6, 1.0))).front.tolist() == [
        True,
        True,
    ]


def test_without_intervals_nothing_is_sure() -> None:
    given = frame(("a", 0.9, 0.8, 1.0, 1.0), ("b", 0.1, 0.0, 0.2, 2.0)).drop(columns=["low", "high"])
    assert pareto_front(given).standing.tolist() == ["front", "perhaps dominated"]


def test_an_unknown_column_is_named() -> None:
    with pytest.raises(
        UnknownNameError, match=r"column of the frame 'valu' is not known\. Did you mean 'value'"
    ):
        pareto_front(frame(), quality="valu")


def test_against_a_definition_in_numpy() -> None:
    rng = np.random.default_rng(3)
    quality, cost = rng.integers(0, 12, 80) / 10, rng.integers(0, 12, 80) / 10
    given = pd.DataFrame({"value": quality, "step_ratio": cost})
    beats = (quality[:, None] >= quality) & (cost[:, None] <= cost)
    beats &= (quality[:, None] > quality) | (cost[:, None] < cost)
    assert pareto_front(given).front.tolist() == (~beats.any(0)).tolist()
