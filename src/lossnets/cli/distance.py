"""``lossnets distance``: two images, or two folders paired by file name."""

from __future__ import annotations

import errno
import math
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lossnets.cli.console import note, notes_console, number, print_table
from lossnets.errors import ConfigError, LossnetsError
from lossnets.home import is_folder, is_there

Row = dict[str, Any]
Targets = dict[Literal["csv", "json", "markdown"], Path]
_STDOUT = Path("-")


def distance(
    a: Annotated[Path, typer.Argument(help="Image file, or folder of images.")],
    b: Annotated[Path, typer.Argument(help="Image file, or folder with files of the same names.")],
    loss: Annotated[
        list[str] | None, typer.Option("--loss", "-l", help="Loss name; may be given several times.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, cuda:1, ...")] = "cpu",
    csv: Annotated[Path | None, typer.Option(help="Write one row per pair and loss; - is stdout.")] = None,
    json: Annotated[Path | None, typer.Option(help="The same as JSON; - is stdout.")] = None,
    recursive: Annotated[
        bool, typer.Option("--recursive", "-r", help="Look into sub-folders, too; pair by relative path.")
    ] = False,
) -> None:
    """Distance between two images, or between the pairs of two folders. 0 means alike.

    Folders are paired by file name without its ending; a file without a partner is an error, found
    before anything is computed. Names may differ in Unicode normalisation and letter case. What is left
    out of a folder (other endings, hidden files, broken links, sub-folders without --recursive) is counted
    and named at the end. Images are never resized. A pair that cannot be compared is reported in its row,
    the others are computed, and the exit status is 1.

    \b
    Examples:
      lossnets distance original.png compressed.png
      lossnets distance originals/ compressed/ --loss pixel:mse --loss efficientnet_lite0/blocks.3 --csv -
    """  # noqa: D301  # the escape keeps the line break of the example
    from lossnets.losses import LossBank

    targets = _targets(csv, json)
    pairs, left_out = _pairs(a, b, recursive)
    bank = LossBank(_losses(loss), device=checked_device(device))
    rows: list[Row] = []
    try:
        rows.extend(_compare(bank, pairs, device))
    except KeyboardInterrupt:
        if not rows:
            raise
        _tell(rows, targets, bank.names)
        note(f"interrupted after {len(rows) // len(bank.names)} of {len(pairs)} pairs")
        raise typer.Exit(130) from None
    _tell(rows, targets, bank.names)
    failed = dict.fromkeys((row["name"], row["error"]) for row in rows if row["error"])
    for name, error in failed:
        note(f"failed: {name}: {error}")
    if left_out:
        note(left_out)
    if failed:
        raise typer.Exit(1)


def checked_device(device: str) -> str:
    """Refuse devices that torch does not know, this machine does not have, or that hold no numbers.

    Raises:
        ConfigError: it is one of those.
    """
    import torch

    try:
        float(torch.zeros(1, device=device))
    except (RuntimeError, AssertionError, ImportError) as error:
        reason = str(error).splitlines()[0]
        raise ConfigError(
            f"device must be one that this machine has, e.g. 'cpu'; got {device!r} ({reason})"
        ) from None
    return device


def checked_name(path: Path, argument: str) -> Path:
    """Refuse a path that the system cannot hold; whether there is such a file is not asked.

    Raises:
        ConfigError: it, or the name of a file or folder in it, is too long.
    """
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise ConfigError(f"{argument} must be a path that the system can hold; {error}") from None
    return path


def checked_output(path: Path, option: str) -> Path:
    """Refuse a file that cannot be written, before anything is computed for it.

    Raises:
        ConfigError: it is a folder, or its folder is missing or closed to us, or its name is too long.
    """
    folder = path.absolute().parent
    checked_name(path, option)
    if is_folder(path):
        raise ConfigError(f"{option} must be a file; {str(path)!r} is a folder")
    if not is_folder(folder):
        raise ConfigError(f"{option} names a file in {str(folder)!r}, which is no folder; create it first")
    if not os.access(folder, os.W_OK):
        raise ConfigError(
            f"{option} names a file in {str(folder)!r}, which cannot be written; choose another"
        )
    return path


def _targets(csv: Path | None, json: Path | None) -> Targets:
    if csv is not None and csv == json:
        raise ConfigError(f"--csv and --json must go to different places; got {str(csv)!r} for both")
    found: Targets = {}
    if csv is not None:
        found["csv"] = csv
    if json is not None:
        found["json"] = json
    for form, target in found.items():
        if target != _STDOUT:
            checked_output(target, f"--{form}")
    return found


