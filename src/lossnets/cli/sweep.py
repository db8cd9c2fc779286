"""``lossnets sweep``: run a plan, show how it goes, print the leaderboard."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import Enum
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lossnets.analysis import leaderboards
from lossnets.cli.boards import headlines, print_boards
from lossnets.cli.console import note, notes_console, print_table
from lossnets.runs.evaluate import ItemProgress, evaluate_group
from lossnets.runs.executors import Executor, LocalExecutor, ProcessExecutor
from lossnets.runs.forecast import EntryForecast, forecast, missing
from lossnets.runs.plan import DEFAULT_STORE, Plan, read_plan
from lossnets.runs.records import RunRecord
from lossnets.runs.store import Store
from lossnets.runs.sweep import Progress as TellSweep
from lossnets.runs.sweep import SweepEvent, SweepSummary, run_sweep


class Existing(str, Enum):
    """What to do with runs that are done."""

    skip = "skip"
    rerun = "rerun"
    error = "error"


def sweep(
    plan: Annotated[Path, typer.Argument(help="The plan, a YAML file.")],
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print runs, what is missing, and estimates.")
    ] = False,
    store: Annotated[
        str | None,
        typer.Option(help=f"Path or postgresql:// URL of the results; the plan's, else {DEFAULT_STORE}."),
    ] = None,
    existing: Annotated[
        Existing, typer.Option(help="Runs that are done: leave them, run them again, or refuse to start.")
    ] = Existing.skip,
    workers: Annotated[
        int, typer.Option(min=1, help="Processes that work at the same time; 1 is this process.")
    ] = 1,
    loaders: Annotated[int, typer.Option(min=0, help="Processes that load images for each training.")] = 0,
    device: Annotated[str, typer.Option(help="Where networks run: cpu, cuda, cuda:1, cuda*4.")] = "cpu",
) -> None:
    """Run a plan of losses and benchmarks; only what is missing in the store is run.

    It may be stopped at any moment and started again. Ends with status 1 if a run failed.

    \b
    Example:
      lossnets sweep examples/plans/demo.yaml --store lossnets-demo/results.sqlite
    """  # noqa: D301  # the escape keeps the line break of the example
    wanted = read_plan(plan)
    if dry_run:
        _print_runs(wanted, device)
        return
    with Store(store or wanted.store or DEFAULT_STORE) as opened:
        with _shown() as (tell, tell_items):
            summary = run_sweep(
                wanted,
                opened,
                existing=existing.value,
                executor=_executor(workers, tell_items),
                device=device,
                loaders=loaders,
                progress=tell,
            )
        _report(summary, opened)
    if summary.failed:
        raise typer.Exit(1)


def _print_runs(plan: Plan, device: str) -> None:
    """What would be run, what is missing, and how long it would take."""
    losses = [[str(k), loss] for k, loss in enumerate(plan.losses, start=1)]
    print_table("losses", [("", True), ("loss", False)], losses, names=1)
    lacking = missing(plan)
    if lacking:  # at once: the timing below takes a while
        shown = [[m.kind, m.name, _megabytes(m.megabytes), m.how] for m in lacking]
        headings = [("kind", False), ("what", False), ("to fetch", True), ("how", False)]
        print_table("missing on this machine", headings, shown)
    expected = forecast(plan, device=device, tell=note)
    rows = [_entry_row(entry) for entry in expected.entries]
    text = ("benchmark", "data and settings", "profile", "variants", "seeds")
    numbers = ("losses", "runs", "time", "disk")
    columns = [*((heading, False) for heading in text), *((heading, True) for heading in numbers)]
    notes = any(entry.note for entry in expected.entries)
    print_table("benchmarks", [*columns, *([("note", False)] * notes)], [row[: 9 + notes] for row in rows])
    note(
        f"{expected.runs} runs, estimated {duration(expected.seconds)} one after the other on this machine "
        f"and {_megabytes(expected.disk_bytes / 1e6)} of disk; {len(expected.missing)} data sets or weights "
        "are missing. From measured throughput; early stopping makes it less, testing and loading images "
        "more. Nothing was run (--dry-run)"
    )


def _entry_row(entry: EntryForecast) -> list[str]:
    planned = entry.entry
    return [
        planned.benchmark.name,
        planned.benchmark.where or "-",
        planned.profile,
        ", ".join(planned.variants),
        ", ".join(map(str, planned.seeds)),
        str(len(planned.losses)),
        str(entry.runs),
        duration(entry.seconds),
        _megabytes(entry.disk_bytes / 1e6),
        entry.note,
    ]


def duration(seconds: float | None) -> str:
    """Seconds for people.

    >>> duration(42), duration(5400), duration(400_000), duration(None)
    ('42 s', '1.5 h', '4.6 days', 'unknown')
    """
    if seconds is None:
        return "unknown"
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _megabytes(size: float | None) -> str:
    if size is None:
        return "-"
    return f"{size / 1000:.1f} GB" if size >= 1000 else f"{size:.1f} MB"


def _executor(workers: int, tell_items: ItemProgress | None) -> Executor:
    if workers > 1:
        return ProcessExecutor(workers)
    return LocalExecutor(partial(evaluate_group, progress=tell_items))


@contextmanager
def _shown() -> Iterator[tuple[TellSweep, ItemProgress | None]]:
    """How progress is told: bars where stderr is a terminal, one line for each run elsewhere."""
    if not sys.stderr.isatty():
        yield _line, None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=notes_console(), transient=True) as bars:
        runs = bars.add_task("runs", total=None)
        items = bars.add_task("items of this pass", total=None)

        def tell(event: SweepEvent) -> None:
            bars.update(runs, completed=event.finished, total=event.total)
            if event.record is not None and event.record.failure is not None:
                bars.console.print(_told(event.record), markup=False)

        yield tell, lambda done, total: bars.update(items, completed=done, total=total)


def _line(event: SweepEvent) -> None:
    if event.record is None:
        note(f"{event.total} runs, {event.finished} done before")
    else:
        note(f"[{event.finished}/{event.total}] {_told(event.record)}")


def _told(record: RunRecord) -> str:
    if record.failure is not None:
        return f"{record.config}: failed: {record.failure.type}: {record.failure.message}"
    return f"{record.config}: done in {record.seconds:.1f} s"


def _report(summary: SweepSummary, store: Store) -> None:
    wanted = {config.identity for config in summary.configs}
    records = [record for record in store.records() if record.identity in wanted]
    boards = leaderboards(records)
    print_boards(headlines(boards))
    more = len(boards) - len(headlines(boards))
    note(
        f"{summary}. Stored in {store.name}; {f'{more} more scores' if more else 'see'}: "
        f"lossnets results --store {store.name}"
    )
