"""Is the traced graph the same network as the module it was traced from? Asked of modules that nobody knows.

Tracing runs a module's Python code once, on a stand-in for a tensor. Code that asks what it was given,
keeps a count, draws random numbers, or enters a context (``no_grad``, autocast) may take another way then.
Both are therefore run on one small image, and compared tap by tap; the deepest one also as a loss computes
it, rewritten for speed and memory, with its gradient.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from lossnets.networks.first_layer import speed_up_first_layer
from lossnets.networks.graph import TracedNetwork, UntraceableError, cut, trace
from lossnets.networks.hooked import HookedStages
from lossnets.networks.interpreter import Interpreter

_SMALL = ((64, 80), (64, 64), (128, 128))
_TOLERANCE = 1e-4


def verify_trace(
    model: nn.Module, taps: Iterable[str], sizes: Iterable[tuple[int, int]], channels: int
) -> None:
    """Run ``model`` and its traced graph on one image; compare all taps that are modules, and a gradient.

    Args:
        model: with its numbers, in eval mode; it is copied, not run.
        taps: names of the taps.
        sizes: image sizes (H, W) to try after some small ones; the first that the model takes is used.
        channels: number of input channels.

    Raises:
        UntraceableError: they differ, or the model takes none of the sizes.
    """
    paths = [path for path, _ in model.named_modules() if path in set(taps)]
    state = torch.random.get_rng_state()
    try:
        for size in (*_SMALL, *sizes):
            images = _images(model, size, channels)
            eager = _eager(copy.deepcopy(model), paths, images)
            if eager is not None:
                traced = trace(copy.deepcopy(model))
                _compare(eager, _graph(traced, images))
                _compare_rewritten(eager, traced, images)
                return
    finally:
        torch.random.set_rng_state(state)
    raise UntraceableError(f"{type(model).__name__} takes no image of the sizes that were tried")


def _images(model: nn.Module, size: tuple[int, int], channels: int) -> Tensor:
    like = next((p for p in model.parameters() if p.is_floating_point()), torch.empty(0))
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(1, channels, *size, generator=generator)
    return images.to(like.device, like.dtype).requires_grad_()


def _eager(model: nn.Module, paths: list[str], images: Tensor) -> dict[str, Tensor] | None:
    """Every tap as a hook sees it at the moment when it is computed; None if the model refuses the images."""
    model.requires_grad_(False)
    try:
        with torch.enable_grad():
            return dict(zip(paths, HookedStages(model, paths).iterate(images * 1), strict=True))
    except Exception:  # arbitrary code of the model: another size may do
        return None


class _Recorder(Interpreter):
    def __init__(self, module: fx.GraphModule) -> None:
        super().__init__(module)
        self.values: dict[str, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        self.values[n.name] = super().run_node(n)
        return self.values[n.name]


def _graph(traced: TracedNetwork, images: Tensor) -> dict[str, Any]:
    traced.module.requires_grad_(False)
    traced.module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    recorder = _Recorder(traced.module)
    try:
        with torch.enable_grad():
            recorder.run((images * 1).contiguous(memory_format=torch.channels_last))
    except Exception as error:  # arbitrary code, and the module itself had no trouble with it
        raise UntraceableError(f"the traced graph fails: {error}") from error
    return {path: recorder.values[node.name] for path, node in traced.outputs.items()}


def _compare(eager: dict[str, Tensor], graph: dict[str, Any]) -> None:
    for path, wanted in eager.items():
        got = graph.get(path)
        same = (
            isinstance(got, Tensor)
            and got.shape == wanted.shape
            and got.requires_grad == wanted.requires_grad
            and torch.allclose(got, wanted, rtol=_TOLERANCE, atol=_TOLERANCE, equal_nan=True)
        )
        if not same:
            raise UntraceableError(f"the traced graph computes something else at {path!r}")


def _compare_rewritten(eager: dict[str, Tensor], traced: TracedNetwork, images: Tensor) -> None:
    """The way that a loss takes, cut and rewritten for speed and memory: its values and its gradient."""
    path = next((name for name in reversed(traced.outputs) if name in eager), None)
    if path is None:
        return
    stages, _ = cut(traced, [path])
    speed_up_first_layer(stages[0])  # type: ignore[arg-type]
    own = images.detach().clone().requires_grad_()
    with torch.enable_grad():
        (features,) = stages.iterate((own * 1).contiguous(memory_format=torch.channels_last))
    _compare({path: eager[path]}, {path: features})
    if not features.requires_grad:
        return
    direction = torch.randn(features.shape, generator=torch.Generator().manual_seed(1)).to(features)
    try:
        (wanted,) = torch.autograd.grad(eager[path], images, direction, allow_unused=True)
    except RuntimeError:  # the module overwrites what its own way back needs; the graph does not
        return
    (got,) = torch.autograd.grad(features, own, direction, allow_unused=True)
    same = wanted is None or (
        got is not None
        and torch.allclose(
            got, wanted, rtol=_TOLERANCE, atol=_TOLERANCE * float(wanted.abs().max()), equal_nan=True
        )
    )
    if not same:
        raise UntraceableError(f"the rewritten graph has another gradient at {path!r}")
