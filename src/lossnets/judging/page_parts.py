"""What a section of the page of a judgement is made of, and numbers as texts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

NOTHING = "–"


@dataclass(frozen=True)
class Row:
    """Texts of a row, the first its heading; ``marked`` is what the verdict advises."""

    cells: Sequence[str]
    marked: bool = False


@dataclass(frozen=True)
class Table:
    """A table of texts: caption, (heading, whether numbers), rows."""

    caption: str
    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Row]
    folded: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and values, to be unfolded."""

    title: str
    rows: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Drawing:
    """A figure: theme -> matplotlib figure, with its name for ids, and caption."""

    name: str
    caption: str
    draw: Callable[..., Any]


Part = str | Table | Facts | Drawing


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading and what to know about it."""

    name: str
    title: str
    lead: str
    parts: Sequence[Part] = field(default_factory=tuple)


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; an en dash where there is none.

    >>> number(0.12345), number(None), number(float("nan")), number(1234567.0)
    ('0.123', '–', '–', '1.23e+06')
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    return f"{value:.{digits}g}"


def counted(count: int, name: str) -> str:
    """How many there are.

    >>> counted(1, "image"), counted(1200, "image")
    ('1 image', '1,200 images')
    """
    return f"{count:,} {name}{'' if count == 1 else 's'}"


def fixed(value: float) -> str:
    """A share, with two places behind the point.

    >>> fixed(-1.954), fixed(float("nan"))
    ('-1.95', '–')
    """
    return f"{value:.2f}" if math.isfinite(value) else NOTHING


def megabytes(size: float | None) -> str:
    """Bytes as megabytes.

    >>> megabytes(37_691_568), megabytes(None)
    ('37.7 MB', '–')
    """
    return NOTHING if size is None else f"{size / 1e6:.3g} MB"


def interval(low: float, high: float) -> str:
    """Both ends.

    >>> interval(0.5, 0.75), interval(float("nan"), float("nan"))
    ('[0.50, 0.75]', '(no interval)')
    """
    return f"[{low:.2f}, {high:.2f}]" if math.isfinite(low) else "(no interval)"


def sentence(text: str) -> str:
    """A text with a capital in front and a full stop behind.

    >>> sentence("one seed only")
    'One seed only.'
    """
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""
