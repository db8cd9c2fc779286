"""How much is the network's, the point's, and chance's: shares of variance, a bar per setting."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.frames import need, number, shown, span
from lossnets.analysis.figures.style import (
    SMALL,
    TEXT,
    WIDTH,
    ThemeName,
    characters,
    footnote,
    legend,
    message_figure,
    new_figure,
    readable_on,
    shortened,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd

    from lossnets.analysis.figures.canvas import Drawing

_ROW = 0.62
_CALLED = {
    "architecture": "network", "position": "point of the network", "interaction": "network × point",
    "residual": "seed",
}  # fmt: skip


@styled
def variance_figure(
    frame: pd.DataFrame, *, theme: ThemeName = "light", title: str = "", width: float = WIDTH
) -> Drawing:
    """Shares of the sums of squares, stacked to 100 % for each setting, and the ratio of variances.

    Args:
        frame: of `variance_table`: ``setting``, ``term``, ``share``; ``networks``, ``points``, ``seeds``,
            ``ratio``, ``ratio_low``, ``ratio_high``, ``verdict`` and ``note`` are shown where they are. The
            frame of one `VarianceShares` does too.
        theme: ``light`` or ``dark``.
        title: above the figure.
        width: inches.

    Raises:
        DataError: the frame lacks a column.
    """
    if not len(frame):
        text = "No shares to draw: no setting has several networks at several points."
        return message_figure(text, theme, title=title, width=width)
    need(frame, ["term", "share"], "variance_figure")
    rows = frame.to_dict("records")
    settings: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        settings.setdefault(str(row.get("setting", "")), []).append(row)
    label = f"Shares of variance of {', '.join(_CALLED.values())} in {len(settings)} settings."
    figure = new_figure(width, 1.15 + _ROW * len(settings), theme, label=label, title=title)
    axes = figure.subplots()
    for k, (setting, own) in enumerate(settings.items()):
        _heading(figure, axes, k, setting, own[0], width)
        _bar(figure, axes, k, setting, own)
    _frame(figure, axes, len(settings))
    _legend(figure, rows)
    footnote(figure, *_notes(rows))
    return figure


def _heading(figure: Drawing, axes: Any, k: int, setting: str, row: dict[str, Any], width: float) -> None:
    theme = figure.theme
    right = _ratio(row)
    room = characters(width - 0.4, TEXT) - len(right) - 2
    left = axes.text(0, k - 0.17, shortened(setting, room), va="bottom", color=theme.ink, fontsize=TEXT)
    figure.tip(left, "\n".join(part for part in (setting, _size(row), str(row.get("note") or "")) if part))
    if right:
        text = axes.text(1, k - 0.17, right, ha="right", va="bottom", color=theme.muted, fontsize=SMALL)
        verdict = f"\n{row['verdict']}" if row.get("verdict") else ""
        figure.tip(text, f"variance between networks over variance between points of a network{verdict}")


def _ratio(row: dict[str, Any]) -> str:
    value, low, high = (number(row.get(k)) for k in ("ratio", "ratio_low", "ratio_high"))
    if "ratio" not in row:
        return ""
    if not math.isfinite(value):
        return "ratio not decidable"
    return f"ratio {shown(value, 2)} ({span(low, high, 2)})"


def _size(row: dict[str, Any]) -> str:
    if "networks" not in row:
        return ""
    return f"{row['networks']} networks, {row.get('points', '?')} points, seeds: {row.get('seeds', '?')}"


def _bar(figure: Drawing, axes: Any, k: int, setting: str, own: list[dict[str, Any]]) -> None:
    from matplotlib.patches import Rectangle

    theme, left = figure.theme, 0.0
    shares = {str(row["term"]): number(row["share"]) for row in own}
    if not any(math.isfinite(share) for share in shares.values()):
        box = Rectangle((0, k - 0.12), 1, 0.42, facecolor=theme.weak, edgecolor=theme.line, hatch="////")
        figure.tip(axes.add_patch(box), f"{setting}\nno shares")
        axes.text(
            0.5, k + 0.09, shortened(f"no shares: {own[0].get('note') or 'nothing to compare'}", 70),
            ha="center", va="center", fontsize=SMALL, color=theme.muted,
            bbox={"facecolor": theme.weak, "edgecolor": "none", "pad": 1.5},
        )  # fmt: skip
        return
    for row in own:
        term, share = str(row["term"]), number(row["share"])
        if not math.isfinite(share) or share <= 0:
            continue
        colour = _colours(figure)[term] if term in _CALLED else theme.muted
        box = Rectangle((left, k - 0.12), share, 0.42, facecolor=colour, edgecolor=theme.surface, linewidth=1)
        figure.tip(axes.add_patch(box), _tip(setting, term, row))
        if share > 0.055:
            axes.text(
                left + share / 2, k + 0.09, f"{100 * share:.0f} %", ha="center", va="center", fontsize=SMALL,
                color=readable_on(colour, theme),
            )  # fmt: skip
        left += share


def _tip(setting: str, term: str, row: dict[str, Any]) -> str:
    p, omega = number(row.get("p")), number(row.get("omega_sq"))
    tested = f", p = {shown(p, 2)}, omega² = {shown(omega, 2)}" if math.isfinite(p) else ", not tested"
    return f"{setting}\n{_CALLED.get(term, term)}: {100 * number(row['share']):.1f} %{tested}"


def _colours(figure: Drawing) -> dict[str, str]:
    palette = figure.theme.palette
    grey = "#c4cad3" if figure.theme.name == "light" else "#4a5260"
    return dict(zip(_CALLED, (palette[0], palette[1], palette[3], grey), strict=True))


def _frame(figure: Drawing, axes: Any, count: int) -> None:
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.set_xlim(0, 1)
    axes.set_ylim(count - 0.6, -0.55)
    axes.set_yticks([])
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], labels=["0", "25 %", "50 %", "75 %", "100 %"])
    axes.tick_params(length=0, labelcolor=figure.theme.muted, labelsize=SMALL)


def _legend(figure: Drawing, rows: list[dict[str, Any]]) -> None:
    from matplotlib.patches import Patch

    there = {str(row["term"]) for row in rows}
    colours = _colours(figure)
    handles = [Patch(facecolor=colours[t], label=text) for t, text in _CALLED.items() if t in there]
    if handles:
        legend(figure, handles)


def _notes(rows: list[dict[str, Any]]) -> list[str]:
    notes = ["Shares of the sums of squares of a two-way analysis of variance (Type II)."]
    if any("ratio" in row for row in rows):
        notes.append(
            "Ratio: variance between networks over variance between the points of a network; below 1 the "
            "choice of the point matters more."
        )
    alone = any(str(row.get("error_term")) == "interaction" for row in rows)
    if alone:
        notes.append("Where each loss has one value, scatter between seeds is part of network × point.")
    return notes
