"""``lossnets map``: where two images differ, as a loss sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from lossnets.cli.console import note, number
from lossnets.cli.distance import checked_device, checked_name, checked_output
from lossnets.errors import ConfigError, require


def map_command(
    a: Annotated[Path, typer.Argument(help="Image file.")],
    b: Annotated[Path, typer.Argument(help="Image file of the same size.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="PNG, PDF or SVG to write.")],
    loss: Annotated[str | None, typer.Option("--loss", "-l", help="Loss name.")] = None,
    per_tap: Annotated[bool, typer.Option("--per-tap", help="Also one map for each tap.")] = False,
    maximum: Annotated[
        float | None, typer.Option("--max", help="Top of the colour scale, to compare several maps.")
    ] = None,
    device: Annotated[str, typer.Option(help="Where to compute: cpu, cuda, ...")] = "cpu",
) -> None:
    """Draw where two images differ: both images, and the distance at every pixel.

    The mean over the map is the distance, which is printed. Only losses that compare position by
    position have a map.

    \b
    Examples:
      lossnets map original.png compressed.png -o map.png
      lossnets map original.png compressed.png -o map.png --loss efficientnet_lite0/bn1,blocks.3 --per-tap
    """  # noqa: D301  # the escape keeps the line break of the example
    import torch

    from lossnets.images import read_image
    from lossnets.losses import DEFAULT_LOSS, load_loss

    if output.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise ConfigError(f"--output must end in .png, .pdf or .svg; got {str(output)!r}")
    if maximum is not None and not 0 < maximum < float("inf"):
        raise ConfigError(f"--max must be positive and finite; got {maximum}")
    checked_output(output, "--output")
    require("matplotlib", "bench", "lossnets map")
    first, second = read_image(checked_name(a, "a")), read_image(checked_name(b, "b"))
    function = load_loss(
        loss or DEFAULT_LOSS, device=checked_device(device), reduction="none", validate="never"
    )
    with torch.no_grad():
        maps = function(first[None].to(device), second[None].to(device), output="map", per_tap=True)
    total = torch.stack(list(maps.values())).sum(0)
    panels = {"": total} | (maps if per_tap and len(maps) > 1 else {})
    shown = {tap: values[0, 0].cpu() for tap, values in panels.items()}
    names = titles(a, b)
    draw(output, (first, names[0]), (second, names[1]), shown, str(function), maximum)
    typer.echo(f"{function}\t{number(float(total.mean()), 6)}")
    note(f"wrote {output}")


def titles(a: Path, b: Path) -> tuple[str, str]:
    """What to call two files: their names; with as many folders as it takes to tell them apart.

    >>> titles(Path("x/original/cat.png"), Path("x/small/cat.png"))
    ('original/cat.png', 'small/cat.png')
    """
    from lossnets.analysis.comparison_sheet import told_apart

    return told_apart(a, [b]), told_apart(b, [a])


def draw(
    output: Path,
    first: tuple[Any, str],
    second: tuple[Any, str],
    maps: dict[str, Any],
    loss: str,
    maximum: float | None,
) -> None:
    """Both images and the (H, W) maps side by side, each map with its colour scale."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from lossnets.home import atomic_write

    height, width = first[0].shape[1:]
    columns = min(2 + len(maps), 4)
    rows = -(-(2 + len(maps)) // columns)
    figure = Figure(figsize=(3.6 * columns, 3.6 * rows * height / width + 0.7), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(loss, fontsize=9, wrap=True, parse_math=False)
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for axis in axes:
        axis.set_axis_off()
    for axis, (image, name) in zip(axes, (first, second), strict=False):
        axis.imshow(image.permute(1, 2, 0).numpy())
        axis.set_title(name, fontsize=9, parse_math=False)
    for axis, (tap, values) in zip(axes[2:], maps.items(), strict=False):
        top = maximum if maximum is not None else max(float(values.max()), 1e-12)
        drawn = axis.imshow(values.numpy(), cmap=colormaps["magma"], vmin=0, vmax=top)
        axis.set_title(
            f"{tap or 'distance'}  mean {number(float(values.mean()))}", fontsize=9, parse_math=False
        )
        figure.colorbar(drawn, ax=axis, shrink=0.8)
    with atomic_write(output) as file:
        figure.savefig(file, format=output.suffix[1:].lower(), dpi=150)
