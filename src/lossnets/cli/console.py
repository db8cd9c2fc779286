"""Where commands print: results on stdout, everything else on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

_PIPE_WIDTH = 10_000  # a file or a pipe has no edge: never cut a cell there


def results_console() -> Console:
    """For results: stdout, uncut and plain where it is not a terminal."""
    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else _PIPE_WIDTH, highlight=False)


def notes_console() -> Console:
    """For progress and remarks: stderr."""
    return Console(file=sys.stderr, highlight=False)


def note(message: str) -> None:
    """One remark on stderr."""
    sys.stderr.write(f"{message}\n")


def number(value: float | None, digits: int = 4) -> str:
    """A number for a table; "-" where there is none.

    >>> number(0.69314), number(None), number(1.5e-07)
    ('0.6931', '-', '1.5e-07')
    """
    if value is None:
        return "-"
    return f"{value:.{digits}f}" if value == 0 or abs(value) >= 10**-digits else f"{value:.{digits}g}"


def print_table(
    title: str,
    columns: Sequence[tuple[str, bool]],
    rows: Iterable[Sequence[str]],
    *,
    names: int | None = None,
    caption: str = "",
) -> None:
    """A table on stdout.

    Args:
        title: above it, in bold.
        columns: (heading, whether it holds numbers).
        rows: one text per column.
        names: column of loss names, which are broken behind a comma, colon or slash where the
            terminal is narrow.
        caption: one more line under the title.
    """
    console = results_console()
    cells = [[_literal(cell) for cell in row] for row in rows]
    if names is not None:
        width = _room(columns, cells, names, console.width)
        cells = [[_broken(c, width) if k == names else c for k, c in enumerate(row)] for row in cells]
    table = Table(box=box.SIMPLE_HEAD)
    for k, (heading, numeric) in enumerate(columns):
        table.add_column(
            heading, justify="right" if numeric else "left", no_wrap=numeric or k == names, overflow="fold"
        )
    for row in cells:
        table.add_row(*row)
    console.print(title, style="bold", markup=False)
    if caption:
        console.print(caption, markup=False)
    console.print(table)


def _room(columns: Sequence[tuple[str, bool]], rows: Sequence[Sequence[str]], names: int, width: int) -> int:
    """Characters that are left for a name when every other column has what it needs (text: a third)."""
    others = 0
    for k, (heading, numeric) in enumerate(columns):
        if k != names:
            needed = max([len(heading), *(len(row[k]) for row in rows)])
            others += needed if numeric else min(needed, width // 3)
    return max(20, width - others - 3 * len(columns) - 2)


_BREAKS = ",:/"


def _broken(name: str, width: int) -> str:
    """The name in lines of at most ``width``, broken behind one of `_BREAKS` where there is one.

    >>> print(_broken("vgg16/relu1_2,relu2_2:unit-spatial-sum", 20))
    vgg16/relu1_2,
      relu2_2:
      unit-spatial-sum
    """
    lines: list[str] = []
    while len(name) > width:
        head = name[:width]
        cut = max(head.rfind(mark) for mark in _BREAKS) + 1
        cut = cut if len(head[:cut].strip()) > 0 else width
        lines.append(name[:cut])
        name = f"  {name[cut:]}"
    return "\n".join([*lines, name])


def _literal(cell: str) -> str:
    return cell.replace("[", "\\[")  # an error message is text, not markup
