"""Panels and animations of what a gradient network wants changed, drawn with Pillow, pixel for pixel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lossnets.errors import ImageError, require
from lossnets.home import atomic_write

if TYPE_CHECKING:
    from lossnets.judging.explain import View

ANIMATIONS = ("gif", "apng", "none")
_CELL, _SMALL_CELL = 132, 96
"""Pixels that a picture has at least on each side, in panels and in animations; smaller ones are enlarged."""
_GAP, _LINE, _SIZE = 8, 16, 12
_STRONG = 0.995
"""Share of values that lie within the scale of a difference; the rest is cut off."""
_FAR, _STEP = 1.0, 0.3
"""Changes beyond the first, in units of the image range, are drawn with the length of the second."""
_MS = 120

Column = tuple[str, Callable[["View"], Tensor]]


def draw_panels(views: Sequence[View], path: Path) -> Path:
    """A row for each step, a column for each thing to see -> the PNG file.

    The amplification of differences is one number for all steps, in the heading.

    Raises:
        ImageError: the file cannot be written.
    """
    picture = _sheet(views, _columns(views), _CELL)
    with atomic_write(path, error=ImageError) as file:
        picture.save(file, format="PNG", optimize=True)
    return path


def draw_animation(views: Sequence[View], path: Path, *, kind: str = "gif") -> Path:
    """The same columns, one frame for each step -> a GIF or animated PNG that repeats.

    Raises:
        ImageError: the file cannot be written.
    """
    columns = _columns(views)
    frames = [_sheet([view], columns, _SMALL_CELL) for view in views]
    shown = [_MS] * (len(frames) - 1) + [8 * _MS]  # the end stays longer
    more: dict[str, Any] = {"save_all": True, "append_images": frames[1:], "duration": shown, "loop": 0}
    with atomic_write(path, error=ImageError) as file:
        frames[0].save(file, format="GIF" if kind == "gif" else "PNG", **more)
    return path


def _columns(views: Sequence[View]) -> list[Column]:
    columns: list[Column] = [
        ("target", lambda view: view.target),
        ("fit", lambda view: view.fit),
        _target("proxy target", views, lambda view: view.proxy),
        *_changes("proxy - fit", views, lambda view: view.proxy - view.fit),
    ]
    if all(view.true_proxy is not None for view in views):
        columns += [
            _target("true proxy target", views, _true),
            *_changes("true proxy - fit", views, lambda view: _true(view) - view.fit),
        ]
    return columns


def _true(view: View) -> Tensor:
    assert view.true_proxy is not None  # noqa: S101 - asked for where it is there only
    return view.true_proxy


def _target(name: str, views: Sequence[View], target: Callable[[View], Tensor]) -> Column:
    """A proxy target; one that lies far outside of what can be shown is drawn a part of the way there.

    That of a network without proxy images depends on its gradient scale alone, and so does the true one.
    """
    strong = amplitude([target(view) - view.fit for view in views])
    if strong <= _FAR:
        return name, target
    share = _STEP / strong
    return f"{name}\n{share:.2g} of the way", lambda view: view.fit + share * (target(view) - view.fit)


def _changes(name: str, views: Sequence[View], change: Callable[[View], Tensor]) -> list[Column]:
    """What is to be added (grey: nothing), and where: its length over channels."""
    strong = amplitude([change(view) for view in views])
    most = amplitude([length(change(view)) for view in views])
    return [
        (f"{name}\ntimes {0.5 / strong:.2g}", lambda view: 0.5 + change(view) * (0.5 / strong)),
        ("where", lambda view: heat(length(change(view)) / most)),
    ]


def amplitude(changes: Sequence[Tensor]) -> float:
    """The size that all but a few of the values stay below; 1 where there is nothing.

    >>> amplitude([torch.zeros(3, 2, 2)]), round(amplitude([torch.full((3, 2, 2), -0.25)]), 3)
    (1.0, 0.25)
    """
    values = torch.cat([change.flatten().abs() for change in changes]).double()
    known = values[torch.isfinite(values)].sort().values
    if not len(known):
        return 1.0
    found = float(known[min(len(known) - 1, int(_STRONG * len(known)))])
    return found if found > 0 else 1.0


def length(change: Tensor) -> Tensor:
    """Over channels: (3, H, W) -> (H, W)."""
    return change.square().sum(0).sqrt()


def heat(values: Tensor) -> Tensor:
    """Values in [0, 1], cut off beyond, in colours from black to yellow: (H, W) -> (3, H, W)."""
    colours = require("matplotlib", "bench", "pictures of gradients")
    ramp = torch.tensor(colours.colormaps["inferno"].colors).float()
    index = (values.nan_to_num(0.0).clamp(0, 1) * (len(ramp) - 1)).round().long()
    return ramp[index].permute(2, 0, 1)


def _sheet(views: Sequence[View], columns: Sequence[Column], least: int) -> Image.Image:
    """Cells on white: headings above the columns, figures below each row."""
    cells = [[_cell(show(view), least) for _, show in columns] for view in views]
    width, height = cells[0][0].size
    font = ImageFont.load_default(_SIZE)
    row = height + _LINE + _GAP
    head = 2 * _LINE + _GAP
    total = (len(columns) * (width + _GAP) + _GAP, head + len(views) * row)
    page = Image.new("RGB", total, "white")
    pen = ImageDraw.Draw(page)
    for k, (name, _) in enumerate(columns):
        pen.text((_GAP + k * (width + _GAP), 4), name, fill="black", font=font, spacing=2)
    for r, (view, pictures) in enumerate(zip(views, cells, strict=True)):
        y = head + r * row
        for k, picture in enumerate(pictures):
            page.paste(picture, (_GAP + k * (width + _GAP), y))
        pen.text((_GAP, y + height + 1), view.caption, fill="dimgray", font=font)
    return page


def _cell(image: Tensor, least: int) -> Image.Image:
    values = (image.nan_to_num(0.5).clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    picture = Image.fromarray(values)
    scale = -(-least // max(picture.size))
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.NEAREST)
