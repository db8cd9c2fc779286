"""Scores of distances against judgements: 2AFC, JND average precision, correlations.

Every score also takes ``weights`` (B, n): B re-weighted copies of the data, all evaluated at once.
A weight says how often an item was drawn, so that bootstrap resamples need no Python loop and a
score has one implementation for its value and its interval (see `intervals`).

Undefined is NaN, never a warning or an exception: a correlation with a constant, an average
precision without a positive, an accuracy without a majority.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lossnets.errors import ConfigError, require

Array = NDArray[np.float64]


def two_afc_items(d0: ArrayLike, d1: ArrayLike, judge: ArrayLike) -> Array:
    """2AFC score of each triplet: (d0<d1)(1−judge) + (d1<d0)·judge + ½·(d0=d1) -> (n,) in [0, 1].

    Args:
        d0: distances between reference and p0, (n,).
        d1: distances between reference and p1, (n,).
        judge: fraction of people who found p1 closer, (n,).
    """
    d0, d1, judge = _columns(d0, d1, judge)
    items: Array = (d0 < d1) * (1 - judge) + (d1 < d0) * judge + 0.5 * (d0 == d1)
    return items


def majority_items(d0: ArrayLike, d1: ArrayLike, judge: ArrayLike) -> Array:
    """1 where the smaller distance is the majority's choice, 0 where not, ½ for equal distances -> (n,).

    NaN where the votes are split evenly (judge = ½): there is no majority to agree with, and
    counting ½ there would pull every loss towards chance. The caller says how many there are.
    """
    d0, d1, judge = _columns(d0, d1, judge)
    agrees = np.where(d0 == d1, 0.5, ((d1 < d0) == (judge > 0.5)).astype(np.float64))
    return np.where(judge == 0.5, np.nan, agrees)


def weighted_mean(values: ArrayLike, weights: Array | None = None) -> Array:
    """Mean over the items that are not NaN: (n,) values, (B, n) weights -> (B,); NaN where none is left."""
    (values,) = _columns(values)
    weights = _weights(weights, len(values))
    there = ~np.isnan(values)
    # one product for sum and count: a second pass over (B, n) weights would double the time
    sums = weights @ np.stack([np.where(there, values, 0.0), there.astype(np.float64)], axis=1)
    return _ratio(sums[:, 0], sums[:, 1])


def two_afc_score(d0: ArrayLike, d1: ArrayLike, judge: ArrayLike) -> float:
    """2AFC score: mean of `two_afc_items`, in [0, 1]; 0.5 is chance, higher is better."""
    return float(weighted_mean(two_afc_items(d0, d1, judge))[0])


def two_afc_accuracy(d0: ArrayLike, d1: ArrayLike, judge: ArrayLike) -> float:
    """Share of triplets with a majority where the distance agrees with it: mean of `majority_items`."""
    return float(weighted_mean(majority_items(d0, d1, judge))[0])


def jnd_ap(
    distances: ArrayLike, same: ArrayLike, weights: Array | None = None, *, envelope: bool = True
) -> Array:
    """Average precision of "not noticed", smallest distance first -> (B,) in [0, 1].

    Going through the pairs by rising distance, recall is the share of all "same" votes met so far
    and precision the share of "same" votes among the pairs so far; ``same`` may be a fraction, as
    in BAPPS, and counts as that much of a positive. The area is the one of the LPIPS code
    (``voc_ap``): precision is first made non-increasing in recall (`envelope`). Without the
    envelope it is scikit-learn's ``average_precision_score``.

    Pairs of equal distance enter together, so that their order cannot matter. (The LPIPS code
    takes them one by one, in file order.)

    Args:
        distances: (n,).
        same: fraction of people who took the pair for the same, (n,).
        weights: (B, n) or None.
        envelope: see above.
    """
    distances, same = _columns(distances, same)
    weights = _weights(weights, len(distances))
    order = np.argsort(distances, kind="stable")
    ends = np.flatnonzero(np.append(np.diff(distances[order]) > 0, True))
    weights = weights[:, order]
    hits = np.cumsum(weights * same[order], axis=1)[:, ends]
    seen = np.cumsum(weights, axis=1)[:, ends]
    recall = _ratio(hits, hits[:, -1:])
    precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
    if envelope:
        precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    steps = np.diff(recall, axis=1, prepend=0.0)
    area: Array = (steps * precision).sum(axis=1)
    return area


def pearson(x: ArrayLike, y: ArrayLike, weights: Array | None = None) -> Array:
    """Pearson's linear correlation -> (B,) in [-1, 1]; NaN where x or y is constant."""
    x, y = _columns(x, y)
    weights = _weights(weights, len(x))
    x, y = (np.broadcast_to(_unit_range(column), weights.shape) for column in (x, y))
    return _weighted_pearson(x, y, weights)


