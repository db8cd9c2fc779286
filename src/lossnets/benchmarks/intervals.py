"""Bootstrap intervals: resample whole references, not single items.

Distances that share a reference share its quirks. Drawing items one by one would treat three
thousand triplets on a hundred references as three thousand independent facts and give an interval
that is too narrow. So references are drawn with replacement, each with all of its items; where
every item has its own reference (BAPPS) this is the ordinary bootstrap. The interval thus speaks
for new references from the same source, not for new people judging the same ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lossnets.errors import ConfigError

Array = NDArray[np.float64]
Statistic = Callable[[Array | None], Array]
"""weights (B, n), or None for the data as they are -> (B,)."""

LEVEL = 0.95
_CHUNK = 4_000_000  # weights held at once, 32 MB


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; NaN where undefined, and then `note` says why."""

    value: float
    low: float
    high: float
    note: str = ""


@dataclass(frozen=True)
class Part:
    """One sub-split: its statistic, and the reference that each of its n items belongs to."""

    statistic: Statistic
    clusters: Sequence[str]


def mean_of(values: Array) -> Statistic:
    """The statistic of a `Part` that is the mean of its items' values (n,), weighted by the draws."""

    def statistic(weights: Array | None) -> Array:
        if weights is None:
            return np.array([values.mean()])
        return np.asarray(weights @ values / weights.sum(1))

    return statistic


def estimate(parts: Sequence[Part], *, resamples: int, seed: int) -> Estimate:
    """Mean of the parts' statistics with its percentile bootstrap interval (`LEVEL`).

    Each part is resampled on its own, so the interval of a mean of sub-splits is that of the mean.

    Args:
        parts: one for a single split; several for the mean over sub-splits.
        resamples: bootstrap draws; 0 gives no interval.
        seed: the same seed gives the same draws for every loss.
    """
    if not parts:
        raise ConfigError("estimate needs at least one part; got none.")
    if resamples < 0:
        raise ConfigError(f"resamples must be 0 or more; got {resamples}.")
    value = float(np.mean([float(part.statistic(None)[0]) for part in parts]))
    if np.isnan(value):
        return Estimate(value, np.nan, np.nan, "not defined: constant distances or labels, or too few items")
    if resamples == 0:
        return Estimate(value, np.nan, np.nan)
    if min(len(set(part.clusters)) for part in parts) < 2:
        return Estimate(value, np.nan, np.nan, "no interval: it needs at least 2 references")
    rng = np.random.default_rng(seed)
    draws = np.mean([_draws(part, resamples, rng) for part in parts], axis=0)
    draws = draws[~np.isnan(draws)]  # a draw of few references may be constant
    if len(draws) < resamples / 2:
        return Estimate(value, np.nan, np.nan, "no interval: not defined on most resamples")
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def _draws(part: Part, resamples: int, rng: np.random.Generator) -> Array:
    return np.concatenate([part.statistic(w) for w in resample_weights(part.clusters, resamples, rng)])


def resample_weights(clusters: Sequence[str], resamples: int, rng: np.random.Generator) -> Iterator[Array]:
    """Chunks (b, n) of how often each item was drawn, b adding up to ``resamples``.

    Args:
        clusters: name of the reference of each of the n items; items of one are drawn together.
        resamples: number of draws.
        rng: source of randomness.
    """
    names, member = np.unique(np.asarray(clusters), return_inverse=True)
    c = len(names)
    identity = c == len(member) and bool((member == np.arange(c)).all())
    step = max(1, _CHUNK // len(member))
    for start in range(0, resamples, step):
        b = min(step, resamples - start)
        drawn = rng.integers(c, size=(b, c)) + np.arange(b)[:, None] * c
        counts = np.bincount(drawn.ravel(), minlength=b * c).reshape(b, c).astype(np.float64)
        yield counts if identity else counts[:, member]
