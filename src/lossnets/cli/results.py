"""``lossnets results``: show, filter, sort and export what is stored."""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from lossnets.analysis import Board, leaderboards
from lossnets.cli.boards import headlines, print_boards
from lossnets.cli.console import note, print_table
from lossnets.errors import unknown_name
from lossnets.runs.export import Format, item_rows, render, score_rows, write
from lossnets.runs.plan import DEFAULT_STORE
from lossnets.runs.records import RunRecord
from lossnets.runs.store import Store


class Sort(str, Enum):
    """Order of exported rows."""

    run = "run"
    loss = "loss"
    seconds = "seconds"
    value = "value"


_ORDER: dict[Sort, Callable[[RunRecord], object]] = {
    Sort.loss: lambda record: record.loss,
    Sort.seconds: lambda record: -record.seconds,
    Sort.value: lambda record: _best_first(record),
}


def results(
    store: Annotated[str, typer.Option(help="Path or postgresql:// URL of the results.")] = DEFAULT_STORE,
    benchmark: Annotated[str | None, typer.Option(help="Only this benchmark; * and ? match.")] = None,
    loss: Annotated[str | None, typer.Option(help="Only losses that match; * and ? as in a shell.")] = None,
    score: Annotated[
        str, typer.Option(help="Scores of the boards; * and ? match, 'headline' is the first of each.")
    ] = "*",
    split: Annotated[str, typer.Option(help="Split of the boards; 'all' for every one.")] = "overall",
    failed: Annotated[bool, typer.Option("--failed", help="Only failed runs, with their errors.")] = False,
    items: Annotated[bool, typer.Option("--items", help="Rows are items with their distances.")] = False,
    sort: Annotated[Sort, typer.Option(help="Order of exported rows.")] = Sort.run,
    csv: Annotated[Path | None, typer.Option(help="Export to this file; - is stdout.")] = None,
    json: Annotated[Path | None, typer.Option(help="Export to this file; - is stdout.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Export to this file; - is stdout.")] = None,
) -> None:
    """Show stored results as leaderboards, or export them.

    \b
    Examples:
      lossnets results --store lossnets-demo/results.sqlite
      lossnets results --store lossnets-demo/results.sqlite --loss 'pixel:*' --csv -
    """  # noqa: D301  # the escape keeps the line break of the example
    with Store(store, create=False, read_only=True) as opened:
        records = _matching(opened.records(), benchmark, loss, failed)
        if sort in _ORDER:
            records = sorted(records, key=_ORDER[sort])  # type: ignore[arg-type]
        targets: dict[Format, Path | None] = {"csv": csv, "json": json, "markdown": markdown}
        exports = {form: target for form, target in targets.items() if target is not None}
        if items and not exports:
            exports = {"csv": Path("-")}
        rows = (item_rows(records, opened) if items else score_rows(records)) if exports else []
    for form, target in exports.items():
        _export(render(rows, form), len(rows), target)
    if not exports:
        _show(records, score, split, failed)


def _matching(
    records: list[RunRecord], benchmark: str | None, loss: str | None, failed: bool
) -> list[RunRecord]:
    names = dict.fromkeys(record.config.benchmark for record in records)
    if benchmark is not None and records and not any(fnmatchcase(name, benchmark) for name in names):
        raise unknown_name("benchmark in this store", benchmark, names)
    return [
        record
        for record in records
        if fnmatchcase(record.config.benchmark, benchmark or "*")
        and fnmatchcase(record.loss, loss or "*")
        and (record.status == "failed" or not failed)
    ]


def _of_score(boards: list[Board], pattern: str) -> list[Board]:
    names = dict.fromkeys(board.score for board in boards)
    if boards and not any(fnmatchcase(name, pattern) for name in names):
        raise unknown_name("score in this store", pattern, names)
    return [board for board in boards if fnmatchcase(board.score, pattern)]


def _best_first(record: RunRecord) -> tuple[str, bool, float]:
    """By benchmark, then by the first score in its own direction; runs without a value last."""
    headline = record.scores[0] if record.scores else None
    if headline is None or headline.value is None:
        return record.config.benchmark, True, 0.0
    return record.config.benchmark, False, -headline.value if headline.higher_is_better else headline.value


def _export(text: str, count: int, target: Path) -> None:
    if str(target) == "-":
        typer.echo(text, nl=False)
        return
    write(text, target)
    note(f"{count} rows written to {target}")


def _show(records: list[RunRecord], score: str, split: str, failed: bool) -> None:
    broken = [record for record in records if record.failure is not None]
    if not failed:
        boards = leaderboards(records, split=None if split == "all" else split)
        chosen = headlines(boards) if score == "headline" else _of_score(boards, score)
        print_boards(chosen)
    if broken and (failed or len(broken) == len(records)):
        columns = [("run", False), ("error", False), ("message", False)]
        rows = [[str(r.config), r.failure.type, r.failure.message] for r in broken if r.failure]
        print_table("failed runs", columns, rows)
    note(f"{len(records)} runs, {len(broken)} failed")
