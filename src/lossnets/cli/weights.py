"""``lossnets weights list | fetch | verify``: what weights there are, bring them here, check files."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.table import Table

from lossnets.errors import ConfigError, WeightsError, unknown_name
from lossnets.home import home

if TYPE_CHECKING:
    from lossnets.networks.inventory import FileCheck, WeightsCard
    from lossnets.networks.spec import NetworkSpec

app = typer.Typer(help="Weights: list what there is, fetch it, verify files.", no_args_is_help=True)


@app.command("list")
def list_weights(
    pattern: Annotated[str, typer.Argument(help="Network names, e.g. 'vgg*' or 'timm/resnet18*'.")] = "*",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """List the default weights of networks: file, size, licence, training data, and where they are.

    Example: lossnets weights list 'vgg*'
    """
    from lossnets.networks import list_networks  # here: `--help` must not wait for torch
    from lossnets.networks.inventory import weights_cards

    cards = weights_cards(pattern)
    if not cards:
        raise unknown_name("network", pattern, list_networks(), see="lossnets networks")
    if as_json:
        typer.echo(json.dumps([asdict(card) for card in cards], indent=2))
    else:
        _console().print(_cards_table(cards))


@app.command()
def fetch(
    networks: Annotated[list[str], typer.Argument(help="One or more network names.")],
) -> None:
    """Download the default weights of networks, continuing where an earlier download stopped.

    Example: lossnets weights fetch efficientnet_lite0
    """
    from lossnets.networks import network_spec

    specs = [network_spec(name) for name in networks]  # an unknown name stops before any download
    failures = [message for message in map(_fetch_one, specs) if message]
    if failures:
        raise WeightsError("\n".join(failures))


def _fetch_one(spec: NetworkSpec) -> str:
    """Fetch and print; returns what went wrong, since the other networks can still be had."""
    from lossnets.networks import inventory

    try:
        with _progress_bar(spec.name) as progress:
            check = inventory.fetch(spec, progress)
    except WeightsError as error:
        return str(error)
    typer.echo(f"{spec.name}  {check.path}\n  sha256 {check.sha256}  {check.finding}")
    return ""


@app.command()
def verify(
    file: Annotated[
        Path | None, typer.Argument(help="A weights file; left out: all in LOSSNETS_HOME/weights.")
    ] = None,
    network: Annotated[str | None, typer.Option(help="Network that the file should fit.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Check weights files: whole, as published, and fitting the network in every name and shape.

    Example: lossnets weights verify
    """
    if network is not None and file is None:
        raise ConfigError(
            "--network needs the file that should fit it: lossnets weights verify FILE --network NAME"
        )
    from lossnets.networks import inventory

    checks = inventory.check_folder() if file is None else [inventory.check_file(file, network)]
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        _print_checks(checks)
    bad = sum(not check.good for check in checks)
    if bad:
        raise WeightsError(f"{bad} of {len(checks)} weights files must not be used")


def _console() -> Console:
    console = Console()
    if not console.is_terminal:  # a pipe has no width: cells must not be cut for it
        console.width = 400
    return console


def _cards_table(cards: Sequence[WeightsCard]) -> Table:
    table = Table("network", "weights", "file", "MB", "licence", "training data", "state")
    table.columns[3].justify = "right"
    for card in cards:
        size = "" if card.megabytes is None else f"{card.megabytes:.1f}"
        state = f"{card.state}: {card.path}" if card.path else card.state
        file = card.file or ""
        table.add_row(card.network, card.weights or "", file, size, card.licence, card.training_data, state)
    return table


def _print_checks(checks: Sequence[FileCheck]) -> None:
    if not checks:
        typer.echo(f"no weights files in {home() / 'weights'}")
    for check in checks:
        typer.echo(f"{'ok ' if check.good else 'BAD'}  {check.path}")
        if check.sha256 is not None:
            typer.echo(f"     sha256 {check.sha256}")
        typer.echo(f"     {check.finding}")


@contextmanager
def _progress_bar(name: str) -> Iterator[Callable[[int, int | None], None]]:
    """A bar with bytes and speed on stderr, which is shown from the first byte on."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    bars = Progress(*columns, console=Console(stderr=True))
    task = bars.add_task(name, total=None)

    def update(done: int, total: int | None) -> None:
        bars.start()  # only now: most often the file is here already, and there is nothing to show
        bars.update(task, completed=done, total=total)

    try:
        yield update
    finally:
        if bars.live.is_started:
            bars.stop()
