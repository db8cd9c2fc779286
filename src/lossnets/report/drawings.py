"""Figures in both themes, and values for tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, get_args

from lossnets.analysis.figures.style import ThemeName
from lossnets.report.parts import Figure, Table, number


def figure(name: str, caption: str, draw: Callable[[ThemeName], Any], *, half: bool = False) -> Figure:
    """A drawing of `lossnets.analysis.figures`, once for each theme.

    Args:
        name: of the saved files; unique on the page.
        caption: under the figure.
        draw: theme -> figure of matplotlib.
        half: whether another may stand beside it.
    """
    from lossnets.analysis.figures import to_svg

    themes: tuple[ThemeName, ...] = get_args(ThemeName)
    light, dark = (to_svg(draw(theme), key=f"{name}-{theme}") for theme in themes)
    return Figure(name, caption, light, dark, half)


def table(
    caption: str,
    frame: Any,
    columns: Mapping[str, str],
    *,
    numeric: Iterable[str] = (),
    digits: int = 3,
    folded: bool = False,
) -> Table:
    """A frame as a table of texts.

    Args:
        caption: says what the rows are.
        frame: of pandas.
        columns: column of the frame -> heading, in the order of the table.
        numeric: columns to align right.
        digits: significant digits of floats.
        folded: whether the reader has to unfold it.
    """
    right = set(numeric)
    heads = [(heading, name in right) for name, heading in columns.items()]
    rows = [[text(row[name], digits) for name in columns] for row in frame.to_dict("records")]
    return Table(caption, heads, rows, folded)


def text(value: Any, digits: int = 3) -> str:
    """A value for people: numbers short, nothing as an en dash.

    >>> text(0.123456), text(None), text(float("nan")), text(True), text("vgg16"), text(3)
    ('0.123', '–', '–', 'yes', 'vgg16', '3')
    """
    if isinstance(value, str):
        return value or "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(text(item, digits) for item in value) or "–"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {text(item, digits)}" for key, item in value.items()) or "–"
    if isinstance(value, (int, float)):
        return number(value, digits)
    shown = str(value)
    return "–" if shown in ("None", "<NA>", "nan") else shown
