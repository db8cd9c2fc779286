"""Pictures of a judgement: gap closed against cost with every rival on it, and curves of the fits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.labels import place_labels
from lossnets.analysis.figures.style import (
    WIDTH,
    Theme,
    ThemeName,
    footnote,
    legend,
    message_figure,
    new_figure,
    shortened,
    styled,
    tidy,
)
from lossnets.judging.line import height_at
from lossnets.judging.verdict import ENOUGH, span

if TYPE_CHECKING:
    from lossnets.analysis.figures.canvas import Drawing
    from lossnets.judging.standings import Standing, Standings

KINDS = {
    "b": "PGN", "d": "PGN + small MSE", "a": "true loss", "e": "true loss, first taps only",
    "f": "at half resolution", "g": "on a random crop", "h": "every k-th step", "c": "MSE",
    "i": "mean absolute error", "j": "other",
}  # fmt: skip
"""Kinds of rivals by letter, in the order of legends."""
_SHAPES = dict(zip("bdaefghcij", ("o", "P", "*", "s", "^", "v", "D", "X", "p", "h"), strict=True))
_LOWEST = -1.0
"""Gaps closed below this are drawn at the edge, so that one bad rival does not flatten the others."""


def look(theme: Theme, letter: str) -> tuple[str, str, float]:
    """Colour, marker and size of a kind of rival."""
    colour = {"b": theme.warm, "d": theme.palette[7], "a": theme.ink, "e": theme.accent}.get(letter)
    big = {"b": 9.0, "a": 11.0, "d": 7.5}.get(letter, 6.0)
    order = "fghcij"
    return colour or theme.palette[2 + order.index(letter) % 5], _SHAPES[letter], big


@styled
def verdict_figure(
    found: Standings, *, theme: ThemeName = "light", title: str = "", width: float = WIDTH
) -> Drawing:
    """Gap closed (up is better) against cost (left is cheaper, logarithmic), every rival with its interval.

    The line is what the plain rivals, which need no gradient network, close at each cost.

    Args:
        found: where every rival stands.
        theme: ``light`` or ``dark``.
        title: above the figure.
        width: inches.
    """
    rows = [row for row in found.rows if math.isfinite(row.cost) and math.isfinite(row.gap)]
    if not rows:
        why = "; ".join(f"{kind}: {note}" for kind, note in found.undefined.items())
        text = f"Nothing to draw: no rival has both a gap closed and a cost. {why}"
        return message_figure(text, theme, title=title, width=width)
    figure = new_figure(width, 4.4, theme, label=_label(found, rows), title=title)
    axes = figure.subplots()
    axes.set_xscale("log")
    _levels(axes, figure.theme)
    segments = _line(figure, axes, found, rows)
    for row in rows:
        _point(figure, axes, row)
    _frame(figure, axes, rows)
    _kinds(figure, [row.letter for row in rows])
    footnote(figure, *_notes(found, rows))
    points = [(row.cost, _shown(row.gap)) for row in rows]
    bars = [(row.cost, _shown(row.low), row.cost, _shown(row.high)) for row in rows if math.isfinite(row.low)]
    names = [(x, y, _name(row)) for row, (x, y) in zip(rows, points, strict=True)]
    first = sorted(names, key=lambda name: not name[2].startswith("PGN"))
    place_labels(figure, axes, first, points, [*segments, *bars])
    return figure


def _label(found: Standings, rows: Sequence[Standing]) -> str:
    network = found.of("pgn")
    text = f"Gap closed against cost of {len(rows)} ways of getting a gradient."
    if network is not None and math.isfinite(network.gap):
        text += f" The PGN closes {span(network.gap, network.low, network.high)} at {network.cost:.2g}."
    return text


def _shown(value: float) -> float:
    return max(value, _LOWEST)


def _name(row: Standing) -> str:
    """Short: the kind's own name, with its number where there are several."""
    count = row.key.partition("-")[2]
    if row.letter == "e":
        return "1 tap" if count == "1" else f"{count} taps"
    names = {"a": "true loss", "b": "PGN", "d": "PGN + MSE", "c": "MSE", "i": "L1", "f": "half", "g": "crop"}
    return f"every {count}" if row.letter == "h" else names.get(row.letter, shortened(row.key, 18))


