"""Which attributes of networks go with good results: correlations with intervals, a panel per setting."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.frames import need, number, shown, span
from lossnets.analysis.figures.style import (
    SMALL,
    WIDTH,
    ThemeName,
    characters,
    footnote,
    legend,
    message_figure,
    new_figure,
    row_labels,
    shortened,
    styled,
    tidy,
)

if TYPE_CHECKING:
    import pandas as pd

    from lossnets.analysis.figures.canvas import Drawing

_ROW, _ACROSS = 0.2, 3
_LABELS = 1.6  # inches of the attributes' names
_CALLED = {
    "top1": "ImageNet accuracy", "parameters": "parameters", "gmacs": "operations (GMAC)", "depth": "depth",
    "stride": "stride", "channels": "channels", "receptive_field": "receptive field",
    "batch_norm": "batch normalisation", "position": "position, early to late",
}  # fmt: skip


@styled
def attribute_figure(
    frame: pd.DataFrame,
    *,
    level: str | None = "setting",
    alpha: float = 0.05,
    theme: ThemeName = "light",
    title: str = "",
    width: float = WIDTH,
) -> Drawing:
    """Rank correlation of each attribute with the score (more is better), with its interval.

    Args:
        frame: of `attribute_correlations`: ``setting``, ``attribute``, ``rho``, ``low``, ``high``,
            ``p_adjusted``, ``n``, ``note``.
        level: rows of this ``level``, ``setting`` or ``task``; None: all.
        alpha: below it a ``p_adjusted`` gives a filled point.
        theme: ``light`` or ``dark``.
        title: above the figure.
        width: inches.

    Raises:
        DataError: the frame lacks a column.
    """
    if level is not None and "level" in frame.columns:
        frame = frame[frame["level"] == level]
    if not len(frame):
        text = "No correlations to draw: no setting has networks with results."
        return message_figure(text, theme, title=title, width=width)
    need(frame, ["setting", "attribute", "rho"], "attribute_figure")
    settings = list(dict.fromkeys(map(str, frame["setting"])))
    attributes = list(dict.fromkeys(map(str, frame["attribute"])))
    across = max(1, min(_ACROSS, len(settings), int((width - _LABELS) / 1.7)))
    down = -(-len(settings) // across)
    figure = new_figure(
        width, 0.9 + down * (0.72 + _ROW * len(attributes)), theme, title=title,
        label=f"Correlations of {len(attributes)} attributes with scores in {len(settings)} settings.",
    )  # fmt: skip
    panels = figure.subplots(down, across, sharex=True, squeeze=False).flatten()
    rows = frame.to_dict("records")
    for k, (axes, setting) in enumerate(zip(panels, settings, strict=False)):
        own = {str(row["attribute"]): row for row in rows if str(row["setting"]) == setting}
        _panel(figure, axes, setting, attributes, own, alpha, (width - _LABELS) / across)
        axes.tick_params(labelleft=k % across == 0, labelbottom=k + across >= len(settings))
    for axes in panels[len(settings) :]:
        axes.set_axis_off()
    _legend(figure, alpha)
    footnote(figure, *_notes(rows))
    return figure


def _panel(
    figure: Drawing, axes: Any, setting: str, attributes: Sequence[str], own: dict[str, dict[str, Any]],
    alpha: float, width: float,
) -> None:  # fmt: skip
    theme = figure.theme
    for row, attribute in enumerate(attributes):
        _point(figure, axes, row, own.get(attribute), attribute, alpha)
    axes.axvline(0, color=theme.muted, linewidth=0.9, zorder=1)
    axes.set_xlim(-1.08, 1.08)
    axes.set_xticks([-1, 0, 1], labels=["−1", "0", "1"])
    tidy(axes, theme)
    row_labels(axes, [_CALLED.get(a, a.replace("_", " ")) for a in attributes], list(attributes))
    room = characters(width - 0.1, 1.16 * SMALL)  # bold type is wider
    task, colon, data = setting.partition(": ")
    lines = [f"{task}:", data] if colon and len(setting) > room else [setting]
    text = "\n".join(shortened(line, room) for line in lines)
    made = axes.set_title(
        text, loc="left", fontsize=SMALL, color=theme.ink, fontweight="bold", parse_math=False
    )
    figure.tip(made, setting)


def _point(
    figure: Drawing, axes: Any, row: int, found: dict[str, Any] | None, attribute: str, alpha: float
) -> None:
    theme = figure.theme
    found = found or {}
    rho, low, high, p = (number(found.get(k)) for k in ("rho", "low", "high", "p_adjusted"))
    note = str(found.get("note") or "")
    if not math.isfinite(rho):
        text = axes.text(
            0, row, " none ", color=theme.muted, fontsize=SMALL, ha="center", va="center", zorder=2
        )
        text.set_bbox({"facecolor": theme.surface, "edgecolor": "none", "pad": 0.5})
        figure.tip(text, f"{attribute}: no correlation\n{note or 'not in the frame'}")
        return
    sure = p < alpha
    if math.isfinite(low) and math.isfinite(high):
        axes.plot(
            [low, high], [row, row], color=theme.accent if sure else theme.muted, linewidth=1.8, alpha=0.7
        )
    (dot,) = axes.plot(
        [rho], [row], "o", markersize=5.5, zorder=3, markeredgecolor=theme.accent if sure else theme.muted,
        markerfacecolor=theme.accent if sure else theme.surface,
    )  # fmt: skip
    tested = f"adjusted p {shown(p, 2)}" if math.isfinite(p) else "not tested"
    unit = str(found.get("unit") or "architecture")
    figure.tip(
        dot,
        f"{attribute}: rank correlation {shown(rho, 2)}, {span(low, high, 2)}\n"
        f"{tested}, n = {found.get('n', '?')} ({unit}){chr(10) if note else ''}{note}",
    )


def _legend(figure: Drawing, alpha: float) -> None:
    from matplotlib.lines import Line2D

    theme = figure.theme
    legend(figure, [
        Line2D([], [], marker="o", linewidth=1.8, color=theme.accent, label=f"adjusted p below {alpha:g}"),
        Line2D(
            [], [], marker="o", linewidth=1.8, color=theme.muted, markerfacecolor=theme.surface,
            label="not told apart from none",
        ),
    ])  # fmt: skip


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    notes = ["Spearman's rank correlation with the score; right of 0: more of it goes with better results."]
    counts = [int(n) for row in rows if math.isfinite(n := number(row.get("n")))]
    if counts:
        low, high = min(counts), max(counts)
        notes[0] += f" From {low if low == high else f'{low} to {high}'} networks."
    known = [row for row in rows if math.isfinite(number(row["rho"]))]
    if known and not any(math.isfinite(number(row.get("low"))) for row in known):
        notes.append("No intervals: too few networks for them.")
    if len(known) < len(rows):
        notes.append("“none”: not decidable, or the same of all networks.")
    return notes
