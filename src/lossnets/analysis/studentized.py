"""The studentised range by quadrature: p values of thousands of pairs at once, where SciPy takes minutes.

The range of `groups` independent standard normals, divided by an independent estimate of their scatter
with `df` degrees of freedom (Tukey 1953; Copenhaver and Holland, J. Stat. Comput. Simul. 30, 1988).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]
_TOP = 40.0  # standard deviations: nothing reaches it
_NODES = 200  # of every integral; the tests hold the result to SciPy's at 1e-6


def range_sf(q: ArrayLike, groups: int, df: float) -> Array:
    """Studentised ranges, any shape -> probability in [0, 1] of one at least as large.

    Args:
        q: range / scatter, 0 or more; NaN stays NaN.
        groups: 2 or more.
        df: degrees of freedom of the scatter, 1 or more; ``math.inf`` where it is known.
    """
    ranges = np.asarray(q, dtype=float)
    if math.isinf(df):
        return _normal_range_sf(ranges, groups)
    scatters, weights = _scatter_nodes(df)
    wide = np.minimum(ranges[..., None] * scatters, _TOP)
    return np.asarray(np.clip((np.exp(_log_sf(groups)(wide)) * weights).sum(-1), 0.0, 1.0))


@lru_cache(maxsize=64)
def _log_sf(groups: int) -> Any:
    """Spline of the logarithm of `_normal_range_sf`, from 0 to `_TOP`."""
    from scipy.interpolate import CubicSpline

    grid = np.linspace(0.0, _TOP, 2001)
    return CubicSpline(grid, np.log(np.maximum(_normal_range_sf(grid, groups), 1e-300)))


@lru_cache(maxsize=512)
def range_isf(p: float, groups: int, df: float) -> float:
    """Probability in (0, 1) -> the studentised range that is exceeded with it; inverse of `range_sf`."""
    from scipy.optimize import brentq

    high = 4.0
    while float(range_sf(high, groups, df)) > p:
        high *= 2
    return float(brentq(lambda q: float(range_sf(q, groups, df)) - p, 0.0, high, xtol=1e-9))


def _normal_range_sf(ranges: Array, groups: int) -> Array:
    """P(range of k normals > w) = k * integral of phi(z) (F(z)^(k-1) - (F(z) - F(z-w))^(k-1)) over z."""
    from scipy.special import ndtr

    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    z = 8.5 * nodes
    density = 8.5 * weights * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    below = ndtr(z)
    share = np.minimum(ndtr(z - ranges[..., None]) / below, 1.0)
    with np.errstate(divide="ignore"):
        inner = below ** (groups - 1) * -np.expm1((groups - 1) * np.log1p(-share))
    return np.asarray(np.clip(groups * (density * inner).sum(-1), 0.0, 1.0))


@lru_cache(maxsize=64)
def _scatter_nodes(df: float) -> tuple[Array, Array]:
    """Values of sqrt(chi2(df) / df) and their weights, which sum to 1, by Gauss-Legendre."""
    from scipy.stats import chi

    low, high = chi.ppf(1e-14, df), chi.isf(1e-14, df)
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    chis = low + (high - low) * (nodes + 1) / 2
    mass = weights * chi.pdf(chis, df)
    return chis / math.sqrt(df), mass / mass.sum()
