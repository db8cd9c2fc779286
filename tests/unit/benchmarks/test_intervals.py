"""Bootstrap intervals: coverage, clusters, speed, seeds, and what is not defined."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pytest

from lossnets.benchmarks.intervals import Part, estimate, resample_weights
from lossnets.benchmarks.similarity.scores import jnd_ap, spearman, weighted_mean
from lossnets.errors import ConfigError


def part(values, clusters=None):
    return Part(partial(weighted_mean, values), clusters or [str(i) for i in range(len(values))])


def test_the_interval_of_a_mean_is_the_normal_one():
    values = np.random.default_rng(0).normal(size=400)
    made = estimate([part(values)], resamples=4000, seed=0)
    half = 1.96 * values.std() / 20
    assert made.value == pytest.approx(values.mean())
    assert made.low == pytest.approx(values.mean() - half, abs=0.008)
    assert made.high == pytest.approx(values.mean() + half, abs=0.008)
    assert made.note == ""


def test_coverage_is_near_the_level():
    rng = np.random.default_rng(1)
    hits = 0
    for i in range(200):
        made = estimate([part((rng.random(60) < 0.7).astype(float))], resamples=300, seed=i)
        hits += made.low <= 0.7 <= made.high
    assert 0.89 <= hits / 200 <= 0.99


def test_items_of_one_reference_are_drawn_together():
    values = np.repeat([0.0, 1.0] * 50, 10)  # 100 references, 10 equal items each
    clusters = [str(i // 10) for i in range(1000)]
    wide = estimate([part(values, clusters)], resamples=1000, seed=0)
    narrow = estimate([part(values)], resamples=1000, seed=0)
    assert wide.high - wide.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(100), rel=0.12)
    assert narrow.high - narrow.low == pytest.approx(2 * 1.96 * 0.5 / np.sqrt(1000), rel=0.12)


def test_resampled_weights_draw_as_many_references_as_there_are():
    clusters = ["b", "a", "b", "c"]
    w = np.concatenate(list(resample_weights(clusters, 500, np.random.default_rng(0))))
    assert w.shape == (500, 4)
    assert (w[:, 0] == w[:, 2]).all()
    assert (w[:, [0, 1, 3]].sum(1) == 3).all()
    assert w.mean(0) == pytest.approx(np.ones(4), abs=0.1)


def test_chunks_do_not_change_the_number_of_draws(monkeypatch):
    monkeypatch.setattr("lossnets.benchmarks.intervals._CHUNK", 50)
    chunks = list(resample_weights([str(i) for i in range(20)], 11, np.random.default_rng(0)))
    assert [len(c) for c in chunks] == [2, 2, 2, 2, 2, 1]


def test_the_mean_of_parts_is_resampled_part_by_part():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, 100), rng.normal(10, 1, 400)
    made = estimate([part(a), part(b)], resamples=2000, seed=0)
    assert made.value == pytest.approx((a.mean() + b.mean()) / 2)
    sd = np.sqrt(a.var() / 100 + b.var() / 400) / 2
    assert made.high - made.low == pytest.approx(2 * 1.96 * sd, rel=0.1)


def test_seeds():
    p = part(np.random.default_rng(0).random(50))
    one, same, other = (estimate([p], resamples=200, seed=s) for s in (0, 0, 1))
    assert one == same
    assert one.low != other.low


def test_ten_thousand_draws_of_three_thousand_items_take_about_a_second():
    p = part(np.random.default_rng(0).random(3000))
    start = time.process_time()
    estimate([p], resamples=10_000, seed=0)
    assert time.process_time() - start < 6  # 0.6 s on a free core; room for a busy machine


def test_undefined_values_and_intervals_say_why():
    constant = estimate([Part(partial(spearman, [1, 1, 1], [1, 2, 3]), list("abc"))], resamples=100, seed=0)
    assert np.isnan([constant.value, constant.low, constant.high]).all()
    assert constant.note.startswith("not defined")
    single = estimate([part([0.3])], resamples=100, seed=0)
    assert (single.value, single.note) == (0.3, "no interval: it needs at least 2 references")
    assert np.isnan(single.low)
    two = estimate([Part(partial(spearman, [1, 2], [1, 2]), list("ab"))], resamples=400, seed=0)
    assert two.value == pytest.approx(1)  # half of the draws hold one item twice
    assert two.note in ("", "no interval: not defined on most resamples")
    none = estimate([part([0.0, 1.0])], resamples=0, seed=0)
    assert none.value == 0.5
    assert np.isnan(none.low)


def test_an_ap_without_positives_in_some_draws_is_fine():
    made = estimate([Part(partial(jnd_ap, [1, 2, 3, 4], [1, 0, 0, 0]), list("abcd"))], resamples=300, seed=0)
    assert made.value == 1.0
    assert 0 < made.low <= made.high <= 1


def test_wrong_arguments_are_refused():
    with pytest.raises(ConfigError, match="at least one part"):
        estimate([], resamples=10, seed=0)
    with pytest.raises(ConfigError, match="resamples"):
        estimate([part([1.0])], resamples=-1, seed=0)
