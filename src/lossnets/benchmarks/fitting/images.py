"""The images that are fitted: which, and which part of each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from lossnets.benchmarks.engine import generator
from lossnets.benchmarks.super_resolution.data import ImageSet
from lossnets.errors import ImageError
from lossnets.images.files import read_image

_ROOM = 256 / 224
"""Shorter side of a shrunk image, over that of its part: what is usual with ImageNet."""


@dataclass(frozen=True)
class Targets:
    """What is fitted.

    Attributes:
        images: (n, 3, H, W) in [0, 1].
        names: n different ones.
        sources: of each, the image that it is a part of; parts of one image stand and fall together.
    """

    images: Tensor
    names: tuple[str, ...]
    sources: tuple[str, ...]

    def __len__(self) -> int:
        """Their number."""
        return len(self.names)


def how_many(files: int, limit: int, parts: int) -> int:
    """Number of images that are fitted, of so many files, with at most so many parts of each."""
    return min(limit, files * parts)


def read_targets(
    images: ImageSet, size: tuple[int, int], *, limit: int, parts: int = 1, shrunk: bool = False
) -> Targets:
    """The middle of each image; then further parts at places that are the same in every run.

    Args:
        images: the files; where there are more than ``limit``, the same ones always.
        size: height and width of a part, in pixels.
        limit: at most so many.
        parts: of one image, at most.
        shrunk: make images smaller first, until they are 256/224 times as large as the part; never larger.

    Raises:
        ImageError: an image cannot be read, or is smaller than the part.
    """
    chosen = images.some(limit)
    count = how_many(len(chosen), limit, parts)
    cut, names, sources = torch.empty(count, 3, *size), [""] * count, [""] * count
    for number, (name, path) in enumerate(zip(chosen.names, chosen.paths, strict=True)):
        picture = _picture(path, size, shrunk)
        for turn, index in enumerate(range(number, count, len(chosen))):
            cut[index] = _part(picture, size, generator(0, "part", index) if turn else None)
            names[index], sources[index] = (f"{name} ({turn + 1})" if turn else name), name
    return Targets(cut, tuple(names), tuple(sources))


def _picture(path: Path, size: tuple[int, int], shrunk: bool) -> Tensor:
    """(3, h, w), at least as large as a part."""
    image = read_image(path)
    fraction = max(s * _ROOM / have for s, have in zip(size, image.shape[-2:], strict=True))
    if shrunk and fraction < 1:
        goal = [max(s, round(have * fraction)) for s, have in zip(size, image.shape[-2:], strict=True)]
        image = functional.interpolate(
            image[None], goal, mode="bicubic", antialias=True, align_corners=False
        )[0].clamp(0, 1)
    if any(have < s for s, have in zip(size, image.shape[-2:], strict=True)):
        raise ImageError(
            f"image {str(path)!r} is too small: parts of {size[0]}×{size[1]} pixels are fitted; got "
            f"{image.shape[-2]}×{image.shape[-1]}. Leave it out, or choose a smaller profile."
        )
    return image


def _part(image: Tensor, size: tuple[int, int], random: torch.Generator | None) -> Tensor:
    room = [have - s for s, have in zip(size, image.shape[-2:], strict=True)]
    if random is None:
        top, left = (space // 2 for space in room)
    else:
        top, left = (int(torch.randint(space + 1, (), generator=random)) for space in room)
    return image[:, top : top + size[0], left : left + size[1]]
