"""Do rankings agree? Kendall's W and Friedman's test over blocks, with a test that knows networks and taps.

Pure NumPy on arrays (contenders, blocks) of ranks; a block is a setting or a task.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lossnets.analysis.paired import Array

DRAWS = 1999


def kendall_w(ranks: Array) -> float:
    """Ranks (contenders, blocks), ties sharing their mean -> agreement in [0, 1]; NaN where all is tied.

    Kendall and Babington Smith, Ann. Math. Statist. 10, 1939; corrected for ties (Kendall, Rank Correlation
    Methods, 1970, chapter 6): W = 12 S / (m^2 (n^3 - n) - m sum of (t^3 - t)).
    """
    n, m = ranks.shape
    totals = ranks.sum(1)
    spread = float(((totals - totals.mean()) ** 2).sum())
    below = m**2 * (n**3 - n) - m * tie_sum(ranks)
    return 12 * spread / below if below > 0 else math.nan


def tie_sum(ranks: Array) -> float:
    """Sum of t^3 - t over all groups of t tied ranks in all blocks."""
    counts = [np.unique(block, return_counts=True)[1] for block in ranks.T]
    return float(sum(int((t.astype(np.int64) ** 3 - t).sum()) for t in counts))


def iman_davenport(ranks: Array) -> tuple[float, float, float]:
    """Ranks (contenders, blocks) -> Friedman's chi-squared, ties corrected; Iman and Davenport's F; its p.

    Friedman, J. Am. Stat. Assoc. 32, 1937; Iman and Davenport, Commun. Stat. A9, 1980;
    Demsar, J. Mach. Learn. Res. 7, 2006, section 3.2.2.
    """
    from scipy import stats

    n, m = ranks.shape
    chi = m * (n - 1) * kendall_w(ranks)
    left = m * (n - 1) - chi
    f = (m - 1) * chi / left if left > 1e-9 else math.inf
    return chi, f, float(stats.f.sf(f, n - 1, (n - 1) * (m - 1)))


def exchange_p(ranks: Array, grid: NDArray[np.intp], rest: list[int], *, seed: int = 0) -> float:
    """P value of agreement at least this large, if each block dealt its ranks by itself.

    Two taps of one network, or the first taps of two networks, fare alike in a block whether or not the
    blocks agree; shuffling contenders one by one would take that for agreement. So in each block but the
    first, whole networks change places, and whole positions do (the null hypothesis: a block's networks are
    exchangeable, and so are its positions); the rest is shuffled among itself.

    Args:
        ranks: (contenders, blocks).
        grid: row numbers, (architectures, positions); may be empty.
        rest: the other rows' numbers.
        seed: of the shuffling, `DRAWS` times.
    """
    rng = np.random.default_rng(seed)
    totals = np.tile(ranks[:, 0], (DRAWS, 1))
    for block in ranks.T[1:]:
        if grid.size:
            lines = rng.permuted(np.tile(np.arange(grid.shape[0]), (DRAWS, 1)), axis=1)
            points = rng.permuted(np.tile(np.arange(grid.shape[1]), (DRAWS, 1)), axis=1)
            moved = block[grid][lines[:, :, None], points[:, None, :]]
            totals[:, grid.ravel()] += moved.reshape(DRAWS, -1)
        if rest:
            totals[:, rest] += rng.permuted(np.tile(block[rest], (DRAWS, 1)), axis=1)
    found = float((ranks.sum(1) ** 2).sum())
    return (1 + int(((totals**2).sum(1) >= found * (1 - 1e-12)).sum())) / (1 + DRAWS)


def least_p(grid: NDArray[np.intp], rest: list[int], blocks: int) -> float:
    """The p value of perfect agreement: one over the number of ways to deal the ranks."""
    ways = math.lgamma(len(rest) + 1)
    if grid.size:
        ways += math.lgamma(grid.shape[0] + 1) + math.lgamma(grid.shape[1] + 1)
    return math.exp(-ways * max(blocks - 1, 0))


def signed_rank_p(gaps: Array) -> Array:
    """Differences (pairs, blocks) -> two-sided p of Wilcoxon's signed-rank test, zeros dropped.

    Exact by all changes of sign up to 12 blocks (ties and zeros included), normal beyond
    (Wilcoxon, Biometrics Bull. 1, 1945). A pair without a difference has p = 1.
    """
    from scipy import stats

    sizes = np.abs(gaps)
    ranks = stats.rankdata(sizes, axis=1) - (sizes == 0).sum(1, keepdims=True)
    ranks[sizes == 0] = 0.0
    found = np.abs((np.sign(gaps) * ranks).sum(1))
    blocks = gaps.shape[1]
    if blocks > 12:
        scale = np.sqrt((ranks**2).sum(1))
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.where(scale > 0, 2 * stats.norm.sf(found / scale), 1.0)
    signs = 1 - 2 * ((np.arange(2**blocks)[:, None] >> np.arange(blocks)) & 1)
    return np.asarray((np.abs(signs @ ranks.T) >= found - 1e-9).mean(0))
