"""What the figures read from frames: names from a column or the index, numbers that may be missing."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from lossnets.errors import DataError

if TYPE_CHECKING:
    import pandas as pd


def need(frame: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Refuse a frame that lacks columns.

    Raises:
        DataError: some are missing; the message names them.
    """
    lacking = [name for name in columns if name not in frame.columns]
    if lacking:
        have = ", ".join(map(str, frame.columns)) or "none"
        raise DataError(
            f"{what} needs the columns {', '.join(lacking)}, which the frame lacks; it has {have}"
        )


def names_of(frame: pd.DataFrame, *columns: str) -> list[str]:
    """The texts of the first of these columns that there is; else of the index."""
    for column in columns:
        if column in frame.columns:
            return [str(value) for value in frame[column]]
    return [str(value) for value in frame.index]


def number(value: Any) -> float:
    """A float; NaN for None, NA and whatever is no number.

    >>> number(None), number("2.5")
    (nan, 2.5)
    """
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan


def numbers(frame: pd.DataFrame, column: str) -> list[float]:
    """A column as floats; NaN for each row where there is no such column."""
    if column not in frame.columns:
        return [math.nan] * len(frame)
    return [number(value) for value in frame[column]]


def single_seeds(frame: pd.DataFrame) -> list[bool]:
    """Of each row whether it stands on one training; not where nothing is trained (`Setting.trains`)."""
    untrained = [False] * len(frame)
    if "basis" in frame.columns:
        untrained = [str(value) == "items" for value in frame["basis"]]
    elif "task" in frame.columns:
        untrained = [str(value) == "similarity" for value in frame["task"]]
    return [count == 1 and not free for count, free in zip(numbers(frame, "seeds"), untrained, strict=True)]


def finite(values: Iterable[float]) -> list[float]:
    """Those that are numbers."""
    return [value for value in values if math.isfinite(value)]


def shown(value: float, digits: int = 3) -> str:
    """A number for a cell or a tooltip, with that many significant digits; "–" where there is none.

    >>> shown(0.87484), shown(22.4648), shown(-0.0312), shown(1234.5), shown(float("nan"))
    ('0.875', '22.5', '−0.0312', '1234', '–')
    """
    if not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    if abs(value) < 1e-4 or abs(value) >= 1e6:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    places = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}".replace("-", "−")


def span(low: float, high: float, digits: int = 3) -> str:
    """An interval in words: ``0.82 to 0.91``, or that there is none."""
    if math.isfinite(low) and math.isfinite(high):
        return f"{shown(low, digits)} to {shown(high, digits)}"
    return "no interval"


def listed(texts: Sequence[str], most: int = 6) -> str:
    """Texts with commas, the rest as a count.

    >>> listed(["a", "b", "c"], 2)
    'a, b and 1 more'
    """
    head = ", ".join(texts[:most])
    return head if len(texts) <= most else f"{head} and {len(texts) - most} more"
