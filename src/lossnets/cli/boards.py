"""Leaderboards as tables on stdout."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lossnets.analysis import Board, Standing
from lossnets.benchmarks.base import meaning
from lossnets.cli.console import number, print_table

_COLUMNS = (("rank", True), ("loss", False), ("score", True), ("95 % interval", True))


def print_boards(boards: Iterable[Board]) -> None:
    """Every board as one table, best loss first; failed and missing losses are shown, with the reason."""
    for board in boards:
        seeds = any(row.seeds > 1 or row.failed for row in board.rows)
        notes = any(row.note for row in board.rows)
        columns = [*_COLUMNS, *([("seeds", True)] * seeds), *([("note", False)] * notes)]
        rows = [[*_cells(row), *([str(row.seeds)] * seeds), *([row.note] * notes)] for row in board.rows]
        print_table(board.title, columns, rows, names=1, caption=meaning(board.benchmark, board.score))


def headlines(boards: Sequence[Board]) -> list[Board]:
    """The board of the first score of each benchmark and setting: what its runs are ranked by."""
    first: dict[tuple[str, ...], Board] = {}
    for board in boards:
        setting = (board.benchmark, board.fingerprint, board.profile, board.variant, board.options)
        first.setdefault((*setting, board.split), board)
    return list(first.values())


def _cells(row: Standing) -> list[str]:
    interval = "-" if row.low is None else f"{number(row.low, 3)} .. {number(row.high, 3)}"
    return [str(row.rank) if row.rank is not None else row.state, row.loss, number(row.value), interval]
