"""The small autoencoders that are trained by the predicted gradients meanwhile, and their resets.

Nikulin et al. 2021, section 4.1: x̂ are what they make of y; one that has plateaued is reset sooner or later,
so that there are x̂ of every quality all the time.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.generators import Autoencoder
from lossnets.gradients.training.clipping import RunningClip
from lossnets.gradients.training.config import PGNConfig
from lossnets.gradients.training.fits import drawn_driver
from lossnets.gradients.training.randomness import derived_seed, uniform


def make_autoencoders(config: PGNConfig) -> nn.ModuleList:
    """One for each depth of the settings, its weights drawn from the seed."""
    built = []
    for k, depth in enumerate(config.autoencoders if config.batch > config.prior_count else ()):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(config.seed, "autoencoder", k))
            built.append(Autoencoder(depth, config.autoencoder_width))
    return nn.ModuleList(built)


def shares(total: int, parts: int) -> list[int]:
    """A batch split as evenly as it goes.

    >>> shares(8, 3)
    [3, 3, 2]
    """
    return [total // parts + (k < total % parts) for k in range(parts)]


class Plateau:
    """Decides when an autoencoder starts anew, and what it follows.

    Args:
        config: of the training.
        number: of the autoencoder.

    Attributes:
        driver: what it follows until its next start.
        clip: of its gradients.
        starts: how often it has started.
    """

    def __init__(self, config: PGNConfig, number: int) -> None:
        self._config, self._number = config, number
        self.clip = RunningClip(config.clip_factor, config.clip_start, config.clip_momentum)
        self.starts = 0
        self._best, self._since = math.inf, 0
        self.driver = drawn_driver(config, "autoencoder", number, 0)

    def due(self, l1: float, samples: int, step: int) -> bool:
        """Whether to reset after a step with this L1 (normalised images) on so many samples.

        A new best L1 starts the count of samples again. The draw is that of the step, so that all
        processes and a resumed training agree.
        """
        self._since = 0 if l1 < self._best else self._since + samples
        self._best = min(self._best, l1)
        if not math.isfinite(l1) or l1 > self._config.reset_above:
            return True
        if not self._config.reset_after or self._since < self._config.reset_after:
            return False
        return uniform(self._config.seed, "reset", self._number, step) < self._config.reset_probability

    def start(self, autoencoder: nn.Module) -> None:
        """Draw its weights anew; its optimiser goes on, as published."""
        self.starts += 1
        self._best, self._since = math.inf, 0
        self.driver = drawn_driver(self._config, "autoencoder", self._number, self.starts)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(self._config.seed, "autoencoder", self._number, self.starts))
            fresh = Autoencoder(self._config.autoencoders[self._number], self._config.autoencoder_width)
        autoencoder.load_state_dict(fresh.state_dict())

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {
            "starts": self.starts, "best": self._best, "since": self._since, "driver": self.driver,
            "average": self.clip.average,
        }  # fmt: skip

    def load(self, state: dict[str, Any]) -> None:
        """Take what `state` gave."""
        self.starts, self._best, self._since = state["starts"], state["best"], state["since"]
        self.driver, self.clip.average = state["driver"], state["average"]


def reconstruct(autoencoders: nn.ModuleList, target: Tensor) -> list[Tensor]:
    """Each autoencoder's share of a batch (N, 3, H, W) in [0, 1], reconstructed."""
    parts = torch.split(target, shares(len(target), len(autoencoders)))
    return [autoencoder(part) for autoencoder, part in zip(autoencoders, parts, strict=True)]
