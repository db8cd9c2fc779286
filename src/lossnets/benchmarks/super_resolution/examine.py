"""The test: whole images, one after the other, and what is kept of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from lossnets.benchmarks.pictures import MAX_ROWS, OUTPUT, save_picture
from lossnets.benchmarks.super_resolution.data import ImageSet
from lossnets.benchmarks.super_resolution.quality import REFERENCE, judged, measure, smallest_side
from lossnets.benchmarks.super_resolution.scaling import bicubic, low_resolution, whole_multiple
from lossnets.errors import ImageError
from lossnets.images.files import read_image
from lossnets.losses import ImageLoss

LOW, TARGET = "low resolution", "target"


@dataclass(frozen=True)
class WholeImage:
    """One test image.

    Attributes:
        split: the test set.
        name: within it.
        path: the file.
    """

    split: str
    name: str
    path: Path

    def read(self, scale: int, side: int | None) -> Tensor:
        """The target: (1, 3, H, W) in [0, 1], H and W multiples of ``scale``.

        Raises:
            ImageError: it cannot be read or is too small.
        """
        image = whole_multiple(read_image(self.path)[None], scale, side)
        if min(image.shape[-2:]) < smallest_side(scale):
            raise ImageError(
                f"test image {str(self.path)!r} is too small: at scale {scale}, "
                f"{smallest_side(scale)}×{smallest_side(scale)} pixels are needed; got "
                f"{image.shape[-2]}×{image.shape[-1]} after cutting to a multiple of {scale}. Leave it out."
            )
        return image


def images_to_test(sets: Mapping[str, ImageSet], count: int | None) -> list[WholeImage]:
    """All test images of a profile, by test set; at most ``count`` of each."""
    chosen = {split: images.some(count) for split, images in sets.items()}
    return [
        WholeImage(split, name, path)
        for split, images in chosen.items()
        for name, path in zip(images.names, images.paths, strict=True)
    ]


@dataclass
class Examiner:
    """Measures a network on test images.

    What the bicubic reference scores is the same for every loss and kept for the next one.

    Attributes:
        scale: 4 or 8.
        shrinking: see `low_resolution`.
        side: of the central part of a test image; None: whole images.
        judge: see `judged`; on the device of the test.
        kept: reference scores by test set and image.
    """

    scale: int
    shrinking: str
    side: int | None
    judge: ImageLoss
    kept: dict[WholeImage, dict[str, float]]

    def examine(
        self,
        model: nn.Module,
        images: list[WholeImage],
        device: str,
        show: Callable[[WholeImage, dict[str, Tensor]], None],
    ) -> Iterator[dict[str, float]]:
        """Scores of the output and of the reference ("NAME@bicubic") for each image.

        Raises:
            ImageError: an image cannot be read, or the network's output is not finite.
        """
        for image in images:
            target = image.read(self.scale, self.side)
            low = low_resolution(target, self.scale, self.shrinking)
            with torch.no_grad():
                output = model(low.to(device)).float().cpu()
            if not bool(torch.isfinite(output).all()):
                raise ImageError(
                    f"the network's output for test image {str(image.path)!r} is not finite; its training "
                    "went wrong. Look at the log of the run, and use precision '32'."
                )
            pictures = {LOW: low, REFERENCE: bicubic(low, self.scale), OUTPUT: output, TARGET: target}
            show(image, pictures)
            yield self._scores(image, pictures, device)

    def _scores(self, image: WholeImage, pictures: dict[str, Tensor], device: str) -> dict[str, float]:
        output, reference, target = (pictures[name] for name in (OUTPUT, REFERENCE, TARGET))
        found = measure(output, target, self.scale)
        known = self.kept.get(image)
        compared = [output] if known is not None else [output, reference]
        distances = judged(self.judge, [each.to(device) for each in compared], target.to(device))
        if known is None:
            scores = measure(reference, target, self.scale) | {"lpips_judge": distances[1]}
            known = {f"{name}@{REFERENCE}": value for name, value in scores.items()}
            self.kept[image] = known
        return found | {"lpips_judge": distances[0]} | known


def shown(images: list[WholeImage]) -> dict[WholeImage, str]:
    """The images that pictures are made of and the row that each gets: test sets take turns."""
    rest: dict[str, list[WholeImage]] = {}
    for image in images:
        rest.setdefault(image.split, []).append(image)
    turns = [group[turn] for turn in range(MAX_ROWS) for group in rest.values() if turn < len(group)]
    chosen = sorted(turns[:MAX_ROWS], key=images.index)
    return {image: f"{image.split}-{image.name}" for image in chosen}


def save(folder: Path, row: str, pictures: Mapping[str, Tensor]) -> None:
    """Write the pictures (1, 3, h, w) of one test image, the low resolution as large as the target."""
    height, width = pictures[TARGET].shape[-2:]
    for column, picture in pictures.items():
        factor = height // picture.shape[-2], width // picture.shape[-1]
        large = picture.repeat_interleave(factor[0], -2).repeat_interleave(factor[1], -1)
        save_picture(folder, row, column, large[0])
