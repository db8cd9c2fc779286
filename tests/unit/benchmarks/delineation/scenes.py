"""Small scenes for tests: in memory, and as files."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from lossnets.benchmarks.delineation.data import Scenes
from lossnets.images.files import write_image

SIDE = 32


def stripe(column: int, width: int = 3, side: int = SIDE) -> Tensor:
    """A vertical road: (1, side, side)."""
    mask = torch.zeros(1, side, side)
    mask[..., column : column + width] = 1
    return mask


def scene(number: int, side: int = SIDE) -> tuple[Tensor, Tensor]:
    """A bright road on dark noise."""
    mask = stripe(2 + 3 * number % (side - 6), side=side)
    noise = torch.rand(3, side, side, generator=torch.Generator().manual_seed(number))
    image = 0.2 * noise + 0.6 * mask
    return (image * 255).round() / 255, mask


def memory_scenes(train: int = 4, validation: int = 2, test: int = 3) -> Scenes:
    splits = ("train",) * train + ("val",) * validation + ("test",) * test
    names = tuple(f"{split}-{i}" for i, split in enumerate(splits))
    return Scenes(names, splits, SIDE, scene, hashlib.sha256(repr(names).encode()).hexdigest())


def write_scenes(folder: Path, count: int, *, images: str = "images", masks: str = "masks") -> None:
    for i in range(count):
        image, mask = scene(i)
        for name, content in ((images, image), (masks, mask)):
            (folder / name).mkdir(parents=True, exist_ok=True)
            write_image(folder / name / f"scene{i:02d}.png", content)
