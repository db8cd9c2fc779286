"""Where the images of a data set come from: a folder, or memory. Decoded lazily, kept while they are few."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional

from lossnets.datasets.contents import contents
from lossnets.errors import ConfigError, DataError
from lossnets.file_hash import content_hash
from lossnets.images.files import read_image

CACHE_BYTES = 256 * 2**20
"""Decoded images that a `FolderImages` keeps by default."""


class ImageSource(Protocol):
    """Images by key."""

    def load(self, key: str) -> Tensor:
        """The image (3, H, W) float32 in [0, 1]."""

    def identity(self, keys: Iterable[str]) -> list[tuple[str, str]]:
        """(key, something that changes whenever the image does) of each key, without decoding it."""


def resize_shorter(image: Tensor, side: int) -> Tensor:
    """Scale (3, H, W) so that its shorter side is ``side``: bilinear, antialiased, aspect kept.

    This is what LPIPS' data loader does with Pillow, without the rounding to 8 bits. An image whose
    shorter side already has the length is returned as it is.
    """
    height, width = image.shape[-2:]
    if min(height, width) == side:
        return image
    scale = side / min(height, width)
    size = (side, round(width * scale)) if height <= width else (round(height * scale), side)
    out = functional.interpolate(image[None], size, mode="bilinear", antialias=True, align_corners=False)[0]
    return out.clamp(0, 1)


def check_resize(resize: int | None) -> None:
    """Raise ConfigError unless resize is None or a positive whole number."""
    if resize is not None and (isinstance(resize, bool) or not isinstance(resize, int) or resize < 1):
        raise ConfigError(
            f"resize must be the shorter side in pixels (a whole number above 0) or None to keep the "
            f"size; got {resize!r}."
        )


class FolderImages:
    """Image files below a folder; a key is a path relative to it.

    Args:
        root: the folder.
        resize: shorter side in pixels, or None to keep the size.
        cache_bytes: decoded (and resized) images are kept up to this size, oldest dropped first.
    """

    def __init__(
        self, root: str | Path, *, resize: int | None = None, cache_bytes: int = CACHE_BYTES
    ) -> None:
        check_resize(resize)
        self.root = Path(root)
        self.resize = resize
        self.cache_bytes = cache_bytes
        self._cache: OrderedDict[tuple[str, str], Tensor] = OrderedDict()
        self._held = 0

    def load(self, key: str) -> Tensor:
        """See `ImageSource.load`. The tensor is shared with the cache: do not write into it.

        Raises:
            ImageError: the file cannot be read.
        """
        try:
            known = key, content_hash(self.root / key)
        except OSError:  # what is wrong with it, reading it says best
            return self._read(key)
        if known in self._cache:
            self._cache.move_to_end(known)
            return self._cache[known]
        image = self._read(key)
        self._keep(known, image)
        return image

    def _read(self, key: str) -> Tensor:
        image = read_image(self.root / key)
        return image if self.resize is None else resize_shorter(image, self.resize)

    def _keep(self, key: tuple[str, str], image: Tensor) -> None:
        size = image.numel() * image.element_size()
        if size > self.cache_bytes:
            return
        self._cache[key] = image
        self._held += size
        while self._held > self.cache_bytes:
            _, dropped = self._cache.popitem(last=False)
            self._held -= dropped.numel() * dropped.element_size()

    def identity(self, keys: Iterable[str]) -> list[tuple[str, str]]:
        """Key and what stands for the file's content, sorted; see `ImageSource.identity`."""
        names = sorted(set(keys))
        return list(zip(names, contents(self.root / name for name in names), strict=True))


class MemoryImages:
    """Images that are held in memory: (3, H, W) float32 in [0, 1] by key.

    Args:
        images: the images.
        rounded: whether their identity is that of their 8-bit values: for images that are computed, whose
            last digits differ from machine to machine.
    """

    def __init__(self, images: Mapping[str, Tensor], *, rounded: bool = False) -> None:
        self._images, self._rounded = dict(images), rounded

    def load(self, key: str) -> Tensor:
        """See `ImageSource.load`."""
        if key not in self._images:
            raise DataError(f"image {key!r} is not in memory; there are {len(self._images)} images.")
        return self._images[key]

    def identity(self, keys: Iterable[str]) -> list[tuple[str, str]]:
        """Key and hash of the values, sorted; see `ImageSource.identity`."""
        return [(key, self._hash(key)) for key in sorted(set(keys))]

    def _hash(self, key: str) -> str:
        image = self.load(key).detach().cpu()
        image = (image * 255).round().to(torch.uint8) if self._rounded else image.float()
        values = image.contiguous().numpy()
        return hashlib.sha256(str(values.shape).encode() + values.tobytes()).hexdigest()
