"""Fit a task: the public side of the engine, which imports Lightning only when something is trained."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

from lossnets.benchmarks.base import Progress
from lossnets.benchmarks.engine.randomness import derived_seed
from lossnets.benchmarks.engine.task import Task
from lossnets.errors import ConfigError, DataError
from lossnets.home import make_folder
from lossnets.lightning_host import quiet

logger = logging.getLogger("lossnets")

BEST, LAST, MODEL, LOG = "best.safetensors", "last.safetensors", "model.safetensors", "log.csv"


@dataclass(frozen=True)
class Execution:
    """Where and how a training runs; nothing here belongs to the run's identity.

    Attributes:
        kind: ``cpu``, ``cuda`` or ``mps``.
        devices: numbers of the devices, or how many.
    """

    kind: str = "cpu"
    devices: list[int] | int = 1

    @classmethod
    def parse(cls, device: str) -> Execution:
        """From ``cpu``, ``cuda``, ``cuda:1``, ``cuda:0,1`` (those two) or ``cuda*4`` (four of them).

        Raises:
            ConfigError: it is none of these.

        >>> Execution.parse("cuda:0,2").devices, Execution.parse("cpu*2").devices
        ([0, 2], 2)
        """
        kind, star, count = device.partition("*")
        kind, colon, listed = kind.partition(":")
        try:
            if kind not in ("cpu", "cuda", "mps") or (star and colon) or (colon and kind != "cuda"):
                raise ValueError
            numbers = [int(number) for number in listed.split(",")] if colon else None
            if min(numbers or [0]) < 0 or (star and int(count) < 1):
                raise ValueError
            return cls(kind, numbers or (int(count) if star else 1))
        except ValueError:
            raise ConfigError(
                f"device must be like 'cpu', 'cuda', 'cuda:1', 'cuda:0,1' or 'cuda*4'; got {device!r}"
            ) from None

    def check(self) -> None:
        """Raise ConfigError where this machine does not have such devices."""
        if self.kind == "cpu":
            return
        if self.kind == "mps":
            there = int(torch.backends.mps.is_available())
        else:
            there = torch.cuda.device_count() if torch.cuda.is_available() else 0
        wanted = max(self.devices) + 1 if isinstance(self.devices, list) else self.devices
        if wanted > there:
            raise ConfigError(
                f"device needs {wanted} of {self.kind}; torch {torch.__version__} sees {there} here. Use "
                "device='cpu', or install a build of torch for your GPU."
            )

    @property
    def count(self) -> int:
        """Number of devices, each with a process of its own."""
        return self.devices if isinstance(self.devices, int) else len(self.devices)

    @property
    def first(self) -> str:
        """The device on which the trained model is tested."""
        if isinstance(self.devices, int) or self.kind == "cpu":
            return self.kind
        return f"{self.kind}:{self.devices[0]}"


@dataclass(frozen=True)
class Fitted:
    """What a training came to.

    Attributes:
        epochs: trained, over all interruptions.
        best_epoch: counted from 1; its weights are those that the model has now.
        best: the monitored score there.
        history: one dictionary an epoch: the rows of the log.
        images_per_second: median over the epochs of this process; training steps only, validation and
            loading of the first batch included in neither. NaN if nothing was left to train.
    """

    epochs: int
    best_epoch: int
    best: float
    history: list[dict[str, float]] = field(default_factory=list)
    images_per_second: float = math.nan


def fit(
    task: Task,
    *,
    folder: str | Path,
    seed: int = 0,
    device: str = "cpu",
    identity: str = "",
    progress: Progress | None = None,
    workers: int = 0,
    restart: bool = False,
) -> Fitted:
    """Train to the end, or from where an interrupted training in this folder stopped.

    After every epoch the state goes to ``last.safetensors`` and, if it is the best so far, to
    ``best.safetensors``; the log is ``log.csv``, with a folder for TensorBoard beside it. At the end
    ``task.model`` has the best weights, is in eval mode and on the CPU.

    Args:
        task: what is trained, in place.
        folder: of checkpoints and logs.
        seed: of the order of images and of noise in the model.
        device: see `Execution.parse`; several devices train with DDP, each on its part of the batch.
        identity: what else must be equal for a checkpoint to be continued (loss, data).
        progress: called with (steps done, steps at most).
        workers: processes that load images.
        restart: start again where the checkpoint in the folder is damaged or belongs to another
            training, instead of raising.

    Raises:
        MissingExtraError: Lightning is not installed.
        DataError: the loss became NaN or infinite; a checkpoint belongs to another training; the disk
            is full.
    """
    from lossnets.benchmarks.engine.distributed import train_on_all
    from lossnets.benchmarks.engine.lightning import collect, train

    place = make_folder(Path(folder))
    whole = json.dumps([identity, seed, asdict(task.recipe), task.train_size])
    if restart:
        _remove_what_does_not_fit(task, place, whole)
    with quiet(), torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(derived_seed(seed, "fit"))
        execution, speed = Execution.parse(device), math.nan
        if execution.count > 1:
            train_on_all(task, place, seed, execution, whole, workers)
        else:
            speed = train(task, place, seed, execution, whole, progress, workers)
    task.model.cpu().eval()
    return collect(task, place, whole, speed)


def _remove_what_does_not_fit(task: Task, folder: Path, identity: str) -> None:
    """Remove checkpoints that this training cannot go on from; it then starts again."""
    from lossnets.benchmarks.engine.lightning import resumed_log

    try:
        resumed_log(task, folder, identity)
    except DataError as error:
        logger.warning("training starts again: %s", error)
        for name in (BEST, LAST, LOG):
            (folder / name).unlink(missing_ok=True)


def check_loss_value(value: float, epoch: int, step: int) -> None:
    """Raise DataError where the training loss is NaN or infinite, with the step and ways out."""
    if not math.isfinite(value):
        raise DataError(
            f"the training loss became {value} in epoch {epoch + 1}, step {step + 1}. Use a loss whose "
            "gradient stays finite (unit-normalised features, fewer or earlier taps), precision '32', or "
            "look at the training images of that step."
        )
