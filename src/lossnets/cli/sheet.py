"""``lossnets sheet``: pictures of several runs side by side."""

from __future__ import annotations

from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated

import typer

from lossnets.analysis import Results, Setting
from lossnets.benchmarks.base import benchmark_class
from lossnets.benchmarks.pictures import sheet
from lossnets.cli.console import note
from lossnets.errors import DataError, unknown_name
from lossnets.runs.folders import run_folder, runs_folder
from lossnets.runs.plan import DEFAULT_STORE
from lossnets.runs.records import RunRecord
from lossnets.runs.store import Store


def sheet_command(
    output: Annotated[Path, typer.Option("-o", "--output", help="The PNG file.")],
    store: Annotated[str, typer.Option(help="Path or postgresql:// URL of the results.")] = DEFAULT_STORE,
    benchmark: Annotated[
        str | None, typer.Option(help="Which benchmark; needed where the store has several with pictures.")
    ] = None,
    loss: Annotated[list[str] | None, typer.Option(help="Only these losses; * and ? match.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of the runs; the first by default.")] = None,
    profile: Annotated[str | None, typer.Option(help="Profile of the runs; the first by default.")] = None,
    side: Annotated[int, typer.Option(min=16, max=2048, help="Longer side of each picture.")] = 192,
) -> None:
    """Put the pictures of a benchmark's runs on one sheet: input, what each loss led to, target.

    \b
    Example:
      lossnets sheet --store lossnets-demo/results.sqlite --benchmark super-resolution-sample -o sheet.png
    """  # noqa: D301  # the escape keeps the line break of the example
    with Store(store, create=False, read_only=True) as opened:
        places = runs_folder(opened)
        done = [record for record in opened.records() if record.status == "done"]
    chosen = _one_setting(_of_benchmark(done, benchmark), seed, profile)
    names = Results(tuple(chosen)).names(Setting.of(chosen[0]))
    shown = {
        names[record.config.signature, record.loss]: run_folder(places, record.config)
        for record in chosen
        if not loss or any(fnmatchcase(record.loss, pattern) for pattern in loss)
    }
    if not shown:
        raise DataError(f"no run matches --loss {loss}; there are {sorted({r.loss for r in chosen})}.")
    cls = benchmark_class(chosen[0].config.benchmark)
    before, after = getattr(cls, "sheet_columns", ((), ()))
    sheet(shown, output, before=before, after=after, side=side)
    note(f"{len(shown)} runs of {chosen[0].config.benchmark} drawn to {output}")


def _of_benchmark(records: list[RunRecord], wanted: str | None) -> list[RunRecord]:
    """Runs of the benchmark that is wanted, or of the only one that draws pictures."""
    names = list(dict.fromkeys(record.config.benchmark for record in records))
    if wanted is None:
        drawing = [name for name in names if getattr(benchmark_class(name), "trains", False)]
        if len(drawing) != 1:
            raise DataError(
                f"this store has {len(drawing)} benchmarks with pictures"
                f"{': ' + ', '.join(drawing) if drawing else ''}; name one with --benchmark."
            )
        wanted = drawing[0]
    if wanted not in names:
        raise unknown_name("benchmark in this store", wanted, names)
    return [record for record in records if record.config.benchmark == wanted]


def _one_setting(records: list[RunRecord], seed: int | None, profile: str | None) -> list[RunRecord]:
    """Runs that may stand side by side: same data, options, profile and seed as the first that fits."""
    fitting = [
        record
        for record in records
        if seed in (None, record.config.seed) and profile in (None, record.config.profile)
    ]
    if not fitting:
        have = sorted({(record.config.profile, record.config.seed) for record in records})
        raise DataError(f"no run has seed {seed} and profile {profile}; there are (profile, seed) {have}.")
    return [record for record in fitting if _key(record) == _key(fitting[0])]


def _key(record: RunRecord) -> tuple[object, ...]:
    return record.config.seed, Setting.of(record)
