"""What every verdict stands on: the settings' arrays, and where each network stands, with intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lossnets.analysis.comparisons import compare_losses
from lossnets.analysis.findings.verdict import listed
from lossnets.analysis.points import Array, Points, points_of
from lossnets.analysis.resampling import ranks
from lossnets.analysis.results import Results
from lossnets.analysis.settings import Setting

if TYPE_CHECKING:
    import pandas as pd

STUDY = (
    "alexnet", "vgg11", "vgg16", "vgg16_bn", "vgg19", "densenet121", "resnet18", "resnet50",
    "resnext50_32x4d", "googlenet", "inception_v3", "squeezenet1_1", "efficientnet_b0", "efficientnet_b7",
)  # fmt: skip
"""The study's networks (Pihlgren et al. 2023, Table 1), all with torchvision's IMAGENET1K_V1 weights."""


@dataclass(frozen=True)
class Standing:
    """Networks of a setting by their best points.

    Attributes:
        networks: in some order.
        rank: (networks,) 1 is best; ties share their mean.
        low: (networks,) 1 + the networks that are surely better.
        high: (networks,) number of networks - those that are surely worse.
    """

    networks: tuple[str, ...]
    rank: Array
    low: Array
    high: Array

    def of(self, network: str) -> tuple[float, float, float]:
        """(rank, low, high) of a network."""
        i = self.networks.index(network)
        return float(self.rank[i]), float(self.low[i]), float(self.high[i])


@dataclass(frozen=True, eq=False)
class Field:
    """One setting.

    Attributes:
        results: that it is of.
        setting: which.
        points: all losses that can be compared point by point.
        kept: comparisons that were made already.
    """

    results: Results
    setting: Setting
    points: Points
    kept: dict[tuple[str, ...], dict[tuple[str, str], float]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @property
    def label(self) -> str:
        """The setting, for people."""
        return self.points.label

    @property
    def task(self) -> str:
        """Of the setting."""
        return self.points.task

    @cached_property
    def study(self) -> Points:
        """The study's networks with the study's weights."""
        return self.points.only(STUDY)

    @cached_property
    def not_study(self) -> tuple[str, ...]:
        """Networks that are not the study's, or have other weights."""
        return tuple(name for name in self.points.networks if name not in STUDY)

    def interval(self, points: Points, first: str, second: str, alpha: float) -> tuple[float, float]:
        """Simultaneous interval of the first loss's score minus the second's, more is better."""
        frame = self._compared(points, alpha)
        for one, two, sign in ((first, second, 1), (second, first, -1)):
            row = frame[(frame["better"] == one) & (frame["worse"] == two)]
            if len(row):
                ends = sign * float(row["low"].iloc[0]), sign * float(row["high"].iloc[0])
                return min(ends), max(ends)
        return math.nan, math.nan

    def _compared(self, points: Points, alpha: float) -> pd.DataFrame:
        losses = [loss for row in points.taps for loss in row if loss]
        return compare_losses(self.results, self.setting, losses=losses, alpha=alpha)

    def _sure(self, points: Points) -> dict[tuple[str, str], float]:
        """(better, worse) losses -> p, adjusted for all pairs; it is the same at every level."""
        if points.networks not in self.kept:
            frame = self._compared(points, 0.05)
            columns = (frame[name].tolist() for name in ("better", "worse", "p_adjusted"))
            self.kept[points.networks] = {(one, two): p for one, two, p in zip(*columns, strict=True)}
        return self.kept[points.networks]

    def standing(self, points: Points, alpha: float) -> Standing:
        """Ranks of the networks, with intervals that hold for all of them at once.

        A network is surely better than another if one of its points is better than every point of the
        other by `compare_losses`, at level alpha for all pairs at once: then its best point is better
        than the other's, whichever the best are. Counting such networks gives simultaneous intervals of
        ranks (Mohamad, van Zwet, Solari and Goeman, 2021).
        """
        better = self._better(points, alpha)
        low, high = 1.0 + better.sum(axis=0), len(points.networks) - better.sum(axis=1)
        return Standing(points.networks, ranks(-points.best), low, high.astype(float))

    def _better(self, points: Points, alpha: float) -> NDArray[np.bool_]:
        """(networks, networks) whether the row's is surely better than the column's."""
        sure = {pair for pair, p in self._sure(points).items() if p < alpha}
        taps = [[loss for loss in row if loss] for row in points.taps]
        count = len(taps)
        found = np.zeros((count, count), dtype=bool)
        for i in range(count):
            for j in range(count):
                found[i, j] = i != j and any(all((one, two) in sure for two in taps[j]) for one in taps[i])
        return found


def fields_of(results: Results) -> list[Field]:
    """The settings that have a value at all."""
    return [Field(results, s, points_of(results, s)) for s in results.settings if s in results.headlines]


def beside_study(fields: Sequence[Field], labels: Sequence[str]) -> str:
    """A remark that networks which are not the study's were counted in these settings; empty if none were."""
    found = sorted({name for f in fields if f.label in labels for name in f.not_study})
    return f"; counted beside the study's networks: {listed(found)}" if found else ""


def by_task(fields: Sequence[Field]) -> dict[str, list[Field]]:
    """Settings by task, in order of first appearance."""
    found: dict[str, list[Field]] = {}
    for item in fields:
        found.setdefault(item.task, []).append(item)
    return found


def shared_networks(
    settings: Sequence[tuple[Field, Sequence[str]]], fewest: int
) -> tuple[list[Field], tuple[str, ...], tuple[str, ...]]:
    """Settings to compare the same networks in; the networks; settings left out, with the reason.

    A small setting would shrink what all have in common. Fullest first, each setting is taken as long as
    at least `fewest` networks, and half of those of the fullest, are left.
    """
    ordered = sorted(settings, key=lambda pair: -len(pair[1]))
    common = list(ordered[0][1]) if ordered else []
    least = max(fewest, (len(common) + 1) // 2)
    kept, left = [], []
    for item, networks in ordered:
        both = [name for name in common if name in networks]
        if len(both) < least:
            left.append(f"{item.label} ({len(both)} of the networks of the other settings)")
        else:
            kept.append(item)
            common = both
    return [item for item, _ in settings if item in kept], tuple(common), tuple(left)
