"""What a training with Lightning needs around it: quiet logs, and processes joined to one training."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Iterator
from typing import Any

import torch

from .processes import undisturbed


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep Lightning from logging and warning, and Ctrl-C from becoming an exit of the interpreter."""
    loggers = [logging.getLogger(n) for n in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    main = threading.current_thread() is threading.main_thread()
    handler: Any = signal.getsignal(signal.SIGINT) if main else None
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with undisturbed():
            for module in ("lightning", "pytorch_lightning", "torch.utils.data", "torch.optim", "torch.cuda"):
                warnings.filterwarnings("ignore", module=rf"{module}.*")
            yield
    except SystemExit as stop:  # Lightning answers Ctrl-C with exit(1)
        if isinstance(stop.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from stop
        raise
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if main:
            signal.signal(signal.SIGINT, handler)


def join_training(rank: int, count: int, port: int) -> None:
    """Make this process one of ``count``: set what torchrun would, so that Lightning starts no others."""
    os.environ |= {
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


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
