"""Average ranks of the study's networks, and which settings have the networks that a finding names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lossnets.analysis.findings.ground import STUDY, Field, Standing, by_task, shared_networks
from lossnets.analysis.findings.verdict import listed
from lossnets.analysis.points import Array

FEWEST_OTHERS = 5
FEWEST_TASKS = 2
FEWEST_RANKED = 1 + FEWEST_OTHERS


@dataclass(frozen=True)
class Overall:
    """Average ranks of networks over tasks (each task by the mean over its settings), with intervals.

    Attributes:
        networks: that every setting has.
        rank: (networks,) average.
        low: (networks,) average of the lower ends.
        high: (networks,) average of the upper ends.
        tasks: task -> (networks, 3) rank, low, high.
    """

    networks: tuple[str, ...]
    rank: Array
    low: Array
    high: Array
    tasks: dict[str, Array]

    def of(self, network: str) -> tuple[float, float, float]:
        """(rank, low, high) of a network."""
        i = self.networks.index(network)
        return float(self.rank[i]), float(self.low[i]), float(self.high[i])

    def shown(self, networks: Sequence[str]) -> str:
        """Average ranks of networks, for people."""
        return listed([f"{name} {self.of(name)[0]:.2f}" for name in networks])

    def numbers(self) -> dict[str, tuple[float, float, float]]:
        """Network -> (rank, low, high)."""
        return {name: self.of(name) for name in self.networks}

    @property
    def middle(self) -> float:
        """Rank in the middle."""
        return (len(self.networks) + 1) / 2


def overall(fields: Sequence[Field], networks: Sequence[str], alpha: float) -> Overall:
    """Average ranks among networks; intervals of settings at level alpha / settings, so that all hold."""
    tasks = {}
    for task, members in by_task(fields).items():
        found = [f.standing(f.study.only(networks), alpha / len(fields)) for f in members]
        tasks[task] = np.mean([_ordered(s, networks) for s in found], axis=0)
    mean = np.mean(list(tasks.values()), axis=0)
    return Overall(tuple(networks), mean[:, 0], mean[:, 1], mean[:, 2], tasks)


def _ordered(standing: Standing, networks: Sequence[str]) -> Array:
    return np.array([standing.of(name) for name in networks])


def usable(
    fields: Sequence[Field], named: Sequence[str]
) -> tuple[list[Field], tuple[str, ...], tuple[str, ...]]:
    """Settings with the named networks and enough others; the networks all of them have; what was left out.

    Only the study's networks with the study's weights count.
    """
    kept, left = [], []
    for item in fields:
        have = _scored(item)
        lacking = [name for name in named if name not in have]
        others = len(have) - len(named) + len(lacking)
        if lacking or others < FEWEST_OTHERS:
            left.append(
                f"{item.label} (without {listed(lacking)})"
                if lacking
                else f"{item.label} ({others} other networks)"
            )
        else:
            kept.append(item)
    kept, common, small = shared_networks([(f, _scored(f)) for f in kept], len(named) + FEWEST_OTHERS)
    if any(name not in common for name in named):
        kept, common = [], ()
    shared = tuple(name for name in STUDY if name in common)
    dropped = sorted(
        {n for f in kept for n in f.study.networks if n not in shared}
        | {n for f in fields for n in f.not_study}
    )
    return kept, shared, (*left, *small, *dropped, *(remark for f in kept for remark in f.study.remarks))


def _scored(item: Field) -> list[str]:
    return [n for n, best in zip(item.study.networks, item.study.best, strict=True) if np.isfinite(best)]


def lacking(fields: Sequence[Field], named: Sequence[str], tasks: int, have: int) -> str:
    """What it would take, and what there is: other weights of a named network are named."""
    there = sorted({name for f in fields for name in _scored(f)})
    other = sorted({n for f in fields for n in f.not_study if n.partition(" (")[0] in named})
    need = (
        f"needs {listed(list(named))} and {FEWEST_OTHERS} more of the study's networks, with their published "
        f"weights, in {tasks} task{'s' * (tasks > 1)}; has {listed(there)} of them"
    )
    if other:
        need += f" and, with other weights, {listed(other)}"
    return f"{need}; enough in {have} task{'s' * (have != 1)}"
