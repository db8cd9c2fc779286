"""The one state of torch in which frozen networks and constants are made, whatever the process has set.

A training framework may have chosen another default type (``bf16-true``), a default device, inference mode,
autocast, or a mode that only pretends to compute. What is built under such settings would be another loss of
the same name. Everything that this package freezes is therefore built inside `standard_state`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor
from torch.utils import _python_dispatch

_lock = threading.RLock()
_DEVICES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def standard_state() -> Iterator[None]:
    """Context, or decorator, in which torch is as in a fresh process; what was set before is set again afterwards.

    Inside it the default type is float32, the default device the CPU, gradients are recorded, and neither
    inference mode, autocast nor a dispatch mode (fake tensors) is active. The default type belongs to the whole
    process: it is changed only where it is another one, and by one thread at a time.

    >>> with torch.inference_mode(), standard_state():
    ...     torch.ones(2).is_inference()
    False
    """
    with ExitStack() as stack:
        stack.enter_context(_lock)
        default = torch.get_default_dtype()
        if default != torch.float32:
            torch.set_default_dtype(torch.float32)
            stack.callback(torch.set_default_dtype, default)
        if torch._C._len_torch_dispatch_stack() > 0:
            stack.enter_context(_python_dispatch._disable_current_modes())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        stack.enter_context(torch.device("cpu"))
        for kind in _DEVICES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


@standard_state()
def constant(values: Sequence[float], device: torch.device | str | None = None) -> Tensor:
    """A float32 tensor of numbers that belong to a loss: (n,), on ``device`` (default: the CPU).

    >>> with torch.device("meta"):
    ...     constant([0.5]).tolist()
    [0.5]
    """
    return torch.tensor([float(v) for v in values], dtype=torch.float32, device=device or "cpu")
