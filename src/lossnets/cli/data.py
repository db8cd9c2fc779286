"""``lossnets data list | info | fetch | verify``: which data sets there are, bring them here, check them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress import TransferSpeedColumn as SpeedColumn

from lossnets.cli.console import print_table
from lossnets.errors import DataError

if TYPE_CHECKING:
    from lossnets.datasets import DataSetCard
    from lossnets.datasets.verify import Report

app = typer.Typer(help="Data sets: list what there is, fetch it, verify what is here.", no_args_is_help=True)

_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")]


@app.command("list")
def list_data(as_json: _AsJson = False) -> None:
    """List all data sets: what they are for, size to download, licence, and whether they are here.

    Example: lossnets data list
    """
    from lossnets.datasets.catalogue import cards  # here: `--help` must not wait for torch
    from lossnets.datasets.places import data_places, human_size, status

    if as_json:
        typer.echo(json.dumps([_facts(card) for card in cards()], indent=2))
        return
    rows = []
    for card in cards():
        found = status(card.name)
        where = f"{found.state}: {found.folder}" if found.folder else found.state
        rows.append((card.name, card.use, human_size(card.fetch_size), card.licence, where))
    columns = (("data set", False), ("for", False), ("download", True), ("licence", False), ("state", False))
    places = ", ".join(map(str, data_places()))
    print_table("Data sets", columns, rows, caption=f"Looked for in {places}; more: lossnets data info NAME")


@app.command()
def info(
    name: Annotated[str, typer.Argument(help="A data set, as `lossnets data list` names it.")],
    as_json: _AsJson = False,
) -> None:
    """Show the card of a data set: files, archives with checksums, licence, whom to cite, how to get it.

    Example: lossnets data info coco2014
    """
    from lossnets.datasets.catalogue import card

    the_card = card(name)
    if as_json:
        typer.echo(json.dumps(_facts(the_card), indent=2))
        return
    for line in _card_lines(the_card):
        typer.echo(line)


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="A data set, as `lossnets data list` names it.")],
    part: Annotated[
        list[str] | None, typer.Option(help="Only this part, e.g. val; can be given several times.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option(help="Folder for it; left out: LOSSNETS_DATA or LOSSNETS_HOME/data.")
    ] = None,
    keep_archives: Annotated[
        bool, typer.Option("--keep-archives", help="Keep the archives after unpacking.")
    ] = False,
) -> None:
    """Download a data set, verify and unpack it; go on where an earlier start stopped.

    For example: lossnets data fetch bsds500
    """
    from lossnets.datasets.catalogue import card
    from lossnets.datasets.fetch import fetch as fetch_data

    the_card = card(name)
    with _progress_bar() as progress:
        folder = fetch_data(
            name, parts=part or None, progress=progress, keep_archives=keep_archives, folder=to
        )
    typer.echo(f"{name}  {folder}\n  licence: {the_card.licence}")
    if the_card.citation:
        typer.echo(f"  please cite: {the_card.citation}")


@app.command()
def verify(
    target: Annotated[str, typer.Argument(help="A data set, or a folder.")],
    deep: Annotated[bool, typer.Option("--deep", help="Decode every image.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Check that all files are there, as published, and can be read.

    Example: lossnets data verify originals --deep
    """
    from lossnets.datasets.verify import verify as verify_data

    with _progress_bar(counts=True) as progress:
        report = verify_data(target, deep=deep, progress=progress)
    if as_json:
        typer.echo(
            json.dumps({**asdict(report), "folder": str(report.folder), "good": report.good}, indent=2)
        )
    else:
        _print_report(report)
    if not report.good:
        bad = sum(not finding.good for finding in report.findings)
        raise DataError(
            f"{report.folder} is not as it should be: {bad} of {len(report.findings)} checks failed; "
            f"`lossnets data fetch {report.name}` brings what is missing"
            if report.name != "image-folder"
            else f"{bad} images in {report.folder} cannot be read"
        )


def _facts(card: DataSetCard) -> dict[str, Any]:
    from lossnets.datasets.places import status

    found = status(card.name)
    return {**asdict(card), "state": found.state, "folder": found.folder and str(found.folder)}


def _card_lines(card: DataSetCard) -> Iterator[str]:
    from lossnets.datasets.places import human_size, status

    found = status(card.name)
    yield f"{card.name}: {card.title}"
    for heading, text in (
        ("for", card.use),
        ("licence", card.licence),
        ("cite", card.citation),
        ("homepage", card.homepage),
        ("download", human_size(card.fetch_size) if card.archives else "nothing"),
        ("on disk", human_size(card.size_on_disk) if card.archives else ""),
        ("state", f"{found.state}: {found.folder}" if found.folder else found.state),
        ("missing", ", ".join(found.missing)),
        ("get it", card.how_to_get),
        ("note", card.remark),
    ):
        if text:
            yield f"  {heading + ':':<10}{text}"
    yield from (f"  {'file:':<10}{file}" for file in card.files)
    for archive in card.archives:
        size = human_size(archive.size) if archive.size else f"about {human_size(archive.unpacked)}"
        option = ", optional" if archive.optional else ""
        yield f"  {'archive:':<10}{archive.url} ({', '.join(archive.parts or card.parts)}; {size}{option})"
        yield f"  {'':<10}{_checksums(archive.sha256, archive.md5, archive.checksum_from)}"


def _checksums(sha256: str | None, md5: str | None, source: str) -> str:
    known = [f"{kind} {value}" for kind, value in (("sha256", sha256), ("md5", md5)) if value]
    return f"{', '.join(known)}, from {source}" if known else "checksum: none published"


def _print_report(report: Report) -> None:
    typer.echo(f"{report.name}  {report.folder}")
    for finding in report.findings:
        typer.echo(f"{'ok ' if finding.good else 'BAD'}  {finding.what}: {finding.result}")
    for part in report.skipped:
        typer.echo(f"-    {part}: not here, and not needed")
    if report.decoded:
        typer.echo(f"     {report.decoded} images decoded")


@contextmanager
def _progress_bar(*, counts: bool = False) -> Iterator[Callable[[str, int, int | None], None]]:
    """A bar on stderr, which is shown from the first step on; bytes, or with ``counts`` numbers."""
    amount = (TextColumn("{task.completed}/{task.total}"),) if counts else (DownloadColumn(), SpeedColumn())
    bars = Progress(
        TextColumn("{task.description}"), BarColumn(), *amount, TimeRemainingColumn(),
        console=Console(stderr=True),
    )  # fmt: skip
    task = bars.add_task("", total=None)
    shown = ""

    def update(label: str, done: int, total: int | None) -> None:
        nonlocal shown
        if label != shown:
            bars.reset(task, description=label)
            shown = label
        bars.start()  # only now: often all is here already, and there is nothing to show
        bars.update(task, completed=done, total=total)

    try:
        yield update
    finally:
        if bars.live.is_started:
            bars.stop()
