"""What one call takes: seconds, multiplications, and the most memory that torch holds during it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

import torch

_T = TypeVar("_T")
_SETTING = "KINETO_LOG_LEVEL"


class Held(NamedTuple):
    """Memory of a call: the most that was held at one time, and what is still held behind it; bytes."""

    peak: int
    kept: int


def seconds_of(run: Callable[[], object], device: torch.device, *, repeats: int = 1) -> float:
    """Seconds of one call, the mean of ``repeats`` in a row; on a GPU of what runs there."""
    if device.type != "cuda":
        start = time.perf_counter()
        for _ in range(repeats):
            run()
        return float(time.perf_counter() - start) / repeats
    torch.cuda.synchronize(device)
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    first.record()
    for _ in range(repeats):
        run()
    last.record()
    torch.cuda.synchronize(device)
    return float(first.elapsed_time(last)) / 1e3 / repeats


def multiplications(run: Callable[[], object]) -> float:
    """Multiply-accumulate operations of convolutions and matrix products in a call, backward passes too.

    By the formulas of `torch.utils.flop_counter`, which count two operations for each. Its own
    ``FlopCounterMode`` cannot be used: it stops at a gradient with respect to an input of a module.

    >>> conv, x = torch.nn.Conv2d(2, 4, 3, padding=1), torch.zeros(1, 2, 5, 5)
    >>> int(multiplications(lambda: conv(x))) == 2 * 4 * 3 * 3 * 5 * 5
    True
    """
    counter = _counter()
    with counter:
        run()
    return float(counter.operations) / 2


def _counter() -> Any:
    """A mode in which the operations of every call of torch are added up."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils.flop_counter import flop_registry

    class Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
        operations = 0

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            result = func(*args, **(kwargs or {}))
            formula = flop_registry.get(func._overloadpacket)
            if formula is not None:
                self.operations += formula(*args, **(kwargs or {}), out_val=result)
            return result

    return Counter()  # type: ignore[no-untyped-call]


def memory_of(run: Callable[[], _T], device: torch.device) -> tuple[_T, Held]:
    """What a call gives, and the memory that torch's allocator held for it above what it held before.

    On a CPU every allocation is followed by the profiler, working memory inside operations included; what
    libraries below torch allocate for themselves is not seen. On a GPU it is the allocator's own count.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        result = run()
        torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device) - before
        return result, Held(peak, torch.cuda.memory_allocated(device) - before)
    with _quiet(), torch.autograd.profiler.profile(profile_memory=True) as profiler:
        result = run()
    return result, _followed(profiler)


def _followed(profiler: Any) -> Held:
    events = [e for e in profiler.kineto_results.events() if e.name() == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        held += event.nbytes()
        most = max(most, held)
    return Held(most, held)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the lines that the profiler writes to stderr whenever it starts and stops."""
    before = os.environ.get(_SETTING)
    os.environ.setdefault(_SETTING, "99")
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_SETTING, None)
