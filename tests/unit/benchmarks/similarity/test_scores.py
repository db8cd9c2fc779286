"""Scores against known answers, SciPy, scikit-learn and ten-line references."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import average_precision_score

from lossnets.benchmarks.similarity import scores
from lossnets.errors import ConfigError

few = st.integers(0, 4).map(float)  # few values, so that ties are common


def columns(*kinds, least=1):
    return st.integers(least, 25).flatmap(
        lambda n: st.tuples(*(st.lists(k, min_size=n, max_size=n) for k in kinds))
    )


fraction = st.sampled_from([0.0, 0.2, 0.5, 0.8, 1.0])


def test_two_afc_known_answers():
    # p0 closer and 3 of 4 agree; p1 closer and 1 of 4 agrees; a tie; all agree with p1
    d0, d1, judge = [1, 2, 3, 5], [2, 1, 3, 4], [0.25, 0.25, 0.9, 1.0]
    assert scores.two_afc_items(d0, d1, judge).tolist() == [0.75, 0.25, 0.5, 1.0]
    assert scores.two_afc_score(d0, d1, judge) == pytest.approx(0.625)
    assert scores.two_afc_accuracy(d0, d1, judge) == pytest.approx((1 + 0 + 0.5 + 1) / 4)


def test_even_votes_do_not_count_for_accuracy_but_do_for_the_score():
    d0, d1, judge = [1.0, 1.0], [2.0, 2.0], [0.5, 0.0]
    assert np.isnan(scores.majority_items(d0, d1, judge)).tolist() == [True, False]
    assert scores.two_afc_accuracy(d0, d1, judge) == 1.0
    assert scores.two_afc_score(d0, d1, judge) == 0.75
    assert np.isnan(scores.two_afc_accuracy([1.0], [2.0], [0.5]))


@given(columns(few, few, fraction))
def test_two_afc_is_the_loop_over_triplets(data):
    total = 0.0
    for d0, d1, judge in zip(*data, strict=True):
        total += 0.5 if d0 == d1 else judge if d1 < d0 else 1 - judge
    assert scores.two_afc_score(*data) == pytest.approx(total / len(data[0]))


@given(columns(few, few, fraction))
def test_swapping_the_candidates_changes_nothing(data):
    d0, d1, judge = data
    swapped = (d1, d0, [1 - j for j in judge])
    assert scores.two_afc_score(*swapped) == pytest.approx(scores.two_afc_score(*data))
    a, b = scores.two_afc_accuracy(*swapped), scores.two_afc_accuracy(*data)
    assert a == pytest.approx(b, nan_ok=True)


def lpips_ap(distances, same):
    """score_jnd_dataset and voc_ap of the LPIPS code, for distances without ties."""
    order = np.argsort(distances)
    tp = np.cumsum(np.asarray(same)[order])
    fp = np.cumsum(1 - np.asarray(same)[order])
    precision, recall = tp / (tp + fp), tp / tp[-1]
    recall, precision = np.concatenate(([0], recall, [1])), np.concatenate(([0], precision, [0]))
    for i in range(len(precision) - 1, 0, -1):
        precision[i - 1] = max(precision[i - 1], precision[i])
    i = np.where(recall[1:] != recall[:-1])[0]
    return np.sum((recall[i + 1] - recall[i]) * precision[i + 1])


@given(st.integers(1, 40), st.integers(0, 10**6))
def test_jnd_is_the_lpips_code_without_ties(n, seed):
    rng = np.random.default_rng(seed)
    distances, same = rng.permutation(n).astype(float), rng.choice([0, 1 / 3, 2 / 3, 1], n)
    same[rng.integers(n)] = 1.0
    assert scores.jnd_ap(distances, same)[0] == pytest.approx(lpips_ap(distances, same))


@given(columns(few, st.booleans()))
def test_jnd_without_envelope_is_scikit_learns_also_with_ties(data):
    distances, same = data
    if not any(same):
        assert np.isnan(scores.jnd_ap(distances, same)[0])
        return
    want = average_precision_score(same, [-d for d in distances])
    assert scores.jnd_ap(distances, same, envelope=False)[0] == pytest.approx(want)


def test_jnd_known_answers():
    assert scores.jnd_ap([1, 2, 3, 4], [1, 1, 0, 0])[0] == 1.0  # all "same" pairs come first
    assert scores.jnd_ap([1, 2], [0, 1])[0] == 0.5
    assert scores.jnd_ap([7, 7, 7, 7], [1, 0, 0, 0])[0] == 0.25  # no order at all: the base rate
    # precision 0, 1/2, 2/3; the envelope lifts the step at recall 1/2 from 1/2 to 2/3
    assert scores.jnd_ap([1, 2, 3], [0, 1, 1])[0] == pytest.approx(2 / 3)
    assert scores.jnd_ap([1, 2, 3], [0, 1, 1], envelope=False)[0] == pytest.approx(0.5 * (1 / 2 + 2 / 3))


@given(columns(few, fraction), st.randoms(use_true_random=False))
def test_the_order_of_items_never_matters(data, random):
    order = list(range(len(data[0])))
    random.shuffle(order)
    shuffled = [[column[i] for i in order] for column in data]
    for score in (scores.jnd_ap, scores.spearman, scores.pearson, scores.kendall):
        assert score(*shuffled)[0] == pytest.approx(score(*data)[0], nan_ok=True)


PEERS = {"spearman": stats.spearmanr, "kendall": stats.kendalltau, "pearson": stats.pearsonr}


@pytest.mark.parametrize("name", PEERS)
@given(data=columns(few, few, least=2))
def test_correlations_are_scipys_also_with_ties(name, data):
    x, y = data
    got = scores.CORRELATIONS[name](x, y)[0]
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert np.isnan(got)
    else:
        assert got == pytest.approx(PEERS[name](x, y).statistic, abs=1e-12)


WEIGHTED = {
    **scores.CORRELATIONS,
    "jnd": scores.jnd_ap,
    "mean": lambda x, _, weights=None: scores.weighted_mean(x, weights),
}


@pytest.mark.parametrize("name", WEIGHTED)
@settings(max_examples=60)
@given(data=columns(few, fraction, st.integers(0, 3), least=2))
def test_weights_count_how_often_an_item_was_drawn(name, data):
    x, y, times = data
    drawn = np.repeat(np.arange(len(x)), times)
    got = WEIGHTED[name](x, y, weights=np.array([times, times], float))
    if len(drawn) == 0:
        assert np.isnan(got).all()
        return
    want = WEIGHTED[name](np.array(x)[drawn], np.array(y)[drawn])[0]
    assert got == pytest.approx([want, want], nan_ok=True, abs=1e-12)


@pytest.mark.parametrize("scale", [1e-30, 1e-8, 1.0, 1e12])
@pytest.mark.parametrize("name", scores.CORRELATIONS)
def test_scale_and_offset_do_not_matter(name, scale):
    rng = np.random.default_rng(0)
    x, y = rng.random(30), rng.random(30)
    correlation = scores.CORRELATIONS[name]
    assert correlation(x * scale, 3 - y)[0] == pytest.approx(-correlation(x, y)[0])


@pytest.mark.parametrize("value", [0.1, 1e-300, 1e300])
def test_constants_are_not_a_number_and_no_warning(value):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for correlation in scores.CORRELATIONS.values():
            assert np.isnan(correlation([value] * 7, range(7))[0])
            assert np.isnan(correlation([1.0], [2.0])[0])


def test_agreement_is_positive_for_a_good_distance_whatever_the_direction():
    distance = np.array([1.0, 2.0, 3.0])
    mos, dmos = [5, 3, 1], [0, 10, 20]
    for name in scores.CORRELATIONS:
        correlation = scores.CORRELATIONS[name]
        assert correlation(scores.agreement(distance, higher_is_better=True), mos)[0] == pytest.approx(1)
        assert correlation(scores.agreement(distance, higher_is_better=False), dmos)[0] == pytest.approx(1)


@pytest.mark.parametrize(
    "arguments", [([1, 2], [1], [0.5]), ([], [], []), ([[1]], [[1]], [[1]])], ids=["unequal", "empty", "2d"]
)
def test_columns_must_be_of_one_length(arguments):
    with pytest.raises(ConfigError, match=r"columns .* of one length"):
        scores.two_afc_score(*arguments)


def test_weights_must_fit():
    with pytest.raises(ConfigError, match=r"weights must be \(B, 3\)"):
        scores.spearman([1, 2, 3], [1, 2, 3], np.ones((2, 4)))
