"""Several devices: one process each, started afresh, which Lightning joins to one DDP training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from torch.multiprocessing.spawn import start_processes

from lossnets.benchmarks.engine.fit import Execution
from lossnets.benchmarks.engine.task import Task
from lossnets.errors import DataError, LossnetsError
from lossnets.lightning_host import free_port, join_training, quiet
from lossnets.processes import started_from_anywhere


def train_on_all(
    task: Task, folder: Path, seed: int, execution: Execution, identity: str, workers: int
) -> None:
    """Train in ``execution.count`` processes; what comes out of it are the files in the folder.

    Raises:
        DataError: a process failed; the message has its error.
    """
    error = folder / "error.txt"
    error.unlink(missing_ok=True)
    arguments = (task, folder, seed, execution, identity, workers, free_port(), error)
    try:
        with started_from_anywhere():
            started: Any = start_processes(_process, arguments, nprocs=execution.count, join=False)  # type: ignore[no-untyped-call]
        while not started.join():
            pass
    except Exception as cause:  # torch wraps what a process raised, as text
        told = error.read_text(encoding="utf-8") if error.is_file() else str(cause)
        raise DataError(f"training on {execution.count} devices failed: {told}") from cause


def _process(
    rank: int,
    task: Task,
    folder: Path,
    seed: int,
    execution: Execution,
    identity: str,
    workers: int,
    port: int,
    error: Path,
) -> None:
    from lossnets.benchmarks.engine.lightning import train

    join_training(rank, execution.count, port)
    try:
        with quiet():
            train(task, folder, seed, execution, identity, None, workers)
    except LossnetsError as cause:
        error.write_text(str(cause), encoding="utf-8")
        raise
