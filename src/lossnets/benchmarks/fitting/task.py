"""Fits as a training: an epoch is a stretch of steps on one group of images, and the last step counts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lossnets.benchmarks.engine import Recipe, Task, cached_targets
from lossnets.benchmarks.engine.randomness import derived_seed
from lossnets.benchmarks.fitting.model import FittedModel
from lossnets.images.quality import PSNR_CAP, psnr
from lossnets.losses import EncodedTarget, ImageLoss
from lossnets.networks.spec import IMAGENET_STD

Batch = tuple[Tensor, Tensor]
"""Targets (group, 3, H, W), and (2,): group and phase."""


@dataclass(frozen=True)
class Phase:
    """A part of every fit.

    Attributes:
        epochs: how many.
        loss: weight of the loss.
        mse: weight of the mean squared difference to the target, in images divided by ImageNet's standard
            deviations: that of a gradient network's images.
    """

    epochs: int
    loss: float = 1.0
    mse: float = 0.0


class FittingTask(Task):
    """Fit a `FittedModel` to images, group after group, from starts that are equal for all losses.

    At the start of a group parameters are drawn anew; at the start of a phase Adam forgets what it gathered.
    The objective is summed over the images of a group, so that each image is fitted as if it were alone.

    Args:
        loss: with reduction ``mean``.
        model: what is fitted.
        targets: (n, 3, H, W) in [0, 1].
        phases: of every fit.
        stretch: steps of an epoch.
        lr: of Adam.
        seed: of the starts.
        precision: of the model.

    Attributes:
        loss: the loss.
        phases: of every fit.
    """

    model: FittedModel

    def __init__(
        self,
        loss: ImageLoss,
        model: FittedModel,
        targets: Tensor,
        *,
        phases: Sequence[Phase],
        stretch: int,
        lr: float,
        seed: int,
        precision: str,
    ) -> None:
        self.loss, self.model, self.phases = loss, model, tuple(phases)
        self._targets, self._seed = targets, seed
        group = model.group
        self.train_size, self.validation_size = group * stretch, 1
        epochs = groups_of(len(targets), group) * sum(phase.epochs for phase in phases)
        # nothing is chosen by a score: what is tested is the last step, whatever became of the fit
        self.recipe = Recipe(
            epochs, group, lr=lr, monitor="val_steps", higher_is_better=True, precision=precision
        )
        self._place: torch.device | None = None
        self._encoded: tuple[int, EncodedTarget | None] = (-1, None)
        self._now = 0, 0

    def start(self, device: torch.device) -> None:
        """Put the loss on the device; it meets the first targets now, and fails before the first step."""
        self._place = device
        self.loss.to(device)
        self.model.make_ready()
        self._kept(0, self._of(0).to(device))

    def begin_epoch(self, epoch: int, optimizer: torch.optim.Optimizer) -> None:
        """Start a group or a phase, where this epoch is its first."""
        number, phase, within = self._where(epoch)
        if within == 0 and phase == 0:
            self.model.restart(derived_seed(self._seed, "start", number))
        if within == 0:
            optimizer.state.clear()
        self._now = number, phase

    def _where(self, epoch: int) -> tuple[int, int, int]:
        """Group, phase, and epochs of it that went before."""
        number, rest = divmod(epoch, sum(phase.epochs for phase in self.phases))
        for k, phase in enumerate(self.phases):
            if rest < phase.epochs:
                return number, k, rest
            rest -= phase.epochs
        raise AssertionError("unreachable")

    def _of(self, number: int) -> Tensor:
        """Targets of a group; a last, smaller group is filled up with its last image."""
        group, last = self.model.group, len(self._targets) - 1
        return self._targets[[min(k, last) for k in range(number * group, (number + 1) * group)]]

    def training_batch(self, epoch: int, indices: Sequence[int]) -> Batch:
        """Targets of the epoch's group, whatever the indices."""
        del indices
        number, phase, _ = self._where(epoch)
        return self._of(number), torch.tensor([number, phase])

    def training_loss(self, batch: Batch) -> dict[str, Tensor]:
        """What is minimised, and its mean over the images."""
        images, where = batch
        number, phase = where.tolist()
        value = self._objective(self.model().float(), images, number, self.phases[phase])
        self.model.steps += 1
        return {"loss": value * len(images), "per_image": value}

    def validation_batch(self, indices: Sequence[int]) -> Batch:
        """Targets of the group that is being fitted."""
        del indices
        return self._of(self._now[0]), torch.tensor(self._now)

    def validation_scores(self, batch: Batch) -> dict[str, Tensor]:
        """Steps made, the objective and PSNR now; what came out is kept in the model."""
        images, where = batch
        number, phase = where.tolist()
        outputs = self.model().float()
        self.model.keep(outputs, phase, number * self.model.group)
        return {
            "val_steps": self.model.steps,
            "val_loss": self._objective(outputs, images, number, self.phases[phase]),
            "val_psnr": psnr(outputs.clamp(0, 1), images).clamp(max=PSNR_CAP).mean(),
        }

    def _objective(self, outputs: Tensor, images: Tensor, number: int, phase: Phase) -> Tensor:
        value = outputs.new_zeros(())
        if phase.loss:
            value = value + phase.loss * self.loss(outputs, self._kept(number, images))
        if phase.mse:
            std = torch.tensor(IMAGENET_STD, device=outputs.device).view(1, 3, 1, 1)
            value = value + phase.mse * ((outputs - images) / std).square().mean()
        return value

    def _kept(self, number: int, images: Tensor) -> EncodedTarget | Tensor:
        """Features of a group's targets, computed once; the images, where they would take too much memory."""
        if self._place is None:
            return images
        if self._encoded[0] != number:
            found = cached_targets(
                self.loss, lambda indices: images[list(indices)], len(images), device=self._place
            )
            self._encoded = number, found
        encoded = self._encoded[1]
        return images if encoded is None else encoded


def groups_of(images: int, group: int) -> int:
    """Number of groups that so many images make.

    >>> groups_of(8, 8), groups_of(9, 8)
    (1, 2)
    """
    return -(-images // group)
