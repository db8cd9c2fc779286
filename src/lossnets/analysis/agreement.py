"""Do tasks agree on what is good? Kendall's W over tasks, and rank correlations between settings."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lossnets.analysis.blocks import exchange_p, kendall_w, least_p
from lossnets.analysis.contenders import contenders, grid_of
from lossnets.analysis.paired import Array, check_alpha
from lossnets.analysis.results import Results, pandas

if TYPE_CHECKING:
    import pandas as pd

LEAST_COMMON = 3
"""Contenders that two settings must share for a rank correlation: two always agree or disagree fully."""


@dataclass(frozen=True)
class Agreement:
    """How far rankings of contenders agree.

    Attributes:
        w: Kendall's W over tasks in [0, 1], corrected for ties: contenders are ranked in each setting, a
            task ranks them by their mean rank over its settings. 1 / number of tasks is what chance gives.
            NaN where fewer than two tasks or contenders are common.
        p: of no agreement, by shuffling (`blocks.exchange_p`: networks and positions, not single taps);
            NaN where not decidable.
        p_chi2: of the same by chi-squared = m (n - 1) W, which takes contenders for independent.
        contenders: those in all settings, that `w` is of, in the order of their mean rank over tasks.
        left_out: contender -> why it is not among them.
        matrix: Spearman's rank correlation between every two settings, of all contenders that **they** share;
            NaN for fewer than `LEAST_COMMON`.
        counts: contenders behind each entry of `matrix`.
        between_tasks: Spearman's rank correlation between the tasks' mean ranks of `contenders`.
        tasks: in the order of `between_tasks`.
        decidable: whether full agreement would have a p below alpha.
        note: why not.
    """

    w: float
    p: float
    p_chi2: float
    contenders: tuple[str, ...]
    left_out: dict[str, str]
    matrix: pd.DataFrame
    counts: pd.DataFrame
    between_tasks: pd.DataFrame
    tasks: tuple[str, ...]
    decidable: bool
    note: str


def agreement(results: Results, *, alpha: float = 0.05) -> Agreement:
    """Results -> agreement of tasks (Kendall's W) and of settings (rank correlations).

    Kendall and Babington Smith, Ann. Math. Statist. 10, 1939; Spearman, Am. J. Psychol. 15, 1904.

    Raises:
        ConfigError: `alpha` is not between 0 and 1.
    """
    from scipy import stats

    check_alpha(alpha)
    found = contenders(results)
    tasks = tuple(dict.fromkeys(found.tasks.values()))
    by_task = found.ranks.T.groupby(found.tasks, sort=False).mean().T.reindex(columns=list(tasks))
    by_task = by_task.loc[by_task.mean(axis=1).sort_values(kind="stable").index]
    ranks = by_task.rank().to_numpy(dtype=float).reshape(len(by_task), len(tasks))
    places = found.places
    grid, rest = grid_of({name: places[name] for name in by_task.index})
    n, m = ranks.shape
    enough = n > 1 and m > 1
    least = least_p(grid, rest, m) if enough else 1.0
    w = kendall_w(ranks) if enough else math.nan
    decidable = least < alpha and not math.isnan(w)
    matrix, counts = _between_settings(contenders(results, common=False).values)
    return Agreement(
        w=w,
        p=exchange_p(ranks, grid, rest) if decidable else math.nan,
        p_chi2=float(stats.chi2.sf(m * (n - 1) * w, n - 1)) if enough else math.nan,
        contenders=tuple(by_task.index),
        left_out=found.left_out,
        matrix=matrix,
        counts=counts,
        between_tasks=_framed(_correlations(ranks)[0], list(tasks)),
        tasks=tasks,
        decidable=decidable,
        note="" if decidable else _why(n, m, w, least),
    )


def _why(n: int, m: int, w: float, least: float) -> str:
    if n < 2 or m < 2:
        return f"not decidable: {n} contender(s) in all settings of {m} task(s); two of each are needed"
    if math.isnan(w):
        return "not decidable: every task ranks all contenders the same"
    return f"not decidable: with {n} contenders in {m} tasks even full agreement has p = {least:.2g}"


def _between_settings(values: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    rho, counts = _correlations(values.to_numpy(dtype=float).reshape(values.shape))
    labels = values.columns.tolist()
    return _framed(rho, labels), _framed(counts, labels)


def _framed(values: Array, labels: list[str]) -> pd.DataFrame:
    return pandas().DataFrame(values, index=labels, columns=labels)


def _correlations(values: Array) -> tuple[Array, Array]:
    """(contenders, columns), NaN for none -> Spearman's rho between columns, and the rows behind each."""
    from scipy import stats

    there = ~np.isnan(values)
    counts = there.T.astype(int) @ there.astype(int)
    rho = np.full(counts.shape, np.nan)
    for i, j in zip(*np.triu_indices(len(counts)), strict=True):
        both = there[:, i] & there[:, j]
        if counts[i, j] >= LEAST_COMMON:
            one, other = (stats.rankdata(values[both, column]) for column in (i, j))
            if np.ptp(one) > 0 and np.ptp(other) > 0:
                rho[i, j] = rho[j, i] = 1.0 if i == j else float(np.corrcoef(one, other)[0, 1])
    return rho, counts
