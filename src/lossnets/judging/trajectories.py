"""Real optimisation trajectories: the images that a generator makes on its way, and what pulls there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossnets.errors import ConfigError
from lossnets.generators import Population
from lossnets.judging.fields import Field
from lossnets.judging.rivals import Rival, check_images
from lossnets.judging.subjects import population_for

POPULATIONS = ("deep-decoder", "image-prior")
"""Kinds of generators that are fitted image by image."""


@dataclass(frozen=True, eq=False)
class Stop:
    """A place on a trajectory.

    Attributes:
        step: updates made so far.
        images: x̂ (N, 3, S, S) in [0, 1], detached.
        gradient: what drives here, (N, 3, S, S); none at the last step asked for.
        population: the generators, with which `project` works until the next stop is asked for.
        graph: the images with their graph.
    """

    step: int
    images: Tensor
    gradient: Tensor
    population: Population
    graph: Tensor

    def project(self, gradient: Tensor) -> Tensor:
        """A field of images, as it acts on each generator: (N, 3, S, S) -> (N, parameters of one).

        The gradient of the parameters, J^T g: what the generator cannot follow is gone.
        """
        found = torch.autograd.grad(
            self.graph, list(self.population.parameters()), gradient, retain_graph=True
        )
        return torch.cat([g.reshape(self.population.count, -1) for g in found], 1)


def trajectory(
    kind: str,
    rival: Rival,
    targets: Tensor,
    *,
    steps: int,
    at: Collection[int] | None = None,
    seed: int = 0,
    learning_rate: float = 0.01,
    generator_settings: Mapping[str, Any] | None = None,
) -> Iterator[Stop]:
    """Fit a population to targets with a rival's gradient and stop on the way.

    Args:
        kind: ``deep-decoder`` or ``image-prior``.
        rival: what drives.
        targets: y, (N, 3, S, S) in [0, 1], on the device of the losses.
        steps: the last step; ``at`` beyond it are refused.
        at: steps to stop at, 0 to ``steps``; None: all.
        seed: of the generators.
        learning_rate: of Adam.
        generator_settings: of the kind.

    Raises:
        ConfigError: a kind that is not fitted image by image, or steps that do not fit.
    """
    if kind not in POPULATIONS:
        raise ConfigError(
            f"trajectories are of {' or '.join(POPULATIONS)}, fitted image by image; got {kind!r}"
        )
    wanted = set(range(steps + 1)) if at is None else set(at)
    if steps < 0 or not wanted or min(wanted) < 0 or max(wanted) > steps:
        raise ConfigError(f"at must be steps from 0 to {steps}, at least one; got {sorted(wanted)[:8]}")
    check_images(targets, "targets")
    population = population_for(kind, targets, seed, generator_settings)
    return _walk(population, rival.aim(targets, seed=seed), wanted, learning_rate)


def _walk(population: Population, field: Field, wanted: set[int], learning_rate: float) -> Iterator[Stop]:
    optimiser = torch.optim.Adam(population.parameters(), learning_rate)
    for step in range(max(wanted) + 1):
        with torch.enable_grad():
            images: Tensor = population()
        gradient = field(images.detach(), step)
        if step in wanted:
            yield Stop(step, images.detach(), gradient, population, images)
        optimiser.zero_grad(set_to_none=True)
        images.backward(gradient)  # type: ignore[no-untyped-call]
        optimiser.step()


def spread(steps: int, count: int) -> list[int]:
    """``count`` steps from 0 to ``steps``, closer together at the beginning, where most happens.

    >>> spread(100, 5)
    [0, 6, 25, 56, 100]
    """
    return sorted({round(steps * (k / max(count - 1, 1)) ** 2) for k in range(count)})
