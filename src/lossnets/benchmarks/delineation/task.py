"""One training of the delineation network with one loss."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossnets.benchmarks.delineation.data import Scenes, augmented, centre
from lossnets.benchmarks.delineation.network import STRIDE, Delineator
from lossnets.benchmarks.delineation.objective import added_term, bce, objective
from lossnets.benchmarks.delineation.profiles import Size
from lossnets.benchmarks.delineation.splits import TEST, TRAIN, VALIDATION
from lossnets.benchmarks.engine import Recipe, Task, generator, seeded_model
from lossnets.errors import DataError
from lossnets.losses import ImageLoss

MONITOR = "val_bce"
"""Mean cross-entropy of the last refinement over the validation images."""
MIN_CROP = 2 * STRIDE


class DelineationTask(Task):
    """Random crops and their masks in; cross-entropy plus μ times the loss, minimised.

    Args:
        scenes: images and masks.
        loss: added to the cross-entropy; ``pixel:bce`` adds nothing.
        size: of the profile.
        seed: of initial weights, crops and mirroring.
        mu: weight of the loss.
        refinements: K.
        precision: see `Recipe`.
    """

    model: Delineator

    def __init__(
        self,
        scenes: Scenes,
        loss: ImageLoss,
        size: Size,
        *,
        seed: int,
        mu: float,
        refinements: int,
        precision: str,
    ) -> None:
        self.scenes, self.size, self.seed, self.mu = scenes, size, seed, mu
        self.term = added_term(loss)
        self.model = seeded_model(lambda: Delineator(refinements, size.widths), seed)
        self.recipe = Recipe(size.epochs, size.batch_size, monitor=MONITOR, precision=precision)
        self.train = scenes.of(TRAIN, size.train)
        self.validation = scenes.of(VALIDATION, size.validation)
        self.test = scenes.of(TEST, size.test)
        self.train_size, self.validation_size = len(self.train), len(self.validation)
        self.validation_batch_size = 1  # whole images may differ in size
        self.crop = crop_side(size, scenes.side)

    def start(self, device: torch.device) -> None:
        """Put the loss on the device; nothing is cached, as every crop is new."""
        if self.term is not None:
            self.term.to(device)

    def training_batch(self, epoch: int, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Crops (N, 3, S, S) and their masks (N, 1, S, S)."""
        pairs = [
            augmented(*self.scenes.read(self.train[i]), self.crop, generator(self.seed, "crop", epoch, i))
            for i in indices
        ]
        images, masks = zip(*pairs, strict=True)
        return torch.stack(images), torch.stack(masks)

    def training_loss(self, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """See `lossnets.benchmarks.delineation.objective.objective`."""
        images, masks = batch
        return objective(self.model(images), masks, self.term, self.mu)

    def validation_batch(self, indices: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
        """Validation images with their masks, each (1, C, H, W), whole or their middle."""
        pairs = [self.scenes.read(self.validation[i]) for i in indices]
        side = self.size.validation_side
        return [(centre(image, side)[None], centre(mask, side)[None]) for image, mask in pairs]

    def validation_scores(self, batch: list[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
        """Cross-entropy of the last refinement, the mean over images."""
        values = [bce(self.model(image)[-1], mask) for image, mask in batch]
        return {MONITOR: torch.stack(values).mean()}


def crop_side(size: Size, shortest: int) -> int:
    """The profile's training crop, or the largest multiple of 16 that every training image has.

    Args:
        size: of the profile.
        shortest: side of any training image, in pixels.

    Raises:
        DataError: a training image has a side below 32 pixels.
    """
    side = min(size.crop, shortest // STRIDE * STRIDE)
    if side < MIN_CROP:
        raise DataError(
            f"training images must have sides of at least {MIN_CROP} pixels; the smallest has {shortest}."
        )
    return side
