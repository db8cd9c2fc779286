"""Scenes to delineate: images with masks in three splits, read when needed, checked before."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lossnets.benchmarks.delineation.splits import SPLITS, TRAIN, assign_splits
from lossnets.datasets.folders import Masked, fingerprint, read_mask
from lossnets.errors import DataError
from lossnets.home import text_bytes
from lossnets.images.files import image_size, read_image

logger = logging.getLogger("lossnets")

CACHE_BYTES = 2 * 2**30
"""Memory in which decoded images are kept, one byte a value."""

Reader = Callable[[int], tuple[Tensor, Tensor]]


@dataclass(eq=False)
class Scenes:
    """Images with masks, each in one split.

    Attributes:
        names: of the scenes, all different.
        splits: "train", "val" or "test" of each.
        side: the shortest side of any training image, in pixels.
        reader: index -> image (3, H, W) in [0, 1], mask (1, H, W), 0 or 1.
        fingerprint: sha256 over names, splits and files.
        groups: where each scene was cut from; equal for scenes that are no independent facts.
        files: what messages call each scene: the path of its image; empty: its name.
    """

    names: tuple[str, ...]
    splits: tuple[str, ...]
    side: int
    reader: Reader
    fingerprint: str
    groups: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    _checked: set[int] = field(default_factory=set, repr=False)
    _kept: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict, repr=False)
    _bytes: int = 0

    def __post_init__(self) -> None:
        self.groups, self.files = self.groups or self.names, self.files or self.names
        for split in SPLITS:
            if split not in self.splits:
                raise DataError(
                    f"split {split!r} is empty; train, val and test need a scene each; got {len(self)}."
                )

    def __len__(self) -> int:
        return len(self.names)

    def of(self, split: str, limit: int | None = None) -> tuple[int, ...]:
        """Indices of a split, at most ``limit``, evenly spaced over it."""
        return spaced([i for i, name in enumerate(self.splits) if name == split], limit)

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Image (3, H, W) in [0, 1] and mask (1, H, W), 0 or 1, float32; kept while there is room.

        Raises:
            ImageError: a file cannot be read.
            DataError: the mask has another size than the image, or more than two levels.
        """
        if index not in self._kept:
            image, mask = self._load(index)
            compact = _compact(image), mask.to(torch.uint8)
            size = sum(t.numel() * t.element_size() for t in compact)
            if self._bytes + size > CACHE_BYTES:
                return image, mask
            self._kept[index], self._bytes = compact, self._bytes + size
        image, mask = self._kept[index]
        return (image.float() / 255 if image.dtype == torch.uint8 else image), mask.float()

    def check(self, indices: Iterable[int], least: int) -> None:
        """Read scenes whose turn comes after training, once, so that no training is in vain; none is kept.

        Args:
            indices: of the scenes.
            least: pixels that a side must have.

        Raises:
            ImageError: a file cannot be read.
            DataError: as `read`, or a side is too short.
        """
        for index in indices:
            if index in self._checked:
                continue
            image, _ = self._load(index)
            if min(image.shape[1:]) < least:
                raise DataError(
                    f"image {self.files[index]!r} (split {self.splits[index]!r}) has {_size(image)} pixels; "
                    f"its sides must have at least {least}. Scale it up, or leave it out."
                )
            self._checked.add(index)

    def _load(self, index: int) -> tuple[Tensor, Tensor]:
        image, mask = self.reader(index)
        if image.shape[1:] != mask.shape[1:]:
            raise DataError(
                f"mask of {self.files[index]!r} has {_size(mask)} pixels, its image {_size(image)}; "
                "both must have the same height and width."
            )
        return image, mask


def _size(image: Tensor) -> str:
    return f"{image.shape[-2]}×{image.shape[-1]}"


def _compact(image: Tensor) -> Tensor:
    """As uint8 where that loses nothing, which is so for all but 16-bit files."""
    small = (image * 255).round().to(torch.uint8)
    return small if torch.equal(small.float() / 255, image) else image


