"""The Lightning side of `fit`; imported only when something is trained."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path, PureWindowsPath
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lossnets.benchmarks.base import Progress
from lossnets.benchmarks.engine.checkpoints import SafetensorsIO, model_weights, read_checkpoint
from lossnets.benchmarks.engine.fit import BEST, LAST, LOG, Execution, Fitted, check_loss_value
from lossnets.benchmarks.engine.log import EpochLog
from lossnets.benchmarks.engine.randomness import derived_seed, generator
from lossnets.benchmarks.engine.task import Task
from lossnets.errors import DataError, require
from lossnets.processes import loader_context

pl: Any = require("lightning.pytorch", "bench", "the training benchmarks")
_callbacks: Any = require("lightning.pytorch.callbacks", "bench", "the training benchmarks")


class _Checkpoint(_callbacks.ModelCheckpoint):  # type: ignore[misc]
    """Lightning's, but it knows its files by their names, wherever the folder has been moved to.

    Lightning's own forgets the best score when the folder's path is another one, so that the first epoch
    after it replaces the best weights.
    """

    FILE_EXTENSION = ".safetensors"

    def state_dict(self) -> dict[str, Any]:
        """Without the folder."""
        return _with_files(super().state_dict(), lambda path: Path(path).name) | {"dirpath": ""}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """With the folder as it is now."""
        here = Path(self.dirpath)
        found = _with_files(state_dict, lambda path: str(here / PureWindowsPath(path).name))
        super().load_state_dict(found | {"dirpath": self.dirpath})


def _with_files(state: dict[str, Any], changed: Callable[[str], str]) -> dict[str, Any]:
    """The state of a checkpoint callback with its paths changed."""
    names = ("best_model_path", "kth_best_model_path", "last_model_path")
    paths = {name: changed(state[name]) if state[name] else "" for name in names}
    return state | paths | {"best_k_models": {changed(k): v for k, v in state["best_k_models"].items()}}


class _Batches(Sampler[tuple[int, list[int]]]):
    """(epoch, indices) of every batch of one epoch, shuffled; with several processes, this one's share."""

    def __init__(self, task: Task, seed: int, epoch: int, rank: int, world: int) -> None:
        self._size, self._batch = task.train_size, task.recipe.batch_size
        self._seed, self._epoch, self._rank, self._world = seed, epoch, rank, world

    def __len__(self) -> int:
        return -(-self._size // self._batch)

    def __iter__(self) -> Iterator[tuple[int, list[int]]]:
        order = torch.randperm(self._size, generator=generator(self._seed, "order", self._epoch)).tolist()
        for start in range(0, self._size, self._batch):
            batch = order[start : start + self._batch]
            # a last batch smaller than the number of processes: the first image again, not none
            yield self._epoch, batch[self._rank :: self._world] or batch[:1]


class _Training(Dataset[Any]):
    def __init__(self, task: Task) -> None:
        self._task = task

    def __getitem__(self, key: tuple[int, list[int]]) -> Any:
        return self._task.training_batch(*key)


class _Validation(Dataset[Any]):
    def __init__(self, task: Task) -> None:
        self._task = task

    def __len__(self) -> int:
        return -(-self._task.validation_size // self._task.validation_batch_size)

    def __getitem__(self, number: int) -> Any:
        size = self._task.validation_batch_size
        indices = list(range(number * size, min((number + 1) * size, self._task.validation_size)))
        return len(indices), self._task.validation_batch(indices)


class _WriteRow(_callbacks.Callback):  # type: ignore[misc]
    """Adds a row to the log after every epoch."""

    def __init__(self, log: EpochLog) -> None:
        self._log, self._start = log, 0.0

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:  # noqa: ARG002
        self._start = time.perf_counter()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        if not trainer.is_global_zero:
            return
        scores = {name: float(value) for name, value in trainer.callback_metrics.items()}
        row = {"epoch": float(trainer.current_epoch + 1), **pl_module.epoch_row(), **scores}
        row["seconds"] = round(time.perf_counter() - self._start, 3)
        self._log.add(row)
        for logger in trainer.loggers:
            logger.log_metrics(row, step=trainer.current_epoch + 1)


class LitTask(pl.LightningModule):  # type: ignore[misc]
    """A `Task` as Lightning wants it."""

    def __init__(self, task: Task, seed: int, workers: int, progress: Progress | None) -> None:
        super().__init__()
        self.model = task.model
        self._task, self._seed, self._workers, self._report = task, seed, workers, progress
        self._sums: dict[str, float] = {}
        self._images, self._seconds, self._speeds = 0, 0.0, [math.nan]
        self._started = 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam, as everywhere in the study."""
        recipe = self._task.recipe
        return torch.optim.Adam(self.model.parameters(), lr=recipe.lr, betas=recipe.betas)

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches of the epoch that is about to begin; made anew for each."""
        batches = _Batches(
            self._task, self._seed, self.current_epoch, self.global_rank, self.trainer.world_size
        )
        return DataLoader(
            _Training(self._task),
            sampler=batches,
            batch_size=None,
            num_workers=self._workers,
            multiprocessing_context=loader_context(self._workers),
        )

    def val_dataloader(self) -> DataLoader[Any]:
        """Every process validates on everything, so that all come to the same decision."""
        return DataLoader(_Validation(self._task), batch_size=None)

    def on_fit_start(self) -> None:
        """Losses to the device, cached targets."""
        self._task.start(self.device)

    def on_train_epoch_start(self) -> None:
        """Forget the sums of the epoch before."""
        self._sums, self._images, self._seconds = {}, 0, 0.0
        self._task.begin_epoch(self.current_epoch, self.optimizers(use_pl_optimizer=False))

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Randomness of the step: of this step alone, so that a resumed training has it too."""
        torch.manual_seed(derived_seed(self._seed, "step", self.current_epoch, batch_idx, self.global_rank))
        self._started = time.perf_counter()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        terms = self._task.training_loss(batch)
        terms = terms if isinstance(terms, dict) else {"loss": terms}
        check_loss_value(float(terms["loss"].detach()), self.current_epoch, batch_idx)
        for name, value in terms.items():
            self._sums[name] = self._sums.get(name, 0.0) + float(value.detach())
        return terms["loss"]

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Speed and progress."""
        recipe, size = self._task.recipe, self._task.train_size
        if batch_idx > 0:  # the first step of an epoch also starts things
            self._seconds += time.perf_counter() - self._started
            self._images += min(recipe.batch_size, size - batch_idx * recipe.batch_size)
        if self._report is not None and self.global_rank == 0:
            steps = recipe.steps_per_epoch(size)
            self._report(self.current_epoch * steps + batch_idx + 1, recipe.epochs * steps)

    def validation_step(self, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        """Scores of a batch; Lightning averages them over all batches by their number of images."""
        count, content = batch
        for name, value in self._task.validation_scores(content).items():
            self.log(name, value.float(), batch_size=count, on_epoch=True, logger=False)

    def epoch_row(self) -> dict[str, float]:
        """Means of the epoch's training terms, and its speed."""
        steps = self._task.recipe.steps_per_epoch(self._task.train_size)
        row = {f"train_{name}": total / steps for name, total in self._sums.items()}
        speed = self._images / self._seconds if self._seconds > 0 else math.nan
        self._speeds.append(speed)
        return row | {"images_per_second": speed}

    def speed(self) -> float:
        """Median over the epochs of this process; NaN where there was none."""
        return median_of(self._speeds)


def median_of(values: Sequence[float]) -> float:
    """Median of the finite ones; NaN where there is none."""
    known = [value for value in values if math.isfinite(value)]
    return statistics.median(known) if known else math.nan


def train(
    task: Task,
    folder: Path,
    seed: int,
    execution: Execution,
    identity: str,
    progress: Progress | None,
    workers: int,
) -> float:
    """Train in this process -> images a second; see `lossnets.benchmarks.engine.fit.fit`."""
    lit = LitTask(task, seed, workers, progress)
    log, last = resumed_log(task, folder, identity), folder / LAST
    lit.train()
    trainer = _trainer(task, folder, execution, identity, log)
    if not (last.is_file() and _ended(task, log)):
        trainer.fit(lit, ckpt_path=last if last.is_file() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    return lit.speed()


def collect(task: Task, folder: Path, identity: str, speed: float) -> Fitted:
    """What a training left in its folder; the best weights go into the task's model."""
    log = resumed_log(task, folder, identity)
    values = log.column(task.recipe.monitor)
    if not any(math.isfinite(value) for value in values):
        raise DataError(
            f"{task.recipe.monitor!r} was not finite in any of {len(values)} epochs, so no epoch is the "
            "best. Look at the validation images, or use another loss."
        )
    best = _best(values, task)
    task.model.load_state_dict(model_weights(folder / BEST, identity))
    if not math.isfinite(speed):
        speed = median_of(log.column("images_per_second"))
    return Fitted(len(log.rows), best + 1, values[best], log.rows, speed)


def resumed_log(task: Task, folder: Path, identity: str) -> EpochLog:
    """The log up to the last checkpoint, empty where there is none; a training goes on from there.

    Raises:
        DataError: it cannot: a file is damaged, belongs to another training, or does not hold the best epoch.
    """
    log, last = EpochLog(folder / LOG), folder / LAST
    if not last.is_file():
        return log
    log.read(int(read_checkpoint(last, identity)["epoch"]) + 1)
    kept, values = int(read_checkpoint(folder / BEST, identity)["epoch"]), log.column(task.recipe.monitor)
    # that of the epoch after the last may be written already: a kill came before its last checkpoint
    if any(map(math.isfinite, values)) and kept not in (_best(values, task), len(values)):
        raise DataError(
            f"{str(folder / BEST)!r} holds the weights of epoch {kept + 1}, and the best by the log is epoch "
            f"{_best(values, task) + 1}: the two are not of one training. Remove the folder to train again."
        )
    return log


def _trainer(task: Task, folder: Path, execution: Execution, identity: str, log: EpochLog) -> Any:
    recipe = task.recipe
    mode = "max" if recipe.higher_is_better else "min"
    common = {
        "dirpath": folder,
        "enable_version_counter": False,
        "auto_insert_metric_name": False,
        "save_on_train_epoch_end": True,  # after the row of the log, which the checkpoint vouches for
    }
    callbacks = [
        _Checkpoint(filename=Path(BEST).stem, monitor=recipe.monitor, mode=mode, **common),
        _WriteRow(log),
    ]
    if recipe.patience is not None:
        callbacks.append(
            _callbacks.EarlyStopping(recipe.monitor, mode=mode, patience=recipe.patience, check_finite=False)
        )
    callbacks.append(_Checkpoint(filename=Path(LAST).stem, **common))  # after the others: it has their state
    distributed = execution.count > 1
    trainer = pl.Trainer(
        max_epochs=recipe.epochs,
        accelerator="gpu" if execution.kind == "cuda" else execution.kind,
        devices=execution.devices,
        strategy="ddp" if distributed else "auto",
        sync_batchnorm=distributed and execution.kind == "cuda",  # as if one device had the whole batch
        deterministic="warn" if execution.kind == "cuda" else None,
        precision=f"{recipe.precision}-true" if recipe.precision == "32" else recipe.precision,
        plugins=[SafetensorsIO(identity), _environment(distributed)],
        callbacks=callbacks,
        logger=_loggers(folder),
        num_sanity_val_steps=0,
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        log_every_n_steps=1,
        default_root_dir=folder,
    )
    # SIGTERM must end a worker or a job as it ends any program: the checkpoint is on disk
    trainer._signal_connector.register_signal_handlers = lambda: None
    return trainer


def _environment(distributed: bool) -> Any:
    """Who starts the processes: `distributed` does, and nobody for one device, on a cluster neither."""
    known: Any = require("lightning.fabric.plugins.environments", "bench", "the training benchmarks")
    return known.TorchElasticEnvironment() if distributed else known.LightningEnvironment()


def _loggers(folder: Path) -> Any:
    if find_spec("tensorboard") is None and find_spec("tensorboardX") is None:
        return False
    loggers: Any = require("lightning.pytorch.loggers", "bench", "the training benchmarks")
    return [loggers.TensorBoardLogger(folder, name=None, version="tensorboard")]


def _ended(task: Task, log: EpochLog) -> bool:
    """Whether the training was over, and only what comes after it was interrupted."""
    recipe = task.recipe
    if len(log.rows) >= recipe.epochs:
        return True
    values = log.column(recipe.monitor)
    return recipe.patience is not None and len(values) - 1 - _best(values, task) >= recipe.patience


def _best(values: Sequence[float], task: Task) -> int:
    sign = -1.0 if task.recipe.higher_is_better else 1.0
    finite = [(sign * value, epoch) for epoch, value in enumerate(values) if math.isfinite(value)]
    return min(finite)[1] if finite else 0
