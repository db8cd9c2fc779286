"""Heat maps: losses by network and point."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.frames import finite, number, shown
from lossnets.analysis.figures.names import short_names
from lossnets.analysis.figures.style import (
    SMALL,
    TEXT,
    WIDTH,
    ThemeName,
    footnote,
    message_figure,
    new_figure,
    readable_on,
    row_labels,
    styled,
    theme_of,
)

if TYPE_CHECKING:
    import pandas as pd

    from lossnets.analysis.figures.canvas import Drawing

_ROW = 0.30
_PLACES = {1: "1 (early)", 4: "4 (late)"}


@styled
def heatmap_figure(
    grid: pd.DataFrame,
    *,
    states: pd.DataFrame | None = None,
    seeds: pd.DataFrame | None = None,
    names: pd.DataFrame | None = None,
    higher_is_better: bool = True,
    score: str = "",
    theme: ThemeName = "light",
    title: str = "",
    width: float = WIDTH,
) -> Drawing:
    """Scores of networks (rows, best on top) at points (columns, early to late); more colour is better.

    Args:
        grid: of `grid`: architecture x position, NaN where there is no value. ``grid.attrs`` may hold
            ``higher_is_better``, ``score`` and ``unit``, which count where no argument is given.
        states: of `grid_states`, same shape: why a cell has no value. Such cells are hatched and say why.
        seeds: number of seeds behind each cell, same shape; cells of one seed have a corner.
        names: loss name of each cell, same shape, for the tooltips.
        higher_is_better: direction of the score.
        score: what the numbers are, with unit.
        theme: ``light`` or ``dark``.
        title: above the figure.
        width: inches.
    """
    higher_is_better = bool(grid.attrs.get("higher_is_better", higher_is_better))
    score = score or " ".join(str(grid.attrs[k]) for k in ("score", "unit") if grid.attrs.get(k))
    if not grid.size:
        text = "No grid to draw: no loss here has a network and one point of the study."
        return message_figure(text, theme, title=title, width=width)
    order = _best_first(grid, higher_is_better)
    rows, columns = [str(grid.index[k]) for k in order], list(grid.columns)
    values = [[number(grid.iloc[k, c]) for c in range(len(columns))] for k in order]
    label = f"Heat map of {score or 'scores'}: {len(rows)} networks by {len(columns)} points."
    figure = new_figure(width, 1.25 + _ROW * len(rows), theme, label=label, title=title)
    axes = figure.subplots()
    paint = _painter(values, higher_is_better, theme)
    best = _best_cells(values, higher_is_better)
    for r, k in enumerate(order):
        for c, column in enumerate(columns):
            value = values[r][c]
            state = "" if states is None else str(states.iloc[k, c])
            single = seeds is not None and number(seeds.iloc[k, c]) == 1
            name = rows[r] if names is None else str(names.iloc[k, c])
            tip = _tip(name, column, value, state, single, score)
            _cell(figure, axes, (r, c), value, state, paint, tip, single=single, best=(r, c) in best)
    _frame(figure, axes, rows, columns)
    footnote(figure, _key(score, higher_is_better, theme), _marks(values, seeds))
    return figure


def _best_first(grid: pd.DataFrame, higher: bool) -> list[int]:
    """Rows by their best value; rows without any at the end."""

    def key(row: int) -> tuple[float, str]:
        known = finite(number(v) for v in grid.iloc[row])
        if not known:
            return math.inf, str(grid.index[row])
        return (-max(known) if higher else min(known)), str(grid.index[row])

    return sorted(range(len(grid)), key=key)


def _painter(values: list[list[float]], higher: bool, theme: ThemeName) -> Any:
    """A function value -> colour over the range of the values."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    known = finite(v for row in values for v in row) or [0.0]
    ramp = theme_of(theme).ramp
    colours = LinearSegmentedColormap.from_list("ramp", ramp if higher else ramp[::-1])
    low, high = min(known), max(known)
    scale = Normalize(low, high if high > low else low + 1)
    return lambda value: colours(float(scale(value)))


def _best_cells(values: list[list[float]], higher: bool) -> set[tuple[int, int]]:
    known = finite(v for row in values for v in row)
    if len(known) < 2:
        return set()
    best = max(known) if higher else min(known)
    return {(r, c) for r, row in enumerate(values) for c, v in enumerate(row) if v == best}


def _cell(
    figure: Drawing, axes: Any, place: tuple[int, int], value: float, state: str, paint: Any, tip: str, *,
    single: bool, best: bool,
) -> None:  # fmt: skip
    from matplotlib.patches import Polygon, Rectangle

    theme, (r, c) = figure.theme, place
    known = math.isfinite(value)
    colour = paint(value) if known else theme.weak
    box = Rectangle(
        (c - 0.48, r - 0.46), 0.96, 0.92, facecolor=colour, linewidth=0 if known else 0.6,
        edgecolor=theme.line, hatch=None if known else "////",
    )  # fmt: skip
    figure.tip(axes.add_patch(box), tip)
    ink = readable_on(colour, theme) if known else theme.muted
    text = shown(value, 4 if abs(value) >= 10 else 3) if known else _why(state)
    backed = {} if known else {"bbox": {"facecolor": theme.weak, "edgecolor": "none", "pad": 1.5}}
    axes.text(
        c, r, text, ha="center", va="center", color=ink, fontsize=TEXT if known else SMALL,
        fontweight="bold" if best else "normal", **backed,
    )  # fmt: skip
    if known and single:
        corner = [(c + 0.48, r - 0.46), (c + 0.48, r - 0.16), (c + 0.41, r - 0.46)]
        axes.add_patch(Polygon(corner, facecolor=ink, linewidth=0))
    if best:
        axes.add_patch(
            Rectangle((c - 0.465, r - 0.43), 0.93, 0.86, fill=False, edgecolor=theme.warm, linewidth=1.6)
        )


def _why(state: str) -> str:
    return "not run" if state in ("", "nan", "None", "missing") else state


def _tip(name: str, column: Any, value: float, state: str, single: bool, score: str) -> str:
    result = f"{score or 'score'} {shown(value, 5)}" if math.isfinite(value) else _why(state)
    return f"{name}, point {column}\n{result}{', one seed' if single else ''}"


def _frame(figure: Drawing, axes: Any, rows: list[str], columns: list[Any]) -> None:
    theme = figure.theme
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelcolor=theme.ink, labelsize=TEXT)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    texts = [_place(column, columns) for column in columns]
    axes.set_xticks(range(len(columns)), labels=texts)
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_xlabel("point of the network", color=theme.muted, fontsize=SMALL)
    row_labels(axes, list(short_names(rows).values()), rows)


def _place(column: Any, columns: list[Any]) -> str:
    place = number(column)
    if not math.isfinite(place):
        return str(column)
    return _PLACES.get(int(place), str(int(place))) if len(columns) == 4 else str(int(place))


def _key(score: str, higher: bool, theme: ThemeName) -> str:
    shade = "Darker" if theme == "light" else "Brighter"
    direction = "higher" if higher else "lower"
    what = score[:1].upper() + score[1:] or "Scores"
    return f"{what}; {direction} is better. {shade} is better, best in bold."


def _marks(values: list[list[float]], seeds: pd.DataFrame | None) -> str:
    notes = []
    if any(not math.isfinite(v) for row in values for v in row):
        notes.append("Hatched: no value, for the reason given.")
    if seeds is not None and bool((seeds == 1).any(axis=None)):
        notes.append("Corner: one seed.")
    return " ".join(notes)
