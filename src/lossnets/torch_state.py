"""The one state of torch in which frozen networks and constants are made, whatever the process has set.

A training framework may have chosen another default type (``bf16-true``), a default device, inference mode,
autocast, or a mode that only pretends to compute. What is built under such settings would be another loss of
the same name. Everything that this package freezes is therefore built inside `standard_state`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._functorch import pyfunctorch
from torch.utils import _python_dispatch

_DEVICES = ("cpu", "cuda", "mps", "xpu")


@contextmanager
def standard_state() -> Iterator[None]:
    """Context, or decorator, in which torch is as in a fresh process; afterwards it is as it was before.

    Inside it the default type is float32, the default device the CPU, gradients are recorded, and neither
    inference mode, autocast, tracing, a transform of `torch.func` nor a dispatch mode (fake tensors) is
    active. In a process that has set none of this it does next to nothing. The default type belongs to the
    whole process: other threads see float32, too, until the last thread has left.

    >>> with torch.inference_mode(), standard_state():
    ...     torch.ones(2).is_inference()
    False
    """
    with ExitStack() as stack:
        stack.enter_context(_float32)
        tracing = torch._C._get_tracing_state()
        if tracing is not None:  # what is built meanwhile is no part of the trace
            pause: Any = torch._C
            pause._set_tracing_state(None)
            stack.callback(pause._set_tracing_state, tracing)
        if torch._C._are_functorch_transforms_active():
            stack.enter_context(pyfunctorch.temporarily_clear_interpreter_stack())
        if torch._C._len_torch_dispatch_stack() > 0:
            stack.enter_context(_python_dispatch._disable_current_modes())
        stack.enter_context(torch.inference_mode(False))
        stack.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            stack.enter_context(torch.device("cpu"))
        for kind in _DEVICES:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        yield


class _DefaultType:
    """Makes float32 the default type from the first thread that enters to the last that leaves."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before: torch.dtype | None = None

    def __enter__(self) -> None:
        with self._lock:
            if self._inside == 0 and torch.get_default_dtype() != torch.float32:
                self._before = torch.get_default_dtype()
                torch.set_default_dtype(torch.float32)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._before is not None:
                torch.set_default_dtype(self._before)
                self._before = None


_float32 = _DefaultType()


@standard_state()
def constant(values: Sequence[float], device: torch.device | str | None = None) -> Tensor:
    """A float32 tensor of numbers that belong to a loss: (n,), on ``device`` (default: the CPU).

    >>> with torch.device("meta"):
    ...     constant([0.5]).tolist()
    [0.5]
    """
    return torch.tensor([float(v) for v in values], dtype=torch.float32, device=device or "cpu")


def operations_are_watched() -> bool:
    """Whether a compiler, a tracer or a transform has to see single operations, and no function of ours.

    >>> operations_are_watched()
    False
    """
    return (
        torch.compiler.is_compiling()
        or torch._C._get_tracing_state() is not None
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._len_torch_dispatch_stack() > 0
    )


def stands_for_many(tensor: Tensor) -> bool:
    """Whether a tensor holds one value for each of many calls (`torch.vmap`, ``is_grads_batched=True``)."""
    functorch = torch._C._functorch
    batched: bool = functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)
    return batched


def value_holder(tensor: Tensor) -> Tensor | None:
    """The tensor that holds the values, inside the wrappers of `torch.func`; None where none can be seen.

    There are none inside a compiler or tracer, while a CUDA graph is captured, and on the meta device.
    """
    if torch.compiler.is_compiling() or torch._C._get_tracing_state() is not None or tensor.is_meta:
        return None
    if torch._C._len_torch_dispatch_stack() > 0:
        return None
    if tensor.is_cuda and torch.cuda.is_current_stream_capturing():
        return None
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor.detach()


class _Precision(threading.local):
    """Autocast settings that nodes of a backward pass have switched off, innermost last."""

    def __init__(self) -> None:
        self.before: list[tuple[str, bool]] = []


_precision = _Precision()
_MARK = "lossnets"


def keep_precision(result: Tensor, inputs: Sequence[object]) -> None:
    """Let the way back from ``result`` compute in its own precision, also if ``backward()`` runs in autocast.

    Autocast casts each matrix product, those of a backward pass included.

    Args:
        result: has a graph.
        inputs: tensors at which its own part of the graph begins; what lies behind is somebody else's.
    """
    _keep_precision(result, [t.grad_fn for t in inputs if isinstance(t, Tensor) and t.grad_fn is not None])


def _keep_precision(result: Tensor, border: Sequence[object]) -> None:
    device = result.device.type
    stack: list[Any] = [result.grad_fn]
    while stack:
        node = stack.pop()
        if node is None or any(node is other for other in border) or _MARK in node.metadata:
            continue
        if node.name().endswith("AccumulateGrad"):
            continue
        node.metadata[_MARK] = True
        node.register_prehook(lambda _: _switch_off(device))
        node.register_hook(lambda gradients, _: _switch_back(gradients, border))
        stack.extend(following for following, _ in node.next_functions)


def _switch_off(device: str) -> None:
    _precision.before.append((device, torch.is_autocast_enabled(device)))
    torch.set_autocast_enabled(device, False)


def _switch_back(gradients: Sequence[Tensor | None], border: Sequence[object]) -> None:
    device, before = _precision.before.pop()
    torch.set_autocast_enabled(device, before)
    for gradient in gradients:
        if gradient is not None and gradient.grad_fn is not None:  # create_graph=True: a second way back
            _keep_precision(gradient, border)
