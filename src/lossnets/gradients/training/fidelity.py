"""Short figures of a trained gradient network on held-out crops, for its checkpoint.

Along fits of both generators: how well does the predicted gradient agree with the true one, beside the plain
gradient of MSE. The whole judgement is that of ``lossnets pgn evaluate``.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lossnets.generators import make_population
from lossnets.gradients.network import GradientNetwork
from lossnets.gradients.training.checks import FIT_KINDS
from lossnets.gradients.training.config import PGNConfig
from lossnets.gradients.training.objective import cosines, log_ratios
from lossnets.gradients.training.truth import mse_gradient, true_gradient
from lossnets.losses.base import ImageLoss

_LOOKS = 10
"""Agreement is measured at so many steps of a fit."""


def short_fidelity(
    network: GradientNetwork, loss: ImageLoss, crops: Tensor, config: PGNConfig
) -> dict[str, Any]:
    """Agreement on ``crops`` (N, 3, H, W) in [0, 1]; the fits follow the predicted gradient.

    Returns:
        For each kind of generator: means over crops and steps of the cosine at each scale (``cosine``,
        ``cosine_mse``), the geometric mean of the norm ratio, the mean of |g - d| / |d|, and the true
        loss at the start and the end (``loss_start``, ``loss_end``).
    """
    network = network.eval()
    figures: dict[str, Any] = {"crops": len(crops), "crop": config.crop, "steps": config.fidelity_steps}
    for kind in FIT_KINDS:
        figures[kind] = _along_a_fit(network, loss, crops, kind, config)
    return figures


def _along_a_fit(
    network: GradientNetwork, loss: ImageLoss, crops: Tensor, kind: str, config: PGNConfig
) -> dict[str, Any]:
    settings = config.fit_settings.get(kind, {})
    population = make_population(
        kind, len(crops), config.crop, seed=config.seed, device=crops.device, **settings
    )
    optimiser = torch.optim.Adam(population.parameters(), lr=config.fit_lr)
    steps, looks = config.fidelity_steps, []
    encoded = loss.encode(crops)
    y = network.normalise(crops)
    with torch.no_grad():
        kept = network.encode(y)
    values = []
    for step in range(steps):
        images = population()
        with torch.no_grad():
            predicted = network.predict(network.normalise(images.detach()), kept)[1]
        if step % max(1, steps // _LOOKS) == 0 or step == steps - 1:
            value, true = true_gradient(loss, images, encoded, network.std)
            plain = mse_gradient(network.normalise(images), y)[1]
            looks.append(_agreement(predicted, true, plain, config.matching_scales))
            values.append(float(value.mean()))
        optimiser.zero_grad()
        images.backward(predicted / network.std)
        optimiser.step()
    return {**_mean(looks), "loss_start": values[0], "loss_end": values[-1]}


def _agreement(ours: Tensor, true: Tensor, plain: Tensor, scales: tuple[int, ...]) -> dict[str, Any]:
    error = (ours - true).flatten(1).norm(dim=1) / true.flatten(1).norm(dim=1).clamp(min=1e-20)
    return {
        "cosine": {str(s): float(cosines(ours, true, s).mean()) for s in scales},
        "cosine_mse": {str(s): float(cosines(plain, true, s).mean()) for s in scales},
        "norm_ratio": float(log_ratios(ours, true).mean().exp()),
        "relative_error": float(error.mean()),
    }


def _mean(records: list[dict[str, Any]]) -> dict[str, Any]:
    """Entry by entry."""
    out: dict[str, Any] = {}
    for key, first in records[0].items():
        values = [record[key] for record in records]
        out[key] = _mean(values) if isinstance(first, dict) else sum(values) / len(values)
    return out
