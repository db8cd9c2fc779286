"""Fits of one generator to one image, at every stage of which there is an x̂ to learn from.

What a gradient network meets in use are the images along such fits, and so it is trained on them (ours;
the published training has autoencoders only).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lossnets.errors import ConfigError
from lossnets.generators import Population, make_population
from lossnets.gradients.training.config import DRIVERS, PGNConfig
from lossnets.gradients.training.randomness import derived_seed, uniform
from lossnets.losses.base import ImageLoss
from lossnets.losses.encoded import EncodedTarget


@dataclass
class Part:
    """Some of the x̂ of a step, which share a generator.

    Attributes:
        images: x̂, (n, 3, H, W) in [0, 1], with the graph of the generator behind it.
        target: y, (n, 3, H, W) in [0, 1].
        encoded: y, encoded by the loss.
        driver: what the generator follows: ``predicted``, ``true`` or ``mse``.
        source: index of the autoencoder, or -1 - index of the population.
    """

    images: Tensor
    target: Tensor
    encoded: EncodedTarget
    driver: str
    source: int


def drawn_driver(config: PGNConfig, *purpose: int | str) -> str:
    """What a generator follows until its next start, by the shares of ``driven_by``."""
    place = uniform(config.seed, "driver", *purpose) * sum(config.driven_by)
    for name, share in zip(DRIVERS, config.driven_by, strict=True):
        if place < share:
            return name
        place -= share
    return max(zip(config.driven_by, DRIVERS, strict=True))[1]  # pragma: no cover - rounding


class Fit:
    """A population of generators that is fitted to as many images, and started anew when its life is over.

    Args:
        config: of the training.
        slot: which of its populations this is.
        rank: of the process.
        device: where it lives.
    """

    def __init__(self, config: PGNConfig, slot: int, rank: int, device: torch.device) -> None:
        self._config, self._slot, self._rank, self._device = config, slot, rank, device
        self._kind = config.fit_kinds[slot % len(config.fit_kinds)]
        self._generation = self._age = self._life = 0
        self._driver = DRIVERS[0]
        self._target: Tensor | None = None
        self._encoded: EncodedTarget | None = None
        self._population: Population | None = None
        self._optimiser: torch.optim.Optimizer | None = None

    def part(self, fresh: Tensor, loss: ImageLoss) -> Part:
        """x̂ as it is now; ``fresh`` (n, 3, H, W) are the targets in case a new fit begins."""
        if self._target is None or self._age >= self._life:
            self._start(fresh)
        assert self._population is not None  # noqa: S101 - just started
        assert self._target is not None  # noqa: S101
        if self._encoded is None:
            self._encoded = loss.encode(self._target)
        return Part(self._population(), self._target, self._encoded, self._driver, -1 - self._slot)

    def follow(self, images: Tensor, gradient: Tensor) -> None:
        """One step of Adam along the gradient at x̂, (n, 3, H, W) per unit of [0, 1]."""
        assert self._optimiser is not None  # noqa: S101 - images came from here
        self._optimiser.zero_grad()
        torch.autograd.backward(images, gradient.to(images.dtype))
        self._optimiser.step()
        self._age += 1

    def _start(self, target: Tensor) -> None:
        self._generation += 1
        purpose = (self._slot, self._generation, self._rank)
        least, most = self._config.fit_life
        self._life = int(least * (most / least) ** uniform(self._config.seed, "life", *purpose))
        self._driver = drawn_driver(self._config, "fit", *purpose)
        self._age, self._encoded = 0, None
        self._target = target.clone()
        self._build(len(target))

    def _build(self, count: int) -> None:
        seed = derived_seed(self._config.seed, "fit", self._slot, self._generation, self._rank)
        settings = self._config.fit_settings.get(self._kind, {})
        try:
            self._population = make_population(
                self._kind, count, self._config.crop, seed=seed, device=self._device, **settings
            )
        except TypeError as error:
            raise ConfigError(f"fit_settings of {self._kind!r} do not fit: {error}") from None
        self._optimiser = torch.optim.Adam(self._population.parameters(), lr=self._config.fit_lr)

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        if self._population is None or self._optimiser is None:
            return {}
        return {
            "generation": self._generation,
            "age": self._age,
            "life": self._life,
            "driver": self._driver,
            "target": self._target,
            "population": self._population.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def load(self, state: dict[str, Any]) -> None:
        """Take what `state` gave."""
        if not state:
            return
        self._generation, self._age, self._life = state["generation"], state["age"], state["life"]
        self._driver, self._target = state["driver"], state["target"].to(self._device)
        self._encoded = None
        self._build(len(state["target"]))
        assert self._population is not None  # noqa: S101 - just built
        assert self._optimiser is not None  # noqa: S101
        self._population.load_state_dict(state["population"])
        self._optimiser.load_state_dict(state["optimiser"])
