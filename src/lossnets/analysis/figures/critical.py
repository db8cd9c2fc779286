"""Which contenders are told apart over settings: mean ranks and the groups between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.frames import names_of, need, number, numbers, shown
from lossnets.analysis.figures.names import short_names
from lossnets.analysis.figures.ranks import HEAD, ROW, rank_limits
from lossnets.analysis.figures.style import (
    WIDTH,
    ThemeName,
    footnote,
    message_figure,
    new_figure,
    row_labels,
    styled,
    tidy,
)

if TYPE_CHECKING:
    from lossnets.analysis.critical import Critical
    from lossnets.analysis.figures.canvas import Drawing


@styled
def critical_difference_figure(
    critical: Critical, *, theme: ThemeName = "light", title: str = "", width: float = WIDTH
) -> Drawing:
    """Mean ranks over settings; a bar joins contenders that the test does not tell apart (Demšar 2006).

    Args:
        critical: of `compare_over_settings`.
        theme: ``light`` or ``dark``.
        title: above the figure.
        width: inches.
    """
    frame = critical.frame
    if not len(frame):
        reason = critical.note or "no contender is in every setting"
        return message_figure(f"No ranks to compare: {reason}.", theme, title=title, width=width)
    column = next((c for c in ("average_rank", "mean_rank", "rank") if c in frame.columns), "average_rank")
    need(frame, [column], "critical_difference_figure")
    ordered = frame.assign(_order=numbers(frame, column)).sort_values("_order", kind="stable")
    names = names_of(ordered, "contender", "loss")
    ranks = numbers(ordered, column)
    groups = [[names.index(str(m)) for m in group if str(m) in names] for group in critical.groups]
    groups = [sorted(group) for group in groups if len(group) > 1] if critical.decidable else []
    label = (
        f"Mean ranks of {len(names)} contenders over {_count(critical.blocks)} settings, "
        f"{len(groups)} groups not told apart."
    )
    figure = new_figure(width, HEAD + 0.35 + ROW * len(names), theme, label=label, title=title)
    lanes = _lanes(groups)
    axes, side = figure.subplots(
        1, 2, sharey=True, width_ratios=[1, 0.03 + 0.035 * (1 + max(lanes, default=0))]
    )
    for row, rank in enumerate(ranks):
        axes.plot([1, rank], [row, row], color=figure.theme.line, linewidth=1.2, zorder=1)
        (dot,) = axes.plot([rank], [row], "o", color=figure.theme.accent, markersize=6.5, zorder=3)
        figure.tip(dot, f"{names[row]}\nmean rank {shown(rank)}")
    tidy(axes, figure.theme)
    row_labels(axes, list(short_names(names).values()), names)
    axes.set_xlabel("mean rank over settings (1 is best)", color=figure.theme.muted, loc="right")
    rank_limits(axes, ordered, [column])
    _group_bars(figure, side, groups, lanes, names)
    footnote(figure, *_critical_notes(critical, groups))
    return figure


def _lanes(groups: Sequence[Sequence[int]]) -> list[int]:
    """A lane for each group, so that bars in one lane do not touch."""
    ends: list[int] = []
    lanes = []
    for group in groups:
        lane = next((k for k, end in enumerate(ends) if end < group[0] - 0), len(ends))
        if lane == len(ends):
            ends.append(group[-1])
        ends[lane] = group[-1]
        lanes.append(lane)
    return lanes


def _group_bars(
    figure: Drawing, axes: Any, groups: Sequence[Sequence[int]], lanes: Sequence[int], names: Sequence[str]
) -> None:
    axes.set_axis_off()
    axes.set_xlim(-0.5, max(lanes, default=0) + 0.5)
    short = list(short_names(names).values())
    for group, lane in zip(groups, lanes, strict=True):
        tip = "not told apart: " + ", ".join(short[k] for k in group)
        (bar,) = axes.plot(
            [lane, lane], [group[0] - 0.25, group[-1] + 0.25], color=figure.theme.warm, linewidth=2.6,
            solid_capstyle="round",
        )  # fmt: skip
        figure.tip(bar, tip)
        gaps = sorted(set(range(group[0], group[-1])) - set(group))
        if gaps:  # a row inside the bar that does not belong to the group
            axes.plot(
                [lane] * len(gaps), gaps, "o", markersize=5, color=figure.theme.surface,
                markeredgecolor=figure.theme.warm,
            )  # fmt: skip


def _critical_notes(critical: Critical, groups: Sequence[Sequence[int]]) -> list[str]:
    notes = [f"{_count(critical.blocks)} settings as blocks."]
    if math.isfinite(number(critical.p)):
        notes[0] += f" All alike: p = {shown(number(critical.p), 2)} (Friedman, Iman–Davenport)."
    distance = number(critical.critical_difference)
    if math.isfinite(distance):
        notes[0] += f" Nemenyi's critical difference: {shown(distance)} ranks."
    if groups:
        notes.append("A bar joins contenders that the test does not tell apart.")
    if not critical.decidable:
        notes.append(critical.note or "not decidable")
    elif critical.note:
        notes.append(critical.note)
    return [note[:1].upper() + note[1:] for note in notes]


def _count(blocks: Any) -> int:
    return int(blocks) if isinstance(blocks, (int, float)) else len(blocks)