def spaced(indices: Sequence[int], limit: int | None) -> tuple[int, ...]:
    """At most ``limit`` of the indices, evenly spaced, in order.

    >>> spaced([2, 3, 5, 7, 11, 13], 3)
    (2, 5, 11)
    """
    count = len(indices)
    if limit is None or limit >= count:
        return tuple(indices)
    return tuple(indices[i * count // limit] for i in range(limit))


def folder_scenes(
    items: Sequence[Masked],
    roots: tuple[Path, Path],
    *,
    groups: Sequence[str] = (),
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
    mask_threshold: float | None = None,
) -> Scenes:
    """Scenes from files; every file's header is read now, the pixels later.

    Args:
        items: what `lossnets.datasets.folders.masked_folder` found.
        roots: folders of images and of masks; names in the fingerprint are relative to them.
        groups: see `assign_splits`; empty: every scene is one.
        validation: see `assign_splits`.
        test: see `assign_splits`.
        seed: see `assign_splits`.
        mask_threshold: see `lossnets.datasets.folders.read_mask`.

    Raises:
        DataError: there is no scene, a mask differs from its image in size, or a split is empty.
        ImageError: a file is no image.
    """
    if not items:
        raise DataError(f"folder {str(roots[0])!r} has no image with a mask.")
    names = _names(items)
    groups = tuple(groups) or names
    splits = assign_splits(
        [item.split for item in items], groups, validation=validation, test=test, seed=seed
    )
    sides = [_side(item) for item in items]
    content = [
        fingerprint([item.image for item in items], roots[0]),
        fingerprint([item.mask for item in items], roots[1]),
        *(f"{name}\0{split}\0{group}" for name, split, group in zip(names, splits, groups, strict=True)),
    ]
    return Scenes(
        names,
        splits,
        min(side for side, split in zip(sides, splits, strict=True) if split == TRAIN),
        _FileReader(tuple(items), mask_threshold),
        hashlib.sha256(text_bytes("\n".join(content))).hexdigest(),
        groups,
        tuple(str(item.image) for item in items),
    )


@dataclass(frozen=True)
class _FileReader:
    items: tuple[Masked, ...]
    threshold: float | None

    def __call__(self, index: int) -> tuple[Tensor, Tensor]:
        item = self.items[index]
        return read_image(item.image), read_mask(item.mask, threshold=self.threshold)


def _names(items: Sequence[Masked]) -> tuple[str, ...]:
    """Stems of the images, with the split or a number where that is needed to tell them apart."""
    names = [item.image.stem for item in items]
    if max(Counter(names).values()) > 1:
        names = [f"{item.split or item.image.parent.name}-{item.image.stem}" for item in items]
    seen: Counter[str] = Counter()
    out = []
    for name in names:
        seen[name] += 1
        out.append(name if seen[name] == 1 else f"{name}-{seen[name]}")
    return tuple(out)


def _side(item: Masked) -> int:
    """The shorter side in pixels, from the headers; image and mask must agree (orientation aside)."""
    image, mask = image_size(item.image), image_size(item.mask)
    if sorted(image) != sorted(mask):
        raise DataError(
            f"mask {str(item.mask)!r} has {mask[0]}×{mask[1]} pixels, its image {str(item.image)!r} "
            f"{image[0]}×{image[1]}; both must have the same height and width."
        )
    return min(image)


def centre(image: Tensor, side: int | None) -> Tensor:
    """The middle of (C, H, W), at most ``side`` pixels high and wide; None: all of it."""
    if side is None:
        return image
    height, width = image.shape[-2:]
    h, w = min(height, side), min(width, side)
    top, left = (height - h) // 2, (width - w) // 2
    return image[:, top : top + h, left : left + w]


def augmented(image: Tensor, mask: Tensor, crop: int, numbers: torch.Generator) -> tuple[Tensor, Tensor]:
    """A random crop, mirrored half of the time: the same for (3, H, W) and (1, H, W) -> (., crop, crop).

    Raises:
        DataError: the image is smaller than the crop.
    """
    height, width = image.shape[-2:]
    if min(height, width) < crop:
        raise DataError(f"image of {height}×{width} pixels is smaller than the training crop of {crop}.")
    top = int(torch.randint(height - crop + 1, (), generator=numbers))
    left = int(torch.randint(width - crop + 1, (), generator=numbers))
    mirrored = bool(torch.randint(2, (), generator=numbers))
    both = torch.cat([image, mask])[:, top : top + crop, left : left + crop]
    both = both.flip(-1) if mirrored else both
    return both[:3], both[3:]
