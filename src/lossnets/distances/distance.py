"""A distance as a setting: which comparison, which metric, normalised or not; it prints and parses.

>>> distance = parse_distance("unit-spatial-sum")
>>> distance
Distance(compare='spatial', metric='squared_l2', unit=True, channels='sum')
>>> str(distance)
'unit-spatial-sum'
>>> a, b = torch.rand(2, 8, 4, 4), torch.rand(2, 8, 4, 4)
>>> distance(a, b).shape
torch.Size([2])
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from lossnets.distances.compare import (
    COMPARISONS,
    METRICS,
    checked_weights,
    distance_map,
    gram_vectors,
    mean_vectors,
    per_channel,
    sorted_vectors,
    spatial_distance,
)
from lossnets.distances.kernel import fused_spatial, plain_spatial, unit_target
from lossnets.distances.normalise import at_least_float32, unit_normalise
from lossnets.errors import ConfigError, unknown_name
from lossnets.torch_state import operations_are_watched

_VECTORS = {"mean": mean_vectors, "sort": sorted_vectors}
_SUMS = ("spatial+mean", "spatial+sort")
_SHORTHANDS = {
    "mse": "spatial",
    "squared_l2": "spatial",
    "l1": "spatial-l1",
    "l2": "spatial-l2",
    "lpips": "unit-spatial-sum",
}


@dataclass(frozen=True)
class Distance:
    """Function of two feature maps: (N, C, H, W), (N, C, H, W) -> (N,) in float32 (or wider).

    Attributes:
        compare: ``spatial``, ``mean``, ``sort``, ``gram``, or a sum: ``spatial+mean``, ``spatial+sort``.
        metric: ``squared_l2``, ``l1`` or ``l2``, of the difference over channels.
        unit: scale channel vectors to length 1. ``spatial`` scales the vector at each position of the map.
            ``mean`` and ``sort`` come first: the channel means, and the channels' values of each rank, are
            the vectors that are scaled. ``gram`` takes the Gram matrix of the scaled map.
        channels: ``mean`` (so that ``spatial`` is the mean squared difference) or ``sum`` (as LPIPS).
    """

    compare: str = "spatial"
    metric: str = "squared_l2"
    unit: bool = False
    channels: str = "mean"

    def __post_init__(self) -> None:
        """Refuse settings that do not exist."""
        if self.compare not in COMPARISONS + _SUMS:
            raise unknown_name("comparison", self.compare, COMPARISONS + _SUMS)
        if self.metric not in METRICS:
            raise unknown_name("metric", self.metric, METRICS)
        if self.channels not in ("mean", "sum"):
            raise unknown_name("channel reduction", self.channels, ("mean", "sum"))

    def __str__(self) -> str:
        """The short text that loss names hold; `parse_distance` reads it."""
        tokens = ["unit"] if self.unit else []
        tokens.append(self.compare)
        if self.metric != "squared_l2":
            tokens.append(self.metric)
        if self.channels == "sum":
            tokens.append("sum")
        return "-".join(tokens)

    @property
    def parts(self) -> tuple[str, ...]:
        """The comparisons that are added up: ``spatial+mean`` -> ``("spatial", "mean")``."""
        return tuple(self.compare.split("+"))

    @property
    def numerics(self) -> int:
        """Version of the definition, part of signatures: two versions of one distance are two numbers.

        ``unit`` with ``mean`` or ``sort`` is at 2; version 1 scaled the map before the mean or the sort.
        """
        return 2 if self.unit and not {"mean", "sort"}.isdisjoint(self.parts) else 1

    def __call__(
        self, a: Tensor, b: Tensor, channel_weights: Tensor | None = None, *, plain: bool = False
    ) -> Tensor:
        """Compare two feature maps: (N, C, H, W) x 2 -> (N,).

        Args:
            a: features that a gradient may flow to.
            b: features of the target; a gradient flows to them too if they require one.
            channel_weights: (C,), non-negative; not for ``gram``.
            plain: use ordinary operations only, which can be differentiated twice.
        """
        raw = self.compare == "spatial"
        return self.between(a, (b,) if raw else self.embed(b), channel_weights, raw=raw, plain=plain)

    def embed(self, target: Tensor) -> tuple[Tensor, ...]:
        """What has to be kept of a target's features: one tensor per part, in float32 (or wider)."""
        return tuple(self._embedded(target, part) for part in self.parts)

    def _embedded(self, target: Tensor, part: str) -> Tensor:
        if part == "spatial" and self.unit and self.metric != "l2" and not _ordinary_operations(target):
            return unit_target(target)
        return self._vectors(target, part)

    def _vectors(self, features: Tensor, part: str) -> Tensor:
        """Channel vectors at positions, (N, C, P, Q): the mean or sort first, unit length after it."""
        if part in ("mean", "sort"):
            vectors = _VECTORS[part](features)
            return unit_normalise(vectors) if self.unit else vectors
        features = unit_normalise(features) if self.unit else at_least_float32(features)
        return gram_vectors(features) if part == "gram" else features

    def between(
        self,
        a: Tensor,
        embedded: tuple[Tensor, ...],
        channel_weights: Tensor | None = None,
        *,
        raw: bool = False,
        plain: bool = False,
    ) -> Tensor:
        """Compare features with an embedded target: (N, C, H, W), embedding -> (N,).

        Args:
            a: features.
            embedded: what `embed` gave; or, with ``raw``, the target's features as they are (only
                for a plain ``spatial`` comparison, which then normalises them piece by piece).
            channel_weights: (C,), non-negative.
            raw: see ``embedded``.
            plain: use ordinary operations only, which can be differentiated twice.
        """
        if channel_weights is not None and self.compare == "gram":
            raise ConfigError("channel_weights have no meaning for compare='gram'; leave them out")
        total: Tensor | None = None
        for part, target in zip(self.parts, embedded, strict=True):
            if part == "spatial":
                value = self._spatial(a, target, channel_weights, raw, plain)
            else:
                value = spatial_distance(
                    self._vectors(a, part),
                    target,
                    metric=self.metric,
                    channels=self.channels,
                    channel_weights=channel_weights,
                )
            total = value if total is None else total + value
        assert total is not None  # noqa: S101 - there is at least one part
        return total

    def _spatial(self, a: Tensor, b: Tensor, weights: Tensor | None, raw: bool, plain: bool) -> Tensor:
        if a.shape != b.shape or a.ndim != 4:
            spatial_distance(a, b)  # raises, with both shapes
        if weights is not None:
            weights = checked_weights(weights, at_least_float32(a)).flatten()
        if self.metric == "l2":
            a = unit_normalise(a) if self.unit else a
            b = unit_normalise(b) if self.unit and raw else b
            return spatial_distance(a, b, metric="l2", channels=self.channels, channel_weights=weights)
        plain = (
            plain
            or _ordinary_operations(b)
            or (weights is not None and torch.is_grad_enabled() and weights.requires_grad)
        )
        function = plain_spatial if plain else fused_spatial
        total = function(a, b, weights, metric=self.metric, unit_x=self.unit, unit_y=self.unit and raw)
        return total / a.shape[1] if self.channels == "mean" else total

    def map(self, a: Tensor, b: Tensor, channel_weights: Tensor | None = None) -> Tensor:
        """Difference at each position: (N, C, H, W) x 2 -> (N, 1, H, W); its mean is the distance.

        Raises:
            ConfigError: the comparison is not position by position.
        """
        if self.compare != "spatial":
            raise ConfigError(f"a map or mask needs compare='spatial'; this distance is {self}")
        a, b = (unit_normalise(v) if self.unit else v for v in (a, b))
        return distance_map(a, b, metric=self.metric, channels=self.channels, channel_weights=channel_weights)

    def per_channel(self, a: Tensor, b: Tensor) -> Tensor:
        """Each channel's share: (N, C, H, W) x 2 -> (N, C); with weights w the distance is ``share @ w``.

        Raises:
            ConfigError: ``gram`` or metric ``l2``, which are no sums over channels.
        """
        if self.compare == "gram":
            raise ConfigError(f"distance {self} is not a sum over channels")
        shares = [
            per_channel(self._vectors(a, part), self._vectors(b, part), metric=self.metric)
            for part in self.parts
        ]
        total = torch.stack(shares).sum(0)
        return total / a.shape[1] if self.channels == "mean" else total


