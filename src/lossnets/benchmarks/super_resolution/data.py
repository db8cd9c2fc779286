"""Which images are learned from and tested on, and which parts of them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from lossnets.benchmarks.engine import generator
from lossnets.datasets.folders import fingerprint
from lossnets.errors import DataError
from lossnets.images.files import image_size, read_image


@dataclass(frozen=True)
class ImageSet:
    """Image files and the folder that their names are relative to.

    Attributes:
        paths: the files.
        root: the folder; None: files of several folders, all with names of their own.
        names: name of each for people and items, without the ending.
    """

    paths: tuple[Path, ...]
    root: Path | None
    names: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        relative = [Path(p.name) if self.root is None else p.relative_to(self.root) for p in self.paths]
        names = tuple(path.with_suffix("").as_posix() for path in relative)
        whole = tuple(path.as_posix() for path in relative)
        object.__setattr__(self, "names", names if len(set(names)) == len(names) else whole)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.paths)

    def fingerprint(self) -> str:
        """sha256 over names and contents of the files."""
        if self.root is not None:
            return fingerprint(self.paths, self.root)
        return _digest("".join(fingerprint([path], path.parent) for path in self.paths)).hex()

    def drawn(self) -> list[Path]:
        """All files in an order that is as good as random and the same on every machine.

        By the hash of the name, so that adding a file leaves the order of the others.
        """
        order = sorted(zip(self.names, self.paths, strict=True), key=lambda item: _digest(item[0]))
        return [path for _, path in order]

    def some(self, count: int | None) -> ImageSet:
        """At most so many images, the same ones always; in the order that they have here."""
        chosen = set(self.drawn()[:count])
        return ImageSet(tuple(path for path in self.paths if path in chosen), self.root)


def _digest(text: str) -> bytes:
    return hashlib.sha256(os.fsencode(text)).digest()


@dataclass(frozen=True)
class Training:
    """Images that are learned from, and those by which the best epoch is chosen.

    Attributes:
        paths: training images, each at least as large as a crop.
        validation: validation images, likewise.
        left_out: images that were smaller than a crop.
    """

    paths: tuple[Path, ...]
    validation: tuple[Path, ...]
    left_out: int


def choose_training(
    train: ImageSet, validation: ImageSet | None, *, images: int, held_out: int, side: int
) -> Training:
    """Choose at most ``images`` training and ``held_out`` validation images that a crop fits into.

    Without a validation set, validation images are taken from the training set: ``held_out`` of them,
    or a tenth where there are few. Which ones does not depend on a run's seed.

    Raises:
        DataError: no image is large enough, or one alone.
        ImageError: an image cannot be read.
    """
    if validation is not None:
        chosen, small = _large(train.drawn(), images, side)
        kept, small_too = _large(validation.drawn(), held_out, side)
        return _checked(Training(chosen, kept, small + small_too), train, side)
    chosen, small = _large(train.drawn(), images + held_out, side)
    count = min(held_out, max(1, len(chosen) // 10))
    return _checked(Training(chosen[count : count + images], chosen[:count], small), train, side)


def _checked(training: Training, source: ImageSet, side: int) -> Training:
    if not training.paths or not training.validation:
        missing = "training" if not training.paths else "validation"
        raise DataError(
            f"no {missing} image is left of {len(source)}: crops are {side}×{side} pixels, and "
            f"{training.left_out} smaller image(s) were left out. Give larger images (at least one for "
            "training and one for validation), or choose a smaller profile."
        )
    return training


def _large(paths: Iterable[Path], count: int, side: int) -> tuple[tuple[Path, ...], int]:
    """The first ``count`` images with both sides of at least ``side``, and how many before were smaller."""
    found: list[Path] = []
    small = 0
    for path in paths:
        if len(found) == count:
            break
        if min(image_size(path)) >= side:
            found.append(path)
        else:
            small += 1
    return tuple(found), small


@dataclass(frozen=True)
class Crops:
    """Square parts of images, the i-th from the i-th image (they take turns).

    Attributes:
        paths: the images.
        side: of the crops, in pixels.
        seed: of the run.
    """

    paths: Sequence[Path]
    side: int
    seed: int

    def central(self, count: int) -> Tensor:
        """The middle of every image, then random crops that no seed changes: (count, 3, side, side)."""
        return self._fixed(
            count, lambda index: generator(0, "validation", index) if index >= len(self.paths) else None
        )

    def fixed(self, count: int) -> Tensor:
        """Crops at random places that depend on the seed only: (count, 3, side, side)."""
        return self._fixed(count, lambda index: generator(self.seed, "crop", index))

    def _fixed(self, count: int, random: Callable[[int], torch.Generator | None]) -> Tensor:
        """Every image is decoded once."""
        crops = torch.empty(count, 3, self.side, self.side)
        for number, path in enumerate(self.paths[:count]):
            image = read_image(path)
            for index in range(number, count, len(self.paths)):
                crops[index] = self._cut(image, random(index))
        return crops

    def fresh(self, epoch: int, indices: Sequence[int]) -> Tensor:
        """Crops at random places that are others in every epoch: (len(indices), 3, side, side)."""
        images = (read_image(self.paths[index % len(self.paths)]) for index in indices)
        randoms = (generator(self.seed, "crop", epoch, index) for index in indices)
        return torch.stack([self._cut(image, random) for image, random in zip(images, randoms, strict=True)])

    def _cut(self, image: Tensor, random: torch.Generator | None) -> Tensor:
        room = [size - self.side for size in image.shape[-2:]]
        if random is None:
            top, left = room[0] // 2, room[1] // 2
        else:
            top, left = (int(torch.randint(space + 1, (), generator=random)) for space in room)
        return image[:, top : top + self.side, left : left + self.side].clone()
