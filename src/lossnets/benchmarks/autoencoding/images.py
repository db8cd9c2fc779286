"""Images as the autoencoder takes them: of one size, with sides of 64 + 16 n pixels, by number."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses

from lossnets.benchmarks.autoencoding.network import next_side
from lossnets.errors import DataError
from lossnets.images import read_image

KEPT_BYTES = 2 * 2**30
"""Decoded images of a folder stay in memory up to this size; beyond it they are read again each time."""


class Images(abc.ABC):
    """A numbered set of images of one size; `batch` pads them to what the autoencoder takes.

    Attributes:
        names: of the images, for records.
        stored: (h, w) as they are stored.
    """

    names: Sequence[str]
    stored: tuple[int, int]

    @abc.abstractmethod
    def pixels(self, indices: Sequence[int]) -> Tensor:
        """The images of these indices as they are stored: (n, 3, h, w) uint8."""

    def __len__(self) -> int:
        """Number of images."""
        return len(self.names)

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) after padding, each 64 + 16 n."""
        return next_side(self.stored[0]), next_side(self.stored[1])

    def batch(self, indices: Sequence[int]) -> Tensor:
        """The images of these indices: (n, 3, H, W) in [0, 1], reflected at the edges up to `size`."""
        return pad_to_size(self.pixels(indices).float() / 255, self.size)

    def check(self) -> None:  # noqa: B027 - images in memory have nothing to check
        """Read every image once.

        Raises:
            ImageError: one cannot be read.
            DataError: one has another size.
        """

    def part(self, indices: Sequence[int]) -> Images:
        """These images only, numbered anew."""
        return _Part(self, indices)


def pad_to_size(images: Tensor, size: tuple[int, int]) -> Tensor:
    """(N, C, h, w) -> (N, C, H, W): continued by reflection, as SVHN is in the study (32 -> 64).

    Where an odd number of pixels is missing, the extra one goes to the right or the bottom.

    Raises:
        DataError: an image is so small that its reflection does not reach.
    """
    height, width = (wanted - side for wanted, side in zip(size, images.shape[2:], strict=True))
    if not height and not width:
        return images
    before = (width // 2, height // 2)
    padding = [before[0], width - before[0], before[1], height - before[1]]
    if max(padding[1] - images.shape[3], padding[3] - images.shape[2]) >= 0:
        raise DataError(
            f"images of {images.shape[2]}×{images.shape[3]} pixels are too small to be continued by "
            f"reflection to {size[0]}×{size[1]}; at least 22 pixels a side are needed. Enlarge them first."
        )
    return F.pad(images, padding, mode="reflect")


class ArrayImages(Images):
    """Images in memory.

    Args:
        array: (N, 3, h, w) uint8.
        names: one for each; None: their numbers.
    """

    def __init__(self, array: Tensor, names: Sequence[str] | None = None) -> None:
        self._array = array
        self.names = [f"{i:06d}" for i in range(len(array))] if names is None else names
        self.stored = (int(array.shape[2]), int(array.shape[3]))

    def pixels(self, indices: Sequence[int]) -> Tensor:
        """See `Images.pixels`."""
        return self._array[list(indices)]


class FileImages(Images):
    """Image files, decoded when they are first used; kept as 8-bit values while they fit in memory.

    Args:
        paths: the files.
        root: names are relative to it.

    Raises:
        ImageError: the first file is no image.
    """

    def __init__(self, paths: Sequence[Path], root: Path) -> None:
        self._paths, self._kept = list(paths), dict[int, Tensor]()
        self.names = [path.relative_to(root).as_posix() for path in self._paths]
        first = read_image(self._paths[0])
        self.stored = (int(first.shape[1]), int(first.shape[2]))

    def pixels(self, indices: Sequence[int]) -> Tensor:
        """See `Images.pixels`.

        Raises:
            ImageError: a file is missing or no image.
            DataError: an image has another size than the first one.
        """
        return torch.stack([self._read(index) for index in indices])

    def check(self) -> None:
        """See `Images.check`."""
        for index in range(len(self)):
            self._read(index)

    def _read(self, index: int) -> Tensor:
        if index in self._kept:
            return self._kept[index]
        image = read_image(self._paths[index])
        if tuple(image.shape[1:]) != self.stored:
            raise DataError(
                f"{self.names[index]!r} has {image.shape[1]}×{image.shape[2]} pixels, {self.names[0]!r} "
                f"{self.stored[0]}×{self.stored[1]}; an autoencoder takes images of one size. Crop or resize "
                "them first."
            )
        pixels = (image * 255).round().to(torch.uint8)
        if len(self._kept) * pixels.numel() < KEPT_BYTES:
            self._kept[index] = pixels
        return pixels


class _Part(Images):
    def __init__(self, whole: Images, indices: Sequence[int]) -> None:
        self._whole, self._indices = whole, list(indices)
        self.names = [whole.names[i] for i in self._indices]
        self.stored = whole.stored

    def pixels(self, indices: Sequence[int]) -> Tensor:
        return self._whole.pixels([self._indices[i] for i in indices])

    def check(self) -> None:
        for index in self._indices:
            self._whole.pixels([index])
