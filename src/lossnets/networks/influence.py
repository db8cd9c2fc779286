"""Which rows and columns of an image no tap depends on: found by the gradient, once for each side.

A layer that cuts the image into patches leaves out what fills no patch; a window with a stride leaves out
what its last step does not reach. No shape tells. So a thin strip of noise goes through a twin of the layers
with random weights, and where the gradient of a random sum of all taps is exactly 0, nothing that a loss
computes depends on the pixel. Height and width are looked at one after the other. The answer depends on the
layers, not on their weights, and is kept for all networks of one blueprint.

The twin computes on the CPU in float32, in the standard state of torch, whatever the caller has set. Its
weights are overlapping views of little memory, and its random numbers have a generator of their own.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from lossnets.errors import ImageError
from lossnets.networks.graph import Stages
from lossnets.torch_state import standard_state

if TYPE_CHECKING:
    from lossnets.networks.blueprint import Blueprint
    from lossnets.networks.extractor import LossNetwork

logger = logging.getLogger("lossnets")

_STRIP = 8  # least width in pixels of the strip whose rows are looked at
_REACH = 64  # how far from a side others are tried, in pixels
_SEEDS = (0, 1, 2)  # a row counts as left out only if no set of weights sees it
_Result = TypeVar("_Result")
Pair = tuple[int, int]


@dataclass(frozen=True)
class Side:
    """What the layers do with an image side of some number of pixels.

    Attributes:
        ignored: rows (or columns) that no tap depends on; as a rule the last ones.
        patch: side of the patches that the first strided layer cuts the image into: its step, where its
            window is no larger. 0 where its windows overlap, or where nothing is left out.
    """

    ignored: int = 0
    patch: int = 0


@dataclass
class _Known:
    """What was found for one blueprint and set of taps."""

    twin: _Twin
    plain: Pair  # the one size of images, or a small one that the layers take
    sides: dict[tuple[int, int], Side | None] = field(default_factory=dict)
    sizes: dict[Pair, bool] = field(default_factory=dict)


_KNOWN: WeakKeyDictionary[Blueprint, dict[tuple[str, ...], _Known | None]] = WeakKeyDictionary()
_SAID: set[str] = set()


def ignored_border(network: LossNetwork, height: int, width: int) -> Pair:
    """Rows and columns of (height, width) images that no tap of the network depends on.

    Raises:
        ImageError: the layers fail on images of this size.
    """
    rows, columns = _sides(network, height, width)
    return rows.ignored, columns.ignored


def check_influence(network: LossNetwork, height: int, width: int) -> None:
    """Refuse sizes that patches do not fill, and say once for a network what its windows do not reach.

    Raises:
        ImageError: the layers fail on this size, or patches would leave out a part of the image.
    """
    sides = _sides(network, height, width)
    if not any(side.ignored for side in sides):
        return
    patches = any(side.patch for side in sides)
    if network.name in _SAID and not patches:
        return
    left_out = f"the last {_counted(sides)} of {height}x{width} pixels"
    offer = _offer(network, height, width)
    if patches and offer:  # a network that leaves out pixels of every image is what it is, and says so
        raise ImageError(
            f"{network.name} cuts images into patches and would leave out {left_out}. "
            f"Crop, pad or resize the images: {offer}"
        )
    _SAID.add(network.name)
    logger.warning(
        "%s does not look at %s: its windows end before them. Where they matter, crop, pad or resize%s. "
        "ignored_border(height, width) tells of any size; this is said once",
        network.name, left_out, offer and f": {offer}",
    )  # fmt: skip


def _counted(sides: tuple[Side, Side]) -> str:
    words = [
        (side.ignored, word) for side, word in zip(sides, ("row", "column"), strict=True) if side.ignored
    ]
    return " and ".join(f"{n} {word}{'' if n == 1 else 's'}" for n, word in words)


def _offer(network: LossNetwork, height: int, width: int) -> str:
    """The next sizes that are seen whole, in words; empty where there are none near."""
    texts = [" or ".join(map(str, _near(network, s, axis))) for axis, s in enumerate((height, width))]
    if not all(texts):
        return ""
    if height == width and texts[0] == texts[1]:
        return f"sides of {texts[0]} pixels are seen whole"
    return f"heights of {texts[0]} and widths of {texts[1]} pixels are seen whole"


def _near(network: LossNetwork, pixels: int, axis: int) -> list[int]:
    """The side itself if it is seen whole; else the next one below and the next one above that is."""
    if network.blueprint.fixed_size is not None:
        return []
    smallest, step = network._side_and_step()

    def whole(side: int) -> bool:
        return (side - smallest) % step == 0 and _side(network, side, axis) == Side()

    if whole(pixels):
        return [pixels]
    own = _side(network, pixels, axis) or Side()
    start, by = (pixels - own.ignored, own.patch) if own.patch else (pixels, 1)
    below = range(start if own.patch else start - 1, max(smallest, pixels - _REACH) - 1, -by)
    above = range(start + by, pixels + _REACH + 1, by)
    return [s for s in (next(filter(whole, sides), None) for sides in (below, above)) if s is not None]


def _sides(network: LossNetwork, height: int, width: int) -> tuple[Side, Side]:
    rows, columns = (_side(network, s, axis) for axis, s in enumerate((height, width)))
    if rows is not None and columns is not None:
        return rows, columns
    known = _known(network)
    if known is not None and not _accepted(known, (height, width)):
        offer = _offer(network, height, width)
        raise ImageError(
            f"the layers of {network.name} up to tap {network.taps[-1].name!r} fail on images of "
            f"{height}x{width} pixels. Crop, pad or resize the images{offer and f': {offer}'}"
        )
    return rows or Side(), columns or Side()


def _side(network: LossNetwork, pixels: int, axis: int) -> Side | None:
    """What the layers do with images of that height (axis 0) or width (1); None: they fail on it."""
    known = _known(network)
    if known is None:
        return Side()
    if (axis, pixels) not in known.sides:
        alone(lambda: _find(known, pixels, axis))
        if known.sides[axis, pixels] is None and not _accepted(known, known.plain):
            known.sides[axis, pixels] = Side()  # the twin fails on every size: it tells nothing
    return known.sides[axis, pixels]


def _known(network: LossNetwork) -> _Known | None:
    """The twin and what it told; None where the layers have none."""
    of_blueprint = _KNOWN.setdefault(network.blueprint, {})
    taps = tuple(tap.module for tap in network.taps)
    if taps not in of_blueprint:
        plain = network.blueprint.fixed_size or (_strip(network),) * 2
        try:
            of_blueprint[taps] = _Known(alone(lambda: _Twin(network.stages, network.mean.shape[1])), plain)
        except Exception:  # modules with what cannot be copied
            of_blueprint[taps] = None
    return of_blueprint[taps]


def _accepted(known: _Known, size: Pair) -> bool:
    if size not in known.sizes:
        known.sizes[size] = alone(lambda: known.twin.accepts(size))
    return known.sizes[size]


def _strip(network: LossNetwork) -> int:
    """The least side from `_STRIP` on that the network takes."""
    smallest, step = network._side_and_step()
    return smallest + max(0, -(-(_STRIP - smallest) // step)) * step


def _find(known: _Known, pixels: int, axis: int) -> None:
    """Look at the strip that is `pixels` long; where the layers do not take it, at the square."""
    strip = (pixels, known.plain[1]) if axis == 0 else (known.plain[0], pixels)
    known.sides[axis, pixels] = None
    for size in dict.fromkeys((strip, (pixels, pixels))):
        unseen = known.twin.unseen(size, _SEEDS[0])
        if unseen is None:
            continue
        for seed in _SEEDS[1:]:
            again = known.twin.unseen(size, seed) if any(bool(u.any()) for u in unseen) else None
            unseen = unseen if again is None else (unseen[0] & again[0], unseen[1] & again[1])
        for along, rows in enumerate(unseen):
            count = int(rows.sum())  # where nothing at all has an influence, it is no matter of size
            seen = count in (0, len(rows))
            known.sides[along, size[along]] = Side() if seen else Side(count, known.twin.patch(size, along))
        return


class _Twin:
    """The layers with random weights, which take next to no memory.

    Args:
        stages: of the network; copied.
        channels: of its images.
    """

    def __init__(self, stages: nn.Module, channels: int) -> None:
        self.channels = channels
        self._noise: list[tuple[Tensor, float]] = []
        memo: dict[int, Any] = {}
        for parameter in stages.parameters():
            memo[id(parameter)] = nn.Parameter(self._random(parameter), requires_grad=False)
        for name, buffer in stages.named_buffers():
            memo[id(buffer)] = _constant(name, buffer)
        self.stages: Any = copy.deepcopy(stages, memo).eval()

    def _random(self, like: Tensor) -> Tensor:
        """Weights of that shape: each output's are those of the one before, moved on by one number."""
        if not like.is_floating_point():
            return torch.zeros(like.shape, dtype=like.dtype)
        rest = like.shape[1:].numel()
        base = torch.ones(max(like.shape[0] + rest, 1) if like.ndim else 1)
        self._noise.append((base, (2 / rest) ** 0.5 if like.ndim > 1 and rest else 0.0))
        strides = torch.empty(like.shape, device="meta").stride()
        return base.as_strided(like.shape, (1, *strides[1:]) if like.ndim else ())

    def _fill(self, seed: int) -> torch.Generator:
        generator = torch.Generator().manual_seed(seed)
        for base, deviation in self._noise:
            if deviation:
                base.normal_(0.0, deviation, generator=generator)
            else:  # norms, biases, scales: positive, so that activations let something through
                base.uniform_(0.5, 1.5, generator=generator)
        return generator

    def _maps(self, images: Tensor) -> list[Tensor]:
        if not isinstance(self.stages, Stages):
            return list(self.stages.iterate(images))
        maps, live = [], (images,)
        for stage in self.stages:  # not called: a graph module prints where it failed
            features, live = stage.forward(*live)
            maps.append(features)
        return maps

    def accepts(self, size: Pair) -> bool:
        """Whether the layers take images of this size."""
        self._fill(_SEEDS[0])
        with torch.no_grad():
            try:
                self._maps(torch.full((1, self.channels, *size), 0.5))
            except Exception:  # arbitrary code of the network
                return False
        return True

    def unseen(self, size: Pair, seed: int) -> tuple[Tensor, Tensor] | None:
        """Rows and columns of noise of this size that no tap depends on: (H,) and (W,) bool.

        None where the layers do not take images of this size.
        """
        generator = self._fill(seed)
        images = torch.randn(1, self.channels, *size, generator=generator).requires_grad_()
        try:
            maps = self._maps(images)
        except Exception:  # arbitrary code of the network
            return None
        try:
            total = sum(
                (m * torch.randn(m.shape, generator=generator)).sum() for m in maps if m.requires_grad
            )
            (slope,) = torch.autograd.grad(total, images)  # type: ignore[arg-type]
        except Exception:  # layers without a gradient
            slope = torch.ones_like(images)
        zero = (slope == 0).all(dim=1)[0]  # (H, W)
        return zero.all(dim=1), zero.all(dim=0)

    def patch(self, size: Pair, axis: int) -> int:
        """Step of the first strided layer that reads the whole image; 0 where its windows overlap."""
        with torch.no_grad(), _FirstStride(size, axis) as first:
            self._maps(torch.full((1, self.channels, *size), 0.5))
        window, step = first.window or (1, 0)
        return step if window == step else 0


