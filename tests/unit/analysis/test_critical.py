"""Contenders over settings: Demsar's worked example, SciPy's tests, and error rates when nothing is there."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from lossnets.analysis import compare_over_settings
from lossnets.analysis.blocks import exchange_p, iman_davenport, kendall_w, least_p, signed_rank_p
from lossnets.analysis.contenders import grid_of
from lossnets.errors import ConfigError, UnknownNameError

from .handmade import several
from .simulate import simulated

DEMSAR = np.array(
    [
        [4, 3, 2, 1], [1, 2, 3, 4], [4, 1, 2, 3], [4, 1, 3, 2], [4, 2, 3, 1], [1, 2.5, 4, 2.5], [3, 2, 4, 1],
        [2.5, 2.5, 4, 1], [4, 3, 2, 1], [2.5, 2.5, 2.5, 2.5], [4, 2.5, 1, 2.5], [3, 2, 4, 1], [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)  # fmt: skip
"""Ranks of four learners on 14 data sets (Demsar 2006, table 6)."""
NAMES = ("c45", "c45m", "c45cf", "c45mcf")


def over(ranks: NDArray[np.float64], names: Any = NAMES, task: str = "delineation") -> Any:
    """Results whose ranks are these: settings (rows) by losses (columns)."""
    return several(
        {
            f"{task}/{i}": {n: [-float(r)] for n, r in zip(names, row, strict=True)}
            for i, row in enumerate(ranks)
        }
    )


# --- known answers -------------------------------------------------------------------------------------


def test_demsars_example() -> None:
    found = compare_over_settings(over(DEMSAR))
    averages = found.frame.set_index("contender")["average_rank"].round(3).to_dict()
    assert averages == {"c45mcf": 1.964, "c45m": 2.0, "c45cf": 2.893, "c45": 3.143}
    assert found.critical_difference == pytest.approx(1.25, abs=0.005)  # his: 2.569 sqrt(20 / 84)
    # he does not correct for ties: 9.28; the ties take 78 of 14 * 60 from the denominator
    assert found.chi_squared == pytest.approx(9.28 / (1 - 78 / 840), abs=0.01)
    assert found.p < 0.05
    assert found.p_f < 0.05
    assert len(found.blocks) == 14
    assert found.decidable
    assert found.groups == (("c45mcf", "c45m", "c45cf", "c45"),)  # 1.179 apart at most


def test_friedman_is_scipys() -> None:
    chi, f, p = iman_davenport(DEMSAR.T)
    theirs = stats.friedmanchisquare(*DEMSAR.T)
    assert chi == pytest.approx(theirs.statistic)
    assert f == pytest.approx(13 * chi / (14 * 3 - chi))
    assert p == pytest.approx(stats.f.sf(f, 3, 39))
    assert kendall_w(DEMSAR.T) == pytest.approx(theirs.statistic / (14 * 3))


def test_groups_and_pairs_by_hand() -> None:
    """Five contenders in the same order in 12 settings: neighbours are within Nemenyi's distance."""
    found = compare_over_settings(over(np.tile(np.arange(1.0, 6.0), (12, 1)), "abcde"))
    assert found.critical_difference == pytest.approx(2.728 * math.sqrt(5 * 6 / (6 * 12)), abs=1e-3)  # 1.76
    assert found.groups == (("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"))
    pairs = found.pairs.set_index(["better", "worse"])
    assert pairs.loc[("a", "c"), "rank_difference"] == 2
    assert pairs["significant"].to_dict()[("a", "c")]
    assert not pairs["significant"].to_dict()[("a", "b")]
    assert pairs.loc[("a", "b"), "p_wilcoxon"] == pytest.approx(2 / 2**12)
    assert found.frame[["best", "worst"]].values.tolist() == [[i, i] for i in range(1, 6)]


@pytest.mark.parametrize("blocks", [6, 12, 20])
def test_signed_ranks_are_scipys(blocks: int) -> None:
    gaps = np.random.default_rng(0).normal(0.3, 1, (20, blocks))
    method = "exact" if blocks <= 12 else "asymptotic"
    theirs = [stats.wilcoxon(row, method=method, correction=False).pvalue for row in gaps]
    np.testing.assert_allclose(signed_rank_p(gaps), theirs)


def test_signed_ranks_with_zeros_and_ties() -> None:
    assert signed_rank_p(np.zeros((1, 5)))[0] == 1.0
    # 1, 1, 1 and two zeros: all signs alike in 2 of 8
    assert signed_rank_p(np.array([[1.0, 0.0, 1.0, 0.0, 1.0]]))[0] == pytest.approx(0.25)


def test_shuffling_is_exact_where_all_deals_can_be_counted() -> None:
    order = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    none = np.empty((0, 0), dtype=np.intp)
    assert exchange_p(order, none, [0, 1, 2]) == pytest.approx(1 / 6, abs=0.02)  # 1 of 3! agrees as well
    assert least_p(none, [0, 1, 2], 2) == pytest.approx(1 / 6)
    four = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0], [4.0, 4.0]])
    grid = np.array([[0, 1], [2, 3]])
    assert exchange_p(four, grid, []) == pytest.approx(1 / 4, abs=0.02)  # two networks, two points: 2! 2!
    assert least_p(grid, [], 2) == pytest.approx(1 / 4)
    assert least_p(grid, [], 3) == pytest.approx(1 / 16)


