"""Picture panels of a training: one row an image, y, x̂, proxy targets and gradients side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from PIL import Image, ImageDraw
from torch import Tensor

from lossnets.errors import DataError
from lossnets.gradients.network import GradientNetwork, proxy_of_gradient
from lossnets.gradients.training.objective import Predicted
from lossnets.home import atomic_write

COLUMNS = ("y", "x", "proxy", "true proxy", "true gradient", "predicted gradient")
"""Headings; x is the image that is fitted."""
_ROWS = 4
_SMALLEST = 128
_GAP, _HEADING = 4, 16
_SPREAD = 6.0
"""Gradients are shown around grey, black and white being half of this many root mean squares away."""


def panel(p: Predicted, network: GradientNetwork) -> Tensor:
    """Pictures of the first images of a batch: -> (rows, 6 columns, 3, H, W) in [0, 1]."""
    rows = slice(0, min(_ROWS, max(1, p.fresh_count), len(p.images)))
    x, g, d = p.images[rows].detach(), p.gradient[rows].detach(), p.true_gradient[rows]
    scale = network.architecture.grad_scale
    if network.architecture.family == "distilled":  # no s of its own: as far as y on the average
        scale = float(
            (x - p.target[rows]).square().mean().sqrt() / ((x[0].numel() / 2) * d).square().mean().sqrt()
        )
    t = proxy_of_gradient(x, g, scale) if p.proxy is None else p.proxy[rows].detach()
    pictures = [network.denormalise(v) for v in (p.target[rows], x, t, proxy_of_gradient(x, d, scale))]
    pictures += [0.5 + v / (_SPREAD * _rms(v)) for v in (d, g)]
    return torch.nan_to_num(torch.stack(pictures, 1)).clamp(0, 1)


def _rms(fields: Tensor) -> Tensor:
    return fields.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-30)


def write_panel(path: Path, pictures: Tensor, title: str) -> None:
    """Write `panel`'s pictures as one PNG with headings, atomically.

    Raises:
        DataError: the file cannot be written.
    """
    factor = max(1, _SMALLEST // pictures.shape[-1])
    rows, columns, channels, height, width = pictures.shape
    big = F.interpolate(pictures.flatten(0, 1).float().cpu(), scale_factor=factor, mode="nearest")
    height, width = height * factor, width * factor
    big = big.view(rows, columns, channels, height, width)
    top = 2 * _HEADING
    size = (columns * (width + _GAP) + _GAP, top + rows * (height + _GAP))
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    draw.text((_GAP, 2), title, fill="black")
    for column in range(columns):
        left = _GAP + column * (width + _GAP)
        draw.text((left, _HEADING), COLUMNS[column], fill="black")
        for row in range(rows):
            pixels = (big[row, column].permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)
            sheet.paste(Image.fromarray(pixels), (left, top + row * (height + _GAP)))
    with atomic_write(path, error=DataError) as file:
        sheet.save(file, format="PNG")
