"""The Lightning side of `training_loop`; imported only when something is trained."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossnets.benchmarks.base import Progress
from lossnets.benchmarks.similarity.training_loop import (
    Job,
    TrainingSettings,
    flat_optimizer_state,
    restore_optimizer,
    trainable_parameters,
    training_loss,
)
from lossnets.errors import require
from lossnets.torchvision_compat import ensure_torchvision

ensure_torchvision()  # Lightning imports torchmetrics, which imports torchvision
pl: Any = require("lightning.pytorch", "bench", "training of a perceptual similarity")

AfterEpoch = Callable[[int, dict[str, Tensor], dict[str, Any]], None]


def new_trainer(epochs: int, device: str, folder: Path | None) -> Any:
    """Make a trainer that writes and shows nothing of its own."""
    kind, _, index = device.partition(":")
    return pl.Trainer(
        max_epochs=epochs,
        accelerator="gpu" if kind == "cuda" else kind,
        devices=[int(index)] if index else 1,
        logger=False,
        enable_checkpointing=False,  # Lightning's checkpoints are pickles; ours are safetensors
        enable_model_summary=False,
        enable_progress_bar=False,  # its lock would decide the start method of the caller's processes
        default_root_dir=folder,
    )


class LitJob(pl.LightningModule):  # type: ignore[misc]
    """A `Job` as Lightning wants it."""

    def __init__(self, job: Job, settings: TrainingSettings, progress: Progress | None) -> None:
        super().__init__()
        self.judge = job.judge
        self.trunk = job.trunk
        self._job, self._settings, self._report = job, settings, progress
        self._saved: dict[str, Tensor] = {}
        self._first = 0
        self._after: AfterEpoch | None = None
        self._sums = [0.0, 0.0, 0.0]  # loss, agreement, triplets of the epoch

    def begin(self, first_epoch: int, after_epoch: AfterEpoch) -> None:
        """Set where the training starts and what is called after every epoch."""
        self._first, self._after = first_epoch, after_epoch

    @property
    def _epoch(self) -> int:
        return self._first + int(self.current_epoch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam over everything that may be trained, with the state of a checkpoint."""
        parameters = trainable_parameters([self.judge, self.trunk])
        adam = torch.optim.Adam(parameters, lr=self._settings.lr, betas=self._settings.betas)
        if self._saved:
            restore_optimizer(adam, self._saved)
        return adam

    def on_train_epoch_start(self) -> None:
        """Learning rate and modes of the epoch."""
        for group in self.optimizers().param_groups:
            group["lr"] = self._settings.lr_at(self._epoch)
        self.judge.train()
        if self.trunk is not None:
            self.trunk.train(self._job.trunk_mode)
        self._sums = [0.0, 0.0, 0.0]

    def training_step(self, batch: Any, index: int) -> Tensor:
        """Cross-entropy of one batch."""
        # of each batch: Lightning and the loader draw random numbers too, and not always as many
        torch.manual_seed(((self._settings.seed * 1_000_003 + self._epoch) * 1_000_003 + index) % 2**63)
        shares0, shares1, judge = self._job.shares(batch)
        d0, d1, logits = self.judge(shares0, shares1)
        loss = training_loss(logits, judge)
        agree = (d0 < d1) * (1 - judge) + (d1 < d0) * judge + 0.5 * (d0 == d1)
        for i, value in enumerate((loss.detach() * len(judge), agree.detach().sum(), len(judge))):
            self._sums[i] += float(value)
        return loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Keep the channel weights, and nothing else, non-negative."""
        self.judge.weights.clamp_()  # type: ignore[operator]

    def on_train_epoch_end(self) -> None:
        """Checkpoint, log and progress."""
        loss, agree, n = self._sums
        record = {
            "epoch": self._epoch + 1,
            "loss": loss / n,
            "2afc_score_with_dropout": agree / n,
            "lr": self._settings.lr_at(self._epoch),
        }
        assert self._after is not None  # noqa: S101  # `begin` was called
        self._after(self._epoch + 1, self.tensors(), record)
        if self._report is not None:
            self._report(self._epoch + 1, self._settings.total)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by name."""
        model = {f"model.{key}": value for key, value in self.state_dict().items()}
        return model | flat_optimizer_state(self.optimizers().optimizer)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Put back what `tensors` gave; the optimiser's part waits until there is one."""
        self.load_state_dict({k[6:]: v for k, v in tensors.items() if k.startswith("model.")})
        self._saved = {k[10:]: v for k, v in tensors.items() if k.startswith("optimizer.")}
