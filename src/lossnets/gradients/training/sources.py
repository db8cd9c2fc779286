"""Where x̂ come from in a step: autoencoders and fits, and how they move on afterwards."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lossnets.gradients.network import GradientNetwork
from lossnets.gradients.training.autoencoders import Plateau, reconstruct
from lossnets.gradients.training.config import PGNConfig
from lossnets.gradients.training.fits import Fit, Part
from lossnets.gradients.training.replay import Replay, Samples
from lossnets.gradients.training.truth import mse_gradient, true_gradient
from lossnets.losses.base import ImageLoss


class Sources:
    """Makes the x̂ of each step and moves their generators on.

    Everything that is drawn depends on seed, purpose and step, so that a resumed training has it again.

    Args:
        config: of the training.
        autoencoders: trained elsewhere, by the optimisers of the training.
        network: for the space of gradients.
        loss: that is imitated.
        rank: of the process.
        device: where fits and replayed samples live.
    """

    def __init__(
        self,
        config: PGNConfig,
        autoencoders: nn.ModuleList,
        network: GradientNetwork,
        loss: ImageLoss,
        rank: int,
        device: torch.device,
    ) -> None:
        self._config, self._autoencoders, self._network, self._loss = config, autoencoders, network, loss
        self._device = device
        self.plateaus = [Plateau(config, k) for k in range(len(autoencoders))]
        slots = config.fits if config.prior_count else 0
        self._fits = [Fit(config, slot, rank, device) for slot in range(slots)]
        self._replay = Replay(config.replay, config.seed, rank)

    def parts(self, fresh: Tensor, step: int) -> list[Part]:
        """x̂ of a step for new targets (N, 3, H, W) in [0, 1]; fits that go on keep their own targets."""
        count = self._config.prior_count
        parts = []
        if self._fits:
            parts.append(self._fits[step % len(self._fits)].part(fresh[:count], self._loss))
        if len(self._autoencoders):
            rest = fresh[count:]
            start = 0
            for k, images in enumerate(reconstruct(self._autoencoders, rest)):
                target = rest[start : start + len(images)]
                start += len(images)
                encoded = self._loss.encode(target)
                parts.append(Part(images, target, encoded, self.plateaus[k].driver, k))
        return parts

    def samples(self, parts: list[Part]) -> Samples:
        """The parts' x̂ with the true gradients there; MSE added where the settings say so."""
        made = []
        for part in parts:
            images = part.images.detach().float()
            value, gradient = true_gradient(self._loss, images, part.encoded, self._network.std)
            made.append(Samples(images, part.target, gradient, value))
        joined = Samples(*(torch.cat(tensors) for tensors in zip(*made, strict=True)))
        if not self._config.plus_mse:
            return joined
        x, y = self._network.normalise(joined.images), self._network.normalise(joined.target)
        value, gradient = mse_gradient(x, y)
        weight = self._config.plus_mse
        return joined._replace(
            gradient=joined.gradient + weight * gradient, value=joined.value + weight * value
        )

    def with_replayed(self, samples: Samples, step: int) -> Samples:
        """The samples of a step and, behind them, some of earlier steps; then the new ones are kept."""
        if not self._config.replay:
            return samples
        old = self._replay.draw(self._config.replayed, step)
        self._replay.add(samples, step)
        if old is None:
            return samples
        return Samples(*(torch.cat(pair) for pair in zip(samples, old, strict=True)))

    def directions(self, parts: list[Part], predicted: Tensor, true: Tensor, step: int) -> list[Tensor]:
        """What each part's generator follows: gradients per unit of [0, 1], (n, 3, H, W) each.

        Args:
            parts: of the step.
            predicted: gradients of all parts, normalised, in their order.
            true: as ``predicted``.
            step: the number of the step; while warming up all follow the true gradient.
        """
        sizes = [len(part.target) for part in parts]
        std = self._network.std
        out = []
        fields = zip(parts, torch.split(predicted, sizes), torch.split(true, sizes), strict=True)
        for part, p, t in fields:
            if part.driver == "true" or step < self._config.warmup:
                out.append(t / std)
            elif part.driver == "mse":
                out.append(mse_gradient(part.images.float(), part.target)[1])
            else:
                out.append(p / std)
        return out

    def move_fits(self, parts: list[Part], directions: list[Tensor]) -> None:
        """One step of each fit along its direction."""
        for part, direction in zip(parts, directions, strict=True):
            if part.source < 0:
                self._fits[-1 - part.source].follow(part.images, direction)

    def shared_state(self) -> dict[str, Any]:
        """What is the same in all processes."""
        return {"plateaus": [plateau.state() for plateau in self.plateaus]}

    def own_state(self) -> dict[str, Any]:
        """What each process has for itself."""
        return {"fits": [fit.state() for fit in self._fits], "replay": self._replay.state()}

    def load_shared(self, state: dict[str, Any]) -> None:
        """Take what `shared_state` gave."""
        for plateau, kept in zip(self.plateaus, state["plateaus"], strict=True):
            plateau.load(kept)

    def load_own(self, state: dict[str, Any]) -> None:
        """Take what `own_state` gave."""
        for fit, kept in zip(self._fits, state["fits"], strict=True):
            fit.load(kept)
        self._replay.load(state["replay"], self._device)
