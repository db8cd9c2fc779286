"""What a benchmark hands to the engine: a recipe, and a task that knows its model, data and loss."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError

PRECISIONS = ("32", "bf16-mixed", "16-mixed")
"""Of the trained model; perceptual losses compute in float32 under autocast whatever this says."""


@dataclass(frozen=True)
class Recipe:
    """How a model is trained, with Adam.

    Attributes:
        epochs: at most.
        batch_size: images of a step, over all devices.
        lr: learning rate, constant.
        betas: of Adam.
        monitor: validation score by which the best epoch is chosen.
        higher_is_better: direction of ``monitor``.
        patience: epochs without a better ``monitor`` after which training stops; None: never.
        precision: one of `PRECISIONS`.

    Raises:
        ConfigError: a number is out of its range.
    """

    epochs: int
    batch_size: int
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.999)
    monitor: str = "val_loss"
    higher_is_better: bool = False
    patience: int | None = None
    precision: str = "32"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or not self.lr > 0:
            raise ConfigError(
                "epochs and batch_size must be at least 1, lr above 0; got "
                f"{self.epochs}, {self.batch_size}, {self.lr}."
            )
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience must be at least 1 epoch, or None; got {self.patience}.")
        if self.precision not in PRECISIONS:
            raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}; got {self.precision!r}.")

    def steps_per_epoch(self, images: int) -> int:
        """Training steps of an epoch over so many images; the last, smaller batch counts."""
        return -(-images // self.batch_size)


class Task(abc.ABC):
    """One training: a model, the images that it learns from, and the loss that it learns by.

    A batch may be any nesting of tuples, lists and dictionaries of CPU tensors; the engine moves it
    to the device. Whatever is random in it comes from `generator`, with epoch and index among its
    parts, so that an interrupted training continues as if it had not been.

    Attributes:
        model: what is trained.
        recipe: how.
        train_size: number of training images.
        validation_size: number of validation images.
        validation_batch_size: images at once in validation.
    """

    model: nn.Module
    recipe: Recipe
    train_size: int
    validation_size: int
    validation_batch_size: int = 32

    def start(self, device: torch.device) -> None:  # noqa: B027  # there may be nothing to do
        """Once before the training: put losses on the device, encode targets that stay."""

    def begin_epoch(self, epoch: int, optimizer: torch.optim.Optimizer) -> None:  # noqa: B027  # likewise
        """Before the first batch of an epoch (counted from 0), in a resumed training, too."""

    @abc.abstractmethod
    def training_batch(self, epoch: int, indices: Sequence[int]) -> Any:
        """The batch of these training images in this epoch (counted from 0); may run in a worker."""

    @abc.abstractmethod
    def training_loss(self, batch: Any) -> Tensor | dict[str, Tensor]:
        """A batch on the device -> (), or {"loss": (), and further terms for the log}."""

    @abc.abstractmethod
    def validation_batch(self, indices: Sequence[int]) -> Any:
        """The batch of these validation images, always the same."""

    @abc.abstractmethod
    def validation_scores(self, batch: Any) -> dict[str, Tensor]:
        """A batch on the device -> means over its images, ``recipe.monitor`` among them."""
