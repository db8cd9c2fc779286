"""The training loop (Lightning): epochs, learning rate, clamping, checkpoint after every epoch, log."""

from __future__ import annotations

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from lossnets.benchmarks.base import Progress
from lossnets.benchmarks.similarity.training_data import Batch, EpochBatches
from lossnets.benchmarks.tensors import read_tensors, write_tensors
from lossnets.errors import ConfigError, DataError
from lossnets.home import atomic_write, make_folder
from lossnets.lightning_host import quiet

STATE_FILE, LOG_FILE = "state.safetensors", "log.jsonl"


@dataclass(frozen=True)
class TrainingSettings:
    """How a variant is trained; the defaults are the study's.

    Attributes:
        epochs: at constant learning rate.
        decay_epochs: with a learning rate that falls linearly and would reach 0 after the last one.
        lr: learning rate of Adam.
        betas: of Adam.
        batch_size: triplets.
        dropout: probability with which a channel is left out before the channel weights.
        seed: of the head's initial weights, the order of triplets, and dropout.
    """

    epochs: int = 5
    decay_epochs: int = 5
    lr: float = 1e-3
    betas: tuple[float, float] = (0.5, 0.999)
    batch_size: int = 256
    dropout: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        if self.epochs < 0 or self.decay_epochs < 0 or self.epochs + self.decay_epochs < 1:
            raise ConfigError(
                f"epochs and decay_epochs must be 0 or more, together at least 1; "
                f"got {self.epochs} and {self.decay_epochs}."
            )
        if not (self.lr > 0 and self.batch_size >= 1 and 0 <= self.dropout < 1):
            raise ConfigError(
                "lr must be above 0, batch_size at least 1, dropout in [0, 1); got "
                f"{self.lr}, {self.batch_size}, {self.dropout}."
            )

    @property
    def total(self) -> int:
        """All epochs."""
        return self.epochs + self.decay_epochs

    def lr_at(self, epoch: int) -> float:
        """Learning rate of an epoch, counted from 0; as in LPIPS it falls after the first decay epoch.

        >>> [round(TrainingSettings(lr=1.0).lr_at(e), 1) for e in range(10)]
        [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.8, 0.6, 0.4, 0.2]
        """
        if epoch < self.epochs:
            return self.lr
        return self.lr * (self.total - epoch) / self.decay_epochs


class Judge(nn.Module):
    """Channel distances to p0 and p1 -> logits that people find p1 closer: (N,).

    Attributes:
        weights: the non-negative channel weights, the only part that is ever clamped.
        head: the small network that turns two distances into a judgement; thrown away afterwards.
        channel_counts: tap -> C.
    """

    def __init__(self, weights: nn.Module, head: nn.Module, channel_counts: Mapping[str, int]) -> None:
        super().__init__()
        self.weights = weights
        self.head = head
        self.channel_counts = dict(channel_counts)

    def forward(self, shares0: Any, shares1: Any) -> tuple[Tensor, Tensor, Tensor]:
        """-> (d0, d1, logits), (N,) each."""
        d0, d1 = self.weights(shares0), self.weights(shares1)
        return d0, d1, self.head(d0, d1)


@dataclass(frozen=True)
class Job:
    """What `fit` trains.

    Attributes:
        judge: always trained.
        data: indexed with a list of item numbers, it returns a raw batch.
        shares: raw batch -> `Batch`; the identity for cached distances.
        trunk: a network that is trained too; None: only the judge is.
        trunk_mode: whether the trunk is in training mode (batch statistics of BatchNorm).
        identity: what a checkpoint must agree on to be continued.
    """

    judge: Judge
    data: Dataset[Any]
    shares: Callable[[Any], Batch]
    trunk: nn.Module | None = None
    trunk_mode: bool = False
    identity: str = ""


