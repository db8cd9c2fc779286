"""Samples of earlier steps, kept with their true gradients: they cost no pass of the loss network."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lossnets.gradients.training.randomness import generator


class Samples(NamedTuple):
    """What a gradient network learns from.

    Attributes:
        images: x̂, (N, 3, H, W) in [0, 1].
        target: y, (N, 3, H, W) in [0, 1].
        gradient: true gradient per normalised unit, (N, 3, H, W).
        value: true loss, (N,).
    """

    images: Tensor
    target: Tensor
    gradient: Tensor
    value: Tensor


class Replay:
    """Up to ``capacity`` samples; a full one forgets at random.

    Targets are kept in 8 bits (that is what they are), x̂ and gradients in 16, each gradient with a
    scale of its own, so that the rounding is relative: 5e-4.
    """

    def __init__(self, capacity: int, seed: int, rank: int = 0) -> None:
        self._capacity, self._seed, self._rank = capacity, seed, rank
        self._tensors: dict[str, Tensor] = {}
        self.filled = 0

    def add(self, samples: Samples, step: int) -> None:
        """Keep the samples of a step."""
        packed = _pack(samples)
        if not self._tensors:
            self._tensors = {k: v.new_empty((self._capacity, *v.shape[1:])) for k, v in packed.items()}
        random = generator(self._seed, "replace", step, self._rank)
        for k in range(len(samples.value)):
            if self.filled < self._capacity:
                place, self.filled = self.filled, self.filled + 1
            else:
                place = int(torch.randint(self._capacity, (), generator=random))
            for name, values in packed.items():
                self._tensors[name][place] = values[k]

    def draw(self, count: int, step: int) -> Samples | None:
        """Different samples at random, ``count`` or as many as there are; None while there are none."""
        if not self.filled:
            return None
        random = generator(self._seed, "replay", step, self._rank)
        chosen = torch.randperm(self.filled, generator=random)[:count]
        kept = {name: values[chosen.to(values.device)] for name, values in self._tensors.items()}
        scale = kept["scale"].view(-1, 1, 1, 1)
        return Samples(
            kept["images"].float(),
            kept["target"].float() / 255,
            kept["gradient"].float() * scale,
            kept["value"],
        )

    def state(self) -> dict[str, Tensor]:
        """What a checkpoint keeps."""
        return {name: values[: self.filled] for name, values in self._tensors.items()}

    def load(self, state: dict[str, Tensor], device: torch.device) -> None:
        """Take what `state` gave."""
        self.filled = len(state["value"]) if state else 0
        self._tensors = {}
        for name, values in state.items():
            place = torch.empty((self._capacity, *values.shape[1:]), dtype=values.dtype, device=device)
            place[: self.filled] = values.to(device)
            self._tensors[name] = place


def _pack(samples: Samples) -> dict[str, Tensor]:
    scale = samples.gradient.abs().amax((1, 2, 3)).clamp(min=1e-30)
    return {
        "images": samples.images.half(),
        "target": (samples.target * 255).round().to(torch.uint8),
        "gradient": (samples.gradient / scale.view(-1, 1, 1, 1)).half(),
        "scale": scale,
        "value": samples.value.float(),
    }
