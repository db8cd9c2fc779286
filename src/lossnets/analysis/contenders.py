"""The same choices in several settings: contenders by settings, what is common to all, what is left out."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lossnets.analysis.loss_facts import loss_facts
from lossnets.analysis.results import Results, pandas

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Contenders:
    """Contenders (rows) by settings (columns, labels of `Results.labels`).

    Attributes:
        values: in the direction of better, so that larger is better; NaN where there is none.
        losses: name of the loss there, as `Results.table` has it; None where there is none.
        tasks: task of each setting.
        left_out: contender -> why it is not a row, in words.
    """

    values: pd.DataFrame
    losses: pd.DataFrame
    tasks: dict[str, str]
    left_out: dict[str, str]

    @property
    def ranks(self) -> pd.DataFrame:
        """Ranks from 1 (best) in each setting; ties share their mean, NaN where there is no value."""
        return self.values.rank(ascending=False, method="average")

    @property
    def places(self) -> dict[str, tuple[str | None, int | None]]:
        """Contender -> architecture and position of its loss (None where it has none)."""
        losses = zip(self.losses.index, self.losses.to_numpy(dtype=object).tolist(), strict=True)
        facts = {name: loss_facts(next(_names(row))) for name, row in losses}
        return {name: (fact.architecture, fact.position) for name, fact in facts.items()}


def _names(row: list[str | None]) -> Iterator[str]:
    """Loss names without the signatures that `Results.names` puts behind some."""
    return (loss.partition(" |")[0] for loss in row if isinstance(loss, str))


def contenders(results: Results, *, task: str | None = None, common: bool = True) -> Contenders:
    """Results -> contenders by settings, of one task or of all.

    Only losses of the setting's main design stand for a contender (`Results.main_design`), and only where
    a single one does. With `common`, rows are the contenders that have a value in every setting.
    """
    cells = results.cells
    cells = cells[
        (cells["state"] != "reference") & (cells["score"] != "")
    ]  # nothing is ranked without a score
    cells = cells if task is None else cells[cells["task"] == task]
    tasks = dict(zip(cells["setting"], cells["task"], strict=True))
    main, other = _by_place(results, cells)
    single = {place: found[0] for place, found in main.items() if len(found) == 1}
    enough = all if common else any
    values, losses, left_out = {}, {}, {}
    for name in dict.fromkeys(cells["contender"]):
        places = [(name, label) for label in tasks]
        if enough(place in single for place in places):
            values[name] = [single[place][0] if place in single else np.nan for place in places]
            losses[name] = [single[place][1] if place in single else None for place in places]
        else:
            left_out[name] = "; ".join(_why(p, main, other) for p in places if p not in single)
    return Contenders(_framed(values, tasks), _framed(losses, tasks), tasks, left_out)


_Place = tuple[str, str]


def _by_place(
    results: Results, cells: pd.DataFrame
) -> tuple[dict[_Place, list[tuple[float, str]]], set[_Place]]:
    """Contender and setting -> signed value and name of what stands for it; where only other designs do."""
    names = {label: results.names(results.setting(label)) for label in dict.fromkeys(cells["setting"])}
    main: dict[_Place, list[tuple[float, str]]] = {}
    other: set[_Place] = set()
    for cell in cells[cells["state"] == "ranked"].itertuples(index=False):
        place = cell.contender, cell.setting
        if cell.main:
            signed = float(cell.value) if cell.higher_is_better else -float(cell.value)
            main.setdefault(place, []).append((signed, names[cell.setting][cell.signature, cell.loss]))
        else:
            other.add(place)
    return main, other


def _framed(rows: Mapping[str, list[Any]], columns: Iterable[str]) -> pd.DataFrame:
    frame = pandas().DataFrame(list(rows.values()), index=list(rows), columns=list(columns))
    return frame if rows else frame.astype(float)


def _why(place: _Place, main: Container[_Place], other: Container[_Place]) -> str:
    if place in main:
        return f"several losses stand for it in {place[1]}"
    return f"only with another design in {place[1]}" if place in other else f"no value in {place[1]}"


def grid_of(places: dict[str, tuple[str | None, int | None]]) -> tuple[NDArray[np.intp], list[int]]:
    """Contenders' places -> their largest full grid, (architectures, positions), and the rest: row numbers.

    The grid is empty, (0, 0), where there are not two architectures with the same points.
    """
    points: dict[str, dict[int, int]] = {}
    for row, (architecture, position) in enumerate(places.values()):
        if architecture is not None and position is not None:
            points.setdefault(architecture, {}).setdefault(position, row)
    best: list[list[int]] = []
    for wanted in sorted({tuple(sorted(has)) for has in points.values()}, key=len, reverse=True):
        rows = [[has[p] for p in wanted] for has in points.values() if set(wanted) <= set(has)]
        if len(rows) > 1 and len(rows) * len(wanted) > sum(map(len, best)):
            best = rows
    inside = {row for line in best for row in line}
    rest = [row for row in range(len(places)) if row not in inside]
    return np.array(best, dtype=np.intp).reshape(len(best), -1 if best else 0), rest
