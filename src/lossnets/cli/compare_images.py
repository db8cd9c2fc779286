"""``lossnets compare-images``: why losses disagree on which picture is closest to a reference."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lossnets.cli.console import note, number, print_table
from lossnets.cli.distance import checked_device, checked_name, checked_output
from lossnets.errors import ConfigError, require

if TYPE_CHECKING:
    from lossnets.analysis.comparison_records import Comparison

_STDOUT = Path("-")
_DPI, _MOST_PIXELS = 144, 60_000


def compare_images_command(
    reference: Annotated[Path, typer.Argument(help="Image file that the others are compared with.")],
    candidates: Annotated[list[Path], typer.Argument(help="Image files of the same size.")],
    losses: Annotated[
        list[str] | None,
        typer.Option("--losses", "--loss", "-l", help="Loss name; may be given several times."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="PNG, PDF or SVG of the sheet.")
    ] = None,
    json: Annotated[Path | None, typer.Option(help="The numbers as JSON; - is stdout.")] = None,
    maps: Annotated[bool, typer.Option(help="Draw where the pictures differ.")] = True,
    side: Annotated[
        int, typer.Option(min=48, max=1024, help="Longer side of each picture on the sheet, in pixels.")
    ] = 216,
    theme: Annotated[str, typer.Option(help="light or dark.")] = "light",
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, ...")] = "cpu",
) -> None:
    """Compare pictures with a reference under several losses, and show where the losses disagree.

    For each loss the sheet has the pictures, closest first, with their distances, where they differ on
    one scale, and how much each tap of the network has of the distance. Distances are of the full
    images, which are never resized. A picture that cannot be compared and a loss that fails are
    reported, the others are shown, and the exit status is 1.

    \b
    Examples:
      lossnets compare-images original.png blurred.png noisy.png -o sheet.png
      lossnets compare-images original.png noisy.png --losses pixel:mse --losses pixel:ssim --json -
    """  # noqa: D301  # the escape keeps the line break of the example
    from lossnets.analysis.comparison_sheet import compare_images
    from lossnets.analysis.figures.style import theme_of
    from lossnets.losses import DEFAULT_LOSS

    _check_targets(output, json)
    for path in (reference, *candidates):
        checked_name(path, "an image")
    theme_of(theme)
    chosen = losses or [DEFAULT_LOSS, "pixel:mse"]
    found = compare_images(
        reference,
        candidates,
        chosen,
        maps=maps and output is not None,
        side=side,
        device=checked_device(device),
    )
    _tell(found, json)
    if output is not None:
        _draw(found, output, theme, side)
    problems = [f"{c.name}: {c.problem}" for c in found.candidates if c.problem]
    for row in found.rows:
        problems += [f"{row.loss}: {row.error}"] if row.error else []
        problems += [f"{row.loss}: {name}: {text}" for name, text in row.errors.items() if not row.error]
    for problem in problems:
        note(f"failed: {problem}")
    if problems:
        raise typer.Exit(1)


def _check_targets(output: Path | None, json: Path | None) -> None:
    if output is not None:
        from lossnets.analysis.figures.svg import FORMATS

        if output.suffix.lower() not in FORMATS:
            raise ConfigError(f"--output must end in .png, .svg or .pdf; got {str(output)!r}")
        if output == json:
            raise ConfigError(
                f"--output and --json must go to different places; got {str(output)!r} for both"
            )
        checked_output(output, "--output")
        require("matplotlib", "bench", "lossnets compare-images")
    if json is not None and json != _STDOUT:
        checked_output(json, "--json")


def _tell(found: Comparison, json: Path | None) -> None:
    """The numbers: as JSON where asked for, on stdout as a table where JSON does not go there."""
    from json import dumps

    from lossnets.errors import DataError
    from lossnets.home import atomic_write, text_bytes

    text = dumps(found.to_dict(), indent=2, ensure_ascii=False, allow_nan=False)
    if json == _STDOUT:
        typer.echo(text)
        return
    _show(found)
    if json is not None:
        with atomic_write(json, error=DataError) as file:
            file.write(text_bytes(f"{text}\n"))
        note(f"wrote {json}")


def _show(found: Comparison) -> None:
    heads = [f"[{k}]" for k in range(1, len(found.rows) + 1)]  # whole names would push columns off a terminal
    for head, row in zip(heads, found.rows, strict=True):
        typer.echo(f"{head} {row.loss}")
    table = []
    for candidate in found.candidates:
        cells = []
        for row in found.rows:
            value, rank = row.distances.get(candidate.name), row.ranks.get(candidate.name)
            cells.append("-" if value is None else f"{number(value, 6)} ({rank}.)")
        table.append([candidate.name, *cells])
    columns = [("image", False), *((head, True) for head in heads)]
    print_table(f"Distance to {found.reference.name} (rank, 1 is closest)", columns, table)
    typer.echo(found.summary)
    head_of = {row.loss: head for head, row in zip(heads, found.rows, strict=True)}
    for dispute in found.disputes:
        sides = [" ".join(head_of[n] for n in names) for names in (dispute.for_first, dispute.for_second)]
        typer.echo(f"  {dispute.first} is closer to {sides[0]}, {dispute.second} to {sides[1]}")


def _draw(found: Comparison, output: Path, theme: str, side: int) -> None:
    from lossnets.analysis.figures import comparison_figure, save_figure

    figure = comparison_figure(found, theme=theme, inches=max(side / _DPI, 1.35))  # type: ignore[arg-type]
    dpi = min(_DPI, int(_MOST_PIXELS / max(figure.get_size_inches())))
    save_figure(figure, output, dpi=dpi)
    note(f"wrote {output}")
