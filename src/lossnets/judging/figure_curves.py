"""Curves of the fits of a judgement: a measure over the steps, a line per rival."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lossnets.analysis.figures.style import SMALL, WIDTH, Theme, ThemeName, new_figure, styled, tidy
from lossnets.judging.figure import look

if TYPE_CHECKING:
    from lossnets.analysis.figures.canvas import Drawing
    from lossnets.judging.effect_result import EffectResult


@styled
def curve_figure(
    effect: EffectResult,
    generator: str,
    *,
    measure: str = "true",
    keys: Sequence[str] | None = None,
    theme: ThemeName = "light",
    title: str = "",
    width: float = WIDTH,
) -> Drawing:
    """A measure over the steps of the fits of one generator, a line per rival, mean over images and seeds.

    Args:
        effect: the fits.
        generator: kind.
        measure: ``true`` (true perceptual loss), ``l1``, ``psnr`` or ``ssim``.
        keys: rivals to draw; None: all.
        theme: ``light`` or ``dark``.
        title: above the figure.
        width: inches.

    Raises:
        UnknownNameError: there is no such rival, generator or measure.
    """
    names = {"true": "true perceptual loss", "l1": "mean absolute error", "psnr": "PSNR (dB)", "ssim": "SSIM"}
    records = [r for r in effect.rivals if keys is None or r.key in keys]
    label = f"{names.get(measure, measure)} over the steps of fits of the {generator}, {len(records)} rivals."
    figure = new_figure(width, 3.4, theme, label=label, title=title)
    axes = figure.subplots()
    ends = []
    for record in records:
        steps, values = effect.curve(generator, record.key, measure)
        if not any(math.isfinite(v) for v in values):
            continue
        colour, _, size = look(figure.theme, record.letter)
        style = _STROKES[_index(record.key) % len(_STROKES)]
        (line,) = axes.plot(
            steps, values, color=colour, linewidth=2.2 if size > 7 else 1.3, linestyle=style,
            zorder=4 if size > 7 else 3,
        )  # fmt: skip
        figure.tip(line, f"{record.title}\nat the end: {values[-1]:.4g}")
        ends.append((float(steps[-1]), values[-1], record))
    _curve_frame(figure, axes, ends, measure, names.get(measure, measure))
    return figure


_STROKES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (2, 1.5)), (0, (6, 2, 1.5, 2)), (0, (1, 1)))


def _index(key: str) -> int:
    """Number of a rival among those of its kind: their strokes differ."""
    count = key.partition("-")[2]
    return int(count) - 1 if count.isdigit() else 0


def _curve_frame(
    figure: Drawing, axes: Any, ends: Sequence[tuple[float, float, Any]], measure: str, name: str
) -> None:
    theme = figure.theme
    tidy(axes, theme, grid="both")
    axes.set_xlabel("steps", color=theme.muted, parse_math=False)
    axes.set_ylabel(name, color=theme.muted, parse_math=False)
    if measure in ("true", "l1"):
        _logarithmic(axes)
    _end_names(axes, theme, ends)


def _logarithmic(axes: Any) -> None:
    """A logarithmic axis of y where values are positive; with plain ticks where they are close together."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    low, high = axes.get_ylim()
    lowest = min((float(v) for line in axes.lines for v in line.get_ydata()), default=0.0)
    if not 0 < lowest < high:
        return
    axes.set_yscale("log")
    near = high / max(low, lowest) < 8
    axes.yaxis.set_major_locator(MaxNLocator(6) if near else LogLocator(base=10, subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:.3g}"))


def _end_names(axes: Any, theme: Theme, ends: Sequence[tuple[float, float, Any]]) -> None:
    """Names at the right end of the lines, pushed apart where they would touch."""
    if not ends:
        return
    right = max(step for step, _, _ in ends)
    axes.set_xlim(0, right * 1.2)
    axes.set_xticks([tick for tick in axes.get_xticks() if 0 <= tick <= right])
    axes.set_xlim(0, right * 1.2)
    axes.figure.draw_without_rendering()
    least = SMALL * 1.25 * axes.figure.dpi / 72
    below = -math.inf
    for step, value, record in sorted(ends, key=lambda end: end[1]):
        y = float(axes.transData.transform((step, value))[1])
        placed = max(y, below + least)
        below = placed
        name = record.key
        axes.annotate(
            name, (step, value), xytext=(6, (placed - y) * 72 / axes.figure.dpi), textcoords="offset points",
            va="center", fontsize=SMALL, color=theme.ink, parse_math=False,
        ).set_in_layout(False)  # fmt: skip
