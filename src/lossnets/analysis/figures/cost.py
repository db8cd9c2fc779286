"""Quality against cost: which losses are worth what they cost."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.frames import (
    listed,
    names_of,
    need,
    numbers,
    shown,
    single_seeds,
    span,
)
from lossnets.analysis.figures.labels import place_labels
from lossnets.analysis.figures.names import short_names
from lossnets.analysis.figures.style import (
    WIDTH,
    ThemeName,
    footnote,
    legend,
    message_figure,
    new_figure,
    styled,
    tidy,
)
from lossnets.analysis.pareto import BEATEN, FRONT, MAYBE, pareto_front

if TYPE_CHECKING:
    import pandas as pd

    from lossnets.analysis.figures.canvas import Drawing

_COSTS = {
    "step_ratio": "training step, relative to the pixel loss", "step_ms": "training step (ms)",
    "ms_per_image": "forward and backward, ms per image", "pixel_ratio": "loss alone, relative to pixel:mse",
    "memory": "memory (bytes)",
}  # fmt: skip
_LOOKS = {
    FRONT: "best for its cost", MAYBE: "another is better and no dearer, by the values only",
    BEATEN: "another is better and no dearer, intervals apart",
}  # fmt: skip
_LABELS = 14


@styled
def quality_cost_figure(
    frame: pd.DataFrame,
    *,
    quality: str = "value",
    cost: str = "step_ratio",
    higher_is_better: bool | None = None,
    score: str = "",
    cost_name: str = "",
    theme: ThemeName = "light",
    title: str = "",
    width: float = WIDTH,
) -> Drawing:
    """Score (up is better) against cost (left is cheaper, logarithmic), with the Pareto front as a line.

    Args:
        frame: one row per loss with ``loss``, the two columns and, where known, ``low``, ``high``,
            ``seeds``. Of `pareto_front`; without its column ``standing`` it is asked here.
        quality: column of the score.
        cost: column of the cost, positive.
        higher_is_better: direction of the score; None: of the frame's column of that name, else True.
        score: what the score is called; by default the frame's ``score`` and ``unit``.
        cost_name: what the cost is called.
        theme: ``light`` or ``dark``.
        title: above the figure.
        width: inches.

    Raises:
        DataError: the frame lacks a column.
    """
    if not len(frame):
        return message_figure("Nothing to draw: no loss has a score here.", theme, title=title, width=width)
    need(frame, [quality, cost], "quality_cost_figure")
    higher = _direction(frame, higher_is_better)
    if "standing" not in frame.columns:
        frame = pareto_front(frame, quality, cost, higher)
    points, lacking = _points(frame, quality, cost)
    if not points:
        text = f"Nothing to draw: no loss has both a score and a cost. Without: {_called(lacking)}."
        return message_figure(text, theme, title=title, width=width)
    score = score or _score(frame)
    label = f"{score or 'Score'} against cost of {len(points)} losses."
    figure = new_figure(width, 4.3, theme, label=label, title=title)
    axes = figure.subplots()
    axes.set_xscale("log")
    tips = {"score": score or quality, "cost": cost_name or _COSTS.get(cost, cost)}
    for point in points:
        _draw(figure, axes, point, tips)
    steps = _front_line(figure, axes, points, higher)
    _frame(figure, axes, points, tips, higher)
    _legend(figure, points)
    footnote(figure, *_notes(points, lacking))
    _label(figure, axes, points, steps)
    return figure


def _direction(frame: pd.DataFrame, asked: bool | None) -> bool:
    if asked is not None:
        return asked
    return bool(frame["higher_is_better"].iloc[0]) if "higher_is_better" in frame.columns else True


def _score(frame: pd.DataFrame) -> str:
    if "score" not in frame.columns:
        return ""
    first = frame.iloc[0]
    unit = str(first.get("unit") or "")
    return f"{first['score']} ({unit})" if unit and unit != str(first["score"]) else str(first["score"])


def _points(frame: pd.DataFrame, quality: str, cost: str) -> tuple[list[dict[str, Any]], list[str]]:
    """Losses with both numbers, cheapest first, and the names of the others."""
    names = names_of(frame, "loss", "contender")
    columns = [numbers(frame, c) for c in (quality, cost, "low", "high")]
    points, lacking = [], []
    short = short_names(names)
    rows = zip(names, frame["standing"], single_seeds(frame), zip(*columns, strict=True), strict=True)
    for name, standing, single, (value, price, low, high) in rows:
        if not (math.isfinite(value) and math.isfinite(price) and price > 0):
            lacking.append(name)
            continue
        points.append({
            "name": name, "short": short[name], "value": value, "cost": price, "low": low, "high": high,
            "single": single, "standing": str(standing),
        })  # fmt: skip
    return sorted(points, key=lambda p: (p["cost"], p["name"])), lacking


def _look(figure: Drawing, standing: str) -> tuple[str, str, float]:
    """Colour, marker, size."""
    theme = figure.theme
    if standing == FRONT:
        return theme.accent, "o", 7.5
    return (theme.palette[1], "D", 5.0) if standing == MAYBE else (theme.muted, "X", 5.5)


def _draw(figure: Drawing, axes: Any, point: dict[str, Any], tips: dict[str, str]) -> None:
    colour, marker, size = _look(figure, point["standing"])
    low, high = point["low"], point["high"]
    if math.isfinite(low) and math.isfinite(high):
        axes.plot([point["cost"]] * 2, [low, high], color=colour, linewidth=1.3, alpha=0.45, zorder=2)
    face = figure.theme.surface if point["single"] else colour
    (dot,) = axes.plot(
        [point["cost"]],
        [point["value"]],
        marker,
        markersize=size,
        color=colour,
        markerfacecolor=face,
        zorder=4,
    )
    one = ", one seed" if point["single"] else ""
    text = (
        f"{point['name']}\n{tips['score']}: {shown(point['value'], 4)} ({span(low, high)}{one})\n"
        f"{tips['cost']}: {shown(point['cost'])}\n{_LOOKS.get(point['standing'], point['standing'])}"
    )
    figure.tip(dot, text)


def _front_line(
    figure: Drawing, axes: Any, points: list[dict[str, Any]], higher: bool
) -> list[tuple[float, float]]:
    """Steps: the best that is to be had up to each cost; drawn, and returned as corners."""
    front = [p for p in points if p["standing"] == FRONT]
    if not front:
        return []
    front.sort(key=lambda p: (p["cost"], p["value"] if higher else -p["value"]))
    corners: list[tuple[float, float]] = []
    for p in front:
        corners += [(p["cost"], corners[-1][1])] if corners else []
        corners.append((p["cost"], p["value"]))
    corners.append((max(p["cost"] for p in points) * 1.4, front[-1]["value"]))
    axes.plot(*zip(*corners, strict=True), color=figure.theme.accent, linewidth=1.2, alpha=0.6, zorder=1)
    return corners


def _frame(
    figure: Drawing, axes: Any, points: list[dict[str, Any]], tips: dict[str, str], higher: bool
) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    theme = figure.theme
    tidy(axes, theme, grid="both")
    costs = [p["cost"] for p in points]
    axes.set_xlim(min(costs) / 1.3, max(costs) * 1.4)
    subs = (1.0,) if max(costs) / min(costs) > 100 else (1.0, 2.0, 5.0)
    axes.xaxis.set_major_locator(LogLocator(base=10, subs=subs))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:,.12g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set_xlabel(tips["cost"], color=theme.muted, parse_math=False)
    axes.set_ylabel(
        f"{tips['score']}, {'higher' if higher else 'lower (up)'} is better",
        color=theme.muted,
        parse_math=False,
    )
    axes.margins(y=0.12)
    if not higher:
        axes.invert_yaxis()


def _legend(figure: Drawing, points: list[dict[str, Any]]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for standing, text in _LOOKS.items():
        if any(p["standing"] == standing for p in points):
            colour, marker, size = _look(figure, standing)
            look: dict[str, Any] = {"marker": marker, "markersize": size, "color": colour}
            handles.append(Line2D([], [], linewidth=1.2 if standing == FRONT else 0, label=text, **look))
    legend(figure, handles)


def _label(
    figure: Drawing, axes: Any, points: list[dict[str, Any]], steps: list[tuple[float, float]]
) -> None:
    """Names: of the front, and of all where there are few."""
    front = [p for p in points if p["standing"] == FRONT]
    rest = [p for p in points if p["standing"] != FRONT] if len(points) <= _LABELS else []
    wanted = [(p["cost"], p["value"], p["short"]) for p in [*front, *rest]][:_LABELS]
    bars = [
        (p["cost"], p["low"], p["cost"], p["high"]) for p in points if math.isfinite(p["low"] + p["high"])
    ]
    lines = [(*a, *b) for a, b in pairwise(steps)]
    place_labels(figure, axes, wanted, [(p["cost"], p["value"]) for p in points], [*lines, *bars])


def _notes(points: list[dict[str, Any]], lacking: list[str]) -> list[str]:
    notes = ["The line is the best that is to be had up to each cost (Pareto front)."]
    if len(points) > _LABELS:
        notes[0] += " Only losses on it are named."
    if any(p["single"] for p in points):
        notes.append("One seed each." if all(p["single"] for p in points) else "Open: one seed.")
    if lacking:
        notes.append(f"Without a score or a cost, not drawn: {_called(lacking)}.")
    return notes


def _called(names: list[str]) -> str:
    return listed(list(short_names(names).values())) or "none"
