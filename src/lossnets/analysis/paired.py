"""Pairs of losses over seeds: differences, their scatter, and p values that allow for all pairs at once.

Pure NumPy on arrays (losses, seeds) with NaN where a run has no value; `comparisons` makes frames of it.
A seed is a block: it decides the initial network and the order of the data for every loss alike, so losses
are compared within seeds (randomised blocks).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lossnets.analysis.studentized import range_isf, range_sf
from lossnets.errors import ConfigError

Array = NDArray[np.float64]
Variances = Literal["moderated", "pooled", "separate"]
VARIANCES: tuple[Variances, ...] = ("moderated", "pooled", "separate")


@dataclass(frozen=True)
class Pairs:
    """Every unordered pair of losses; arrays of one length.

    Attributes:
        first: index of one loss; its value minus that of `second` is the difference.
        second: index of the other.
        difference: mean over the common seeds; NaN without a common seed.
        half: half the width of the simultaneous interval; NaN where no test can be made.
        p: of the pair alone, two-sided; NaN where no test can be made.
        adjusted: p allowing for all pairs.
        n: common seeds.
    """

    first: NDArray[np.intp]
    second: NDArray[np.intp]
    difference: Array
    half: Array
    p: Array
    adjusted: Array
    n: NDArray[np.intp]


def check_alpha(alpha: float) -> None:
    """Raise ConfigError unless 0 < alpha < 1."""
    if not isinstance(alpha, (int, float)) or not 0 < alpha < 1:
        raise ConfigError(f"alpha must lie between 0 and 1 (0.05 is usual); got {alpha!r}.")


def holm(p: Array) -> Array:
    """P values, (m,) -> adjusted for all m of them by Holm's step-down method; NaN stay NaN and do not count.

    Holm, Scand. J. Statist. 6, 1979: the i-th smallest times (m - i + 1), never below an earlier one.
    """
    adjusted = np.full(p.shape, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1.0) if len(order) else steps
    return adjusted


def seed_pairs(values: Array, variances: Variances, alpha: float) -> Pairs:
    """Values (losses, seeds), NaN for none -> all pairs; how scatter is estimated: see `compare_losses`."""
    unit = power_of_two(values)
    values = values / unit
    first, second = np.triu_indices(len(values), 1)
    gaps = values[first] - values[second]
    there = ~np.isnan(gaps)
    n = there.sum(1)
    with np.errstate(invalid="ignore", divide="ignore"):
        difference = np.where(there, gaps, 0.0).sum(1) / n
        squares = np.where(there, gaps - difference[:, None], 0.0) ** 2
        own = np.where(n > 1, squares.sum(1) / (n - 1), np.nan)
    if variances == "pooled":
        half, p, adjusted = _pooled(values, difference, n, alpha)
    else:
        variance, df = own, n - 1.0
        if variances == "moderated":
            variance, df = moderate(own, df, most=_residual_df(values))
        half, p, adjusted = _by_t(difference, variance, df, n, alpha)
    return Pairs(first, second, difference * unit, half * unit, p, adjusted, n)


def power_of_two(values: Array) -> float:
    """A unit near the largest size, so that squares neither overflow nor vanish; division by it is exact."""
    known = np.abs(values[np.isfinite(values) & (values != 0)])
    return math.ldexp(1.0, math.frexp(float(known.max()))[1] - 1) if known.size else 1.0


def _by_t(
    difference: Array, variance: Array, df: Array, n: NDArray[np.intp], alpha: float
) -> tuple[Array, Array, Array]:
    from scipy import stats

    variance = np.where((n > 1) & (variance > 0), variance, np.nan)
    count = max(int(np.isfinite(variance).sum()), 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(variance / n)
        p = 2 * stats.t.sf(np.abs(difference) / error, df)
        half = stats.t.isf(alpha / 2 / count, df) * error
    return half, p, holm(p)


def _residual_df(values: Array) -> int:
    """Degrees of freedom that all runs together leave for scatter."""
    kept = values[(~np.isnan(values)).sum(1) > 1]
    there = ~np.isnan(kept)
    return max(int(there.sum() - len(kept) - there.any(0).sum() + 1), 1)


def moderate(own: Array, df: Array, *, most: float) -> tuple[Array, Array]:
    """Variances of pairs and their degrees of freedom -> variances to test with, and theirs (at most `most`).

    The variances of all pairs are taken as draws from one scaled inverse chi-squared distribution, which is
    fitted to them (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004, section 6.2); where they scatter no more
    than chance makes them, all share their mean. What a pair gets is the mean of prior and own variance,
    weighted by degrees of freedom, **or its own where that is larger**: a loss that trains far less
    steadily than the others is not judged by their steadiness.
    """
    known = np.isfinite(own) & (df > 0)
    if known.sum() < 2 or not (own[known] > 0).any():
        return own, df
    prior_df, prior = _prior(own[known], df[known])
    if math.isinf(prior_df):
        shared = float(np.average(own[known], weights=df[known]))
        return np.fmax(shared, own), np.full(own.shape, float(most))
    if prior_df == 0.0:
        return own, df
    mixed = (prior_df * prior + df * own) / (prior_df + df)
    return np.fmax(mixed, own), np.minimum(prior_df + df, np.maximum(df, most))


def _prior(own: Array, df: Array) -> tuple[float, float]:
    """Degrees of freedom and scale of the prior, by the mean and variance of log variances."""
    from scipy.optimize import brentq
    from scipy.special import digamma, polygamma

    floor = 1e-5 * float(np.median(own)) or float(own[own > 0].min())  # coarse scores may not scatter at all
    logs = np.log(np.maximum(own, floor)) - digamma(df / 2) + np.log(df / 2)
    excess = float(np.var(logs, ddof=1) - np.mean(polygamma(1, df / 2)))
    if excess <= polygamma(1, 5e3):
        return math.inf, math.nan
    if excess >= polygamma(1, 1e-3):
        return 0.0, math.nan
    half = brentq(lambda x: float(polygamma(1, x)) - excess, 1e-3, 5e3)
    return 2 * half, math.exp(float(np.mean(logs)) + digamma(half) - math.log(half))


def _pooled(
    values: Array, difference: Array, n: NDArray[np.intp], alpha: float
) -> tuple[Array, Array, Array]:
    from scipy import stats

    kept = (~np.isnan(values)).sum(1) > 1
    groups = int(kept.sum())
    residual, df = block_residual(values[kept]) if groups > 1 else (math.nan, 0)
    usable = (n > 1) & (df > 0) & (residual > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.where(usable, np.sqrt(residual / n), np.nan)  # of one mean; sqrt(2) more for a difference
        ranges = np.abs(difference) / error
    p = 2 * stats.t.sf(ranges / math.sqrt(2), max(df, 1))
    if not usable.any():
        return error, p, p
    return range_isf(alpha, groups, df) * error, p, range_sf(ranges, groups, df)


def block_residual(values: Array) -> tuple[float, int]:
    """Values (losses, seeds), NaN for none -> mean square of what losses and seeds leave, and its df.

    Least squares of value = loss + seed, so that losses with missing seeds count with those they have.
    """
    loss, seed = np.nonzero(~np.isnan(values))
    y = values[loss, seed]
    design = np.hstack([np.eye(len(values))[loss], np.eye(values.shape[1])[seed]])
    fit, _, rank, _ = np.linalg.lstsq(design, y, rcond=None)
    df = len(y) - int(rank)
    if df == 0:
        return math.nan, 0
    square = float(((y - design @ fit) ** 2).sum())
    exact = (1e-12 * float(np.abs(y).max())) ** 2 * len(y)  # what rounding leaves of equal values
    return (0.0 if square <= exact else square / df), df
