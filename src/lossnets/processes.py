"""Processes that are started afresh: what they need of the program that starts them."""

from __future__ import annotations

import contextlib
import multiprocessing
import sys
import threading
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
    chosen = multiprocessing.get_start_method(allow_none=True)
    return multiprocessing.get_context(chosen or multiprocessing.get_all_start_methods()[0])
