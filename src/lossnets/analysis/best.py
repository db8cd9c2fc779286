"""The best tap of each architecture, the best architecture at each depth, and grids for heat maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lossnets.analysis.comparisons import compare_losses
from lossnets.analysis.paired import check_alpha
from lossnets.analysis.results import Results, pandas
from lossnets.analysis.settings import Setting

if TYPE_CHECKING:
    import pandas as pd

BEST_TAP_COLUMNS = (
    "setting", "task", "architecture", "tap", "position", "loss", "value", "low", "high", "unit", "runner_up",
    "difference", "p_adjusted", "distinguishable", "compared", "missing", "note",
)  # fmt: skip
BEST_ARCHITECTURE_COLUMNS = (
    "setting", "task", "position", "architecture", "tap", "loss", "value", "low", "high", "unit", "runner_up",
    "difference", "p_adjusted", "distinguishable", "compared", "missing", "note",
)  # fmt: skip


def best_taps(results: Results, *, alpha: float = 0.05) -> pd.DataFrame:
    """One row for each setting and architecture (`BEST_TAP_COLUMNS`): its best single tap there.

    Among the losses of the setting's main design with one tap. ``low`` and ``high`` are the interval of
    ``value``; ``distinguishable`` is ``yes`` where the best is found better than **every** other of the
    ``compared`` taps by `compare_losses`, whose p values allow for all pairs of the setting and thus for
    having picked the best; ``not decidable`` where that could not be tested (one seed, no interval), and
    where there is nothing to compare. ``missing`` names the taps without a value, with their state.

    Raises:
        ConfigError: `alpha` is not between 0 and 1.
    """
    return _best(results, "architecture", "tap", BEST_TAP_COLUMNS, alpha)


def best_architectures(results: Results, *, alpha: float = 0.05) -> pd.DataFrame:
    """One row for each setting and position (`BEST_ARCHITECTURE_COLUMNS`): the best architecture there.

    Positions are the points of the study, 1 (early) to 4 (late). All else as in `best_taps`.

    Raises:
        ConfigError: `alpha` is not between 0 and 1.
    """
    return _best(results, "position", "architecture", BEST_ARCHITECTURE_COLUMNS, alpha)


def _best(results: Results, group: str, choice: str, columns: tuple[str, ...], alpha: float) -> pd.DataFrame:
    check_alpha(alpha)
    cells = _single_taps(results.cells)
    rows: list[dict[str, Any]] = []
    for label, own in cells.groupby("setting", sort=False):
        setting = results.setting(str(label))
        pairs = _by_pair(compare_losses(results, setting, alpha=alpha))
        names = results.names(setting)
        called = [names.get(key, key[1]) for key in zip(own["signature"], own["loss"], strict=True)]
        for key, members in own.assign(called=called).groupby(group, sort=group == "position"):
            rows.append({group: key} | _best_row(members, choice, pairs))
    frame = pandas().DataFrame(rows, columns=list(columns))
    return frame.astype({"position": "Int64"})


def _single_taps(cells: pd.DataFrame) -> pd.DataFrame:
    return cells[cells["main"].astype(bool) & (cells["taps"] == 1) & (cells["state"] != "reference")]


def _by_pair(pairs: pd.DataFrame) -> dict[frozenset[str], Any]:
    return {frozenset((row.better, row.worse)): row for row in pairs.itertuples(index=False)}


def _best_row(cells: pd.DataFrame, choice: str, pairs: dict[frozenset[str], Any]) -> dict[str, Any]:
    """Cells of one group, best first -> the best of them, and whether it is told apart from the others."""
    ranked = cells[cells["state"] == "ranked"]
    gaps = cells[cells["state"] != "ranked"]
    first = cells.iloc[0]
    row: dict[str, Any] = {
        "setting": first["setting"], "task": first["task"], "unit": first["unit"], "compared": len(ranked),
        "missing": ", ".join(f"{c} ({s})" for c, s in zip(gaps[choice], gaps["state"], strict=True)),
        "distinguishable": "not decidable",
    }  # fmt: skip
    if ranked.empty:
        return row | {"note": "no value", "runner_up": None}
    best = ranked.iloc[0]
    row |= {name: best[name] for name in ("value", "low", "high", "position", "architecture", "tap")}
    row["loss"] = best["called"]
    if len(ranked) == 1:
        return row | {"note": "nothing to compare it with", "runner_up": None}
    others = [pairs[frozenset((best["called"], other))] for other in ranked["called"].iloc[1:]]
    runner = others[0]
    signed = runner.difference if runner.better == best["called"] else -runner.difference
    row |= {"runner_up": ranked.iloc[1][choice], "difference": signed, "p_adjusted": runner.p_adjusted}
    won = [pair.significant and pair.better == best["called"] for pair in others]
    open_ = [pair.note for pair in others if math.isnan(pair.p)]
    if all(won):
        return row | {"distinguishable": "yes", "note": ""}
    if len(open_) + sum(won) == len(others):
        return row | {"note": open_[0]}
    return row | {"distinguishable": "no", "note": ""}


def grid(results: Results, setting: Setting | str) -> pd.DataFrame:
    """Values by headline score, architectures (rows) by positions 1, 2, ... (columns); NaN for none.

    Of losses of the setting's main design with a single tap that is a point of the network. Rows are the
    best architecture first, by its mean over the positions. What each NaN is, and where a number stands for
    several losses (networks with different random weights: their mean), `grid_states` tells.

    Raises:
        UnknownNameError: no setting has that label.
    """
    return _gridded(results, setting)[0]


def grid_states(results: Results, setting: Setting | str) -> pd.DataFrame:
    """States of `grid`'s entries: ``ranked``, or why there is no number, or ``mean of 3`` for several losses.

    Raises:
        UnknownNameError: no setting has that label.
    """
    return _gridded(results, setting)[1]


def _gridded(results: Results, setting: Setting | str) -> tuple[pd.DataFrame, pd.DataFrame]:
    where = results.setting(setting)
    cells = _single_taps(results.cells)
    cells = cells[(cells["setting"] == results.labels[where]) & cells["position"].notna()]
    cells = cells.assign(position=cells["position"].astype(int), value=cells["value"].astype(float))
    keys = ["architecture", "position"]
    values = cells.groupby(keys)["value"].mean().unstack("position")
    states = cells.groupby(keys)["state"].agg(_state).unstack("position")
    places = range(1, max(cells["position"].max(), 4) + 1 if len(cells) else 5)
    higher = bool(cells["higher_is_better"].iloc[0]) if len(cells) else True
    order = values.mean(axis=1).sort_values(ascending=not higher, kind="stable").index
    values = values.reindex(index=order, columns=places)
    states = states.reindex(index=order, columns=places).astype(object)
    return values, states.where(states.notna(), "missing")


def _state(states: pd.Series) -> str:
    ranked = int((states == "ranked").sum())
    return f"mean of {ranked}" if ranked > 1 else "ranked" if ranked else str(states.iloc[0])
