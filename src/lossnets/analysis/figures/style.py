"""How every figure looks: two themes, colours that survive colour blindness, type, footnotes."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

from lossnets.errors import require, unknown_name

if TYPE_CHECKING:
    from lossnets.analysis.figures.canvas import Drawing

ThemeName = Literal["light", "dark"]
WIDTH = 7.2
"""Inches; in SVG the figure is as wide as its place on the page, and this sets the size of its text."""
TEXT, SMALL = 8.5, 7.5  # points
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "p")

_P = ParamSpec("_P")
_R = TypeVar("_R", bound="Drawing")


@dataclass(frozen=True)
class Theme:
    """Colours of one theme, as ``#rrggbb``.

    Attributes:
        name: ``light`` or ``dark``.
        ink: text.
        muted: axes, footnotes, what is not in the foreground.
        line: grid lines, edges of cells.
        surface: what the figure is drawn on; transparent in SVG.
        weak: cells without a value.
        accent: what is in the foreground.
        warm: the counterpart of ``accent``.
        palette: for up to eight categories, each also told apart by its marker or its place
            (after Okabe and Ito 2008).
        ramp: from worst to best.
    """

    name: str
    ink: str
    muted: str
    line: str
    surface: str
    weak: str
    accent: str
    warm: str
    palette: tuple[str, ...]
    ramp: tuple[str, ...]


THEMES: dict[str, Theme] = {
    "light": Theme(
        "light", "#1c2330", "#586274", "#dde1e7", "#ffffff", "#f3f4f6", "#0b66a8", "#c24a00",
        ("#0b66a8", "#c24a00", "#00795a", "#8e4a9b", "#8a6d00", "#3c8fb5", "#5f6672", "#a33a5a"),
        ("#f2f6fa", "#cfe1f0", "#92bfe0", "#4a91c6", "#0b5c9c"),
    ),
    "dark": Theme(
        "dark", "#e8eaee", "#a4adba", "#3a414d", "#15181e", "#20242c", "#62b6f2", "#f4964c",
        ("#62b6f2", "#f4964c", "#45cc9f", "#d893dd", "#e0c04a", "#9fd8f2", "#b4bac4", "#f08aa8"),
        ("#1d232c", "#20415c", "#29628f", "#3f8cc8", "#8fcdfb"),
    ),
}  # fmt: skip
"""Both themes by name."""

_RC: dict[str, Any] = {
    "font.family": ["sans-serif"], "font.sans-serif": ["DejaVu Sans"], "font.size": TEXT,
    "text.usetex": False, "text.parse_math": False, "axes.unicode_minus": True, "axes.axisbelow": True,
    "axes.linewidth": 0.8, "hatch.linewidth": 0.7, "svg.fonttype": "none", "svg.hashsalt": "lossnets",
    "path.simplify": False, "pdf.fonttype": 42, "axes.formatter.useoffset": False,
    "axes.formatter.use_mathtext": False,
}  # fmt: skip


def theme_of(name: str) -> Theme:
    """The theme of that name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in THEMES:
        raise unknown_name("theme", name, THEMES)
    return THEMES[name]


