"""How the learning rate of a gradient network falls."""

from __future__ import annotations

import math

from lossnets.gradients.training.config import PGNConfig

_LEAST_RATE = 0.03


def learning_rate(config: PGNConfig, step: int) -> float:
    """Of the network at a step, by the schedule.

    >>> config = PGNConfig(lr=1.0, schedule="linear", steps=100)
    >>> learning_rate(config, 0), learning_rate(config, 50), learning_rate(config, 75)
    (1.0, 1.0, 0.5)
    """
    share = step / config.steps
    if config.schedule == "linear":
        return config.lr * max(_LEAST_RATE, min(1.0, 2 * (1 - share)))
    if config.schedule == "cosine":
        return config.lr * 0.5 * (1 + math.cos(math.pi * share))
    return config.lr
