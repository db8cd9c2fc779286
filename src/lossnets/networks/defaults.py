"""Which taps a network is compared at where nobody names any."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from lossnets.errors import ConfigError
from lossnets.networks.blueprint import Blueprint
from lossnets.networks.spec import Tap

_COUNT = 4


def default_taps(plan: Blueprint) -> list[str]:
    """Module paths of the taps that stand for a network, early to late: its published points, or four.

    A network without points gets one tap a stage: the last block at each of its four coarsest strides. One
    that has fewer strides (transformers, plain stacks) gets the blocks nearest to 1/4, 1/2, 3/4 and all of
    its depth; one without blocks its feature maps by the same rule.

    Raises:
        ConfigError: the network has no feature map.

    >>> from lossnets.networks import blueprint
    >>> default_taps(blueprint("convnext_tiny"))
    ['features.1', 'features.3', 'features.5', 'features']
    >>> default_taps(blueprint("timm/vit_tiny_patch16_224"))
    ['blocks.2', 'blocks.5', 'blocks.8', 'blocks.11']
    """
    if plan.spec.points:
        return [plan.resolve(point).module for point in plan.spec.points]
    largest = min(plan.fixed_size or (1 << 30,))
    maps = [tap for tap in plan.taps.values() if tap.layout == "NLC" or 0 < tap.stride < largest]
    if not maps:
        raise ConfigError(f"{plan.spec.name} has no feature map; name its taps")
    layers = _layers(plan, maps)
    if all(tap.layout != "NLC" for tap in maps):
        stages = _stages([tap for tap in maps if layers[tap.module] > 1], slack=1)
        stages = stages if len(stages) >= _COUNT else _stages(maps)
        if len(stages) >= _COUNT:
            return stages[-_COUNT:]
    return _by_depth(_blocks(maps, layers) or maps)


def _layers(plan: Blueprint, maps: Sequence[Tap]) -> dict[str, int]:
    """Weighted layers inside each module: parameters with two or more axes that are longer than 1."""
    weights = [name for name, shape in plan.expected.items() if sum(side > 1 for side in shape) > 1]
    return {tap.module: sum(name.startswith(f"{tap.module}.") for name in weights) for tap in maps}


def _stages(maps: Sequence[Tap], slack: int = 0) -> list[str]:
    """The last tap of each stride that lies in no larger one, fine strides to coarse.

    A stride that comes after a coarser one is left out: windows or tokens look like positions there.

    Args:
        maps: to choose from.
        slack: how many dots more than the fewest a module path may have; parts of the next stage have more.
    """
    order = {tap.module: k for k, tap in enumerate(maps)}
    found: list[str] = []
    for stride in sorted({tap.stride for tap in maps}, reverse=True):
        own = [tap for tap in maps if tap.stride == stride]
        paths = {tap.module for tap in own}
        outer = [tap for tap in own if not any(parent in paths for parent in _parents(tap.module))]
        most = min(tap.module.count(".") for tap in outer) + slack
        last = [tap.module for tap in outer if tap.module.count(".") <= most][-1]
        if not found or order[last] < order[found[-1]]:
            found.append(last)
    return found[::-1]


def _blocks(maps: Sequence[Tap], layers: Mapping[str, int]) -> list[Tap]:
    """Modules of two or more layers with siblings of that kind: the outermost level that has four."""
    siblings: dict[str, list[Tap]] = defaultdict(list)
    for tap in maps:
        if layers[tap.module] > 1:
            siblings[tap.module.rpartition(".")[0]].append(tap)
    paths = {tap.module for group in siblings.values() if len(group) > 1 for tap in group}
    blocks = [tap for tap in maps if tap.module in paths]
    level = [tap for tap in blocks if not any(parent in paths for parent in _parents(tap.module))]
    while len(level) < _COUNT:
        opened = {tap.module for tap in level}
        inner = [tap for tap in blocks if _around(tap, paths) in opened]
        if not inner:
            break
        full = {_around(tap, paths) for tap in inner}
        level = [tap for tap in blocks if tap in inner or (tap in level and tap.module not in full)]
    return level


def _around(tap: Tap, paths: Collection[str]) -> str:
    """The smallest of these modules that the tap is a part of; empty where there is none."""
    return next((parent for parent in reversed(_parents(tap.module)) if parent in paths), "")


def _by_depth(taps: Sequence[Tap]) -> list[str]:
    """Taps nearest to 1/4, 1/2, 3/4 and all of the depth of the deepest; of equally deep ones the last."""
    deepest = max(tap.depth for tap in taps)
    chosen = (
        min(reversed(taps), key=lambda tap: abs(tap.depth - deepest * (k + 1) / _COUNT)).module
        for k in range(_COUNT)
    )
    return list(dict.fromkeys(chosen))


def _parents(path: str) -> list[str]:
    """Paths of the modules around a module: ``a.b.c`` -> ``a``, ``a.b``."""
    parts = path.split(".")
    return [".".join(parts[:k]) for k in range(1, len(parts))]