@contextmanager
def settings() -> Iterator[None]:
    """This package's settings of matplotlib, whatever the user's are; a letter without a glyph is a box."""
    matplotlib = require("matplotlib", "bench", "figures")
    with matplotlib.rc_context(_RC), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def styled(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """Run a drawing function with this package's settings of matplotlib, whatever the user's are."""

    @wraps(function)
    def wrapper(*args: _P.args, **kwargs: _P.kwargs) -> _R:
        with settings():
            made = function(*args, **kwargs)
            made.settle()
            return made

    return wrapper


def new_figure(width: float, height: float, theme: str, *, label: str, title: str = "") -> Drawing:
    """An empty figure: inches, theme, a sentence for screen readers, a title for the eye."""
    require("matplotlib", "bench", "figures")
    from lossnets.analysis.figures.canvas import Drawing

    figure = Drawing(width, height, theme_of(theme), label)
    if title:
        size = TEXT + 1.5
        lines = textwrap.wrap(title, characters(width, size + 0.5))
        text = figure.text(
            0.01, 1, "\n".join(lines), ha="left", va="top", fontsize=size, fontweight="bold",
            color=figure.theme.ink, parse_math=False, in_layout=False,
        )  # fmt: skip
        figure.head(text, (1.35 * size * len(lines) + 6) / 72)
    return figure


def characters(width: float, size: float = SMALL) -> int:
    """How many characters of that size in points surely fit into that many inches."""
    return max(8, int(width * 72 / (size * 0.56)))


def footnote(figure: Drawing, *lines: str) -> None:
    """Small text under the figure, wrapped to its width; empty lines are left out."""
    kept = [line for line in lines if line]
    if kept:
        width = characters(figure.get_figwidth() - 0.2)
        text = "\n".join(textwrap.fill(line, width) for line in kept)
        figure.supxlabel(text, x=0.01, ha="left", fontsize=SMALL, color=figure.theme.muted, linespacing=1.35)


def message_figure(message: str, theme: str, *, title: str = "", width: float = WIDTH) -> Drawing:
    """A figure that says why there is nothing to draw."""
    figure = new_figure(width, 1.3, theme, label=message, title=title)
    text = textwrap.fill(message, characters(width - 0.8, TEXT))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.text(
        0.5, 0.5, text, ha="center", va="center", color=figure.theme.muted, fontsize=TEXT,
        transform=axes.transAxes,
    )  # fmt: skip
    return figure


def tidy(axes: Any, theme: Theme, *, grid: Literal["x", "y", "both", ""] = "x") -> None:
    """Quiet axes: no box, thin lines, text in the theme's colours."""
    axes.set_facecolor("none")
    for side in ("top", "right", "left", "bottom"):
        axes.spines[side].set_visible(side == "bottom" or (side == "left" and grid == "both"))
        axes.spines[side].set_color(theme.line)
    axes.tick_params(colors=theme.muted, labelcolor=theme.ink, length=0, labelsize=TEXT, pad=4)
    if grid:
        axes.grid(True, axis=grid, color=theme.line, linewidth=0.7)


def row_labels(axes: Any, texts: Sequence[str], tips: Sequence[str]) -> None:
    """One text for each row 0, 1, ... from the top, with a tooltip."""
    axes.set_yticks(range(len(texts)), labels=texts)
    axes.set_ylim(len(texts) - 0.5, -0.5)
    for label, tip in zip(axes.get_yticklabels(), tips, strict=True):
        label.set_parse_math(False)
        axes.figure.tip(label, tip)


def legend(figure: Drawing, handles: Sequence[Any], **options: Any) -> None:
    """A legend above the axes, without a frame, in as many columns as fit."""
    columns = _columns([str(handle.get_label()) for handle in handles], figure.get_figwidth())
    made = figure.legend(
        handles=handles, loc="upper left", ncols=columns, frameon=False, fontsize=SMALL, borderaxespad=0.2,
        labelcolor=figure.theme.ink, handletextpad=0.5, columnspacing=1.4, **options,
    )  # fmt: skip
    made.set_in_layout(False)
    for text in made.get_texts():
        text.set_parse_math(False)
    figure.head(made, made.get_window_extent().height / figure.dpi + 0.05)


def _columns(texts: Sequence[str], width: float) -> int:
    """How many columns of a legend surely fit into that many inches; at least one."""
    for columns in range(len(texts), 1, -1):
        rows = -(-len(texts) // columns)
        widest = (max(map(len, texts[k : k + rows])) for k in range(0, len(texts), rows))
        if sum(inches_of(w) + 0.46 for w in widest) <= width - 0.1:
            return columns
    return 1


def inches_of(count: int, size: float = SMALL) -> float:
    """How many inches so many characters of that size in points take at most, if they are not all wide."""
    return count * size * 0.6 / 72


def readable_on(colour: Any, theme: Theme) -> str:
    """The theme's ink or surface, whichever has more contrast to a colour (WCAG 2.1, relative luminance)."""
    behind = _luminance(colour)

    def contrast(text: str) -> float:
        dark, light = sorted((_luminance(text), behind))
        return (light + 0.05) / (dark + 0.05)

    return max((theme.ink, theme.surface), key=contrast)


def _luminance(colour: Any) -> float:
    from matplotlib.colors import to_rgb

    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(colour))
    return float(0.2126 * red + 0.7152 * green + 0.0722 * blue)


def shortened(text: str, most: int) -> str:
    """At most that many characters; the middle goes first.

    >>> shortened("super-resolution: bsd100 (small)", 20)
    'super-resol… (small)'
    """
    if len(text) <= most:
        return text
    head = max(1, (most - 1) * 3 // 5)
    tail = max(1, most - 1 - head)
    return f"{text[:head]}…{text[-tail:]}"