def fit(
    job: Job,
    settings: TrainingSettings,
    *,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
    stop_after: int | None = None,
) -> int:
    """Train to the end, or from where an interrupted training stopped -> epochs done in all.

    After every epoch, parameters, buffers and optimiser state are written to one safetensors file
    (atomically) and a line to the log. Randomness depends on seed and epoch only, so a training
    that was interrupted ends with the numbers that it would have had.

    Args:
        job: what is trained, in place.
        settings: how.
        folder: of checkpoint and log; None: neither is written.
        device: where.
        progress: called with (epochs done, epochs in all).
        stop_after: stop after so many epochs in all (for a look in between); None: go to the end.

    Raises:
        MissingExtraError: Lightning is not installed.
        DataError: the loss became NaN or infinite, or the checkpoint belongs to another training.
    """
    from lossnets.benchmarks.similarity.training_lightning import LitJob, new_trainer

    lit = LitJob(job, settings, progress)
    state = _State(lit, job, settings, make_folder(folder) if folder is not None else None)
    first = state.restore()
    last = settings.total if stop_after is None else min(stop_after, settings.total)
    if first >= last:
        return first
    lit.begin(first, state.after_epoch)
    batches = EpochBatches(len(job.data), settings.batch_size, settings.seed, first)  # type: ignore[arg-type]
    loader: DataLoader[Any] = DataLoader(job.data, sampler=batches, batch_size=None)
    with quiet(), _threads(job), torch.random.fork_rng(), torch.enable_grad():
        new_trainer(last - first, device, folder).fit(lit, loader)
    job.judge.eval()
    return last


@contextlib.contextmanager
def _threads(job: Job) -> Iterator[None]:
    """One thread for a job on a table: its operations are too small to share, and waiting costs more."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if job.trunk is None else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _State:
    """Checkpoint and log of a training."""

    def __init__(self, lit: Any, job: Job, settings: TrainingSettings, folder: Path | None) -> None:
        self._lit, self._job, self._settings, self._folder = lit, job, settings, folder
        self._identity = json.dumps([job.identity, asdict(settings)])
        self._lines: list[str] = []
        self._start = time.perf_counter()

    def restore(self) -> int:
        """Load the checkpoint if there is one -> epochs done."""
        if self._folder is None or not (self._folder / STATE_FILE).is_file():
            return 0
        tensors, metadata = read_tensors(self._folder / STATE_FILE)
        if metadata.get("identity") != self._identity:
            raise DataError(
                f"{str(self._folder / STATE_FILE)!r} belongs to another training (other loss, data or "
                "settings). Choose another folder, or remove the file to start again."
            )
        try:
            self._lit.load_tensors(tensors)
            epoch = int(metadata["epoch"])
        except (RuntimeError, KeyError, ValueError) as error:
            raise DataError(
                f"{str(self._folder / STATE_FILE)!r} does not fit this training: {error}. "
                "Remove the file to start again."
            ) from error
        log = self._folder / LOG_FILE
        if log.is_file():
            self._lines = log.read_text(encoding="utf-8").splitlines(keepends=True)[:epoch]
        return epoch

    def after_epoch(self, epoch: int, tensors: dict[str, Tensor], record: dict[str, Any]) -> None:
        """Write log and checkpoint of the epoch that just ended; epoch counts those done."""
        if not math.isfinite(record["loss"]):
            raise DataError(
                f"the training loss became {record['loss']} in epoch {epoch}; use a lower lr, or a "
                "distance of unit-normalised features."
            )
        now = time.perf_counter()
        record |= {"seconds": round(now - self._start, 3)}
        self._start = now
        if self._folder is None:
            return
        self._lines.append(json.dumps(record) + "\n")
        with atomic_write(self._folder / LOG_FILE, "w", error=DataError) as file:
            file.writelines(self._lines)
        metadata = {"epoch": str(epoch), "identity": self._identity}
        write_tensors(self._folder / STATE_FILE, tensors, metadata)  # last: it counts the log's lines


def training_loss(logits: Tensor, judge: Tensor) -> Tensor:
    """Binary cross-entropy of the judgement, which may be a fraction: (N,), (N,) -> ()."""
    return functional.binary_cross_entropy_with_logits(logits, judge)


def flat_optimizer_state(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Adam's state as named tensors: ``optimizer.INDEX.KEY``."""
    state = optimizer.state_dict()["state"]
    return {f"optimizer.{i}.{key}": torch.as_tensor(v) for i, s in state.items() for key, v in s.items()}


def restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, Tensor]) -> None:
    """Put back what `flat_optimizer_state` gave."""
    content = optimizer.state_dict()
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        index, key = name.split(".", 1)
        state.setdefault(int(index), {})[key] = value
    content["state"] = state
    optimizer.load_state_dict(content)


def trainable_parameters(modules: Sequence[nn.Module | None]) -> list[nn.Parameter]:
    """Parameters that a gradient may change, in order."""
    return [p for m in modules if m is not None for p in m.parameters() if p.requires_grad]
