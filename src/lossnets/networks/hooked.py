"""Taps through hooks, for networks whose forward pass cannot be traced.

Slower to be sure (every tap is copied when it is computed, so that nothing can change it later), and
the part behind the deepest tap is left by an exception, not cut off.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError
from lossnets.networks.describe import WEIGHTED_LAYERS, layout_of
from lossnets.networks.spec import Tap
from lossnets.torch_state import operations_are_watched


class _DeepestTapReachedError(Exception):
    """Leaves the forward pass; never seen by a caller."""


class HookedStages(nn.ModuleList):
    """The whole network in one piece; the features of its taps are copied as they appear.

    Args:
        model: takes one (N, C, H, W) tensor; set to eval mode.
        taps: module paths, in the order of computation. A module that is called several times
            gives its first output.
    """

    def __init__(self, model: nn.Module, taps: Sequence[str]) -> None:
        super().__init__([model])
        self.taps = tuple(taps)

    def iterate(self, images: Tensor) -> Iterator[Tensor]:
        """Yield the features of each tap, after one forward pass."""
        model = self[0]
        if torch.compiler.is_exporting():
            raise ConfigError(
                f"{type(model).__name__} is read through hooks, because its code cannot be traced, so a loss "
                "on it cannot be exported. Export a loss on a network whose code does not ask for values"
            )
        found: dict[str, Tensor] = {}
        thread = threading.get_ident()

        def keep(path: str) -> Any:
            def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
                if threading.get_ident() != thread:  # somebody else's pass through the same network
                    return
                if path not in found:
                    found[path] = output.clone()
                if len(found) == len(self.taps):
                    raise _DeepestTapReachedError

            return hook

        handles = [model.get_submodule(path).register_forward_hook(keep(path)) for path in self.taps]
        try:
            _run(model, images)
        finally:
            for handle in handles:
                handle.remove()
        for path in self.taps:
            if path not in found:
                raise ConfigError(
                    f"tap {path!r} was not reached: the network took another way for these images"
                )
            yield found.pop(path)


def _run(model: nn.Module, images: Tensor) -> None:
    """The forward pass, up to the deepest tap; says why a tracer cannot follow code that asks for values."""
    try:
        model(images)
    except _DeepestTapReachedError:
        pass
    except Exception as error:  # arbitrary code
        if torch.compiler.is_compiling() or not operations_are_watched():
            raise
        raise ConfigError(
            f"{type(model).__name__} asks for values, so no tracer or transform can follow it: "
            f"{str(error).splitlines()[0]} Call the loss outside of it"
        ) from error


def describe_hooked(
    model: nn.Module, size: tuple[int, int], channels: int = 3
) -> tuple[dict[str, Tap], tuple[int, int] | None]:
    """Records of all module outputs that are single tensors, in the order of computation.

    Args:
        model: best on the meta device; on another one the features are really computed.
        size: image size (H, W) that the network accepts; a larger one is tried as well, to tell
            channels from positions.
        channels: number of input channels.

    Returns:
        The records, and the one image size that the network takes (None: others as well).
    """
    first, depths = _output_shapes(model, size, channels)
    larger, fixed = (size[0] * 2, size[1] * 2), None
    try:
        second, _ = _output_shapes(model, larger, channels)
    except Exception:  # the network's own code takes one size only
        second, fixed = first, size
    taps = {}
    for path, shape in first.items():
        layout = layout_of([shape, second.get(path, shape)])
        if layout is not None:
            stride = round(size[0] / shape[layout.index("H")]) if "H" in layout else 0
            taps[path] = Tap(path, path, (), shape[layout.index("C")], stride, None, depths[path], layout)
    return taps, fixed


def _output_shapes(
    model: nn.Module, size: tuple[int, int], channels: int
) -> tuple[dict[str, tuple[int, ...]], dict[str, float]]:
    """Shape of every module's first output, and the share of weighted layers that came before."""
    shapes: dict[str, tuple[int, ...]] = {}
    depths: dict[str, float] = {}
    total = sum(isinstance(m, WEIGHTED_LAYERS) for m in model.modules())
    passed = 0

    def note(path: str) -> Any:
        def hook(module: nn.Module, _inputs: Any, output: Any) -> None:
            nonlocal passed
            passed += isinstance(module, WEIGHTED_LAYERS)
            if isinstance(output, Tensor) and path and path not in shapes:
                shapes[path] = tuple(output.shape)
                depths[path] = round(min(passed / max(total, 1), 1.0), 4)

        return hook

    handles = [module.register_forward_hook(note(path)) for path, module in model.named_modules()]
    like = next(model.parameters(), torch.empty(0))
    try:
        with torch.no_grad():
            model(torch.full((1, channels, *size), 0.5, device=like.device, dtype=like.dtype))
    finally:
        for handle in handles:
            handle.remove()
    return shapes, depths
