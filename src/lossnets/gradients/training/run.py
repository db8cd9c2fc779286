"""One training in this process, or in one process on each of several devices."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.multiprocessing.spawn import start_processes

from lossnets.errors import ConfigError, DataError, LossnetsError, require
from lossnets.gradients.network import GradientNetwork
from lossnets.gradients.training.config import PGNConfig
from lossnets.gradients.training.data import Crops
from lossnets.gradients.training.log import StepLog
from lossnets.gradients.training.progress import Report, TrainingProgress
from lossnets.lightning_host import free_port, join_training, quiet
from lossnets.losses.base import ImageLoss
from lossnets.processes import started_from_anywhere
from lossnets.torchvision_compat import ensure_torchvision

LAST, LOG = "last.safetensors", "log.csv"
_LOOK_EVERY = 1.0
"""Seconds between looks at the log of other processes."""
_KINDS = ("cpu", "cuda", "mps")


@dataclass(frozen=True)
class Job:
    """What a training process needs.

    Attributes:
        network: to train, freshly initialised; the result comes out as a checkpoint.
        loss: to imitate.
        config: of the training.
        files: images to train on.
        folder: of checkpoints, log and panels.
        device: ``cpu``, ``cuda``, ``cuda:1`` or ``mps``.
        devices: how many of them, each with a process of its own.
        loaders: processes that load images, for each device.
    """

    network: GradientNetwork
    loss: ImageLoss
    config: PGNConfig
    files: tuple[Path, ...]
    folder: Path
    device: str = "cpu"
    devices: int = 1
    loaders: int = 0


def check_device(device: str, devices: int) -> None:
    """Refuse a device that is not here.

    Raises:
        ConfigError: unknown, or not so many of them.
    """
    if not isinstance(device, str):
        raise ConfigError(f"device must be like 'cpu', 'cuda', 'cuda:1' or 'mps'; got {device!r}")
    if isinstance(devices, bool) or not isinstance(devices, int):
        raise ConfigError(f"devices must be a whole number, 1 or more; got {devices!r}")
    kind, colon, index = device.partition(":")
    if kind not in _KINDS or (colon and (kind != "cuda" or not index.isdecimal())):
        raise ConfigError(f"device must be like 'cpu', 'cuda', 'cuda:1' or 'mps'; got {device!r}")
    if devices < 1 or (colon and devices > 1):
        raise ConfigError(
            f"devices must be 1 or more, and 1 with a numbered device; got {devices} with device={device!r}"
        )
    there = {
        "cpu": devices,
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
        "mps": int(torch.backends.mps.is_available()),
    }[kind]
    if max(devices, int(index or 0) + 1) > there:
        raise ConfigError(
            f"device={device!r} with devices={devices} needs more than the {there} that torch "
            f"{torch.__version__} sees here. Use device='cpu', or install a build of torch for your GPU"
        )


def run(job: Job, report: Report | None = None) -> None:
    """Train to the end, or from the last checkpoint in the folder; leaves the last checkpoint there.

    Raises:
        DivergedError: the meta-loss was not finite.
        DataError: a file cannot be written or read.
        KeyboardInterrupt: interrupted; what is after the last checkpoint is lost.
    """
    from lossnets.gradients.training import module  # noqa: F401 - Lightning sets its log levels when imported

    with quiet(), torch.random.fork_rng(devices=[]), torch.inference_mode(False), torch.enable_grad():
        if job.devices > 1:
            _on_all(job, report)
        else:
            train(job, report)


def train(job: Job, report: Report | None) -> None:
    """The training of this process."""
    from lossnets.gradients.training.callbacks import Record, Save, loggers
    from lossnets.gradients.training.module import GradientTraining, pl
    from lossnets.gradients.training.state import StateIO, read_state

    config, last = job.config, job.folder / LAST
    log = StepLog(job.folder / LOG)
    if last.is_file():
        finished = int(read_state(last)["lossnets"]["finished"])
        log.read(finished)
        if finished >= config.steps:
            return
    crops = Crops(job.files, config.batch, config.crop, config.seed, config.downscale)
    module = GradientTraining(job.network, job.loss, config, crops, job.folder, job.loaders).train()
    kind, _, index = job.device.partition(":")
    trainer = pl.Trainer(
        max_epochs=-(-config.steps // config.log_every),
        accelerator="gpu" if kind == "cuda" else kind,
        devices=[int(index)] if index else job.devices,
        strategy="ddp" if job.devices > 1 else "auto",
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        plugins=[StateIO(), _environment(job.devices > 1)],
        callbacks=[Record(job.folder, config, log, report), Save(last, config)],
        logger=loggers(job.folder),
        reload_dataloaders_every_n_epochs=1,
        use_distributed_sampler=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        default_root_dir=job.folder,
    )
    # SIGTERM must end a worker or a job as it ends any program: the checkpoint is on disk
    trainer._signal_connector.register_signal_handlers = lambda: None
    trainer.fit(module, ckpt_path=last if last.is_file() else None, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt


def _environment(distributed: bool) -> Any:
    """Who starts the processes: `_on_all` does, and nobody for one device, on a cluster neither."""
    known: Any = require("lightning.fabric.plugins.environments", "bench", "training of gradient networks")
    return known.TorchElasticEnvironment() if distributed else known.LightningEnvironment()


def _on_all(job: Job, report: Report | None) -> None:
    """Train in several processes, started afresh, which Lightning joins to one DDP training."""
    error = job.folder / "error.txt"
    error.unlink(missing_ok=True)
    packed = pickle.dumps(job)  # opened in the process once torchvision can be imported there
    arguments = (packed, job.devices, free_port(), error)
    told = _rows(job)
    with started_from_anywhere():
        started: Any = start_processes(_process, arguments, nprocs=job.devices, join=False)  # type: ignore[no-untyped-call]
    try:
        while not _joined(started, job, error):
            told = _tell(job, report, told)
        _tell(job, report, told)
    finally:  # Ctrl-C, or an error of whom the progress is told: no process is left behind
        for process in started.processes:
            if process.is_alive():
                process.terminate()
                process.join()


def _joined(started: Any, job: Job, error: Path) -> bool:
    """Wait a little for the processes to end; whether they have.

    Raises:
        DataError: one failed; the message has its error.
    """
    try:
        return bool(started.join(timeout=_LOOK_EVERY))
    except Exception as cause:  # torch wraps what a process raised, as text
        why = error.read_text(encoding="utf-8") if error.is_file() else str(cause)
        raise DataError(f"training on {job.devices} devices failed: {why}") from cause


def _rows(job: Job) -> int:
    return len(_log(job).rows)


def _log(job: Job) -> StepLog:
    log = StepLog(job.folder / LOG)
    log.read()
    return log


def _tell(job: Job, report: Report | None, told: int) -> int:
    """Report the rows that the first process has added to the log; returns how many there are."""
    rows = _log(job).rows
    for k in range(told, len(rows) if report is not None else told):
        assert report is not None  # noqa: S101 - for the type checker
        before = int(rows[k - 1]["step"]) if k else 0
        report(TrainingProgress.from_row(rows[k], before, job.config.steps))
    return max(told, len(rows))


def _process(rank: int, packed: bytes, count: int, port: int, error: Path) -> None:
    join_training(rank, count, port)
    ensure_torchvision()
    from lossnets.gradients.training import module  # noqa: F401 - as in `run`

    try:
        job: Job = pickle.loads(packed)  # noqa: S301 - from the process that started this one
        with quiet():
            train(job, None)
    except LossnetsError as cause:
        error.write_text(str(cause), encoding="utf-8")
        raise
