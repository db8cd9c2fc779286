"""Intervals: whole groups are drawn, and totals follow from what was drawn."""

from __future__ import annotations

import numpy as np
import pytest

from lossnets.benchmarks.delineation.results import Measured, _of_totals, _weighted_mean, score_rows


def _measured(groups: tuple[str, ...]) -> Measured:
    n = len(groups)
    true = np.full(n, 100.0)
    both = np.arange(n) % 2 * 80.0 + 10
    counts = np.stack([true, true, both, both, both], axis=1)
    everything = np.stack([np.full(n, 1000.0), true, true, true, true], axis=1)
    names = tuple(f"image{i}" for i in range(n))
    return Measured(names, groups, counts, counts, everything, np.linspace(0.1, 0.4, n), np.full(n, 1000.0))


def test_totals_of_a_resample_by_hand() -> None:
    counts = np.array([[10, 10, 10, 10, 10], [10, 10, 0, 10, 0]], float)
    weights = np.array([[1, 1], [2, 0], [0, 2]], float)
    assert _of_totals("completeness", counts, False, weights) == pytest.approx([0.5, 1, 0])
    assert _of_totals("quality", counts, False, None) == pytest.approx([10 / 30])
    assert _of_totals("correctness", counts, True, weights) == pytest.approx([1, 1, 1])


def test_cross_entropy_is_the_mean_over_pixels() -> None:
    values, sizes = np.array([1.0, 4.0]), np.array([300.0, 100.0])
    assert _weighted_mean(values, sizes, None) == pytest.approx([1.75])
    assert _weighted_mean(values, sizes, np.array([[0.0, 2.0]])) == pytest.approx([4])


def test_intervals_draw_whole_groups() -> None:
    alone = _measured(tuple(f"g{i}" for i in range(12)))
    pairs = _measured(tuple(f"g{i % 2}" for i in range(12)))
    rows = {s.name: s for s in score_rows(alone, resamples=400, seed=0)}
    grouped = {s.name: s for s in score_rows(pairs, resamples=400, seed=0)}
    assert rows["completeness"].value == grouped["completeness"].value == pytest.approx(0.5)
    assert (grouped["completeness"].low, grouped["completeness"].high) == pytest.approx((0.1, 0.9))
    assert 0.1 < rows["completeness"].low < 0.5 < rows["completeness"].high < 0.9


def test_no_interval_without_resamples_or_with_one_group() -> None:
    assert np.isnan(score_rows(_measured(("a", "b")), resamples=0, seed=0)[0].low)
    only = score_rows(_measured(("a", "a")), resamples=10, seed=0)[0]
    assert np.isnan(only.low)
    assert "at least 2" in only.note
