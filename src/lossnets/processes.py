"""What belongs to the process that uses us: it is left as it was; and processes that are started afresh."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import random
import sys
import threading
import warnings
from collections.abc import Iterator
from multiprocessing.context import BaseContext
from pathlib import Path

_lock = threading.Lock()


def main_is_importable() -> bool:
    """Whether a new process can import the program: it is a file or a module, not standard input."""
    main = sys.modules["__main__"]
    if getattr(main, "__spec__", None) is not None:
        return True
    file = getattr(main, "__file__", None)
    return file is not None and Path(file).is_file()


def _start_method() -> str | None:
    return multiprocessing.get_start_method(allow_none=True)


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """Leave the process as it was, whatever other packages do in the block, when they are imported above all.

    Environment, filters of warnings, start method of processes, random numbers of Python, NumPy and torch.
    As a decorator it holds for a function.
    """
    environment, method, ours = dict(os.environ), _start_method(), random.getstate()
    with warnings.catch_warnings(), _random_states():
        try:
            yield
        finally:
            random.setstate(ours)
            for name in os.environ.keys() - environment.keys():
                del os.environ[name]
            os.environ.update({k: v for k, v in environment.items() if os.environ.get(k) != v})
            if method is None and _start_method() is not None:
                multiprocessing.set_start_method(None, force=True)  # undecided again


@contextlib.contextmanager
def _random_states() -> Iterator[None]:
    """Keep the random states of NumPy and torch, where they are imported at all."""
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    states = numpy.random.get_state() if numpy is not None else None
    started = torch is not None and torch.cuda.is_initialized()
    devices = list(range(torch.cuda.device_count())) if torch is not None and started else []
    with torch.random.fork_rng(devices=devices) if torch is not None else contextlib.nullcontext():
        try:
            yield
        finally:
            if numpy is not None:
                numpy.random.set_state(states)


@contextlib.contextmanager
def started_from_anywhere() -> Iterator[None]:
    """Let processes that are started (spawned) in the block begin without the program, where it is no file.

    They would look for a file named ``<stdin>``, and die before they know why they were started.
    """
    main = sys.modules["__main__"]
    with _lock:
        if main_is_importable() or not hasattr(main, "__file__"):
            yield
            return
        file = main.__file__
        del main.__file__
        try:
            yield
        finally:
            main.__file__ = file


def loader_context(loaders: int) -> BaseContext | None:
    """How processes that load images are started: as the caller has chosen, or as is usual on this system.

    Named, so that the choice for the whole process stays the caller's.
    """
    if not loaders:
        return None
    return multiprocessing.get_context(_start_method() or multiprocessing.get_all_start_methods()[0])
