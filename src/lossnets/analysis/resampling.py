"""Rank correlation, and its chance: permutation, sign flips and bootstrap, all with networks as the units."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
FEWEST = 5
"""Units below which a bootstrap interval is not given: its ends would be a handful of values."""
EXACT = 2**14
"""Sign patterns, or orders, up to which all are gone through."""


def ranks(values: Array) -> Array:
    """(..., n) -> (..., n) ranks from 1 along the last axis; ties share their mean.

    >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [2.5, 1.0, 2.5]
    """
    below = (values[..., :, None] > values[..., None, :]).sum(axis=-1)
    equal = (values[..., :, None] == values[..., None, :]).sum(axis=-1)
    found: Array = below + (equal + 1) / 2
    return found


def _units(values: Array) -> Array:
    """(..., n) -> ranks, centred and scaled to length 1, whose products are correlations; NaN if constant."""
    centred = ranks(values) - (values.shape[-1] + 1) / 2
    length = np.sqrt((centred**2).sum(axis=-1, keepdims=True))
    found: Array = np.where(length > 1e-9, centred / np.where(length > 1e-9, length, 1.0), np.nan)
    return found


def spearman(first: Array, second: Array) -> Array:
    """(..., n) and (..., n) -> (...) Spearman's rank correlation; NaN where one of them is constant."""
    found: Array = (_units(first) * _units(second)).sum(axis=-1)
    return found


def mean_spearman(attribute: Array, scores: Array, weights: Array | None = None) -> Array:
    """(..., n) and (s, ..., n) -> (...) mean over s of the rank correlations, weighted by (s,) weights."""
    one = _units(attribute)
    each = [(one * _units(score)).sum(axis=-1) for score in scores]
    found: Array = np.average(each, axis=0, weights=weights)
    return found


def permutation_p(
    attribute: Array, scores: Array, *, draws: int, seed: int, weights: Array | None = None
) -> tuple[float, float, float]:
    """Chance of a mean rank correlation at least this (large in size, high, low), networks permuted.

    The attribute is permuted among the networks, the same in all settings, so that what settings have in
    common counts once. All orders where there are few, else random ones of which the data's is one
    (Phipson and Smyth, Statistical Applications in Genetics 9, 2010).

    Args:
        attribute: (n,) of the networks.
        scores: (s, n) of the networks in s settings.
        draws: random orders.
        seed: of them.
        weights: (s,) of the settings; equal by default.
    """
    count = len(attribute)
    observed = float(mean_spearman(attribute, scores, weights))
    if math.isnan(observed):
        return math.nan, math.nan, math.nan
    exact = math.factorial(count) <= max(draws, 1000)
    if exact:
        orders = np.array(list(itertools.permutations(range(count))))
    else:
        orders = np.random.default_rng(seed).permuted(np.tile(np.arange(count), (draws, 1)), axis=1)
    two = np.average(_units(scores), axis=0, weights=weights)
    drawn = _units(attribute)[orders] @ two
    return _tails(drawn, observed, exact)


def _tails(drawn: Array, observed: float, exact: bool) -> tuple[float, float, float]:
    more = 0 if exact else 1
    hits = (np.abs(drawn) >= abs(observed) - 1e-9, drawn >= observed - 1e-9, drawn <= observed + 1e-9)
    sizes = [(int(hit.sum()) + more) / (len(drawn) + more) for hit in hits]
    return sizes[0], sizes[1], sizes[2]


def sign_flip_p(values: Array, *, draws: int, seed: int) -> tuple[float, float, float]:
    """(n,) one value a network -> chance of a mean at least this (far from 0, high, low), signs flipped.

    Fisher's randomisation test of a mean of 0 (The Design of Experiments, 1935, section 21): exact for
    values that are symmetric about 0 and independent. All patterns of signs up to `EXACT`, else random.
    """
    count = len(values)
    if count == 0:
        return math.nan, math.nan, math.nan
    exact = 2**count <= EXACT
    if exact:
        bits = (np.arange(2**count)[:, None] >> np.arange(count)) & 1
    else:
        bits = np.random.default_rng(seed).integers(2, size=(draws, count))
    drawn = (2.0 * bits - 1) @ values / count
    return _tails(drawn, float(values.mean()), exact)


def resampled(count: int, *, draws: int, seed: int) -> NDArray[np.int64]:
    """(draws, count) indices of a bootstrap of that many units."""
    return np.random.default_rng(seed).integers(count, size=(draws, count))


def bootstrap_interval(
    attribute: Array, scores: Array, *, alpha: float, draws: int, seed: int, weights: Array | None = None
) -> tuple[float, float]:
    """Percentile interval (Efron 1979) of the mean rank correlation; networks are drawn, whole.

    NaN below `FEWEST` networks. Draws in which nothing varies have no correlation and do not count.
    """
    if len(attribute) < FEWEST:
        return math.nan, math.nan
    picked = resampled(len(attribute), draws=draws, seed=seed)
    return _ends(mean_spearman(attribute[picked], scores[:, picked], weights), alpha)


def mean_interval(values: Array, *, alpha: float, draws: int, seed: int) -> tuple[float, float]:
    """(n,) one value a network -> percentile interval of their mean; NaN below `FEWEST` networks."""
    if len(values) < FEWEST:
        return math.nan, math.nan
    return _ends(values[resampled(len(values), draws=draws, seed=seed)].mean(axis=1), alpha)


def _ends(drawn: Array, alpha: float) -> tuple[float, float]:
    kept = drawn[np.isfinite(drawn)]
    if not len(kept):
        return math.nan, math.nan
    low, high = np.quantile(kept, [alpha / 2, 1 - alpha / 2])
    return float(low), float(high)
