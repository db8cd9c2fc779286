"""Images to train on: a folder of pictures -> random square crops (N, 3, side, side), 8 bits a value."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lossnets.errors import DataError, ImageError
from lossnets.file_hash import content_hash
from lossnets.gradients.training.randomness import derived_seed, generator
from lossnets.images.files import image_size, read_image
from lossnets.images.folders import list_images
from lossnets.images.label_maps import LEVELS, is_label_map

logger = logging.getLogger("lossnets")

_NAMED = 5
_DECODED_AT_START = 2000
"""Folders of up to so many images are decoded once before training, so that a broken file is told then."""
_CACHE_BYTES = 1 << 30


@dataclass(frozen=True)
class Pictures:
    """The usable images of a folder, in two parts.

    Attributes:
        folder: where they are.
        train: trained on.
        held_out: not trained on; equal to ``train`` where the folder holds one image only.
        skipped: file -> why it cannot be used.
    """

    folder: Path
    train: tuple[Path, ...]
    held_out: tuple[Path, ...]
    skipped: dict[str, str]

    def identity(self) -> str:
        """sha256 over names in the folder, contents, and which images are held out: what crops depend on."""
        files = [*self.train, *self.held_out]
        names = [path.relative_to(self.folder).as_posix() for path in files]
        lines = [f"{len(self.train)}", *map("{} {}".format, _contents(files), names)]
        return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()

    def card(self, crop: int) -> dict[str, Any]:
        """The training data card of a checkpoint: what it was trained on, by hash."""
        files = sorted({*self.train, *self.held_out})
        sources = Counter(path.relative_to(self.folder).parent.as_posix() for path in files)
        return {
            "folder": self.folder.resolve().name,
            "images": len(self.train),
            "held_out": 0 if self.held_out == self.train else len(self.held_out),
            "skipped": len(self.skipped),
            "crop": crop,
            "sha256": files_sha256(files),
            "sources": [f"{name}: {count} images" for name, count in sorted(sources.items())],
        }


def files_sha256(files: Sequence[Path]) -> str:
    """One hash of the sorted hashes of the files' contents: neither names nor order matter."""
    hashes = sorted(_contents(files))
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def _contents(files: Sequence[Path]) -> list[str]:
    try:
        return [content_hash(path) for path in files]
    except OSError as error:
        raise DataError(
            f"image {error.filename!r} cannot be read any more ({error.strerror}); bring it back"
        ) from error


def find_pictures(
    folder: str | Path, side: int, held_out: float, *, leave_out: Path | None = None
) -> Pictures:
    """Find the images of a folder and its subfolders that hold a crop of ``side`` pixels.

    Images that cannot be read or are too small are left out, named in the log and in ``skipped``. Which
    ones are held out depends on their names in the folder and on nothing else.

    Args:
        folder: of pictures.
        side: of crops.
        held_out: share of the images that is not trained on.
        leave_out: a folder whose pictures are none of them: the training's own.

    Raises:
        ImageError: the folder does not exist.
        DataError: it holds no image that can be used.
    """
    folder = Path(folder)
    files = [p for p in list_images(folder, recursive=True) if leave_out is None or not _inside(p, leave_out)]
    decode = len(files) <= _DECODED_AT_START
    skipped, good = {}, []
    for path in files:
        reason = _reason(path, side, decode)
        if reason is None:
            good.append(path)
        else:
            skipped[path.relative_to(folder).as_posix()] = reason
    told = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:_NAMED])
    more = f" and {len(skipped) - _NAMED} more" if len(skipped) > _NAMED else ""
    if not good:
        raise DataError(
            f"folder {str(folder)!r} holds no image to train on: {len(files)} image files"
            + (f", none usable: {told}{more}" if files else "")
            + f". Images must be readable and at least {side} pixels on each side (see crop)"
        )
    if skipped:
        logger.warning("%d of %d images are left out: %s%s", len(skipped), len(files), told, more)
    return _split(folder, good, held_out, skipped)


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _reason(path: Path, side: int, decode: bool) -> str | None:
    """Why an image cannot be used; None where it can."""
    try:
        if decode:
            image = read_image(path)
            height, width = image.shape[1:]
            if min(height, width) >= side and is_label_map(image):
                return f"is a mask or edge map, no photograph: grey, of at most {LEVELS} levels"
        else:
            height, width = image_size(path)
    except ImageError as error:
        return str(error)
    if min(height, width) < side:
        return f"{width}×{height} pixels are too small for crops of {side}"
    return None


