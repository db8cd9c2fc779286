"""``lossnets recommend``: which loss to take for a task."""

from __future__ import annotations

import json as jsonlib
from typing import Annotated

import typer

from lossnets.analysis.advice import cost_text, short
from lossnets.analysis.limits import show_cost
from lossnets.analysis.recommend import recommend
from lossnets.analysis.recommendation import Evidence, Excluded, Recommendation, Row
from lossnets.cli import EXIT_REFUSED
from lossnets.cli.console import number, print_table
from lossnets.cli.shipped import results_of


def recommend_command(
    task: Annotated[str, typer.Option(help="similarity, super-resolution, delineation, autoencoding.")],
    store: Annotated[
        str | None,
        typer.Option(
            help="Results: a store, an exported file, or 'shipped'. Default: results.sqlite if here."
        ),
    ] = None,
    data: Annotated[str | None, typer.Option(help="Only data sets that match; * and ? match.")] = None,
    device: Annotated[str, typer.Option(help="Whose costs count: cpu, cuda, ...")] = "cpu",
    max_time: Annotated[
        str | None, typer.Option(help="2x-pixel: of a training step; 5ms: the loss alone, one image.")
    ] = None,
    max_memory: Annotated[str | None, typer.Option(help="500MB, 2GiB: what the loss alone takes.")] = None,
    top: Annotated[int, typer.Option(min=1, help="How many losses the table shows.")] = 5,
    json: Annotated[bool, typer.Option("--json", help="Print the whole answer as JSON.")] = False,
) -> None:
    """Say which loss to take for a task: why, how good, at what cost, how sure, and how to use it.

    Exit status 3: refused, because the results do not distinguish the losses, or none fits the limits. That
    is an answer like any other, with the reason and what would settle it.

    \b
    Examples:
      lossnets recommend --task delineation
      lossnets recommend --task super-resolution --max-time 2x-pixel --max-memory 1GB
    """  # noqa: D301  # the escape keeps the line break of the example
    results, whose = results_of(store)
    made = recommend(results, task, max_time=max_time, max_memory=max_memory, data=data, device=device)
    if json:
        typer.echo(jsonlib.dumps(made.to_dict(), indent=1))
    else:
        typer.echo(whose)
        _show(made, top)
    if made.refused:
        raise typer.Exit(EXIT_REFUSED)


def _show(made: Recommendation, top: int) -> None:
    if made.refused:
        typer.echo(f"\nNo recommendation for {made.task}: {made.refused.why}\n{made.refused.settle}")
    else:
        _first(made)
        _table(made, top)
    if made.evidence:
        columns = [
            ("evidence", False),
            ("score", False),
            ("losses", True),
            ("seeds", True),
            ("judged by", False),
        ]
        print_table("Evidence", columns, [_evidence(item) for item in made.evidence])
    for warning in made.warnings:
        typer.echo(f"Note: {warning}")
    _excluded("Not compared", made.excluded)
    _excluded("Not used", made.left_out)
    for row in _to_use(made):
        _python(row)


def _to_use(made: Recommendation) -> list[Row]:
    """The first row and, where its weights are not here, the first of the leading group whose are."""
    rows = list(made.rows[:1])
    if rows and not rows[0].ready:
        rows += [row for row in made.rows if row.leading and row.ready][:1]
    return rows


def _first(made: Recommendation) -> None:
    first = made.rows[0]
    advice = f"try {first.loss} first" if made.confidence == "low" else f"take {first.loss}"
    typer.echo(f"\nFor {made.task}, {advice}")
    typer.echo(f"  confidence: {made.confidence} ({made.confidence_why})")
    typer.echo(f"  because: {first.reason}")
    for quality in first.quality:
        typer.echo(f"  expect: {quality}")
    cost = cost_text(first.cost)
    typer.echo(f"  costs: {cost or 'not known; lossnets profile measures them'}")
    if made.cheapest not in (None, first.loss):
        typer.echo(f"  cheapest of those not told apart from it: {made.cheapest}")
    typer.echo("")


def _table(made: Recommendation, top: int) -> None:
    columns = [
        ("rank", True), ("loss", False), ("group", False), ("sure", False), ("score", True), ("step", True),
        ("one image", True), ("memory", True),
    ]  # fmt: skip
    losses = [row.loss for row in made.rows]
    rows = made.rows[:top]
    shown = "" if len(rows) == len(losses) else f", {len(rows)} of {len(losses)}"
    title = f"Losses for {made.task}{shown}"
    print_table(title, columns, [_row(row, losses) for row in rows], names=1, caption=_costs(made))
    for row in rows[1:]:
        typer.echo(f"{row.rank}. {short(row.loss, losses)}: {row.reason}")
    typer.echo("")


def _costs(made: Recommendation) -> str:
    first = next((row.cost for row in made.rows if row.cost.side is not None), None)
    if first is None:
        return "costs are not known: lossnets profile measures them"
    what = f"costs (training step; loss alone, one {first.side}x{first.side} image; memory)"
    return f"{what}: {first.source}, measured on {first.machine}"


def _row(row: Row, losses: list[str]) -> list[str]:
    cost = row.cost
    return [
        str(row.rank),
        short(row.loss, losses),
        "leading" if row.leading else "worse",
        row.confidence,
        " / ".join(number(quality.value, 3) for quality in row.quality),
        "-" if cost.step_ratio is None else show_cost("step_ratio", cost.step_ratio),
        "-" if cost.ms_per_image is None else show_cost("ms_per_image", cost.ms_per_image),
        "-" if cost.memory is None else show_cost("memory", cost.memory),
    ]


def _evidence(item: Evidence) -> list[str]:
    direction = "higher" if item.higher_is_better else "lower"
    unit = f", {item.unit}" if item.unit else ""
    seeds = (
        f"{item.seeds_least}"
        if item.seeds_least == item.seeds_most
        else f"{item.seeds_least}-{item.seeds_most}"
    )
    seeds = seeds if item.trains else "none needed"
    return [item.setting, f"{item.score}{unit} ({direction} is better)", str(item.losses), seeds, item.basis]


def _excluded(title: str, items: tuple[Excluded, ...]) -> None:
    if items:
        print_table(title, [("name", False), ("why", False)], [[x.name, x.why] for x in items], names=0)


def _python(row: Row) -> None:
    title = "In Python" if row.rank == 1 else f"In Python, rank {row.rank}, whose weights are here"
    typer.echo(f"\n{title}:\n" + "\n".join(f"    {line}" for line in row.python))
    if row.weights:
        typer.echo(f"Weights: {row.weights}")
        typer.echo(
            "Where targets stay the same, give it loss.encode(...) of them, made once: that is faster."
        )
