"""``lossnets pgn evaluate``: one page and one JSON that say whether a gradient network is worth using."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossnets.cli.console import note, notes_console, number, print_table
from lossnets.errors import ConfigError
from lossnets.home import is_folder, is_there

if TYPE_CHECKING:
    from lossnets.judging.case import Tell
    from lossnets.judging.evaluation import Evaluation


def evaluate(
    file: Annotated[str, typer.Argument(help="Checkpoint (.safetensors, or a released .pth), or a name.")],
    images: Annotated[Path, typer.Option(help="Folder of photographs that it was not trained on.")],
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of page, JSON and what is earned; default: NAME.judged."),
    ] = None,
    loss: Annotated[
        str | None, typer.Option(help="The imitated loss, where the checkpoint's weights lie elsewhere here.")
    ] = None,
    profile: Annotated[
        str, typer.Option(help="full (a GPU), small (a CPU, tens of minutes) or smoke (seconds).")
    ] = "small",
    seeds: Annotated[int | None, typer.Option(help="How many initialisations of each fit.")] = None,
    steps: Annotated[int | None, typer.Option(help="Steps of each fit.")] = None,
    count: Annotated[int | None, typer.Option(help="Images that are judged.")] = None,
    side: Annotated[int | None, typer.Option(help="Side of the square crops, in pixels.")] = None,
    generators: Annotated[
        str | None, typer.Option(help="What is fitted, of deep-decoder,image-prior,autoencoder.")
    ] = None,
    stability_steps: Annotated[int | None, typer.Option(help="Steps of the stability test.")] = None,
    stability_images: Annotated[int | None, typer.Option(help="Images of the stability test.")] = None,
    stability_side: Annotated[
        int | None, typer.Option(help="Side of these, in pixels, at most --side; default: that.")
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", help="KEY=VALUE of any other number of lossnets.judging.plans.Plan; may be repeated."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, ...")] = "cpu",
    json: Annotated[bool, typer.Option("--json", help="Print the JSON instead of the table.")] = False,
) -> None:
    """Say whether a gradient network is worth using: use it, a truncated loss, or the true loss.

    Generators are fitted with its gradient, with the true loss, MSE and cheap versions of the true loss; gap
    closed is set against cost. Everything earned is kept in the folder as it is made: the same command goes
    on after an interruption. Ends with status 1 if a part could not be measured.

    \b
    Examples:
      lossnets pgn evaluate efficientnet_lite0 --images held-out --out judged --profile smoke
      lossnets pgn evaluate efficientnet_lite0 --images held-out --profile smoke --stability-images 4
    """  # noqa: D301  # the escape keeps the line break of the example
    from lossnets.cli.distance import checked_device
    from lossnets.cli.pgn_train import parse_settings
    from lossnets.judging.evaluate import JSON, PAGE, evaluate_pgn
    from lossnets.judging.plans import plan_of

    folder = out or Path(f"{_stem(file)}.judged")
    if is_there(folder) and not is_folder(folder):
        raise ConfigError(f"--out must be a folder; {str(folder)!r} is a file")
    named = {
        "seeds": seeds, "steps": steps, "count": count, "side": side, "stability_steps": stability_steps,
        "stability_images": stability_images, "stability_side": stability_side,
        "generators": None if generators is None else tuple(_parts(generators)),
    }  # fmt: skip
    options = _together(parse_settings(settings or []), {k: v for k, v in named.items() if v is not None})
    plan_of(profile, **options)  # before they are arguments of something else
    with _shown() as tell:
        found = evaluate_pgn(
            file, images, loss=loss, out=folder, profile=profile, device=checked_device(device),
            progress=tell, **options,
        )  # fmt: skip
    if json:
        typer.echo((folder / JSON).read_text(encoding="utf-8"), nl=False)
    else:
        _show(found)
    note(f"images: {_used(found)}")
    note(f"page: {folder / PAGE}")
    for part, why in found.problems.items():
        note(f"failed: {part}: {why}")
    if found.problems:
        raise typer.Exit(1)


def _parts(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _together(given: dict[str, Any], named: dict[str, Any]) -> dict[str, Any]:
    """Settings by --set and by options of their own; a key that is both raises a ConfigError."""
    for key in sorted(set(given) & set(named)):
        raise ConfigError(f"{key} is given twice: by --{key.replace('_', '-')} and by --set; leave one out")
    return given | named


def _stem(file: str) -> str:
    """A name for the folder of results of a checkpoint.

    >>> _stem("runs/mine.safetensors"), _stem("efficientnet_lite0")
    ('mine', 'efficientnet_lite0')
    """
    return re.sub(r"\.(safetensors|pth)$", "", Path(file).name)


def _used(found: Evaluation) -> str:
    """Which files were judged; the JSON names all that were used and left out."""
    about = found.about
    names = list(about["names"])
    told = ", ".join(names[:_NAMED]) + (", ..." if len(names) > _NAMED else "")
    left = [f"{name} ({why})" if name.endswith("/") else name for name, why in about["skipped"]]
    out = f"; left out: {', '.join(left[:_NAMED])}{', ...' if len(left) > _NAMED else ''}" if left else ""
    return (
        f"{len(names)} judged ({told}), {about['training_images']} others to train generators on{out}; "
        "all are named in the JSON"
    )


_NAMED = 6


def _show(found: Evaluation) -> None:
    """The verdict and its table."""
    standings = found.standings()
    verdict = found.verdict(standings)
    columns = [("", False), ("rival", False)] + [
        (name, True) for name in ("time", "memory", "gap closed", "low", "high", "diverged")
    ]
    values = ("cost", "memory", "gap", "low", "high")
    rows = [
        [row["letter"], row["key"], *(_cell(row[v]) for v in values), f"{row['diverged']} of {row['fits']}"]
        for row in standings.frame().to_dict("records")
    ]
    print_table(f"{found.about['pgn']}: gap closed against cost (true loss = 1)", columns, rows)
    typer.echo(verdict.sentence)
    for reason in verdict.reasons:
        typer.echo(f"  {reason}")


def _cell(value: Any) -> str:
    return number(None if value != value else float(value), 3)


@contextmanager
def _shown() -> Iterator[Tell]:
    """How progress is told: a bar where stderr is a terminal, a line now and then elsewhere."""
    if not sys.stderr.isatty():
        yield _line
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=20), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=notes_console(), transient=True) as bars:
        tasks: dict[str, Any] = {}

        def tell(part: str, done: int, total: int, what: str) -> None:
            if part not in tasks:
                tasks[part] = bars.add_task(part, total=total)
            bars.update(tasks[part], completed=done, total=total, description=f"{part}: {what[:48]}")

        yield tell


def _line(part: str, done: int, total: int, what: str) -> None:
    """About ten lines for each part."""
    if done in (0, total) or done * 10 // total != (done - 1) * 10 // total:
        note(f"[{part} {done}/{total}] {what}")
