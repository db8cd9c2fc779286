"""What a section of the page is made of: notes, tables, figures, verdicts; the template draws them."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from lossnets.errors import LossnetsError

logger = logging.getLogger("lossnets")


@dataclass(frozen=True)
class Note:
    """A paragraph; ``tone`` is ``plain``, ``warn`` (needs attention) or ``absent`` (why there is nothing)."""

    text: str
    tone: str = "plain"


@dataclass(frozen=True)
class Table:
    """A table of texts.

    Attributes:
        caption: says what the rows are.
        columns: (heading, whether it holds numbers).
        rows: one text per column; the first is the row's heading.
        folded: whether the reader has to unfold it.
    """

    caption: str
    columns: Sequence[tuple[str, bool]]
    rows: Sequence[Sequence[str]]
    folded: bool = False


@dataclass(frozen=True)
class Figure:
    """A drawing in both themes, as SVG text that may stand in HTML.

    Attributes:
        name: of the files that a reader saves; letters, digits and hyphens, unique on the page.
        caption: says what is drawn and how to read it.
        light: SVG.
        dark: SVG.
        half: whether another may stand beside it.
    """

    name: str
    caption: str
    light: str
    dark: str
    half: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and values, under a heading of their own."""

    title: str
    rows: Sequence[tuple[str, str]]
    folded: bool = True


@dataclass(frozen=True)
class Claim:
    """A finding of the study and what these results say to it."""

    word: str
    sentence: str
    because: str
    rule: str
    numbers: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Strip:
    """Pictures of one test image side by side: (caption, data URI) in reading order."""

    title: str
    pictures: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Heading:
    """A subheading."""

    text: str


_T = TypeVar("_T")
Part = Note | Table | Figure | Facts | Claim | Strip | Heading


@dataclass(frozen=True)
class Section:
    """One part of the page that the navigation names.

    Attributes:
        name: anchor.
        title: heading.
        lead: one or two sentences on what is shown and how to read it.
        parts: in reading order.
        special: name of a block of the template that is drawn before the parts (leaderboard, downloads).
    """

    name: str
    title: str
    lead: str
    parts: Sequence[Part] = field(default_factory=tuple)
    special: str = ""


def attempt(make: Callable[[], Iterator[_T]], what: str) -> list[_T | Note]:
    """The parts that ``make`` yields; where it stops with an error, a note that says why.

    Args:
        make: a generator function without arguments.
        what: subject of the sentence, e.g. ``"The ranks"``.
    """
    parts: list[_T | Note] = []
    try:
        parts.extend(make())
    except LossnetsError as error:
        parts.append(Note(f"{what} cannot be shown for these results: {error}", "absent"))
    except Exception as error:  # one figure less is better than no page
        logger.warning("%s could not be computed: %s: %s", what, type(error).__name__, error)
        parts.append(Note(f"{what} could not be computed: {type(error).__name__}: {error}", "absent"))
    return parts or [Note(f"{what} cannot be shown: these results hold nothing to show.", "absent")]


def number(value: Any, digits: int = 4) -> str:
    """A number with that many significant digits; an en dash where there is none.

    >>> number(0.69314), number(None), number(float("nan")), number(12), number(1.5e-07)
    ('0.6931', '–', '–', '12', '1.5e-07')
    """
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "–"
    return f"{value:.{digits}g}"


def interval(low: Any, high: Any, digits: int = 3) -> str:
    """Both ends, or an en dash where one is missing.

    >>> interval(0.5, 0.75), interval(None, 1.0)
    ('0.5 to 0.75', '–')
    """
    ends = number(low, digits), number(high, digits)
    return "–" if "–" in ends else f"{ends[0]} to {ends[1]}"


def counted(count: int, noun: str, plural: str = "") -> str:
    """A count with its noun.

    >>> counted(1, "loss", "losses"), counted(2, "seed")
    ('1 loss', '2 seeds')
    """
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def sentence(text: str) -> str:
    """A text with a capital in front and a full stop behind.

    >>> sentence("one seed only"), sentence("")
    ('One seed only.', '')
    """
    return f"{text[:1].upper()}{text[1:]}" + ("" if not text or text.endswith((".", ":")) else ".")


def slug(text: str) -> str:
    """Letters and digits with hyphens between, for anchors and file names.

    >>> slug("similarity: kadid (paper)")
    'similarity-kadid-paper'
    """
    kept = "".join(c if c.isascii() and c.isalnum() else " " for c in text.lower())
    return "-".join(kept.split())[:60] or "part"
