"""A task small enough to train in a test: reproduce noisy images."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lossnets.benchmarks.engine import Recipe, Task, generator, seeded_model


class Toy(Task):
    """Two convolutions with batch normalisation and dropout, so that every kind of state matters."""

    train_size = 22  # the last batch is smaller
    validation_size = 10
    validation_batch_size = 4

    def __init__(self, recipe: Recipe | None = None, *, seed: int = 0, nan_at: int | None = None) -> None:
        self.recipe = recipe or Recipe(4, 8)
        self.model = seeded_model(_model, seed)
        self.images = torch.rand(32, 3, 12, 12, generator=generator(0, "images"))
        self.seed, self.nan_at, self.steps, self.started = seed, nan_at, 0, 0
        self.seen: list[tuple[int, list[int]]] = []

    def start(self, device: torch.device) -> None:
        self.started += 1

    def training_batch(self, epoch: int, indices: Sequence[int]) -> Tensor:
        self.seen.append((epoch, list(indices)))
        noise = [torch.randn(3, 12, 12, generator=generator(self.seed, "noise", epoch, i)) for i in indices]
        return self.images[list(indices)] + 0.05 * torch.stack(noise)

    def training_loss(self, batch: Tensor) -> dict[str, Tensor]:
        self.steps += 1
        loss = nn.functional.mse_loss(self.model(batch), batch)
        if self.nan_at is not None and self.steps == self.nan_at:
            loss = loss * torch.nan
        return {"loss": loss, "half": loss / 2}

    def validation_batch(self, indices: Sequence[int]) -> Tensor:
        return self.images[[22 + i for i in indices]]

    def validation_scores(self, batch: Tensor) -> dict[str, Tensor]:
        assert not self.model.training
        return {"val_loss": nn.functional.mse_loss(self.model(batch), batch)}


def _model() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Conv2d(8, 3, 3, padding=1),
    )


class Scripted(Toy):
    """Its validation scores are given, epoch by epoch."""

    def __init__(self, scores: Sequence[float], recipe: Recipe) -> None:
        super().__init__(recipe)
        self._scores = list(scores)
        self.epoch_states: list[Tensor] = []

    def validation_batch(self, indices: Sequence[int]) -> Tensor:
        if indices[0] == 0:
            self.epoch_states.append(self.model[0].weight.detach().clone())
        return super().validation_batch(indices)

    def validation_scores(self, batch: Tensor) -> dict[str, Tensor]:
        return {"val_loss": torch.tensor(self._scores[len(self.epoch_states) - 1])}
