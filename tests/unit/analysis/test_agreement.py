"""Agreement of tasks: worked by hand, held against SciPy, and not found where there is none."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lossnets.analysis import agreement
from lossnets.analysis.blocks import exchange_p, kendall_w, tie_sum
from lossnets.errors import ConfigError

from .handmade import several
from .simulate import simulated

JUDGES = np.array([[1, 1, 2], [2, 2, 1], [3, 3, 4], [4, 4, 3]], dtype=float)
"""Sums 4, 5, 10, 11 about 7.5: S = 37, W = 12 * 37 / (9 * 60)."""


def judged(ranks: Any, tasks: Any = ("similarity", "delineation", "autoencoding")) -> Any:
    names = "abcdefgh"
    return several(
        {
            task: {names[i]: [(-r, -r - 1, -r + 1)] for i, r in enumerate(column)}
            for task, column in zip(tasks, np.asarray(ranks, dtype=float).T, strict=True)
        }
    )


def test_kendalls_w_by_hand() -> None:
    found = agreement(judged(JUDGES))
    assert found.w == pytest.approx(444 / 540)
    assert found.p_chi2 == pytest.approx(stats.chi2.sf(3 * 3 * 444 / 540, 3))
    assert found.contenders == ("a", "b", "c", "d")
    assert found.between_tasks.loc["similarity", "delineation"] == 1.0
    assert found.between_tasks.loc["similarity", "autoencoding"] == pytest.approx(1 - 6 * 4 / (4 * 15))


def test_the_p_value_is_the_share_of_deals_that_agree_as_well() -> None:
    """All 24 x 24 ways to deal the second and third judge's ranks, counted."""
    from itertools import permutations

    first = np.arange(1.0, 5.0)
    sums = [
        ((first + np.array(b) + np.array(c)) ** 2).sum()
        for b in permutations(first)
        for c in permutations(first)
    ]
    exact = np.mean(np.array(sums) >= (JUDGES.sum(1) ** 2).sum())
    assert agreement(judged(JUDGES)).p == pytest.approx(exact, abs=0.01)


def test_ties_are_corrected_as_scipy_does() -> None:
    rng = np.random.default_rng(0)
    ranks = np.apply_along_axis(stats.rankdata, 0, rng.integers(0, 4, (9, 5)).astype(float))
    theirs = stats.friedmanchisquare(*ranks)
    assert kendall_w(ranks) == pytest.approx(theirs.statistic / (5 * 8))
    assert tie_sum(np.array([[1.5, 1], [1.5, 2], [3, 3]])) == 6


def test_a_task_speaks_by_its_mean_rank_over_its_settings() -> None:
    values = {
        "delineation": {"a": [3.0], "b": [2.0], "c": [1.0], "d": [0.0]},  # ranks 1 2 3 4
        "delineation/x": {"a": [2.0], "b": [3.0], "c": [1.0], "d": [0.0]},  # 2 1 3 4
        "autoencoding": {"a": [0.0], "b": [1.0], "c": [2.0], "d": [3.0]},
    }
    found = agreement(several(values))
    assert found.tasks == ("delineation", "autoencoding")
    # mean ranks 1.5 1.5 3 4 against 4 3 2 1
    assert found.between_tasks.loc["delineation", "autoencoding"] == pytest.approx(
        stats.spearmanr([1.5, 1.5, 3, 4], [4, 3, 2, 1]).statistic
    )
    assert found.w == pytest.approx(kendall_w(np.array([[1.5, 4], [1.5, 3], [3, 2], [4, 1]])))


def test_the_matrix_uses_what_each_two_settings_share() -> None:
    values: Any = {
        "similarity": {n: [(v, v - 1, v + 1)] for n, v in zip("abcd", (4.0, 3.0, 2.0, 1.0), strict=True)},
        "delineation": {"a": [9.0], "b": [8.0], "c": [8.5], "x": [0.0]},
        "autoencoding": {"a": [1.0], "b": ["failed"], "d": [3.0]},
    }
    found = agreement(several(values))
    one, two, three = found.matrix.columns
    assert found.counts.loc[one, two] == 3
    assert found.matrix.loc[one, two] == pytest.approx(stats.spearmanr([4, 3, 2], [9, 8, 8.5]).statistic)
    assert found.counts.loc[one, three] == 2
    assert math.isnan(found.matrix.loc[one, three])  # two contenders say nothing
    assert found.matrix.loc[one, one] == 1.0
    pd.testing.assert_frame_equal(found.matrix, found.matrix.T)
    assert found.contenders == ("a",)
    assert found.left_out["b"] == "no value in autoencoding: autoencoding (small)"


def test_lower_is_better_somewhere_turns_the_order_there() -> None:
    from .handmade import Results, runs

    values = {"a": [1.0], "b": [2.0], "c": [3.0], "d": [4.0]}
    records = (*runs(values, "delineation"), *runs(values, "autoencoding", higher=False))
    assert agreement(Results(records)).matrix.iloc[0, 1] == -1.0


def test_what_cannot_be_decided() -> None:
    alone = agreement(judged(JUDGES[:, :1], ["similarity"]))
    assert not alone.decidable
    assert math.isnan(alone.w)
    assert "4 contender(s) in all settings of 1 task(s)" in alone.note
    few = agreement(judged([[1, 1], [2, 2], [3, 3]], ["similarity", "delineation"]))
    assert (few.w, few.decidable) == (1.0, False)
    assert math.isnan(few.p)
    assert "even full agreement has p = 0.17" in few.note
    tied = agreement(judged(np.ones((4, 3))))
    assert tied.note == "not decidable: every task ranks all contenders the same"
    nothing = agreement(several({"delineation": {"a": [1.0]}, "autoencoding": {"b": [1.0]}}))
    assert nothing.contenders == ()
    assert not nothing.decidable
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1"):
        agreement(judged(JUDGES), alpha=1)


# --- planted and null effects --------------------------------------------------------------------------

SETS = 200
MOST = int(stats.binom.isf(1e-3, SETS, 0.05))


def found_in(**planted: Any) -> int:
    rng = np.random.default_rng(31)
    sets = (simulated(rng, architectures=3, seeds=1, **planted) for _ in range(SETS))
    return sum(agreement(results).p < 0.05 for results in sets)


def test_tasks_that_do_not_agree_are_not_said_to() -> None:
    """Every task has effects of its own, of networks and of positions."""
    assert found_in(agreement=0.0) <= MOST


@pytest.mark.parametrize("own", [0.0, 5.0], ids=["noise", "an order of positions of its own"])
def test_shuffling_holds_its_level(own: float) -> None:
    rng, found, by_chi2 = np.random.default_rng(32), 0, 0
    grid = np.arange(12).reshape(3, 4)
    for _ in range(SETS):
        values = own * rng.standard_normal((1, 4, 4)) + rng.standard_normal((3, 4, 4))
        ranks = stats.rankdata(values.reshape(12, 4), axis=0)
        found += exchange_p(ranks, grid, []) < 0.05
        by_chi2 += stats.chi2.sf(4 * 11 * kendall_w(ranks), 11) < 0.05
    assert found <= MOST
    assert (by_chi2 > MOST) == (own > 0)  # taps of one depth are no witnesses of their own


def test_tasks_that_agree_are_found() -> None:
    assert found_in(agreement=1.0, architecture_sd=0.05) >= 0.95 * SETS
