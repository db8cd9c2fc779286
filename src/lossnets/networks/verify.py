"""Is the traced graph the same network as the module it was traced from? Asked of modules that nobody knows.

Tracing runs a module's Python code once, on a stand-in for a tensor. Code that asks what it was given,
keeps a count, draws random numbers, or enters a context (``no_grad``, autocast) may take another way then.
Both are therefore run on one small image, and compared tap by tap.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, fx, nn

from lossnets.networks.graph import TracedNetwork, UntraceableError, trace
from lossnets.networks.hooked import HookedStages
from lossnets.networks.interpreter import Interpreter

_SMALL = ((64, 80), (64, 64), (128, 128))
_TOLERANCE = 1e-4


def verify_trace(
    model: nn.Module, taps: Iterable[str], sizes: Iterable[tuple[int, int]], channels: int
) -> None:
    """Run ``model`` and its traced graph on one image and compare all taps that are modules.

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
                _compare(eager, _graph(trace(copy.deepcopy(model)), images))
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