def _constant(name: str, buffer: Tensor) -> Tensor:
    """A buffer of the twin: statistics of batches are those of noise, others what they are."""
    leaf = name.rpartition(".")[2]
    if leaf in ("running_mean", "running_var"):
        return torch.full(buffer.shape, float(leaf == "running_var"))
    if buffer.is_meta:
        return torch.zeros(buffer.shape, dtype=buffer.dtype)
    value = buffer.detach().cpu()
    return value.float() if value.is_floating_point() else value.clone()


class _FirstStride(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes (window, step) along an axis of the first strided layer whose input is as large as the image."""

    def __init__(self, size: Pair, axis: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.size = size
        self.axis = axis
        self.window: Pair | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, after a look at it."""
        if self.window is None and args and isinstance(args[0], Tensor):
            self._look(func.overloadpacket.__name__, args)
        return func(*args, **(kwargs or {}))

    def _look(self, name: str, args: Any) -> None:
        if tuple(args[0].shape[-2:]) != self.size:
            return
        kernel: Any = None
        if name in ("convolution", "_convolution"):
            kernel, stride = args[1].shape[2:], args[3]
        elif name.startswith(("max_pool2d", "avg_pool2d")):
            kernel, stride = args[1], args[2] if len(args) > 2 and args[2] else args[1]
        elif name == "im2col":
            kernel, stride = args[1], args[4]
        if kernel is None:
            return
        window, step = (int(v[self.axis % len(v)]) for v in (kernel, stride))
        if step > 1:
            self.window = window, step


def alone(function: Callable[[], _Result]) -> _Result:
    """Call it in the standard state of torch, and leave the random state as it is."""
    with standard_state(), torch.random.fork_rng(devices=[]):
        return function()
