"""Figures of ranks, with intervals."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.frames import (
    finite,
    listed,
    names_of,
    need,
    number,
    numbers,
    shown,
    single_seeds,
    span,
)
from lossnets.analysis.figures.names import short_names
from lossnets.analysis.figures.style import (
    MARKERS,
    SMALL,
    TEXT,
    WIDTH,
    ThemeName,
    footnote,
    inches_of,
    legend,
    message_figure,
    new_figure,
    row_labels,
    styled,
    tidy,
)

if TYPE_CHECKING:
    import pandas as pd

    from lossnets.analysis.figures.canvas import Drawing

ROW, HEAD = 0.215, 1.15  # inches of a row, and of everything above and below the rows
_OWN = (
    "contender", "architecture", "loss", "setting", "task", "average", "rank", "low", "high", "tasks",
    "missing", "points", "seeds", "note", "state", "value", "best_tap", "settings",
)  # fmt: skip


@styled
def rank_figure(
    frame: pd.DataFrame, *, theme: ThemeName = "light", title: str = "", width: float = WIDTH
) -> Drawing:
    """Average ranks with intervals, best on top, and the rank in each task as a small marker.

    Args:
        frame: of `average_ranks` (``average``, ``low``, ``high``, a column for each task, ``missing``), or
            the rows of one setting of `rank_table` (``rank``, ``low``, ``high``). Names are in the column
            ``contender``, ``architecture`` or ``loss``, or in the index.
        theme: ``light`` or ``dark``.
        title: above the figure.
        width: inches.

    Raises:
        DataError: the frame has neither ``average`` nor ``rank``.
    """
    if not len(frame):
        return message_figure("No ranks to draw: no loss has a rank here.", theme, title=title, width=width)
    centre = "average" if "average" in frame.columns else "rank"
    need(frame, [centre], "rank_figure")
    ordered = frame.assign(_order=numbers(frame, centre)).sort_values("_order", kind="stable")
    names = names_of(ordered, "contender", "architecture", "loss")
    tasks = [str(name) for name in frame.columns if name not in _OWN and not str(name).startswith("_")]
    tasks = [task for task in tasks if finite(numbers(frame, task))] if centre == "average" else []
    label = f"Ranks of {len(names)} contenders with intervals; best is {names[0]}."
    figure = new_figure(width, HEAD + ROW * len(names), theme, label=label, title=title)
    axes = figure.subplots()
    _rank_rows(figure, axes, ordered, names, centre)
    if tasks:
        _task_markers(figure, axes, ordered, names, tasks)
    tidy(axes, figure.theme)
    row_labels(axes, list(short_names(names).values()), names)
    axes.set_xlabel(
        f"{'average ' if centre == 'average' else ''}rank (1 is best)", color=figure.theme.muted, loc="right"
    )
    rank_limits(axes, ordered, [centre, "low", "high", *tasks])
    footnote(figure, *_rank_notes(ordered, names, frame))
    return figure


def _rank_rows(figure: Drawing, axes: Any, frame: pd.DataFrame, names: Sequence[str], centre: str) -> None:
    theme = figure.theme
    columns = (*(numbers(frame, name) for name in (centre, "low", "high")), single_seeds(frame))
    for row, (value, low, high, single) in enumerate(zip(*columns, strict=True)):
        if not math.isfinite(value):
            axes.text(
                0.01, row, "no rank", color=theme.muted, fontsize=SMALL, va="center",
                transform=axes.get_yaxis_transform(),
            )  # fmt: skip
            continue
        tip = f"{names[row]}\nrank {shown(value)}, interval {span(low, high)}"
        if math.isfinite(low) and math.isfinite(high):
            (line,) = axes.plot([low, high], [row, row], color=theme.accent, linewidth=2.2, alpha=0.55)
            figure.tip(line, tip)
        face = theme.surface if single else theme.accent
        (dot,) = axes.plot(
            [value], [row], "o", markersize=6.5, markerfacecolor=face, markeredgecolor=theme.accent, zorder=4
        )
        figure.tip(dot, tip + (", one seed" if single else ""))


def _task_markers(
    figure: Drawing, axes: Any, frame: pd.DataFrame, names: Sequence[str], tasks: Sequence[str]
) -> None:
    """A small open marker for each task; tasks are told apart by shape and colour."""
    from matplotlib.lines import Line2D

    theme, handles = figure.theme, []
    drawn: Counter[tuple[int, float]] = Counter()
    for k, task in enumerate(tasks):
        look: dict[str, Any] = {
            "marker": MARKERS[1 + k % (len(MARKERS) - 1)], "markersize": 4.5, "linestyle": "none",
            "markerfacecolor": "none", "markeredgecolor": theme.palette[(k + 1) % len(theme.palette)],
        }  # fmt: skip
        for row, value in enumerate(numbers(frame, task)):
            if math.isfinite(value):
                lift = 0.16 * drawn[row, value]  # two tasks with the same rank are both seen
                drawn[row, value] += 1
                (mark,) = axes.plot([value], [row - lift], zorder=3, **look)
                figure.tip(mark, f"{names[row]}\n{task}: rank {shown(value)}")
        handles.append(Line2D([], [], label=task, **look))
    average = Line2D(
        [], [], marker="o", markersize=6.5, color=theme.accent, linewidth=2.2, label="average, with interval"
    )
    legend(figure, [average, *handles])


def rank_limits(axes: Any, frame: pd.DataFrame, columns: Sequence[str]) -> None:
    """Limits and whole ticks of a rank axis, from 1 to the worst in these columns; its rows have labels."""
    top = max(finite(value for name in columns for value in numbers(frame, name)), default=1.0)
    margin = max(0.25, 0.03 * top)
    axes.set_xlim(1 - margin, max(top, 2) + margin)
    longest = max(len(label.get_text()) for label in axes.get_yticklabels())
    room = axes.figure.get_figwidth() - inches_of(longest, TEXT) - 0.3
    most = max(2, min(12, int(room / 0.35)))
    step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 10**6) if top <= most * step)
    axes.set_xticks([1, *range(max(step, 2), math.floor(top) + 1, step)])


def _rank_notes(ordered: pd.DataFrame, names: Sequence[str], frame: pd.DataFrame) -> list[str]:
    notes = []
    if not finite(numbers(ordered, "low")):
        notes.append("No intervals: with one seed the scatter between trainings is unknown.")
    if any(single_seeds(ordered)):
        notes.append("Open circles: one seed.")
    if "missing" in ordered.columns:
        gaps = {
            name: gap for name, value in zip(names, ordered["missing"], strict=True) if (gap := _text(value))
        }
        if gaps:
            short = short_names(gaps)
            notes.append("No rank in: " + listed([f"{short[n]} ({gap})" for n, gap in gaps.items()]) + ".")
    left_out = [str(name) for name in frame.attrs.get("left_out", ())]
    if left_out:
        notes.append(f"Left out, not in every setting: {listed(list(short_names(left_out).values()))}.")
    return notes


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple, set, frozenset)):
        return ", ".join(map(str, value))
    return "" if value is None or not math.isfinite(number(value)) or not number(value) else str(value)
