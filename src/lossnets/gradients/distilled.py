"""A distilled loss: a thin perceptual loss whose gradient was trained to match that of a large one.

The second family behind the interface of gradient networks. Its first layers are those of the loss network
itself, cut after a few taps; each channel has a learned weight; thin strided convolutions may follow. Its
field is the gradient of a real loss: it is conservative, zero where x̂ = y, and cannot pull an image in a
circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lossnets.distances import parse_distance
from lossnets.errors import ConfigError
from lossnets.gradients.architecture import Architecture
from lossnets.gradients.network import GradientNetwork, Kept
from lossnets.networks import LossNetwork, load_network
from lossnets.torch_state import standard_state

_LATER = -1.0
"""log channel weight of the thin stages before training: they start quieter than the loss's own layers."""


def _listed(name: str, values: object, of: str) -> list[Any]:
    if isinstance(values, str) or not isinstance(values, Sequence):
        raise ConfigError(f"{name} must be a list of {of}; got {values!r}")
    return list(values)


class DistilledGradientNetwork(GradientNetwork):
    """The gradient of a thin loss, D(x̂, y) = sum over stages k, channels c of w_kc · d(φ_kc(x̂), φ_kc(y)).

    Args:
        network: the loss network whose first layers are taken, their weights frozen.
        taps: its extraction points to compare at; everything behind the last is left out.
        pooling: ``max`` or ``avg``.
        widths: channels of thin stages behind: 3×3 convolution with stride 2, ReLU. None by default: they
            start untrained, and with few images they learn those by heart.
        distance: how maps are compared, as in a loss name: ``lpips``, ``l1``, ``spatial``, ...; that of the
            imitated loss, as a rule. Only distances that compare position by position.
        weights: of the loss network, as in `load_network`; a checkpoint brings its own.
        grad_scale: only for `proxy`.
        mean: per channel, of images in [0, 1].
        std: per channel.

    >>> pgn = DistilledGradientNetwork("squeezenet1_1", ["features.1"], widths=[8], weights="random-0")
    >>> y = torch.rand(1, 3, 32, 32)
    >>> float(pgn.gradient(y, y).detach().abs().max())
    0.0
    """

    is_loss = True

    @standard_state()
    def __init__(
        self,
        network: str,
        taps: Sequence[str],
        *,
        pooling: str = "max",
        widths: Sequence[int] = (),
        distance: str = "spatial",
        weights: Any = "random-0",
        grad_scale: float = Architecture.grad_scale,
        mean: tuple[float, ...] = Architecture.mean,
        std: tuple[float, ...] = Architecture.std,
    ) -> None:
        compare = parse_distance(distance)
        if compare.compare != "spatial":
            raise ConfigError(
                f"distance must compare position by position (spatial, unit-spatial-l1); got {distance!r}"
            )
        taps = _listed("taps", taps, "extraction points")
        widths = _listed("widths", widths, "numbers of channels, [] for no thin stages")
        if not all(isinstance(w, int) and not isinstance(w, bool) and w > 0 for w in widths):
            raise ConfigError(f"widths must be whole numbers of channels, 1 or more; got {widths!r}")
        settings = {
            "network": network, "taps": taps, "pooling": pooling, "widths": widths,
            "distance": str(compare),
        }  # fmt: skip
        super().__init__(
            Architecture("distilled", settings=settings, grad_scale=grad_scale, mean=mean, std=std)
        )
        self.distance = compare
        plain: dict[str, Any] = {"mean": (0.0,) * 3, "std": (1.0,) * 3}  # images come normalised
        self.first: LossNetwork = load_network(network, taps, weights=weights, pooling=pooling, **plain)
        channels = [tap.channels for tap in self.first.taps]
        sides = [channels[-1], *widths]
        self.later = nn.ModuleList(
            nn.Conv2d(before, after, 3, stride=2, padding=1)
            for before, after in zip(sides, widths, strict=False)
        )
        for layer in self.later:
            nn.init.kaiming_normal_(layer.weight)  # type: ignore[arg-type]
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.log_weights = nn.ParameterList(
            [nn.Parameter(torch.zeros(c)) for c in channels]
            + [nn.Parameter(torch.full((w,), _LATER)) for w in widths]
        )

    @property
    def min_size(self) -> int:
        """Smallest image side in pixels."""
        return self.first.min_size

    def check_size(self, height: int, width: int) -> None:
        """Refuse images that the loss network does not take, or would leave a part of out."""
        self.first.check_size(height, width)

    def features(self, images: Tensor) -> Kept:
        """Maps of all stages, (N, C_k, H_k, W_k) each: images normalised."""
        maps = list(self.first.features(images.to(self.first.dtype)))
        for layer in self.later:
            maps.append(F.relu(layer(maps[-1])))
        return tuple(m.to(images.dtype) for m in maps)

    def encode(self, target: Tensor) -> Kept:
        """The targets, and what the distance needs of their maps."""
        return (target, *(self.distance.embed(m)[0] for m in self.features(target)))

    def value(self, images: Tensor, kept: Kept, *, plain: bool = False) -> Tensor:
        """D of each image: x̂ (N, 3, H, W) and encoded targets -> (N,); ``plain`` to differentiate twice."""
        total = images.new_zeros(images.shape[0])
        for ours, theirs, log_weight in zip(self.features(images), kept[1:], self.log_weights, strict=True):
            total = total + self.distance.between(ours, (theirs,), log_weight.exp(), plain=plain)
        return total

    def predict(self, images: Tensor, kept: Kept) -> tuple[Tensor, Tensor]:
        """D and its exact gradient. In grad mode the gradient can be differentiated, for training."""
        training = torch.is_grad_enabled()
        with torch.enable_grad():
            inputs = images.detach().requires_grad_()
            value = self.value(inputs, kept, plain=training)
            (gradient,) = torch.autograd.grad(value.sum(), inputs, create_graph=training)
        return (value, gradient) if training else (value.detach(), gradient)
