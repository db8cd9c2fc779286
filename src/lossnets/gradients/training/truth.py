"""The gradient that is to be imitated, computed by the loss itself."""

from __future__ import annotations

import copy

import torch
from torch import Tensor

from lossnets.errors import ConfigError
from lossnets.losses.base import ImageLoss
from lossnets.losses.encoded import EncodedTarget
from lossnets.losses.load import load_loss
from lossnets.losses.spec import LossSpec


def training_loss(loss: str | LossSpec | ImageLoss) -> ImageLoss:
    """The loss as training needs it: one value an image, images in [0, 1] that may leave it a little.

    Raises:
        UnknownNameError: there is no such loss.
        ConfigError: it cannot be differentiated, is itself a gradient network, or takes no colour images.
    """
    made = copy.deepcopy(loss) if isinstance(loss, ImageLoss) else load_loss(loss)
    if not made.is_differentiable:
        raise ConfigError(f"{made.name} has no gradient to imitate; take another loss")
    if made.spec.family == "pgn":
        raise ConfigError(f"{made.name} is a gradient network; take the loss that it imitates")
    if made.spec.channels == "gray":
        raise ConfigError(f"{made.name} takes grey images, gradient networks colour ones: channels=rgb")
    made.reduction, made.validate, made.data_range = "none", "never", (0.0, 1.0)
    return made.requires_grad_(False).eval().cpu()


def true_gradient(
    loss: ImageLoss, images: Tensor, target: Tensor | EncodedTarget, std: Tensor
) -> tuple[Tensor, Tensor]:
    """L and its gradient per normalised unit: x̂ (N, 3, H, W) in [0, 1] -> (N,), (N, 3, H, W).

    With p = std · x + mean the gradient with respect to x is std times that with respect to p.
    """
    with torch.enable_grad(), torch.autocast(images.device.type, enabled=False):
        pixels = images.detach().float().requires_grad_()
        value = loss(pixels, target)
        (gradient,) = torch.autograd.grad(value.sum(), pixels)
    return value.detach(), gradient * std


def mse_gradient(images: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """MSE of each image and its gradient: (N, 3, H, W) twice -> (N,), (N, 3, H, W)."""
    difference = images.detach() - target
    return difference.square().mean((1, 2, 3)), 2 * difference / images[0].numel()
