"""What happens between the steps of a training: log, panels, checkpoints, progress."""

from __future__ import annotations

import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lossnets.errors import require
from lossnets.gradients.training.config import PGNConfig
from lossnets.gradients.training.log import StepLog
from lossnets.gradients.training.module import GradientTraining
from lossnets.gradients.training.panels import panel, write_panel
from lossnets.gradients.training.progress import Report, TrainingProgress

_callbacks: Any = require("lightning.pytorch.callbacks", "bench", "training of gradient networks")


class Record(_callbacks.Callback):  # type: ignore[misc]
    """Writes rows of the log and panels, and tells the progress."""

    def __init__(self, folder: Path, config: PGNConfig, log: StepLog, report: Report | None) -> None:
        self._folder, self._config, self._log, self._report = folder, config, log, report

    def on_train_epoch_end(self, trainer: Any, pl_module: GradientTraining) -> None:
        """After the steps of an epoch; a training that has diverged is stopped before its checkpoint."""
        progress = pl_module.progress()
        if not trainer.is_global_zero:
            return
        row = progress.row()
        self._log.add(row)
        for logger in trainer.loggers:
            logger.log_metrics(row, step=progress.step)
        self._panel(pl_module, progress)
        if self._report is not None:
            self._report(progress)

    def _panel(self, module: GradientTraining, progress: TrainingProgress) -> None:
        every, step = self._config.panel_every, progress.step
        if not every or module.last is None:
            return
        if step // every > (step - self._config.log_every) // every or step == self._config.steps:
            name = f"step-{step:07d}.png"
            write_panel(self._folder / "panels" / name, panel(module.last, module.network), str(progress))


class Save(_callbacks.Callback):  # type: ignore[misc]
    """Writes a checkpoint at the end of an epoch when the last one is old enough, and at the very end."""

    def __init__(self, path: Path, config: PGNConfig) -> None:
        self._path, self._config = path, config
        self._last = time.monotonic()

    def on_train_epoch_end(self, trainer: Any, pl_module: GradientTraining) -> None:
        """After `Record`, whose row the checkpoint vouches for."""
        old = time.monotonic() - self._last >= self._config.checkpoint_seconds
        over = pl_module.finished >= self._config.steps
        if not trainer.strategy.broadcast(old or over):  # the first process's clock counts for all
            return
        if pl_module.global_rank > 0:
            pl_module.save_own()
        trainer.strategy.barrier()
        trainer.save_checkpoint(self._path)
        if pl_module.global_rank > 0:
            pl_module.remove_older_own()
        self._last = time.monotonic()


def loggers(folder: Path) -> Any:
    """TensorBoard, where it is installed."""
    if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
        return False
    found: Any = require("lightning.pytorch.loggers", "bench", "training of gradient networks")
    return [found.TensorBoardLogger(folder, name=None, version="tensorboard")]