def test_the_largest_grid_of_networks_and_points() -> None:
    places: Any = {
        "a1": ("a", 1), "a2": ("a", 2), "b2": ("b", 2), "b1": ("b", 1), "c1": ("c", 1), "m": (None, None),
        "d": ("d", None),
    }  # fmt: skip
    grid, rest = grid_of(places)
    assert grid.tolist() == [[0, 1], [3, 2]]
    assert rest == [4, 5, 6]
    alone, others = grid_of({"a1": ("a", 1), "m": (None, None)})
    assert alone.size == 0
    assert others == [0, 1]


# --- what cannot be decided ----------------------------------------------------------------------------


def test_one_setting_decides_nothing() -> None:
    found = compare_over_settings(over(DEMSAR[:1]))
    assert not found.decidable
    assert math.isnan(found.p)
    assert found.note.startswith("not decidable: 1 setting says nothing about others")
    assert found.groups == (("c45mcf", "c45cf", "c45m", "c45"),)


def test_two_settings_of_three_cannot_reach_the_level() -> None:
    found = compare_over_settings(over(np.array([[1, 2, 3], [1, 2, 3]]), "abc"))
    assert not found.decidable
    assert "even full agreement has p = 0.17" in found.note
    assert not found.pairs["significant"].any()
    assert found.frame["contender"].tolist() == ["a", "b", "c"]


def test_contenders_that_a_setting_lacks_are_left_out_by_name() -> None:
    values: Any = {
        "delineation": {"a": [1.0], "b": [2.0], "c": ["failed"], "d": [3.0]},
        "autoencoding": {"a": [1.0], "b": [2.0], "c": [3.0]},
    }
    found = compare_over_settings(several(values))
    assert found.frame["contender"].tolist() == ["b", "a"]
    assert found.left_out == {
        "c": "no value in delineation: delineation (small)",
        "d": "no value in autoencoding: autoencoding (small)",
    }


def test_nothing_in_common() -> None:
    found = compare_over_settings(several({"delineation": {"a": [1.0]}, "autoencoding": {"b": [1.0]}}))
    assert not found.decidable
    assert found.frame.empty
    assert found.pairs.empty
    assert found.groups == ()


def test_one_task_only_and_its_errors() -> None:
    results = several({"delineation": {"a": [1.0]}, "autoencoding": {"a": [1.0]}})
    assert compare_over_settings(results, task="delineation").blocks == ("delineation: delineation (small)",)
    with pytest.raises(UnknownNameError, match="task in runs 'delineate' is not known"):
        compare_over_settings(results, task="delineate")
    with pytest.raises(ConfigError, match="alpha must lie between 0 and 1"):
        compare_over_settings(results, alpha=-1)


def test_settings_of_one_task_are_noted_as_not_quite_independent() -> None:
    values = {name: {"a": [1.0], "b": [2.0]} for name in ("delineation", "delineation/x", "autoencoding")}
    assert "several are of one task (delineation)" in compare_over_settings(several(values)).note


# --- planted and null effects --------------------------------------------------------------------------

SETS = 200
MOST = int(stats.binom.isf(1e-3, SETS, 0.05))
SETTINGS = tuple(f"similarity/{i}" for i in range(5))


def found_in(**planted: Any) -> tuple[int, int, int]:
    """Sets of results with a small p, with a significant pair, and with a small p of F."""
    rng = np.random.default_rng(21)
    p = pairs = f = 0
    for _ in range(SETS):
        found = compare_over_settings(simulated(rng, architectures=3, settings=SETTINGS, **planted))
        p += found.p < 0.05
        pairs += bool(found.pairs["significant"].any())
        f += found.p_f < 0.05
    return p, pairs, f


def test_noise_is_not_taken_for_an_effect() -> None:
    p, pairs, f = found_in(effects=0.0)
    assert max(p, pairs, f) <= MOST


def test_taps_of_one_depth_faring_alike_are_not_taken_for_agreement_of_settings() -> None:
    """Every setting has an order of depths of its own: F takes the three taps of a depth for witnesses."""
    rng, p, f = np.random.default_rng(22), 0, 0
    grid = np.arange(12).reshape(3, 4)
    for _ in range(SETS):
        values = 5 * rng.standard_normal((1, 4, 5)) + rng.standard_normal((3, 4, 5))
        ranks = stats.rankdata(values.reshape(12, 5), axis=0)
        p += exchange_p(ranks, grid, []) < 0.05
        f += iman_davenport(ranks)[2] < 0.05
    assert p <= MOST
    assert f > MOST


def test_an_effect_that_all_settings_share_is_found() -> None:
    p, pairs, _ = found_in(agreement=1.0)
    assert min(p, pairs) >= 0.95 * SETS
