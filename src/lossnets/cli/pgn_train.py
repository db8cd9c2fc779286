"""``lossnets pgn train``: a loss, a folder of images, one checkpoint of a gradient network."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lossnets.cli.console import note, notes_console, number
from lossnets.errors import ConfigError, unknown_name

if TYPE_CHECKING:
    from lossnets.gradients.training import TrainingProgress
    from lossnets.gradients.training.progress import Report


def train(
    loss: Annotated[str, typer.Option(help="The loss to imitate, by its loss name.")],
    images: Annotated[Path, typer.Option(help="Folder of pictures, with its subfolders.")],
    out: Annotated[Path, typer.Option(help="File to write, ending in .safetensors.")],
    backbone: Annotated[
        str | None,
        typer.Option(help="resnet-4, resnet-6, resnet-8, unet, shuffled, distilled; default: the profile's."),
    ] = None,
    family: Annotated[
        str | None, typer.Option(help="proxy, direct (the ablation) or distilled (a thin loss).")
    ] = None,
    proxy: Annotated[str | None, typer.Option(help="sigmoid, raw, warped or warped-additive.")] = None,
    distance: Annotated[
        str | None, typer.Option(help="To the proxy target: mse, l1, logcosh, or logit- before one.")
    ] = None,
    profile: Annotated[
        str, typer.Option(help="paper (as published), small (for a CPU), smoke (seconds).")
    ] = "small",
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="KEY=VALUE of any other setting, VALUE in JSON; may be repeated."),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Steps in all.")] = None,
    batch: Annotated[int | None, typer.Option(help="New images a step on each device.")] = None,
    crop: Annotated[int | None, typer.Option(help="Side of the square crops, in pixels.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything that is drawn.")] = None,
    precision: Annotated[str | None, typer.Option(help="32, or bf16.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 or mps.")] = "cpu",
    devices: Annotated[int, typer.Option(min=1, help="How many devices of this kind.")] = 1,
    loaders: Annotated[int, typer.Option(min=0, help="Processes that load images, for each device.")] = 0,
    resume: Annotated[
        bool,
        typer.Option(help="Go on with an interrupted training into this file, or begin anew and replace it."),
    ] = True,
) -> None:
    """Train a gradient network that imitates a loss, and write one checkpoint with its card.

    State, log (log.csv, TensorBoard) and picture panels are kept in the folder OUT.run. A training that was
    interrupted or killed goes on when the same command is given again.

    \b
    Example:
      lossnets pgn train --loss efficientnet_lite0/blocks.3 --images photographs --out mine.safetensors --profile smoke
    """  # noqa: D301, E501  # the escape keeps the line break of the example
    from lossnets.gradients.training import profile as settings_of
    from lossnets.gradients.training import train_pgn

    given = {
        "family": family, "proxy": proxy, "distance": distance, "steps": steps, "batch": batch, "crop": crop,
        "seed": seed, "precision": precision,
    }  # fmt: skip
    changes = parse_settings(settings or []) | {k: v for k, v in given.items() if v is not None}
    config = settings_of(profile, backbone=_backbone(backbone, changes, profile), **changes)
    with _shown(config.steps) as report:
        written = train_pgn(
            loss, images, out, config,
            resume=resume, progress=report, device=device, devices=devices, loaders=loaders,
        )  # fmt: skip
    _tell_fidelity(written)
    typer.echo(str(written))
    note(f"card: {written}.json; whether it is worth using: lossnets pgn evaluate {written} --images DIR")


def _backbone(backbone: str | None, changes: dict[str, Any], profile: str) -> str | None:
    """The backbone as asked for, or what the family needs where only that was named."""
    family = changes.get("family")
    if backbone is None and "backbone" in changes:
        raise ConfigError("name the backbone by --backbone, which knows its settings too, not by --set")
    if family == "distilled" and backbone not in (None, "distilled"):
        raise ConfigError(f"family 'distilled' has no backbone {backbone!r}; leave out --backbone")
    if family in ("proxy", "direct"):
        if backbone == "distilled":
            raise ConfigError(f"backbone 'distilled' is a family of its own, not {family!r}")
        return backbone or ("resnet-4" if profile == "paper" else "shuffled")
    if family not in (None, "distilled"):
        raise unknown_name("family of gradient networks", str(family), ("proxy", "direct", "distilled"))
    if backbone is None and {"proxy", "distance"} & set(changes):
        return "resnet-4" if profile == "paper" else "shuffled"
    return "distilled" if family == "distilled" else backbone


def parse_settings(pairs: Sequence[str]) -> dict[str, Any]:
    """KEY=VALUE pairs -> settings; a VALUE that is no JSON is text.

    Raises:
        ConfigError: a pair without "=", or a key given twice.

    >>> parse_settings(["lr=1e-3", "schedule=cosine", "fit_life=[20, 400]"])
    {'lr': 0.001, 'schedule': 'cosine', 'fit_life': [20, 400]}
    """
    found: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key.strip():
            raise ConfigError(f"--set takes KEY=VALUE, e.g. --set lr=0.001; got {pair!r}")
        if key.strip() in found:
            raise ConfigError(f"--set {key.strip()} is given twice")
        try:
            found[key.strip()] = json.loads(value)
        except json.JSONDecodeError:
            found[key.strip()] = value
    return found


def _tell_fidelity(written: Path) -> None:
    """The short figures of the card, one line for each kind of fit."""
    from lossnets.gradients.checkpoint import read_card

    for kind, figures in read_card(written).fidelity.items():
        if isinstance(figures, dict):
            note(
                f"held-out {kind} fits: cosine {number(figures['cosine']['1'], 3)} "
                f"(MSE {number(figures['cosine_mse']['1'], 3)}), norm ratio "
                f"{number(figures['norm_ratio'], 2)}, true loss {number(figures['loss_start'])} -> "
                f"{number(figures['loss_end'])}"
            )


@contextmanager
def _shown(steps: int) -> Iterator[Report]:
    """How progress is told: a bar with figures where stderr is a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        yield lambda progress: note(str(progress))
        return
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (BarColumn(bar_width=20), TextColumn("{task.description}"), TimeRemainingColumn())
    with Progress(*columns, console=notes_console(), transient=True) as bars:
        task = bars.add_task("starting", total=steps)

        def tell(progress: TrainingProgress) -> None:
            bars.update(task, completed=progress.step, description=str(progress))

        yield tell
