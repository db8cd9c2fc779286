"""Markdown tables, and the register of what makes which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache

from lossnets.analysis import Results, shipped_results

TABLES: dict[str, Callable[[], str]] = {}
"""Name of a table -> the function that makes it."""


def table(name: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    """Decorator: the function makes the table of that name."""

    def register(make: Callable[[], str]) -> Callable[[], str]:
        TABLES[name] = make
        return make

    return register


@cache
def results() -> Results:
    """What comes with the package."""
    return shipped_results()


def rows_of(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    lines += ["| " + " | ".join(_cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")