def spearman(x: ArrayLike, y: ArrayLike, weights: Array | None = None) -> Array:
    """Spearman's rank correlation, ties at their mid-rank -> (B,) in [-1, 1]; NaN for constants."""
    x, y = _columns(x, y)
    weights = _weights(weights, len(x))
    return _weighted_pearson(_mid_ranks(x, weights), _mid_ranks(y, weights), weights)


def kendall(x: ArrayLike, y: ArrayLike, weights: Array | None = None) -> Array:
    """Kendall's tau-b, which corrects for ties -> (B,) in [-1, 1]; NaN for constants. SciPy computes it."""
    x, y = _columns(x, y)
    weights = _weights(weights, len(x))
    stats: Any = require("scipy.stats", "bench", "Kendall's tau")
    out = np.full(len(weights), np.nan)
    for b, row in enumerate(weights):
        drawn = np.repeat(np.arange(len(x)), row.astype(np.int64))
        if len(drawn) > 1 and np.ptp(x[drawn]) > 0 and np.ptp(y[drawn]) > 0:
            out[b] = stats.kendalltau(x[drawn], y[drawn]).statistic
    return out


CORRELATIONS = {"spearman": spearman, "kendall": kendall, "pearson": pearson}
"""Correlations by name."""


def agreement(distances: ArrayLike, *, higher_is_better: bool) -> Array:
    """Distances with the sign that makes a correlation with opinions positive for a good loss -> (n,).

    A distance grows with distortion. A MOS falls with it (`higher_is_better`), so the distance is
    negated; a DMOS rises with it, so it stays.
    """
    (distances,) = _columns(distances)
    return -distances if higher_is_better else distances


def _unit_range(x: Array) -> Array:
    """Shift and scale into [-1, 1], so that no square over- or underflows."""
    x = x / (np.abs(x).max() or 1.0)
    x = x - x[0]
    out: Array = x / (np.abs(x).max() or 1.0)
    return out


def _weighted_pearson(x: Array, y: Array, weights: Array) -> Array:
    # after centring, a constant is rounding noise that must not be correlated with anything
    constant = _is_constant(x, weights) | _is_constant(y, weights)
    total = weights.sum(axis=1, keepdims=True)
    x = x - _ratio((weights * x).sum(axis=1, keepdims=True), total)
    y = y - _ratio((weights * y).sum(axis=1, keepdims=True), total)
    xx, yy = (weights * x * x).sum(axis=1), (weights * y * y).sum(axis=1)
    r = _ratio((weights * x * y).sum(axis=1), np.sqrt(xx) * np.sqrt(yy))
    return np.where(constant, np.nan, np.clip(r, -1.0, 1.0))


def _is_constant(x: Array, weights: Array) -> NDArray[np.bool_]:
    """Whether all drawn items of a copy have one value: (B, n), (B, n) -> (B,)."""
    drawn = weights > 0
    low = np.where(drawn, x, np.inf).min(axis=1)
    high = np.where(drawn, x, -np.inf).max(axis=1)
    constant: NDArray[np.bool_] = low >= high
    return constant


def _mid_ranks(x: Array, weights: Array) -> Array:
    """Mid-ranks that x (n,) has in each resampled copy (B, n), counted in drawn items."""
    _, group = np.unique(x, return_inverse=True)
    order = np.argsort(group, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    size = np.add.reduceat(weights[:, order], starts, axis=1)  # (B, groups)
    middle = np.cumsum(size, axis=1) - size / 2
    return middle[:, group]


def _columns(*columns: ArrayLike) -> list[Array]:
    arrays = [np.asarray(c, dtype=np.float64) for c in columns]
    shapes = {a.shape for a in arrays}
    if len(shapes) != 1 or arrays[0].ndim != 1 or arrays[0].size == 0:
        raise ConfigError(
            f"scores take columns (n,) of one length, n at least 1; got shapes {[a.shape for a in arrays]}."
        )
    return arrays


def _weights(weights: Array | None, n: int) -> Array:
    if weights is None:
        return np.ones((1, n))
    if weights.ndim != 2 or weights.shape[1] != n:
        raise ConfigError(f"weights must be (B, {n}); got {weights.shape}.")
    return weights


def _ratio(a: Array, b: Array) -> Array:
    """Quotient, NaN where the divisor is 0."""
    out: Array = np.divide(a, b, out=np.full(np.broadcast_shapes(a.shape, b.shape), np.nan), where=b != 0)
    return out