def _split(folder: Path, files: list[Path], share: float, skipped: dict[str, str]) -> Pictures:
    """Hold out the images whose names hash lowest."""
    if len(files) == 1 or share == 0:
        return Pictures(folder, tuple(files), tuple(files), skipped)
    count = min(max(1, round(share * len(files))), len(files) - 1)
    names = {path: path.relative_to(folder).as_posix() for path in files}
    ranked = sorted(files, key=lambda path: hashlib.sha256(os.fsencode(names[path])).hexdigest())
    chosen = set(ranked[:count])
    train = tuple(path for path in files if path not in chosen)
    return Pictures(folder, train, tuple(path for path in files if path in chosen), skipped)


class Crops(torch.utils.data.Dataset[Tensor]):
    """Batch ``step`` of random crops: -> (count, 3, side, side) uint8; the same in every process and run.

    Args:
        files: images.
        count: crops in a batch.
        side: in pixels.
        seed: with the step it determines files, places, factors and mirroring.
        downscale: each crop is reduced by one of these factors, as far as its image is large enough.
    """

    def __init__(
        self, files: Sequence[Path], count: int, side: int, seed: int, downscale: Sequence[int] = (1,)
    ) -> None:
        self._files, self._count, self._side, self._seed = list(files), count, side, seed
        self._downscale = tuple(downscale)
        self._kept: OrderedDict[int, Tensor] = OrderedDict()
        self._bytes = 0
        self._told: set[int] = set()

    def __getitem__(self, step: int) -> Tensor:
        return torch.stack([self._crop(generator(self._seed, "crop", step, k)) for k in range(self._count)])

    def _crop(self, random: torch.Generator) -> Tensor:
        def draw(limit: int) -> int:
            return int(torch.randint(limit, (), generator=random))

        image = self._image(draw(len(self._files)))
        height, width = image.shape[1:]
        factors = [f for f in self._downscale if f * self._side <= min(height, width)] or [1]
        factor = factors[draw(len(factors))]
        side = factor * self._side
        top, left = draw(height - side + 1), draw(width - side + 1)
        crop = image[:, top : top + side, left : left + side]
        if factor > 1:
            crop = F.avg_pool2d(crop.float(), factor).round().to(torch.uint8)
        return crop.flip(2) if draw(2) else crop

    def _image(self, index: int) -> Tensor:
        """An image, uint8; in the place of one that has become unreadable, the next one."""
        for shift in range(len(self._files)):
            k = (index + shift) % len(self._files)
            if k in self._kept:
                self._kept.move_to_end(k)
                return self._kept[k]
            try:
                pixels = (read_image(self._files[k]) * 255).round().to(torch.uint8)
                if min(pixels.shape[1:]) < self._side:
                    raise ImageError(f"{str(self._files[k])!r} is smaller than {self._side} pixels now")
            except ImageError as error:
                if k not in self._told:
                    logger.warning("left out: %s", error)
                    self._told.add(k)
                continue
            self._keep(k, pixels)
            return pixels
        raise DataError("no image of the training data can be read any more; bring them back and resume")

    def _keep(self, index: int, pixels: Tensor) -> None:
        self._kept[index] = pixels
        self._bytes += pixels.numel()
        while self._bytes > _CACHE_BYTES and len(self._kept) > 1:
            self._bytes -= self._kept.popitem(last=False)[1].numel()


class Steps(torch.utils.data.Sampler[int]):
    """Numbers of the batches of steps ``start`` to ``stop`` for one of several processes."""

    def __init__(self, start: int, stop: int, rank: int = 0, world: int = 1) -> None:
        self._numbers = range(start * world + rank, stop * world + rank, world)

    def __len__(self) -> int:
        return len(self._numbers)

    def __iter__(self) -> Any:
        return iter(self._numbers)


def held_out_crops(files: Sequence[Path], count: int, side: int, seed: int) -> Tensor:
    """``count`` crops of held-out images in [0, 1]: -> (count, 3, side, side)."""
    return Crops(files, count, side, derived_seed(seed, "held out"))[0].float() / 255
