"""The one state of torch in which frozen networks and constants are made, whatever the process has set.

A training framework may have chosen another default type (``bf16-true``), a default device, inference mode,
autocast, or a mode that only pretends to compute. What is built under such settings would be another loss of
the same name. Everything that this package freezes is therefore built inside `standard_state`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
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


class _Held:
    """A setting of the whole process, held at a value from the first thread that enters to the last to leave.

    Args:
        read: gives what is set.
        write: sets it.
        wanted: what is held.
        same: values that need no change.
    """

    def __init__(
        self, read: Callable[[], Any], write: Callable[[Any], None], wanted: Any, same: tuple[Any, ...]
    ) -> None:
        self._read, self._write, self._wanted, self._same = read, write, wanted, same
        self._lock = threading.Lock()
        self._inside = 0
        self._before: list[Any] = []

    def needed(self) -> bool:
        """Whether another value is set, or was until somebody entered."""
        return self._inside > 0 or self._read() not in self._same

    def __enter__(self) -> None:
        with self._lock:
            set_now = self._read()
            if set_now not in self._same:
                if not self._before:
                    self._before.append(set_now)
                self._write(self._wanted)
            self._inside += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0 and self._before:
                self._write(self._before.pop())


_float32 = _Held(torch.get_default_dtype, torch.set_default_dtype, torch.float32, (torch.float32,))


def _precision_of(owner: Any) -> _Held:
    return _Held(
        lambda: owner.fp32_precision,
        lambda value: setattr(owner, "fp32_precision", value),
        "ieee",
        ("ieee", "none"),
    )


def _products() -> tuple[_Held, ...]:
    """What a process may have set for products of float32 numbers, and convolutions of them on the CPU."""
    backends: Any = torch.backends
    if hasattr(backends, "fp32_precision"):
        owners = (backends.mkldnn.matmul, backends.mkldnn.conv, backends.cuda.matmul)
        return tuple(_precision_of(owner) for owner in owners)
    old = (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision)
    return (_Held(*old, "highest", ("highest",)),)


_PRODUCTS = _products()


def products_are_rounded() -> bool:
    """Whether the process computes products of float32 numbers in less (``set_float32_matmul_precision``)."""
    return any(held.needed() for held in _PRODUCTS)


@contextmanager
def exact_products() -> Iterator[None]:
    """Context in which a product of float32 numbers is one, whatever the process has set for it."""
    with ExitStack() as stack:
        for held in _PRODUCTS:
            stack.enter_context(held)
        yield


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


def values_are_hidden() -> bool:
    """Whether tensors are stand-ins now: inside a compiler or tracer, or among fake tensors."""
    if torch.compiler.is_compiling():
        return True
    key = torch._C._TorchDispatchModeKey
    modes = (key.PROXY, key.FAKE, key.FUNCTIONAL)
    active = any(torch._C._get_dispatch_mode(mode) is not None for mode in modes)
    return active or torch._C._get_tracing_state() is not None


def among_fake_tensors() -> bool:
    """Whether every new tensor has a shape only (``FakeTensorMode``), and no compiler made it so."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._get_dispatch_mode(torch._C._TorchDispatchModeKey.FAKE) is not None


def stands_for_many(tensor: Tensor) -> bool:
    """Whether a tensor holds one value for each of many calls (`torch.vmap`, ``is_grads_batched=True``)."""
    functorch = torch._C._functorch
    batched: bool = functorch.is_batchedtensor(tensor) or functorch.is_legacy_batchedtensor(tensor)
    return batched


def value_holder(tensor: Tensor) -> Tensor | None:
    """The tensor that holds the values, inside the wrappers of `torch.func`; None where none can be seen.

    There are none inside a compiler or tracer, while a CUDA graph is captured, and on the meta device.
    """
    if values_are_hidden() or tensor.is_meta:
        return None
    if tensor.is_cuda and torch.cuda.is_current_stream_capturing():
        return None
    functorch = torch._C._functorch
    while functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor.detach()


class _Precision(threading.local):
    """What nodes of a backward pass have switched off, innermost last."""

    def __init__(self) -> None:
        self.before: list[ExitStack] = []


_precision = _Precision()
_MARK = "lossnets"


def keep_precision(result: Tensor, inputs: Sequence[object]) -> None:
    """Let the way back from ``result`` compute in its own precision, also if ``backward()`` runs in autocast.

    Autocast casts each matrix product, those of a backward pass included; so does
    ``torch.set_float32_matmul_precision``.

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


def restore_precision() -> None:
    """Take back what a backward pass has switched off that ended in an error, before it could do so."""
    if _precision.before and not torch.compiler.is_compiling() and torch._C._current_graph_task_id() == -1:
        while _precision.before:
            _precision.before.pop().close()


def _switch_off(device: str) -> None:
    stack = ExitStack()
    stack.enter_context(torch.autocast(device, enabled=False))
    stack.enter_context(exact_products())
    _precision.before.append(stack)


def _switch_back(gradients: Sequence[Tensor | None], border: Sequence[object]) -> None:
    _precision.before.pop().close()
    for gradient in gradients:
        if gradient is not None and gradient.grad_fn is not None:  # create_graph=True: a second way back
            _keep_precision(gradient, border)
