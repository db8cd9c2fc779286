"""``lossnets pgn explain``: pictures of what a gradient network wants changed, over a fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lossnets.cli.console import note
from lossnets.errors import ConfigError
from lossnets.home import is_folder, is_there


def explain(
    file: Annotated[str, typer.Argument(help="Checkpoint (.safetensors, or a released .pth), or a name.")],
    images: Annotated[Path, typer.Option(help="Folder of photographs, or one image.")],
    out: Annotated[Path, typer.Option(help="Folder for the pictures.")],
    loss: Annotated[
        str | None, typer.Option(help="The imitated loss, where the checkpoint's weights lie elsewhere here.")
    ] = None,
    driver: Annotated[str, typer.Option(help="What drives the fit: pgn, true or mse.")] = "pgn",
    generator: Annotated[str, typer.Option(help="What is fitted: or deep-decoder.")] = "image-prior",
    steps: Annotated[int, typer.Option(min=1, help="Of the fit.")] = 300,
    rows: Annotated[int, typer.Option(min=1, help="Steps shown in the panels.")] = 6,
    frames: Annotated[int, typer.Option(min=1, help="Of the animation.")] = 32,
    side: Annotated[int, typer.Option(min=8, help="Side of the square crops, in pixels.")] = 96,
    count: Annotated[int, typer.Option(min=1, help="Images, at most.")] = 4,
    seed: Annotated[int, typer.Option(help="Of the generator.")] = 0,
    animation: Annotated[str, typer.Option(help="gif, apng or none.")] = "gif",
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, ...")] = "cpu",
) -> None:
    """Draw what a gradient network wants changed: its proxy target less the image, where and what.

    A generator is fitted to each image; at several steps the panels show target, fit, proxy target, their
    difference, and the same for the true gradient where that loss is there. Paths go to stdout.

    \b
    Example:
      lossnets pgn explain efficientnet_lite0 --images photograph.png --out explained --steps 30
    """  # noqa: D301  # the escape keeps the line break of the example
    from lossnets.cli.distance import checked_device
    from lossnets.judging.explain import explain_pgn

    if is_there(out) and not is_folder(out):
        raise ConfigError(f"--out must be a folder; {str(out)!r} is a file")
    written = explain_pgn(
        file, images, out, loss=loss, driver=driver, generator=generator, steps=steps, rows=rows,
        frames=frames, side=side, count=count, seed=seed, animation=animation,
        device=checked_device(device), progress=_line,
    )  # fmt: skip
    for path in written:
        typer.echo(str(path))


def _line(done: int, total: int, what: str) -> None:
    """About ten lines."""
    if done == total or done * 10 // total != (done - 1) * 10 // total:
        note(f"[{done}/{total}] {what}")
