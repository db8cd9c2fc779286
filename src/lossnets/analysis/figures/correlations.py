"""Do settings agree: a triangle of rank correlations."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.frames import number, shown
from lossnets.analysis.figures.style import (
    SMALL,
    TEXT,
    WIDTH,
    ThemeName,
    characters,
    footnote,
    message_figure,
    new_figure,
    readable_on,
    row_labels,
    shortened,
    styled,
)

if TYPE_CHECKING:
    import pandas as pd

    from lossnets.analysis.figures.canvas import Drawing

_ROW, _LABELS = 0.34, 0.42
_DIGITS = 3.4  # width of a number, in font sizes


@styled
def correlation_figure(
    matrix: pd.DataFrame,
    *,
    counts: pd.DataFrame | None = None,
    theme: ThemeName = "light",
    title: str = "",
    width: float = WIDTH,
) -> Drawing:
    """Spearman's rank correlation between every two settings, in [-1, 1]; hatched where there is none.

    Args:
        matrix: `Agreement.matrix` or `Agreement.between_tasks`: square, labels in index and columns.
        counts: `Agreement.counts`, same shape: contenders behind each number, small in the cells.
        theme: ``light`` or ``dark``.
        title: above the figure.
        width: inches.
    """
    labels = [str(label) for label in matrix.index]
    if len(labels) < 2:
        text = f"No correlations to draw: {len(labels)} setting, and two are needed."
        return message_figure(text.replace("0 setting,", "no setting,"), theme, title=title, width=width)
    n = len(labels)
    figure = new_figure(
        width, 1.05 + _ROW * n, theme, title=title, label=f"Rank correlations between {n} settings or tasks."
    )
    axes = figure.subplots()
    size = min(TEXT, 72 * (0.95 - _LABELS) * width / n / _DIGITS)
    room = max(0.25 * width, min(_LABELS * width, width - 0.38 * n - 0.2))  # inches of the labels
    size = min(TEXT, (width - room - 0.2) / n * 72 / 3.3)  # so that −0.85 fits into a cell
    for r in range(n):
        _diagonal(figure, axes, r, labels[r])
        for c in range(r):
            count = math.nan if counts is None else number(counts.iloc[r, c])
            pair = f"{labels[r]}\n{labels[c]}"
            _cell(figure, axes, (r, c), number(matrix.iloc[r, c]), count, pair, size)
    _frame(figure, axes, labels, room)
    small = "" if counts is None else " Small: losses behind each number."
    gaps = any(math.isnan(number(matrix.iloc[r, c])) for r in range(n) for c in range(r))
    hatched = "Hatched: not defined, too few losses in common or no differences in rank." if gaps else ""
    footnote(
        figure,
        f"Spearman's rank correlation: 1 = the same order, 0 = none in common, −1 = reversed.{small}",
        hatched,
    )
    return figure


def _diagonal(figure: Drawing, axes: Any, r: int, label: str) -> None:
    text = axes.text(
        r, r, str(r + 1), ha="center", va="center", color=figure.theme.muted, fontsize=TEXT, fontweight="bold"
    )
    figure.tip(text, label)


def _cell(
    figure: Drawing, axes: Any, place: tuple[int, int], rho: float, count: float, pair: str, size: float
) -> None:
    from matplotlib.patches import Rectangle

    theme, (r, c) = figure.theme, place
    known = math.isfinite(rho)
    colour = _colour(rho, theme) if known else theme.weak
    box = Rectangle(
        (c - 0.48, r - 0.46), 0.96, 0.92, facecolor=colour, linewidth=0 if known else 0.6,
        edgecolor=theme.line, hatch=None if known else "////",
    )  # fmt: skip
    among = f", {count:.0f} losses in common" if math.isfinite(count) else ""
    result = f"rank correlation {shown(rho, 3)}{among}" if known else f"not defined{among}"
    figure.tip(axes.add_patch(box), f"{pair}\n{result}")
    ink = readable_on(colour, theme) if known else theme.muted
    backed = {} if known else {"bbox": {"facecolor": theme.weak, "edgecolor": "none", "pad": 1.5}}
    rise = 0.12 if math.isfinite(count) else 0
    text = f"{rho:+.2f}".replace("-", "−") if known else "none"
    axes.text(
        c, r - rise, text, ha="center", va="center", color=ink,
        fontsize=size if known else min(size, SMALL), **backed,
    )  # fmt: skip
    if math.isfinite(count):
        axes.text(
            c, r + 0.26, f"{count:.0f}", ha="center", va="center", color=ink, fontsize=0.7 * size, **backed
        )


def _colour(rho: float, theme: Any) -> Any:
    """Blue for agreement, orange for the reverse, the surface's tone for none."""
    from matplotlib.colors import LinearSegmentedColormap

    neutral = "#f0f1f3" if theme.name == "light" else "#23272f"
    ramp = LinearSegmentedColormap.from_list("diverging", [theme.warm, neutral, theme.accent])
    return ramp((max(-1.0, min(1.0, rho)) + 1) / 2)


def _frame(figure: Drawing, axes: Any, labels: list[str], room: float) -> None:
    axes.set_facecolor("none")
    for spine in axes.spines.values():
        spine.set_visible(False)
    axes.tick_params(length=0, labelcolor=figure.theme.ink, labelsize=TEXT)
    axes.set_xticks([])
    axes.set_xlim(-0.5, len(labels) - 0.5)
    most = characters(room - 0.3, TEXT)
    texts = [f"{shortened(label, most)}  {k}" for k, label in enumerate(labels, 1)]
    row_labels(axes, texts, labels)
