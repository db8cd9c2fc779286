"""Gap closed = (L_mse - L_x) / (L_mse - L_true) of the true loss at the end of fits, and its interval.

0: no better than MSE; 1: as good as driving with the true loss itself; above 1: better than that within
these steps, which happens and is not cut off; below 0: worse than MSE.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lossnets.benchmarks.intervals import LEVEL, Estimate

Array = NDArray[np.float64]
RESAMPLES = 2000


class Draws:
    """Bootstrap of images and seeds: the same draws for every rival and generator, so that pairs stay paired.

    Both are drawn with replacement (a seed with all of its images); with one seed only images are, and the
    interval then says nothing about other seeds. Means over n images and s seeds.

    Args:
        images: how many.
        seeds: how many.
        resamples: draws.
        seed: of the draws.
    """

    def __init__(self, images: int, seeds: int, *, resamples: int = RESAMPLES, seed: int = 0) -> None:
        rng = np.random.default_rng(seed)
        self._images = rng.multinomial(images, [1 / images] * images, size=resamples) / images
        self._seeds = rng.multinomial(seeds, [1 / seeds] * seeds, size=resamples) / seeds
        if seeds == 1:
            self._seeds = np.ones((resamples, 1))

    def means(self, values: Array) -> Array:
        """(images, seeds) -> (resamples,) mean over each draw."""
        return np.asarray(((self._images @ values) * self._seeds).sum(1))


def gap_closed(
    mse: Array, true: Array, other: Array, *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Gap closed by ``other`` with its 95% bootstrap interval; a ratio of means over images and seeds.

    Args:
        mse: (images, seeds) end values of the true loss when MSE drives.
        true: the same when the true loss drives.
        other: the same for what is judged.
        resamples: bootstrap draws.
        seed: of them; the same seed gives the same draws.

    Returns:
        NaN with a note where it is not defined: a value is not finite, or the interval of L_mse - L_true
        reaches 0, so that there may be no gap to close.
    """
    value, drawn, note = _ratio(mse, true, other, resamples, seed)
    return _estimate(value, drawn, note)


def gap_difference(
    parts: Sequence[tuple[Array, Array, Array, Array]], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Gap closed by a less that by b, paired: mean over parts (mse, true, a, b), each (images, seeds)."""
    pairs = []
    for mse, true, a, b in parts:
        pairs.append(tuple(_ratio(mse, true, each, resamples, seed) for each in (a, b)))
    note = next((r[2] for pair in pairs for r in pair if math.isnan(r[0])), "")
    if note or not pairs:
        return _estimate(math.nan, np.empty(0), note or "nothing to compare")
    note = next((r[2] for pair in pairs for r in pair if r[2]), "")
    value = float(np.mean([a[0] - b[0] for a, b in pairs]))
    return _estimate(
        value, np.mean([a[1] - b[1] for a, b in pairs], axis=0) if not note else np.empty(0), note
    )


def mean_gap(
    parts: Sequence[tuple[Array, Array, Array]], *, resamples: int = RESAMPLES, seed: int = 0
) -> Estimate:
    """Mean over parts (mse, true, other), e.g. generators, of the gap closed in each, same draws in all."""
    ratios = [_ratio(*part, resamples, seed) for part in parts]
    note = next((r[2] for r in ratios if math.isnan(r[0])), "")
    if note or not ratios:
        return _estimate(math.nan, np.empty(0), note or "nothing to average")
    note = next((r[2] for r in ratios if r[2]), "")
    drawn = np.empty(0) if note else np.mean([r[1] for r in ratios], axis=0)
    return _estimate(float(np.mean([r[0] for r in ratios])), drawn, note)


def _ratio(mse: Array, true: Array, other: Array, resamples: int, seed: int) -> tuple[float, Array, str]:
    """The value, its bootstrap draws (none without an interval) and why."""
    nothing = np.empty(0)
    for name, values in (("MSE", mse), ("the true loss", true), ("it", other)):
        lost = int((~np.isfinite(values)).sum())
        if lost:
            return (
                math.nan,
                nothing,
                f"not defined: {lost} of {values.size} fits driven by {name} are not finite",
            )
    gap = float(mse.mean() - true.mean())
    if len(mse) < 2:
        if gap <= 0:
            return math.nan, nothing, "not defined: the true loss ends no lower than MSE"
        return float(mse.mean() - other.mean()) / gap, nothing, "no interval: it needs at least 2 images"
    draws = Draws(*mse.shape, resamples=resamples, seed=seed)
    below = draws.means(mse - true)
    low, high = _ends(below)
    if not low > 0:
        return math.nan, nothing, (
            f"not defined: there may be no gap to close, L_mse - L_true is {gap:.4g} [{low:.4g}, {high:.4g}]"
        )  # fmt: skip
    return float(mse.mean() - other.mean()) / gap, draws.means(mse - other) / below, ""


def _ends(drawn: Array) -> tuple[float, float]:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def _estimate(value: float, drawn: Array, note: str) -> Estimate:
    low, high = _ends(drawn) if len(drawn) else (math.nan, math.nan)
    return Estimate(value, low, high, note)
