"""Variance between networks against variance between the points of a network: ratio with an interval.

Model: mean of a loss = network + point within the network + seeds, all normal and independent. The
question is how large var(network) / var(point within network) is, the scatter of trainings taken out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NOISE_SHARE = 0.2
"""Of alpha, spent on the scatter of trainings where it has to be taken out (Bonferroni)."""


@dataclass(frozen=True)
class Ratio:
    """var(network) / var(point within network).

    Attributes:
        value: estimate, at least 0; NaN where points do not differ beyond the scatter of trainings.
        low: lower end of the interval, 0 or more.
        high: upper end; infinite where the points may not differ at all.
        shared: what `high` is where points of the same position share an effect (see `ratio_of`).
        noise: share of the scatter between points that is that of trainings, as estimated.
        method: how the interval came about.
        networks: that have a point.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    shared: float = math.nan
    noise: float = math.nan
    method: str = "none"
    networks: int = 0


@dataclass(frozen=True)
class Scatter:
    """Variance that trainings add to the mean of a loss.

    Attributes:
        variance: of a mean over seeds; 0 where chance has no part, NaN where one seed cannot tell.
        df: degrees of freedom of the estimate; infinite where it is known.
        equal: whether every loss has the same seeds.
    """

    variance: float
    df: float = math.inf
    equal: bool = True


def ratio_of(means: Array, scatter: Scatter, *, alpha: float = 0.05) -> Ratio:
    """(networks, points) means -> ratio with its 1 - alpha interval.

    Equal seeds: the interval of Wald (Annals of Mathematical Statistics 11, 1940) for the one-way random
    model, exact for equal and unequal numbers of points; with equal numbers it is the F interval of the
    nested model (Searle, Casella and McCulloch, Variance Components, 1992, section 3.6). The scatter of
    trainings, a part of what it calls the points' variance, is taken out with an F interval for that
    part, Bonferroni over the two: coverage is then at least 1 - alpha. Of one seed the part is unknown:
    the upper end is infinite. With unequal seeds, means differ in how much trainings add to them: the
    same interval, approximate, with their mean share (it covers as it says in simulation, where a
    bootstrap over 14 networks misses twice to three times as often as it should).

    The model draws the points of each network anew. Where positions have an effect that networks share,
    the network means do not scatter by it, and the ratio comes out too small by up to 1 / points;
    `Ratio.shared` adds that to the upper end, which then holds in both cases.

    Args:
        means: NaN where there is no value.
        scatter: of the means by trainings.
        alpha: 1 - coverage.
    """
    groups = [row[np.isfinite(row)] for row in means]
    groups = [row for row in groups if len(row)]
    sizes = np.array([len(row) for row in groups])
    if len(groups) < 2 or sizes.sum() == len(groups):
        return Ratio(networks=len(groups))
    centres = np.array([row.mean() for row in groups])
    inner = np.array([((row - row.mean()) ** 2).sum() for row in groups])
    if inner.sum() <= 1e-24 * max(1.0, float(np.abs(centres).max()) ** 2):
        return Ratio(networks=len(groups), method="points do not differ")
    return _interval(sizes, centres, inner, scatter, alpha)


def _interval(
    sizes: NDArray[np.int64], centres: Array, inner: Array, scatter: Scatter, alpha: float
) -> Ratio:
    from scipy import stats

    df = len(sizes) - 1, int(sizes.sum()) - len(sizes)
    within = inner.sum() / df[1]
    measured = scatter.variance > 0
    level = alpha * (1 - NOISE_SHARE) if measured else alpha
    raw = _estimate(sizes, centres, within)
    low = _wald(sizes, centres, within, stats.f.ppf(1 - level / 2, *df))
    high = _wald(sizes, centres, within, stats.f.ppf(level / 2, *df))
    noise, least, most = (math.nan, 0.0, 1.0) if math.isnan(scatter.variance) else (0.0, 0.0, 0.0)
    if measured:
        noise = min(1.0, scatter.variance / within)
        ends = stats.f.ppf([NOISE_SHARE * alpha / 2, 1 - NOISE_SHARE * alpha / 2], df[1], scatter.df)
        least, most = (min(1.0, end * scatter.variance / within) for end in ends)
    known = 0.0 if math.isnan(noise) else noise
    return Ratio(
        value=raw / (1 - known) if known < 1 else math.nan,
        low=low / (1 - least) if least < 1 else math.inf,
        high=high / (1 - most) if most < 1 else math.inf,
        shared=(high + 1 / sizes.min()) / (1 - most) if most < 1 else math.inf,
        noise=noise,
        method=_method(sizes, scatter),
        networks=len(sizes),
    )


def _method(sizes: NDArray[np.int64], scatter: Scatter) -> str:
    text = "exact F" if scatter.equal else "approximate F for unequal seeds"
    if len(set(sizes.tolist())) > 1:
        text += " and unequal numbers of points (Wald 1940)"
    if scatter.variance > 0:
        return f"{text}, scatter of trainings taken out"
    return f"{text}, scatter of trainings unknown" if math.isnan(scatter.variance) else text


def _wald(sizes: NDArray[np.int64], centres: Array, within: float, quantile: float) -> float:
    """The ratio at which Wald's statistic equals a quantile of F; 0 where it is below already at 0."""
    from scipy.optimize import brentq

    def beyond(ratio: float) -> float:
        weights = sizes / (1 + sizes * ratio)
        centre = (weights * centres).sum() / weights.sum()
        between = (weights * (centres - centre) ** 2).sum() / (len(sizes) - 1)
        return float(between / within - quantile)

    if beyond(0.0) <= 0:
        return 0.0
    top = 1.0
    while beyond(top) > 0:
        top *= 4
    return float(brentq(beyond, 0.0, top, xtol=1e-12, rtol=1e-12))


def _estimate(sizes: NDArray[np.int64], centres: Array, within: float) -> float:
    """Ratio by equating the mean squares to their expectations, at least 0."""
    total, count = sizes.sum(), len(sizes)
    grand = (sizes * centres).sum() / total
    between = (sizes * (centres - grand) ** 2).sum() / (count - 1)
    size = (total - (sizes**2).sum() / total) / (count - 1)
    return float(max(between - within, 0.0) / size / within)
