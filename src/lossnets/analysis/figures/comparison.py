"""The sheet of a comparison: a row for each loss, closest picture first, with maps and shares of taps."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.frames import listed, shown
from lossnets.analysis.figures.names import options_of, short_names
from lossnets.analysis.figures.style import (
    SMALL,
    TEXT,
    ThemeName,
    characters,
    new_figure,
    readable_on,
    shortened,
    styled,
)

if TYPE_CHECKING:
    from lossnets.analysis.comparison_records import Candidate, Comparison, LossRow
    from lossnets.analysis.figures.canvas import Drawing

MOST = 8
"""Pictures in a row."""
_EDGE, _GAP, _LABEL, _LINE, _BAR = 0.15, 0.12, 2.0, 0.2, 0.17  # inches
_DISPUTES = 3


class _Sheet:
    """Places in inches from the top left corner, of a figure that is as tall as it needs to be."""

    def __init__(self, comparison: Comparison, inches: float, theme: str) -> None:
        self.comparison = comparison
        self.letters = {c.name: _letter(k) for k, c in enumerate(comparison.candidates)}
        self.short = short_names([row.loss for row in comparison.rows])
        width, height = comparison.reference.size or (1, 1)
        scale = inches / max(width, 0.75 * height)
        self.cell = scale * max(width, 0.6 * height), scale * height
        count = min(MOST, max(len(comparison.candidates), 3))
        self.columns = min(MOST, count)
        total = 2 * _EDGE + _LABEL + count * (self.cell[0] + _GAP)
        label = f"{len(comparison.candidates)} pictures compared under {len(comparison.rows)} losses."
        self.figure: Drawing = new_figure(total, self._height(), theme, label=f"{label} {comparison.summary}")
        self.figure.set_layout_engine("none")
        self.y = _EDGE

    def _height(self) -> float:
        lines = -(-len(self.comparison.candidates) // self.columns)
        head = (
            0.3 + lines * (self.cell[1] + 2 * _LINE + _GAP) + _LINE * (1 + len(_words(self.comparison, self)))
        )
        return 2 * _EDGE + head + sum(self.row_height(row) for row in self.comparison.rows)

    def row_height(self, row: LossRow) -> float:
        """Inches that the row of a loss takes."""
        if not row.distances:
            return 0.75
        maps = self.cell[1] + 0.06 if row.maps else 0.0
        bars = _BAR if _split(row) else 0.0
        taps = max((len(parts) for parts in row.taps.values()), default=0)
        label = _LINE * (4.5 + 2.5 * bool(row.maps or row.no_map)) + (0.8 * taps + 1) * _LINE * _split(row)
        return max(0.35 + _LINE + self.cell[1] + maps + bars + _LINE * _rest(row), label)

    def x(self, column: int) -> float:
        """Left end of a column of pictures."""
        return _EDGE + _LABEL + column * (self.cell[0] + _GAP)

    def text(self, x: float, y: float, text: str, **asked: Any) -> Any:
        """Text whose upper end is at these inches."""
        width, height = self.figure.get_size_inches()
        look: dict[str, Any] = {
            "color": self.figure.theme.ink,
            "fontsize": SMALL,
            "va": "top",
            "parse_math": False,
        } | asked
        return self.figure.text(x / width, 1 - y / height, text, **look)

    def axes(self, x: float, y: float, width: float, height: float) -> Any:
        """Axes without a frame, at these inches."""
        whole = self.figure.get_size_inches()
        made = self.figure.add_axes(
            (x / whole[0], 1 - (y + height) / whole[1], width / whole[0], height / whole[1])
        )
        made.set_axis_off()
        return made


@styled
def comparison_figure(comparison: Comparison, *, theme: ThemeName = "light", inches: float = 1.5) -> Drawing:
    """Draw a comparison: the pictures, then for each loss the pictures closest first, maps, shares of taps.

    A letter stands for a picture in all rows. Of more than `MOST` pictures the closest are drawn, the others
    are listed. Maps of a loss share one scale.

    Args:
        comparison: of `compare_images`.
        theme: ``light`` or ``dark``.
        inches: longer side of a picture.
    """
    sheet = _Sheet(comparison, inches, theme)
    _head(sheet)
    for row in comparison.rows:
        _loss_row(sheet, row)
    return sheet.figure


def _letter(k: int) -> str:
    return chr(65 + k % 26) + (str(k // 26 + 1) if k >= 26 else "")


def _split(row: LossRow) -> bool:
    return any(len(parts) > 1 for parts in row.taps.values())


def _rest(row: LossRow) -> int:
    return int(len(row.distances) > MOST) + int(bool(row.errors) and bool(row.distances))


def _words(comparison: Comparison, sheet: _Sheet) -> list[str]:
    """The lines on where the losses disagree."""
    lines = [comparison.summary]
    if comparison.disputes:
        closest: dict[str, list[str]] = {}
        for row in comparison.rows:
            for name in [name for name, rank in row.ranks.items() if rank == 1]:
                closest.setdefault(sheet.letters[name], []).append(sheet.short[row.loss])
        texts = [f"{letter} to {listed(names, 4)}" for letter, names in closest.items()]
        lines.append(f"Closest is {'; '.join(texts)}.")
    for dispute in comparison.disputes[:_DISPUTES]:
        first, second = (sheet.letters[n] for n in (dispute.first, dispute.second))
        sides = [
            listed([sheet.short[n] for n in names], 3) for names in (dispute.for_first, dispute.for_second)
        ]
        lines.append(f"{first} or {second}: {first} is closer to {sides[0]}; {second} to {sides[1]}.")
    more = len(comparison.disputes) - _DISPUTES
    if more > 0:
        lines.append(f"And {more} more pair{'s' * (more > 1)}.")
    room = characters(_LABEL + sheet.columns * (sheet.cell[0] + _GAP), TEXT)
    return [part for line in lines for part in (textwrap.wrap(line, room) or [""])]


def _head(sheet: _Sheet) -> None:
    """The reference, all candidates with their letters, and where losses disagree."""
    comparison, (width, height) = sheet.comparison, sheet.cell
    room = characters(width, SMALL)
    sheet.text(_EDGE, sheet.y, "Reference", fontweight="bold", fontsize=TEXT)
    reference = comparison.reference
    _picture(sheet, reference, _EDGE, sheet.y + _LINE, min(width, _LABEL - 0.2))
    name = sheet.text(
        _EDGE, sheet.y + _LINE + height * min(1.0, (_LABEL - 0.2) / width) + 0.03,
        shortened(reference.name, characters(_LABEL - 0.2, SMALL)), color=sheet.figure.theme.muted,
    )  # fmt: skip
    sheet.figure.tip(name, f"{reference.source or reference.name}\n{_size(reference)}")
    for k, candidate in enumerate(comparison.candidates):
        if k and k % sheet.columns == 0:
            sheet.y += height + 2 * _LINE + _GAP
        x = sheet.x(k % sheet.columns)
        sheet.text(x, sheet.y, sheet.letters[candidate.name], fontweight="bold", fontsize=TEXT)
        _picture(sheet, candidate, x, sheet.y + _LINE, width)
        made = sheet.text(
            x,
            sheet.y + _LINE + height + 0.03,
            shortened(candidate.name, room),
            color=sheet.figure.theme.muted,
        )
        sheet.figure.tip(made, f"{candidate.source or candidate.name}\n{_size(candidate)}")
    sheet.y += height + 2 * _LINE + _GAP
    for k, line in enumerate(_words(comparison, sheet)):
        sheet.text(_EDGE, sheet.y + k * _LINE, line, fontsize=TEXT, fontweight="bold" if k == 0 else "normal")
    sheet.y += _LINE * (1 + len(_words(comparison, sheet)))


def _size(candidate: Candidate) -> str:
    size = "size unknown" if candidate.size is None else "{} × {} pixels".format(*candidate.size)
    return f"{size}{chr(10) if candidate.problem else ''}{candidate.problem}"


def _picture(sheet: _Sheet, candidate: Candidate, x: float, y: float, width: float) -> Any:
    """The picture, or a hatched field with the reason."""
    from matplotlib.patches import Rectangle

    theme, height = sheet.figure.theme, sheet.cell[1] * min(1.0, width / sheet.cell[0])
    axes = sheet.axes(x, y, width, height)
    if candidate.picture is not None:
        axes.imshow(candidate.picture)
        axes.set_anchor("NW")
    else:
        box = Rectangle((0, 0), 1, 1, facecolor=theme.weak, edgecolor=theme.line, hatch="////")
        axes.add_patch(box)
    if candidate.problem:
        short = "not compared:\nother size" if candidate.size else "not compared:\ncannot be read"
        made = axes.text(
            0.5, 0.5, short, transform=axes.transAxes, ha="center", va="center", fontsize=SMALL,
            color=theme.ink, bbox={"facecolor": theme.surface, "edgecolor": theme.line, "pad": 2.5},
        )  # fmt: skip
        sheet.figure.tip(made, candidate.problem)
    return axes


def _loss_row(sheet: _Sheet, row: LossRow) -> None:
    from matplotlib.lines import Line2D

    theme, figure = sheet.figure.theme, sheet.figure
    whole = figure.get_size_inches()
    level = 1 - sheet.y / whole[1]
    edges = [_EDGE / whole[0], 1 - _EDGE / whole[0]]
    figure.add_artist(Line2D(edges, [level, level], color=theme.line, linewidth=0.8))
    top = sheet.y + 0.1
    _label(sheet, row, top)
    if not row.distances:
        room = characters(whole[0] - _LABEL - 2 * _EDGE, SMALL)
        text = "\n".join(textwrap.wrap(f"failed: {row.error or 'no distance'}", room)[:3])
        figure.tip(sheet.text(sheet.x(0), top, text, color=theme.warm), row.error)
    else:
        _pictures(sheet, row, top)
    sheet.y += sheet.row_height(row)


def _label(sheet: _Sheet, row: LossRow, top: float) -> None:
    """Name of the loss, what the maps are, what the colours of the bars are."""
    theme, room = sheet.figure.theme, characters(_LABEL - 0.15, SMALL)
    lines = textwrap.wrap(sheet.short[row.loss].replace(",", ", "), characters(_LABEL - 0.15, TEXT))
    name = sheet.text(_EDGE, top, "\n".join(lines), fontweight="bold", fontsize=TEXT)
    sheet.figure.tip(name, row.loss)
    y = top + _LINE * (len(lines) + 0.1)
    options = shortened(options_of(row.loss), room)
    if options:
        sheet.text(_EDGE, y, options, color=theme.muted)
        y += _LINE
    if not row.distances:
        return
    y += 0.05
    if row.maps:
        about = f"maps: brighter is more different, from 0 to {shown(_top(row), 2)} (square-root scale)"
    else:
        about = f"no map: {row.no_map}" if row.no_map else ""
    for line in textwrap.wrap(about, room)[:4]:
        sheet.text(_EDGE, y, line, color=theme.muted)
        y += _LINE * 0.85
    if _split(row):
        sheet.text(_EDGE, y + 0.05, "share of each tap:", color=theme.muted)
        y += _LINE * 0.85 + 0.05
        taps = next(iter(row.taps.values()))
        for k, tap in enumerate(taps):
            sheet.text(_EDGE, y, "■", color=_tap_colour(sheet, k))
            sheet.text(_EDGE + 0.14, y, shortened(tap, room - 2))
            y += _LINE * 0.8


def _tap_colour(sheet: _Sheet, k: int) -> str:
    palette = sheet.figure.theme.palette
    return palette[k % len(palette)]


def _top(row: LossRow) -> float:
    """Upper end of the scale: a few pixels of 1,000 are beyond it, so that one does not darken all."""
    import numpy as np

    every = np.concatenate([m.ravel() for m in row.maps.values()])
    return float(np.percentile(every, 99.5)) or float(every.max()) or 1e-12


def _pictures(sheet: _Sheet, row: LossRow, top: float) -> None:
    from matplotlib.colors import PowerNorm

    by_name = {c.name: c for c in sheet.comparison.candidates}
    ranks = row.ranks
    for column, name in enumerate(list(ranks)[:MOST]):
        x, y = sheet.x(column), top
        _mark(sheet, row, name, x, y)
        y += _LINE
        axes = _picture(sheet, by_name[name], x, y, sheet.cell[0])
        sheet.figure.tip(axes.images[0], f"{name}\n{row.loss}: {shown(row.distances[name], 5)}")
        y += sheet.cell[1] + 0.06
        if row.maps:
            shade = sheet.axes(x, y, *sheet.cell)
            shade.imshow(row.maps[name], cmap="magma", norm=PowerNorm(0.5, 0, _top(row), clip=True))
            shade.set_anchor("NW")
            y += sheet.cell[1] + 0.06
        if _split(row):
            _bar(sheet, row.taps[name], x, y)
    y = top + sheet.row_height(row) - 0.2 - _LINE * _rest(row)
    if len(ranks) > MOST:
        names = list(ranks)[MOST:]
        texts = [f"{sheet.letters[n]} {shown(row.distances[n])}" for n in names]
        sheet.text(sheet.x(0), y, f"Further away: {listed(texts, 12)}", color=sheet.figure.theme.muted)
        y += _LINE
    if row.errors:
        texts = [f"{sheet.letters[n]}: {text}" for n, text in row.errors.items()]
        room = characters(sheet.columns * (sheet.cell[0] + _GAP), SMALL)
        sheet.text(
            sheet.x(0), y, shortened(f"No distance: {'; '.join(texts)}", room), color=sheet.figure.theme.warm
        )


def _mark(sheet: _Sheet, row: LossRow, name: str, x: float, y: float) -> None:
    """Letter, rank and distance above a picture; the closest stands out."""
    theme, ranks = sheet.figure.theme, row.ranks
    first = ranks[name] == 1
    tied = list(ranks.values()).count(ranks[name]) > 1
    least = min(row.distances.values())
    times = f"  ×{shown(row.distances[name] / least, 2)}" if least > 0 and not first else ""
    text = f"{sheet.letters[name]}  {'=' if tied else ''}{ranks[name]}.  {shown(row.distances[name])}{times}"
    sheet.text(
        x, y, text, color=theme.accent if first else theme.ink, fontweight="bold" if first else "normal"
    )


def _bar(sheet: _Sheet, parts: dict[str, float], x: float, y: float) -> None:
    """Shares of the taps, the largest with its number."""
    from matplotlib.patches import Rectangle

    axes, total = sheet.axes(x, y, sheet.cell[0], _BAR - 0.03), sum(parts.values())
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    left, greatest = 0.0, max(parts, key=lambda tap: parts[tap])
    for k, (tap, part) in enumerate(parts.items()):
        share = part / total if total > 0 else 0.0
        colour = _tap_colour(sheet, k)
        box = axes.add_patch(Rectangle((left, 0), share, 1, facecolor=colour, linewidth=0))
        sheet.figure.tip(box, f"{tap}: {100 * share:.0f} % of the distance")
        if tap == greatest and share > 0.25:
            axes.text(
                left + share / 2, 0.46, f"{100 * share:.0f} %", ha="center", va="center", fontsize=SMALL - 1,
                color=readable_on(colour, sheet.figure.theme),
            )  # fmt: skip
        left += share


__all__: Sequence[str] = ("MOST", "comparison_figure")
