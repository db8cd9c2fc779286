"""Several devices: one process each, started afresh, which Lightning joins to one DDP training."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import torch
from torch.multiprocessing.spawn import start_processes

from lossnets.benchmarks.engine.fit import Execution
from lossnets.benchmarks.engine.task import Task
from lossnets.errors import DataError, LossnetsError


def train_on_all(
    task: Task, folder: Path, seed: int, execution: Execution, identity: str, workers: int
) -> None:
    """Train in ``execution.count`` processes; what comes out of it are the files in the folder.

    Raises:
        DataError: a process failed; the message has its error.
    """
    error = folder / "error.txt"
    error.unlink(missing_ok=True)
    arguments = (task, folder, seed, execution, identity, workers, _free_port(), error)
    try:
        start_processes(_process, arguments, nprocs=execution.count)  # type: ignore[no-untyped-call]
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
    from lossnets.benchmarks.engine.fit import quiet
    from lossnets.benchmarks.engine.lightning import train

    count = execution.count
    os.environ |= {  # what torchrun would set: Lightning then starts no processes of its own
        "TORCHELASTIC_RUN_ID": "lossnets",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
    }
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // count))
    try:
        with quiet():
            train(task, folder, seed, execution, identity, None, workers)
    except LossnetsError as cause:
        error.write_text(str(cause), encoding="utf-8")
        raise


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
