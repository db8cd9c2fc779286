"""One training: crops, their low resolution, and the loss between what the network makes and the crop."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossnets.benchmarks.engine import Recipe, Task, cached_targets, seeded_model
from lossnets.benchmarks.super_resolution.data import Crops, Training
from lossnets.benchmarks.super_resolution.network import SuperResolver
from lossnets.benchmarks.super_resolution.profiles import Size
from lossnets.benchmarks.super_resolution.scaling import low_resolution
from lossnets.images.quality import PSNR_CAP, luma, psnr
from lossnets.losses import EncodedTarget, ImageLoss

Batch = tuple[Tensor, Tensor, Tensor]
"""Low resolution (N, 3, h, w), target (N, 3, H, W), indices (N,)."""


class SuperResolutionTask(Task):
    """Train a `SuperResolver` with one loss.

    Args:
        loss: with reduction ``mean``.
        training: the images.
        size: the profile.
        scale: 4 or 8.
        shrinking: see `low_resolution`.
        seed: of initial weights and crops.
        precision: of the network.

    Attributes:
        loss: the loss.
        training: the images.
        cached_bytes: memory of the encoded targets; 0 where they are encoded in every step.
    """

    validation_batch_size = 4

    def __init__(
        self,
        loss: ImageLoss,
        training: Training,
        size: Size,
        *,
        scale: int,
        shrinking: str,
        seed: int,
        precision: str,
    ) -> None:
        self.loss, self.training, self.cached_bytes = loss, training, 0
        self.model = seeded_model(lambda: SuperResolver(scale, size.width), seed)
        self.recipe = recipe(size, precision)
        self.train_size, self.validation_size = size.crops, size.validation
        self._scale, self._shrinking = scale, shrinking
        self._crops = Crops(training.paths, size.crop, seed)
        self._fixed = self._crops.fixed(size.crops) if size.fixed else None
        self._validation = Crops(training.validation, size.crop, seed).central(size.validation)
        self._encoded: EncodedTarget | None = None
        self._encoded_validation: EncodedTarget | None = None

    def start(self, device: torch.device) -> None:
        """Put the loss on the device, and encode the targets if they stay and fit."""
        self.loss.to(device)
        self._encoded = self._kept(self._fixed, device) if self._fixed is not None else None
        self._encoded_validation = self._kept(self._validation, device)
        self.cached_bytes = 0 if self._encoded is None else self._encoded.nbytes

    def _kept(self, images: Tensor, device: torch.device) -> EncodedTarget | None:
        return cached_targets(self.loss, lambda indices: images[list(indices)], len(images), device=device)

    def training_batch(self, epoch: int, indices: Sequence[int]) -> Batch:
        """Crops and their low resolution."""
        chosen = torch.as_tensor(indices)
        high = self._crops.fresh(epoch, indices) if self._fixed is None else self._fixed[chosen]
        return low_resolution(high, self._scale, self._shrinking), high, chosen

    def training_loss(self, batch: Batch) -> Tensor:
        """The loss between output and crop."""
        low, high, indices = batch
        value: Tensor = self.loss(self.model(low), _part(self._encoded, indices, high))
        return value

    def validation_batch(self, indices: Sequence[int]) -> Batch:
        """Validation crops and their low resolution."""
        high = self._validation[list(indices)]
        return low_resolution(high, self._scale, self._shrinking), high, torch.as_tensor(indices)

    def validation_scores(self, batch: Batch) -> dict[str, Tensor]:
        """PSNR of Y, and the loss: the former chooses the epoch."""
        low, high, indices = batch
        output = self.model(low).float()
        quality = psnr(luma(output), luma(high), border=self._scale).clamp(max=PSNR_CAP)
        target = _part(self._encoded_validation, indices, high)
        return {"val_psnr_y": quality.mean(), "val_loss": self.loss(output, target)}


def _part(encoded: EncodedTarget | None, indices: Tensor, images: Tensor) -> EncodedTarget | Tensor:
    """The encoded images of these indices where all were encoded, else the images."""
    return images if encoded is None else encoded.select(indices.cpu())


def recipe(size: Size, precision: str) -> Recipe:
    """Adam at a constant rate; the epoch of the best validation PSNR is kept."""
    return Recipe(
        epochs=size.epochs,
        batch_size=size.batch_size,
        lr=size.lr,
        monitor="val_psnr_y",
        higher_is_better=True,
        precision=precision,
    )
