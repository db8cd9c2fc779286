"""What delineation minimises: cross-entropy, plus a little of the loss under examination.

For refinement k of K, with weight k / (K(K+1)/2): BCE + μ · loss(prediction, label), prediction and
label repeated to three channels (Mosinska et al. 2018, equations 2 and 4; μ = 0.01).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from lossnets.errors import ConfigError
from lossnets.losses import ImageLoss

BCE_ALONE = "pixel:bce"
"""The loss name that stands for cross-entropy with no term added: the baseline."""


def step_weights(refinements: int) -> tuple[float, ...]:
    """Weight of each of K refinements; they add up to 1, and later ones count more.

    >>> step_weights(3)
    (0.16666666666666666, 0.3333333333333333, 0.5)

    Raises:
        ConfigError: refinements is below 1.
    """
    if refinements < 1:
        raise ConfigError(f"refinements must be at least 1; got {refinements}.")
    whole = refinements * (refinements + 1) / 2
    return tuple(k / whole for k in range(1, refinements + 1))


def added_term(loss: ImageLoss) -> ImageLoss | None:
    """The loss that is added to the cross-entropy; None where it is cross-entropy alone."""
    return None if loss.name == BCE_ALONE else loss


def bce(logits: Tensor, label: Tensor) -> Tensor:
    """Mean cross-entropy in nats per pixel, in float32 whatever the precision: (N, 1, H, W) x 2 -> ()."""
    with torch.autocast(logits.device.type, enabled=False):
        return functional.binary_cross_entropy_with_logits(logits.float(), label.float())


def objective(steps: Sequence[Tensor], label: Tensor, term: ImageLoss | None, mu: float) -> dict[str, Tensor]:
    """Weighted sum over refinements -> {"loss": (), "bce": ()}, and "term" (without μ) if one is added.

    The label is encoded once for all refinements.

    Args:
        steps: logits (N, 1, H, W) of each refinement.
        label: (N, 1, H, W), 0 or 1.
        term: added to the cross-entropy, times ``mu``; None: nothing is.
        mu: weight of the term.
    """
    weights = step_weights(len(steps))
    entropy = torch.stack([w * bce(s, label) for w, s in zip(weights, steps, strict=True)]).sum()
    if term is None or not bool(torch.isfinite(entropy)):
        return {"loss": entropy, "bce": entropy.detach()}  # the engine says what a NaN means, not the loss
    encoded = term.encode(as_image(label))
    terms = [w * term(as_image(torch.sigmoid(s)), encoded) for w, s in zip(weights, steps, strict=True)]
    added = torch.stack(terms).sum()
    return {"loss": entropy + mu * added, "bce": entropy.detach(), "term": added.detach()}


def as_image(map_: Tensor) -> Tensor:
    """(N, 1, H, W) -> (N, 3, H, W), the same in each channel, for losses that take colour images."""
    return map_.expand(-1, 3, -1, -1)
