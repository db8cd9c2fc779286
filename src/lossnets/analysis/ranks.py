"""Ranks of losses with intervals: in each setting, and averaged over tasks."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lossnets.analysis.comparisons import compare_losses
from lossnets.analysis.contenders import Contenders, contenders
from lossnets.analysis.paired import Array, check_alpha
from lossnets.analysis.results import Results, pandas
from lossnets.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

By = Literal["contender", "architecture"]
RANK_TABLE_COLUMNS = (
    "setting", "task", "loss", "contender", "architecture", "tap", "position", "main", "value", "rank", "low",
    "high", "of", "better", "worse", "seeds", "failed", "state", "basis", "note",
)  # fmt: skip
_NO_TEST = "nothing is known of the scatter of this loss: any rank is possible"


def rank_table(results: Results, *, alpha: float = 0.05) -> pd.DataFrame:
    """One row for each setting and loss (`RANK_TABLE_COLUMNS`), best first in each setting.

    ``rank`` is 1 for the best of the ``of`` losses that have a value, ties share their mean. ``low`` and
    ``high`` are the ranks that the evidence allows: 1 + the number of losses found ``better``, and ``of``
    minus the number found ``worse``, by `compare_losses`. With probability 1 - alpha the intervals of all
    losses of a setting hold at once (Mohamad, van Zwet, Solari and Goeman, Biometrics 78, 2022). A loss
    that could not be tested against any other may have any rank, and ``note`` says so. A loss without a
    value keeps its row and its ``state``, and has no rank.

    Raises:
        ConfigError: `alpha` is not between 0 and 1.
    """
    check_alpha(alpha)
    cells = results.cells
    rows: list[tuple[Any, ...]] = []
    for label, own in cells[cells["state"] != "reference"].groupby("setting", sort=False):
        rows += _setting_rows(results, str(label), own, alpha)
    return pandas().DataFrame(rows, columns=list(RANK_TABLE_COLUMNS))


def _setting_rows(results: Results, label: str, cells: pd.DataFrame, alpha: float) -> list[tuple[Any, ...]]:
    setting = results.setting(label)
    names = results.names(setting)
    pairs = compare_losses(results, setting, alpha=alpha)
    better, worse, tested = _counts(pairs)
    repeated = pairs[pairs["basis"] == "seeds"]
    seeded = {*repeated["better"], *repeated["worse"]}
    basis, lone = ("seeds", "one seed") if setting.trains else ("items", "items")
    sign = np.where(cells["higher_is_better"].eq(True), -1.0, 1.0)
    ranks = (sign * cells["value"].astype(float)).rank(method="average")
    of = int(ranks.notna().sum())
    rows = []
    for cell, rank in zip(cells.itertuples(index=False), ranks, strict=True):
        loss = names.get((cell.signature, cell.loss), cell.loss)
        ranked = not math.isnan(rank)
        above, below = better.get(loss, 0), worse.get(loss, 0)
        low, high = (min(1 + above, rank), max(of - below, rank)) if ranked else (math.nan, math.nan)
        free = ranked and of > 1 and loss not in tested
        rows.append((
            label, cell.task, loss, cell.contender, cell.architecture, cell.tap, cell.position, cell.main,
            cell.value, rank, low, high, of, above, below, cell.seeds, cell.failed, cell.state,
            (lone if loss not in seeded and (free or cell.seeds < 2) else basis) if ranked else "",
            "; ".join(part for part in (cell.note, _NO_TEST if free else "") if part),
        ))  # fmt: skip
    return rows


def _counts(pairs: pd.DataFrame) -> tuple[dict[str, int], dict[str, int], set[str]]:
    """Pairs -> losses found better than a loss, losses found worse, and which were tested at all."""
    found = pairs[pairs["significant"].astype(bool)]
    tested = pairs[pairs["p"].notna()]
    return (
        found["worse"].value_counts().to_dict(),
        found["better"].value_counts().to_dict(),
        set(tested["better"]) | set(tested["worse"]),
    )


def average_ranks(
    results: Results, *, by: By = "contender", alpha: float = 0.05, common: bool = True
) -> pd.DataFrame:
    """One row for each contender (or architecture), best first: mean rank by task, and over tasks.

    Columns: ``contender`` (or ``architecture``, with ``points``: how many of its taps were there to choose
    from); one column per task, the mean rank over the task's settings; ``average`` over the tasks, each of
    equal weight; ``low`` and ``high``, the same means of each setting's rank interval at level
    alpha / number of settings, so that all hold at once with probability 1 - alpha; ``tasks``, their number;
    ``missing``, the settings without a value.

    ``attrs``: ``settings``, ``left_out`` (contender -> why), ``note``.

    Args:
        results: runs; choose a profile with `Results.only` first where there are several.
        by: ``contender``: a network and tap, or a loss without a network. ``architecture``: networks, each
            by its best tap **in each setting**; choosing the best by the same numbers that are shown makes
            those optimistic, the more so the more taps were tried. The intervals are not: one
            architecture counts as better only where one tap is found better than every tap of the other.
        alpha: of all intervals together.
        common: rank only contenders that have a value in every setting. False ranks all that have one,
            each setting by itself: averages are then over different settings and rivals.

    Raises:
        ConfigError: `by` or `alpha` is not allowed.
    """
    check_alpha(alpha)
    if by not in get_args(By):
        raise ConfigError(f"by must be one of {', '.join(get_args(By))}; got {by!r}.")
    found = contenders(results, common=common)
    labels = found.values.columns.tolist()
    level = alpha / max(len(labels), 1)
    units = _units(found, by)
    low, high, rank = (np.full((len(units), len(labels)), np.nan) for _ in range(3))
    for column, label in enumerate(labels):
        values = found.values[label].to_dict()
        best = [np.fmax.reduce([values[name] for name in names]) for names in units.values()]
        rank[:, column] = pandas().Series(best, dtype=float).rank(ascending=False, method="average")
        low[:, column], high[:, column] = _intervals(results, found, label, units, level)
    low, high = np.fmin(low, rank), np.fmax(high, rank)
    frame = _averaged(found, by, units, rank, low, high)
    frame.attrs.update(settings=tuple(labels), left_out=found.left_out, note=_note(by, common))
    return frame


def _note(by: By, common: bool) -> str:
    parts = []
    if by == "architecture":
        parts.append("each architecture by its best tap in each setting: the ranks are optimistic")
    if not common:
        parts.append("averages are over different settings and rivals")
    return "; ".join(parts)


def _units(found: Contenders, by: By) -> dict[str, list[str]]:
    """What is ranked -> the contenders that stand for it."""
    if by == "contender":
        return {name: [name] for name in found.values.index}
    units: dict[str, list[str]] = {}
    for name, (architecture, _) in found.places.items():
        if architecture is not None:
            units.setdefault(architecture, []).append(name)
    return units


def _intervals(
    results: Results, found: Contenders, label: str, units: dict[str, list[str]], alpha: float
) -> tuple[Array, Array]:
    """Lowest and highest rank of each unit in one setting; NaN for a unit without a value there."""
    losses = found.losses[label].to_dict()
    members = [[losses[name] for name in names if isinstance(losses[name], str)] for names in units.values()]
    chosen = [loss for names in members for loss in names]
    index = {loss: i for i, loss in enumerate(chosen)}
    pairs = compare_losses(results, label, losses=chosen, alpha=alpha)
    won = pairs[pairs["significant"].astype(bool)]
    beats = np.zeros((len(chosen), len(chosen)), dtype=int)
    beats[won["better"].map(index), won["worse"].map(index)] = 1
    belongs = np.array([[loss in names for loss in chosen] for names in members], dtype=int)
    belongs = belongs.reshape(len(members), len(chosen))
    sizes = belongs.sum(1)
    outright = (beats @ belongs.T == sizes) & (sizes > 0)  # (losses, units): beats every loss of the unit
    better = belongs @ outright > 0
    there = sizes > 0
    low, high = 1 + better.sum(0), int(there.sum()) - better.sum(1)
    return np.where(there, low, np.nan), np.where(there, high, np.nan)


def _averaged(
    found: Contenders, by: By, units: dict[str, list[str]], rank: Any, low: Any, high: Any
) -> pd.DataFrame:
    labels = found.values.columns
    ranks, lows, highs = (_over_tasks(found, list(units), values) for values in (rank, low, high))
    frame = ranks.assign(
        average=ranks.mean(axis=1),
        low=lows.mean(axis=1),
        high=highs.mean(axis=1),
        tasks=ranks.notna().sum(axis=1).astype(int),
        missing=["; ".join(labels[np.isnan(row)]) for row in rank],
    )
    if by == "architecture":
        frame.insert(0, "points", [len(members) for members in units.values()])
    frame.insert(0, by, list(units))
    frame.columns.name = None
    return frame.sort_values(["average", by], kind="stable").reset_index(drop=True)


def _over_tasks(found: Contenders, units: list[str], values: Any) -> pd.DataFrame:
    """(units, settings) -> a column per task, the mean over its settings that have a value."""
    settings = pandas().DataFrame(values, index=units, columns=found.values.columns)
    tasks = list(dict.fromkeys(found.tasks.values()))
    return settings.T.groupby(found.tasks, sort=False).mean().T.reindex(columns=tasks)
