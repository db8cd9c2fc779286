"""From the settings of a training and the loss to imitate to a gradient network of the right size."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lossnets.errors import ConfigError
from lossnets.gradients.architecture import Architecture
from lossnets.gradients.checkpoint import load_pgn
from lossnets.gradients.distilled import DistilledGradientNetwork
from lossnets.gradients.network import GradientNetwork, build_network
from lossnets.gradients.training.config import PGNConfig
from lossnets.gradients.training.objective import log_ratios
from lossnets.gradients.training.randomness import derived_seed
from lossnets.gradients.training.truth import mse_gradient, true_gradient
from lossnets.losses.base import ImageLoss
from lossnets.losses.perceptual import PerceptualLoss

_BLUR = 4
"""Where the network's scale is set, x̂ is y averaged over squares of so many pixels."""


def initial_network(loss: ImageLoss, config: PGNConfig, crops: Tensor) -> GradientNetwork:
    """A freshly initialised gradient network for a loss, its weights drawn from the seed.

    Its space is the one in which the loss network takes images. The size of its field is set on blurred
    crops, as training then starts with gradients of about the right size: grad_scale where the settings
    leave it open, and the channel weights of a distilled loss.

    Args:
        loss: to imitate.
        config: of the training.
        crops: (N, 3, H, W) in [0, 1].

    Raises:
        ConfigError: the settings do not fit the backbone, or do not tell what to distil; the network to
            start from is another one.
        WeightsError: the file to start from cannot be read.
    """
    made = _fresh_network(loss, config, crops)
    if config.start_from:
        earlier, _ = load_pgn(config.start_from)
        if replace(earlier.architecture, grad_scale=made.architecture.grad_scale) != made.architecture:
            raise ConfigError(
                f"start_from must be a checkpoint of the same architecture, {made.architecture}; "
                f"{config.start_from} has {earlier.architecture}"
            )
        return earlier.train()
    return made


def _fresh_network(loss: ImageLoss, config: PGNConfig, crops: Tensor) -> GradientNetwork:
    settings: dict[str, Any] = dict(config.settings)
    space = _space(loss)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(config.seed, "initial weights"))
        if config.family == "distilled":
            distilled = _distilled({**_first_layers(loss, config), **settings, **space})
            _set_channel_weights(distilled, loss, crops)
            return distilled
        scale = config.grad_scale or _measured_scale(loss, crops, space)
        return build_network(
            Architecture(
                config.family, config.backbone, settings, config.proxy, config.distance, scale, **space
            )
        )


def _distilled(settings: dict[str, Any]) -> DistilledGradientNetwork:
    try:
        return DistilledGradientNetwork(**settings)
    except TypeError as error:
        raise ConfigError(
            f"settings of a distilled loss do not fit: {error}. There are network, taps, "
            "pooling, widths, distance"
        ) from None


def _space(loss: ImageLoss) -> dict[str, tuple[float, ...]]:
    """Mean and standard deviation of the loss network's input; those of ImageNet for other losses."""
    if not isinstance(loss, PerceptualLoss) or loss.network.mean.shape[1] != 3:
        return {"mean": Architecture.mean, "std": Architecture.std}
    mean, std = (
        tuple(round(v, 7) for v in t.flatten().tolist()) for t in (loss.network.mean, loss.network.std)
    )
    return {"mean": mean, "std": std}


def _first_layers(loss: ImageLoss, config: PGNConfig) -> dict[str, Any]:
    """The network, first taps, pooling and weights of the loss, as settings of a distilled one."""
    if "network" in config.settings:
        return {"weights": "default"}
    if not isinstance(loss, PerceptualLoss) or loss.network.spec.library == "user":
        raise ConfigError(
            f"family 'distilled' takes its first layers from the loss network, and {loss.name} has none that "
            'is known by name: give settings={"network": ..., "taps": [...]}, or take another family '
            "(--backbone shuffled)"
        )
    if loss.network.origin == "custom":
        raise ConfigError(
            f"the weights of {loss.name} are not in a file, so that its first layers cannot be had by name; "
            "save them to one and load the loss from it, or take another family"
        )
    taps = [tap.name for tap in loss.network.taps][: config.first_taps]
    return {
        "network": loss.network.spec.name,
        "taps": taps,
        "pooling": loss.spec.pooling,
        "distance": _distance(loss),
        "weights": loss.network.origin,
    }


def _distance(loss: PerceptualLoss) -> str:
    """That of the loss where it compares position by position, else that of LPIPS."""
    plain = loss.spec.family == "perceptual" and not loss.spec.function
    return str(loss.spec.distance) if plain and loss.spec.distance.compare == "spatial" else "lpips"


def _blurred(crops: Tensor) -> Tensor:
    low = F.avg_pool2d(crops, _BLUR)
    return F.interpolate(low, crops.shape[2:], mode="bilinear", align_corners=False)


def _measured_scale(loss: ImageLoss, crops: Tensor, space: dict[str, tuple[float, ...]]) -> float:
    """The s for which the proxy target of the true gradient is as far from x̂ as y is."""
    mean, std = (torch.tensor(space[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    images = _blurred(crops)
    _, true = true_gradient(loss, images, crops, std)
    _, plain = mse_gradient((images - mean) / std, (crops - mean) / std)
    return _mean_ratio(plain, true, loss)


def _set_channel_weights(network: DistilledGradientNetwork, loss: ImageLoss, crops: Tensor) -> None:
    """Multiply all channel weights so that the field has the size of the true one, in the geometric mean."""
    images = _blurred(crops)
    _, true = true_gradient(loss, images, crops, network.std)
    with torch.no_grad():
        ours = network.gradient(network.normalise(images), network.normalise(crops))
        factor = _mean_ratio(true, ours, loss)
        for weights in network.log_weights:
            weights += math.log(factor)


def _mean_ratio(a: Tensor, b: Tensor, loss: ImageLoss) -> float:
    """|a| / |b|, geometric mean over images; flat ones, where either is 0, do not count."""
    there = (a.abs().amax((1, 2, 3)) > 0) & (b.abs().amax((1, 2, 3)) > 0)
    ratio = math.exp(float(log_ratios(a[there], b[there]).mean())) if bool(there.any()) else 0.0
    if not math.isfinite(ratio) or not 1e-15 < ratio < 1e15:
        raise ConfigError(
            f"the gradient of {loss.name} on blurred crops is zero or not finite, so that there is nothing "
            "to imitate; take another loss, or other images"
        )
    return ratio
