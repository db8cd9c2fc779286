"""``lossnets profile``: measure what losses cost on this machine."""

from __future__ import annotations

import json as jsonlib
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from lossnets.analysis.cost import profile_path
from lossnets.analysis.limits import show_cost
from lossnets.analysis.results import Results
from lossnets.cli.console import note, print_table
from lossnets.cli.shipped import results_of
from lossnets.errors import ConfigError
from lossnets.home import is_there
from lossnets.networks import study_networks
from lossnets.runs.cost_records import ALONE, Cost, cost_key, merge_costs, read_costs, write_costs
from lossnets.runs.cost_steps import check_task, step_tasks
from lossnets.runs.losses import expand
from lossnets.runs.measure_cost import IMAGES, ROUNDS, SIDE, iter_costs


def profile(
    loss: Annotated[
        list[str] | None, typer.Option(help="A loss name, or NETWORK/*points; may be repeated.")
    ] = None,
    study: Annotated[
        bool, typer.Option("--study", help="The study's networks at each of their points.")
    ] = False,
    results: Annotated[
        str | None,
        typer.Option(help="Losses of these results: a store, an exported file, or 'shipped'."),
    ] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Also the training step of this task; may be repeated.")
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Images that a loss alone compares at once.")] = IMAGES,
    side: Annotated[int, typer.Option(min=1, help="Their height and width in pixels.")] = SIDE,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds that are timed.")] = ROUNDS,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="The file; profile.json in LOSSNETS_HOME by default."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the measurements as JSON.")] = False,
) -> None:
    """Measure time and memory of losses on this machine, for `recommend`, reports and yourself.

    Without --loss, --study and --results: the losses of results.sqlite here, or else of the results that
    ship with lossnets. Losses of results are measured in the tasks that they were run in (only those of
    --task, if given), others in those of --task. Weights are random: none are needed, and the time is the
    same. What was measured before stays, unless it is measured again; Ctrl-C keeps what is done. Exit status
    1: some loss could not be measured; it is listed with its error.

    \b
    Examples:
      lossnets profile --loss efficientnet_lite0/blocks.3 --task super-resolution
      lossnets profile --loss 'vgg16/*points' --rounds 9 --json
    """  # noqa: D301  # the escape keeps the line break of the example
    tasks = [check_task(name) for name in task or ()]
    jobs: dict[str, list[str]] = {}
    for name in [*(loss or ()), *([f"{n}/*points" for n in study_networks()] if study else ())]:
        jobs.update(dict.fromkeys(expand(name), tasks))
    if results is not None or not jobs:
        found, whose = results_of(results)
        note(whose)
        for name, theirs in _jobs(found, tasks).items():
            jobs[name] = list(dict.fromkeys([*jobs.get(name, ()), *theirs]))
    if not jobs:
        raise ConfigError(f"{results} holds no runs, so no losses to measure; name some with --loss")
    path = output or profile_path()
    kept = read_costs(path) if is_there(path) else []
    measured: list[Cost] = []
    parts = iter_costs(
        jobs, images=images, side=side, rounds=rounds, device=device,
        progress=lambda done, total: note(f"{done} of {total} losses"),
    )  # fmt: skip
    count, often = len({cost_key(name) for name in jobs}), f"{rounds} round{'s' * (rounds != 1)}"
    note(f"measuring {count} loss{'es' * (count != 1)}, {often} each, on {device}")
    for part in parts:
        measured = merge_costs(part, measured)  # every part has the baselines: the first stay
        kept = merge_costs(kept, part)
        write_costs(kept, path)
    _show(measured, json)
    note(f"kept in {path}")
    if any(cost.error for cost in measured):
        raise typer.Exit(1)


def _jobs(results: Results, wanted: Iterable[str]) -> dict[str, list[str]]:
    """Loss -> tasks with a training step that it was run in."""
    trained = set(wanted) or set(step_tasks())
    jobs: dict[str, list[str]] = {}
    for setting, runs in results.members.items():
        for run in runs:
            tasks = jobs.setdefault(run.config.loss, [])
            if setting.task in trained and setting.task not in tasks:
                tasks.append(setting.task)
    return jobs


_COLUMNS = [
    ("loss", False), ("what", False), ("time", True), ("times pixel", True), ("quartiles", True),
    ("memory", True),
]  # fmt: skip


def _show(costs: list[Cost], json: bool) -> None:
    if json:
        typer.echo(jsonlib.dumps([asdict(cost) for cost in costs], indent=1))
        return
    good = [cost for cost in costs if not cost.error]
    for title, tasks in (("The loss alone, for one image", {ALONE}), ("Training step", set(step_tasks()))):
        rows = [_row(cost) for cost in good if cost.task in tasks]
        if rows:
            print_table(title, _COLUMNS, rows, names=0, caption=f"on {good[0].machine}")
    broken = [[cost.loss, cost.task or "alone", cost.error] for cost in costs if cost.error]
    if broken:
        print_table("Not measured", [("loss", False), ("what", False), ("why", False)], broken, names=0)


def _row(cost: Cost) -> list[str]:
    alone = cost.task == ALONE
    milliseconds = cost.milliseconds if alone else 1e3 * (cost.seconds or 0)
    quartiles = "-" if cost.ratio_low is None else f"{cost.ratio_low:.2f} .. {cost.ratio_high:.2f}"
    return [
        cost.loss,
        f"{cost.side}x{cost.side}" if alone else f"{cost.task}, {cost.images} images",
        "-" if milliseconds is None else f"{milliseconds:.2f} ms",
        "-" if cost.ratio is None else f"{cost.ratio:.2f}",
        quartiles,
        "-" if cost.memory is None else show_cost("memory", float(cost.memory)),
    ]
