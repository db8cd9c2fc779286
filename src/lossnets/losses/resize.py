"""Resizing that keeps the mean: every output pixel is the average of the area that it covers."""

from __future__ import annotations

import torch
from torch import Tensor


def area_resize(x: Tensor, height: int, width: int) -> Tensor:
    """(N, C, h, w) -> (N, C, height, width), up or down, with the mean of every image unchanged.

    >>> x = torch.tensor([[[[1.0, 4.0]]]])
    >>> area_resize(x, 1, 3).flatten().tolist()
    [1.0, 2.5, 4.0]
    """
    rows = _overlap(x.shape[2], height, x)
    columns = _overlap(x.shape[3], width, x)
    return rows @ x @ columns.transpose(0, 1)


def _overlap(size: int, new: int, like: Tensor) -> Tensor:
    """(new, size): which share of output cell i lies in input cell j, both filling the same interval."""
    start = torch.arange(new, device=like.device, dtype=torch.float64).unsqueeze(1) * (size / new)
    cell = torch.arange(size, device=like.device, dtype=torch.float64).unsqueeze(0)
    covered = torch.minimum(start + size / new, cell + 1) - torch.maximum(start, cell)
    return (covered.clamp_min(0) * (new / size)).to(like.dtype)