def _levels(axes: Any, theme: Theme) -> None:
    """MSE's level and the true loss's."""
    for level in (0.0, 1.0):
        axes.axhline(level, color=theme.muted, linewidth=0.8, linestyle=(0, (4, 3)), zorder=0)


def _line(
    figure: Drawing, axes: Any, found: Standings, rows: Sequence[Standing]
) -> list[tuple[float, float, float, float]]:
    """The line of the plain rivals; its pieces, for the labels to keep clear of."""
    if not found.line:
        return []
    right = max(*(row.cost for row in rows), found.line[-1].cost) * 1.3
    corners = [(c.cost, _shown(c.gap)) for c in found.line]
    corners.append((right, _shown(height_at(found.line, right))))
    axes.plot(*zip(*corners, strict=True), color=figure.theme.accent, linewidth=1.6, alpha=0.55, zorder=1)
    axes.fill_between(
        *zip(*corners, strict=True), _LOWEST - 1, color=figure.theme.accent, alpha=0.05, zorder=0
    )
    return [(*a, *b) for a, b in pairwise(corners)]


def _point(figure: Drawing, axes: Any, row: Standing) -> None:
    colour, marker, size = look(figure.theme, row.letter)
    if math.isfinite(row.low):
        ends = [_shown(row.low), _shown(row.high)]
        axes.plot([row.cost] * 2, ends, color=colour, linewidth=1.5, alpha=0.5, zorder=2)
    if math.isfinite(row.cost_low) and row.cost_high > row.cost_low:
        axes.plot([row.cost_low, row.cost_high], [_shown(row.gap)] * 2, color=colour, linewidth=1, alpha=0.5)
    below = row.gap < _LOWEST
    face = figure.theme.surface if row.diverged else colour
    (dot,) = axes.plot(
        [row.cost], [_shown(row.gap)], marker=11 if below else marker, linestyle="", markersize=size,
        color=colour, markerfacecolor=face, zorder=5 if row.letter in "bd" else 4,
    )  # fmt: skip
    closed = span(row.gap, row.low, row.high)
    text = f"{row.title}\ngap closed: {closed}\ntime: {row.cost:.3g} of the true loss's"
    lost = f"\n{row.diverged} of {row.fits} fits diverged" if row.diverged else ""
    place = f"\n{row.place} the line of the plain rivals" if row.place else ""
    figure.tip(dot, text + lost + place)


def _frame(figure: Drawing, axes: Any, rows: Sequence[Standing]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, NullLocator

    theme = figure.theme
    tidy(axes, theme, grid="both")
    costs = [row.cost for row in rows]
    axes.set_xlim(min(costs) / 1.4, max(*costs, 1.0) * 1.4)
    axes.xaxis.set_major_locator(
        LogLocator(base=10, subs=(1.0, 2.0, 5.0) if min(costs) > 0.02 else (1.0, 3.0))
    )
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:.4g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    heights = [_shown(v) for row in rows for v in (row.gap, row.low, row.high) if math.isfinite(v)]
    low, high = min(0.0, *heights), max(1.0, *heights)
    axes.set_ylim(low - 0.08 * (high - low), high + 0.1 * (high - low))
    axes.set_xlabel("time of a gradient, the true loss's = 1", color=theme.muted, parse_math=False)
    axes.set_ylabel("gap closed: 0 as MSE, 1 as the true loss", color=theme.muted, parse_math=False)


def _kinds(figure: Drawing, letters: Sequence[str]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for letter, name in KINDS.items():
        if letter in letters:
            colour, marker, size = look(figure.theme, letter)
            handles.append(
                Line2D([], [], linewidth=0, marker=marker, markersize=min(size, 7), color=colour, label=name)
            )
    legend(figure, handles)


def _notes(found: Standings, rows: Sequence[Standing]) -> list[str]:
    kinds = ", ".join(found.generators)
    notes = [
        f"Mean over {kinds}; bars are 95% bootstrap intervals over images and seeds. The line is what plain "
        f"rivals close at each cost; a gradient network has its use above it. Enough is {ENOUGH:g}."
    ]
    if any(row.gap < _LOWEST for row in rows):
        notes.append(f"Below {_LOWEST:g}: drawn at the edge.")
    if any(row.diverged for row in rows):
        notes.append("Open: at least one fit diverged.")
    lacking = [_name(row) for row in found.rows if row not in rows]
    if lacking:
        notes.append(f"Without a gap closed or a cost, not drawn: {', '.join(lacking)}.")
    return notes
