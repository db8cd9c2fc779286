"""Which choices are told apart over several settings: Friedman's test and critical differences."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lossnets.analysis.blocks import exchange_p, iman_davenport, least_p, signed_rank_p
from lossnets.analysis.contenders import Contenders, contenders, grid_of
from lossnets.analysis.paired import Array, check_alpha, holm
from lossnets.analysis.results import Results, pandas
from lossnets.analysis.studentized import range_isf, range_sf
from lossnets.errors import unknown_name

if TYPE_CHECKING:
    import pandas as pd

RANK_COLUMNS = ("contender", "average_rank", "best", "worst")
RANK_PAIR_COLUMNS = (
    "better", "worse", "rank_difference", "p_nemenyi", "p_wilcoxon", "p_wilcoxon_adjusted", "significant",
)  # fmt: skip


@dataclass(frozen=True)
class Critical:
    """Contenders compared over settings.

    Attributes:
        frame: one row per contender, best first (`RANK_COLUMNS`): average rank over the settings, and its
            best and worst.
        pairs: one row per pair (`RANK_PAIR_COLUMNS`). ``significant``: the average ranks differ by the
            critical difference or more, and `p` is below alpha. Wilcoxon's p (Holm-adjusted beside it) is
            of the differences in rank, for scores of different units cannot be compared.
        critical_difference: of average ranks (Nemenyi 1963); NaN where there are no two contenders.
        p: of the null hypothesis that no contender is better than another, by Friedman's statistic and
            `blocks.exchange_p`, which allows for taps of one network faring alike; NaN where not decidable.
        p_f: of the same by Iman and Davenport's F, which takes contenders for independent.
        statistic: that F.
        chi_squared: Friedman's chi-squared, corrected for ties.
        blocks: labels of the settings.
        groups: names of contenders that are not told apart, every maximal group, best first.
        decidable: whether full agreement of the settings would give a p below alpha.
        note: why not, and what limits the answer.
        left_out: contender -> why it is not compared.
        alpha: the level.
    """

    frame: pd.DataFrame
    pairs: pd.DataFrame
    critical_difference: float
    p: float
    p_f: float
    statistic: float
    chi_squared: float
    blocks: tuple[str, ...]
    groups: tuple[tuple[str, ...], ...]
    decidable: bool
    note: str
    left_out: dict[str, str]
    alpha: float


def compare_over_settings(results: Results, *, task: str | None = None, alpha: float = 0.05) -> Critical:
    """Contenders ranked in every setting -> which differ over the settings.

    Friedman's test and Nemenyi's critical difference, after Demsar, J. Mach. Learn. Res. 7, 2006. Only
    contenders that have a value in all settings are compared; `Critical.left_out` has the others.

    Args:
        results: runs; choose a profile with `Results.only` first where there are several.
        task: settings of one task; all by default.
        alpha: level of the test and of the critical difference.

    Raises:
        ConfigError: `alpha` is not between 0 and 1.
        UnknownNameError: no setting asks for that task.
    """
    check_alpha(alpha)
    tasks = sorted({setting.task for setting in results.settings})
    if task is not None and task not in tasks:
        raise unknown_name(f"task in {results.source}", task, tasks)
    return _critical(contenders(results, task=task), alpha)


def _critical(found: Contenders, alpha: float) -> Critical:
    names, (k, b) = found.values.index.tolist(), found.values.shape
    ranks = found.ranks.to_numpy(dtype=float).reshape(k, b)
    grid, rest = grid_of(found.places)
    average = ranks.mean(1) if b else np.full(k, np.nan)
    order = np.argsort(average, kind="stable")
    unit = math.sqrt(k * (k + 1) / (12 * b)) if b and k > 1 else math.nan
    note, decidable = _decidable(k, b, least_p(grid, rest, b), alpha)
    chi = f = p_f = p = math.nan
    if k > 1 and b > 1:
        chi, f, p_f = iman_davenport(ranks)
        p = exchange_p(ranks, grid, rest) if decidable else math.nan
    apart = range_isf(alpha, k, math.inf) * unit if k > 1 else math.nan
    ordered = [names[i] for i in order]
    different = decidable and p < alpha
    return Critical(
        frame=_ranked(ordered, ranks[order]),
        pairs=_pairs(ordered, ranks[order], unit, alpha, different),
        critical_difference=apart,
        p=p,
        p_f=p_f,
        statistic=f,
        chi_squared=chi,
        blocks=tuple(found.values.columns),
        groups=_groups(ordered, average[order], apart if different else math.inf),
        decidable=decidable,
        note="; ".join(part for part in (note, _alike(found.tasks), _ungrouped(k, rest, grid.size)) if part),
        left_out=found.left_out,
        alpha=alpha,
    )


def _decidable(k: int, b: int, least: float, alpha: float) -> tuple[str, bool]:
    if k < 2:
        return f"not decidable: {k} contender has a value in all {b} settings, and two are needed", False
    if b < 2:
        return f"not decidable: {b} setting says nothing about others", False
    if least >= alpha:
        return (
            f"not decidable: with {k} contenders in {b} settings even full agreement has p = {least:.2g}",
            False,
        )
    return "", True


def _alike(tasks: dict[str, str]) -> str:
    shared = [task for task in dict.fromkeys(tasks.values()) if list(tasks.values()).count(task) > 1]
    if not shared or len(set(tasks.values())) == 1:
        return ""
    return f"settings count as independent, though several are of one task ({', '.join(shared)})"


def _ungrouped(k: int, rest: list[int], inside: int) -> str:
    if k < 2 or not rest:
        return ""
    if not inside:
        return "contenders count as independent: no two networks have the same points"
    return f"{len(rest)} of {k} contenders, outside the grid of networks and points, count as independent"


def _ranked(names: list[str], ranks: Array) -> pd.DataFrame:
    averages = ranks.mean(1) if ranks.size else np.full(len(names), np.nan)
    rows = [
        (name, average, own.min(initial=math.inf), own.max(initial=-math.inf))
        for name, average, own in zip(names, averages.tolist(), ranks, strict=True)
    ]
    return pandas().DataFrame(rows, columns=list(RANK_COLUMNS))


def _pairs(names: list[str], ranks: Array, unit: float, alpha: float, different: bool) -> pd.DataFrame:
    first, second = np.triu_indices(len(names), 1)
    if not len(first) or not ranks.size:
        return pandas().DataFrame(columns=list(RANK_PAIR_COLUMNS))
    gaps = ranks[second] - ranks[first]
    mean = gaps.mean(1)
    nemenyi = range_sf(mean / unit, len(names), math.inf)
    wilcoxon = signed_rank_p(gaps)
    columns = (
        [names[i] for i in first], [names[i] for i in second], mean, nemenyi, wilcoxon, holm(wilcoxon),
        (nemenyi < alpha) & different,
    )  # fmt: skip
    return pandas().DataFrame(dict(zip(RANK_PAIR_COLUMNS, columns, strict=True)))


def _groups(names: list[str], averages: Array, apart: float) -> tuple[tuple[str, ...], ...]:
    """Names in order of their averages -> the longest stretches within `apart`."""
    groups: list[tuple[str, ...]] = []
    end = 0
    for start in range(len(names)):
        stop = int(np.searchsorted(averages - averages[start], apart, side="left")) if len(averages) else 0
        stop = len(names) if math.isinf(apart) else max(stop, start + 1)
        if stop > end:
            groups.append(tuple(names[start:stop]))
            end = stop
    return tuple(groups)