def _ordinary_operations(target: Tensor) -> bool:
    """Whether a compiler, a transform or the target's gradient needs to see the single operations."""
    return operations_are_watched() or (torch.is_grad_enabled() and target.requires_grad)


def parse_distance(text: str) -> Distance:
    """Read ``[unit-]COMPARE[-l1|-l2][-sum]`` or a shorthand: mse, l1, l2, lpips.

    Raises:
        UnknownNameError: a token that means nothing.

    >>> str(parse_distance("l1")), str(parse_distance("unit-spatial+sort"))
    ('spatial-l1', 'unit-spatial+sort')
    """
    tokens = _SHORTHANDS.get(text, text).split("-")
    distance = Distance()
    if tokens and tokens[0] == "unit":
        distance = replace(distance, unit=True)
        tokens = tokens[1:]
    if tokens:
        distance = replace(distance, compare=tokens[0])
        tokens = tokens[1:]
    if tokens and tokens[0] in METRICS:
        distance = replace(distance, metric=tokens[0])
        tokens = tokens[1:]
    if tokens and tokens[0] in ("sum", "mean"):
        distance = replace(distance, channels=tokens[0])
        tokens = tokens[1:]
    if tokens:
        allowed = ["unit-", *COMPARISONS, *_SUMS, "-l1", "-l2", "-sum"]
        raise unknown_name(f"part of distance {text!r}", tokens[0], allowed)
    return distance