def _losses(names: Sequence[str] | None) -> list[Any]:
    """Losses that trust their images, since files are read into [0, 1]; each once, however it is spelt."""
    from lossnets.losses import DEFAULT_LOSS, load_loss, parse_loss

    specs = dict.fromkeys(parse_loss(name) for name in (names or [DEFAULT_LOSS]))
    return [load_loss(spec, validate="never") for spec in specs]


def _pairs(a: Path, b: Path, recursive: bool) -> tuple[Sequence[tuple[str, Path, Path]], str]:
    """The pairs, and one line on what is left out."""
    from lossnets.images.folders import describe_left_out, find_pairs

    if is_folder(a) != is_folder(b) and is_there(a) and is_there(b):
        raise ConfigError(f"a and b must be two files or two folders; got {str(a)!r} and {str(b)!r}")
    if not is_folder(a):
        if recursive:
            raise ConfigError(f"--recursive is for two folders; {str(a)!r} is none")
        return [(a.name, checked_name(a, "a"), checked_name(b, "b"))], ""
    found = find_pairs(a, b, recursive=recursive)
    return found.pairs, describe_left_out((*found.a.left_out, *found.b.left_out), a.parent)


def _compare(bank: Any, pairs: Sequence[tuple[str, Path, Path]], device: str) -> Iterator[Row]:
    """Rows of each pair as soon as they exist; in a folder, a pair that fails does not stop the others."""
    from rich.progress import track

    signatures = bank.signatures
    alone = len(pairs) == 1
    hidden = alone or not sys.stderr.isatty()
    for name, first, second in track(
        pairs, "comparing", console=notes_console(), disable=hidden, transient=True
    ):
        error, found = None, {}
        try:
            found = _distances(bank, first, second, device)
        except LossnetsError as problem:
            if alone:
                raise
            error = str(problem)
        except (RuntimeError, MemoryError) as problem:  # most likely an image too large for the memory
            if alone:
                raise
            error = f"{type(problem).__name__}: {str(problem).splitlines()[0] if str(problem) else ''}"
        for loss in bank.names:
            value = found.get(loss)
            finite = value is not None and math.isfinite(value)
            yield {
                "name": name,
                "a": str(first),
                "b": str(second),
                "loss": loss,
                "distance": value if finite else None,
                "error": error if value is None or finite else f"{loss} is not finite: {value}",
                "signature": signatures[loss],
            }


def _distances(bank: Any, first: Path, second: Path, device: str) -> dict[str, float]:
    from lossnets.images import read_image

    images, target = (read_image(path)[None].to(device) for path in (first, second))
    return {loss: float(value) for loss, value in bank.distances(images, target).items()}


def _tell(rows: list[Row], targets: Targets, losses: Sequence[str]) -> None:
    """Write the rows to every target, or show them where there is none, or where writing failed."""
    from lossnets.runs.export import render, write

    for form, target in targets.items():
        if target == _STDOUT:
            typer.echo(render(rows, form), nl=False)
            continue
        try:
            write(render(rows, form), target)
        except LossnetsError:
            _show(rows, losses)  # what was computed is not lost
            raise
        note(f"wrote {len(rows)} rows to {target}")
    if not targets:
        _show(rows, losses)


def _show(rows: list[Row], losses: Sequence[str]) -> None:
    values = {(row["name"], row["loss"]): row["distance"] for row in rows}
    names = list(dict.fromkeys(row["name"] for row in rows))
    if len(names) == 1:
        print_table(
            f"{rows[0]['a']} and {rows[0]['b']}",
            [("loss", False), ("distance", True)],
            ([loss, number(values[names[0], loss], 6)] for loss in losses),
        )
        return
    table = [[name, *(number(values[name, loss], 6) for loss in losses)] for name in names]
    table.append(["mean", *(number(_mean([values[name, loss] for name in names]), 6) for loss in losses)])
    if len(losses) == 1:
        print_table(f"{len(names)} pairs, {losses[0]}", [("image", False), ("distance", True)], table)
        return
    heads = [f"[{k}]" for k in range(1, len(losses) + 1)]  # whole names would push columns off a terminal
    for head, loss in zip(heads, losses, strict=True):
        typer.echo(f"{head} {loss}")
    print_table(f"{len(names)} pairs", [("image", False), *((head, True) for head in heads)], table)


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
