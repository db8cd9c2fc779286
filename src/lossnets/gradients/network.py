"""Networks that predict the gradient of a perceptual loss: (x̂, y) -> ∂L/∂x̂, in one pass.

Everything here is in the space of the loss network: images (p - mean) / std of images p in [0, 1]. L is
the loss of each image by itself, so that gradients do not depend on the size of the batch.
"""

from __future__ import annotations

import abc
from typing import Any

from torch import Tensor, nn

from lossnets.errors import ConfigError
from lossnets.gradients.architecture import Architecture
from lossnets.gradients.backbones import Backbone, make_backbone
from lossnets.gradients.proxies import proxy_channels, proxy_image
from lossnets.gradients.pulls import Pull
from lossnets.torch_state import constant, standard_state

Kept = tuple[Tensor, ...]


class GradientNetwork(nn.Module, abc.ABC):
    """Predicts value and gradient of a perceptual loss; the base of all families.

    Attributes:
        architecture: what it is made of.
    """

    mean: Tensor
    std: Tensor
    is_loss = False
    """Whether the field is the gradient of `value`, a loss like any other."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        self.architecture = architecture
        for name in ("mean", "std"):
            values = constant(getattr(architecture, name)).view(1, 3, 1, 1)
            self.register_buffer(name, values, persistent=False)

    @abc.abstractmethod
    def encode(self, target: Tensor) -> Kept:
        """What is kept of targets y (N, 3, H, W) for any number of x̂; the targets themselves first."""

    @abc.abstractmethod
    def predict(self, images: Tensor, kept: Kept) -> tuple[Tensor, Tensor]:
        """Value (N,) and gradient (N, 3, H, W) for x̂ (N, 3, H, W) and encoded targets.

        In grad mode both can be differentiated with respect to the parameters, for training. Users
        call it in no-grad mode: `lossnets.gradients.PGNLoss` does.
        """

    def value(self, images: Tensor, kept: Kept) -> Tensor:
        """The value (N,) alone, for x̂ (N, 3, H, W) and encoded targets."""
        return self.predict(images, kept)[0]

    def gradient(self, images: Tensor, target: Tensor) -> Tensor:
        """∂L/∂x̂ as predicted: x̂, y (N, 3, H, W), normalised -> (N, 3, H, W), L per normalised unit."""
        return self.predict(images, self.encode(target))[1]

    def proxy(self, images: Tensor, target: Tensor) -> Tensor:
        """The proxy target t, where the loss would pull x̂: x̂, y (N, 3, H, W) -> (N, 3, H, W), normalised.

        Here the one that a gradient stands for: t = x̂ - (C·H·W / 2) · s · ∂L/∂x̂ (eq. 3 solved for t).
        """
        return proxy_of_gradient(images, self.gradient(images, target), self.architecture.grad_scale)

    def normalise(self, pixels: Tensor) -> Tensor:
        """(p - mean) / std of images p (N, 3, H, W) in [0, 1]."""
        return (pixels - self.mean) / self.std

    def denormalise(self, images: Tensor) -> Tensor:
        """Images in [0, 1] again; the proxy target may leave it."""
        return images * self.std + self.mean

    @property
    def min_size(self) -> int:
        """Smallest image side in pixels."""
        return 1

    def check_size(self, height: int, width: int) -> None:
        """Refuse images that layers would fail on, or leave a part of out; backbones here take all."""

    def forward(self, images: Tensor, target: Tensor) -> Tensor:
        """The predicted gradient; see `gradient`."""
        return self.gradient(images, target)


def proxy_of_gradient(images: Tensor, gradient: Tensor, grad_scale: float) -> Tensor:
    """The "true" proxy target of a known gradient: t = x̂ - (C·H·W / 2) · s · g; all (N, C, H, W)."""
    return images - (images[0].numel() / 2) * grad_scale * gradient


def _backbone(architecture: Architecture, channels: int) -> Backbone:
    return make_backbone(architecture.backbone, channels=channels, **architecture.settings)


class PerceptualGradientNetwork(GradientNetwork):
    """Predicts a proxy target t = PGN(x̂, y); the gradient is that of distance(x̂, t) / s, t held constant.

    Nikulin et al. 2021, eq. 3; for the distance ``mse``: g = 2 (x̂ - t) / (C·H·W·s).

    Args:
        backbone: ``resnet`` (``blocks=4``; ``resnet-6`` has 6), ``unet``, ``shuffled``, ... (`BACKBONES`).
        proxy: ``sigmoid`` (default: stays near the range of images), ``raw``, ``warped`` or
            ``warped-additive``.
        distance: from x̂ to t: ``mse``, ``l1``, ``logcosh``, or ``logit-`` before one of them.
        grad_scale: s.
        mean: per channel, of images in [0, 1], of the loss network.
        std: per channel.
        settings: of the backbone.

    >>> import torch
    >>> pgn = PerceptualGradientNetwork("shuffled", width=8, blocks=1)
    >>> x, y = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16)
    >>> pgn.proxy(x, y).shape, pgn.gradient(x, y).shape
    (torch.Size([2, 3, 16, 16]), torch.Size([2, 3, 16, 16]))
    """

    @standard_state()
    def __init__(
        self,
        backbone: str = "resnet",
        *,
        proxy: str = "sigmoid",
        distance: str = "mse",
        grad_scale: float = Architecture.grad_scale,
        mean: tuple[float, ...] = Architecture.mean,
        std: tuple[float, ...] = Architecture.std,
        **settings: Any,
    ) -> None:
        super().__init__(Architecture("proxy", backbone, settings, proxy, distance, grad_scale, mean, std))
        self.backbone = _backbone(self.architecture, proxy_channels(proxy))
        self.pull = Pull(distance)

    def encode(self, target: Tensor) -> Kept:
        """What the backbone keeps of targets; the targets themselves first."""
        return self.backbone.encode(target)

    def proxy(self, images: Tensor, target: Tensor) -> Tensor:
        """Proxy target t = PGN(x̂, y): (N, 3, H, W) twice, normalised -> (N, 3, H, W), normalised."""
        return self.proxy_encoded(images, self.encode(target))

    def proxy_encoded(self, images: Tensor, kept: Kept) -> Tensor:
        """`proxy` for encoded targets."""
        output = self.backbone(images, kept)
        return proxy_image(self.architecture.proxy, output.to(images.dtype), kept[0], self.mean, self.std)

    def predict(self, images: Tensor, kept: Kept) -> tuple[Tensor, Tensor]:
        """distance(x̂, t) / s and its gradient with respect to x̂, t held constant."""
        value, gradient = self.pull(images, self.proxy_encoded(images, kept), self.mean, self.std)
        scale = self.architecture.grad_scale
        return value / scale, gradient / scale


class DirectGradientNetwork(GradientNetwork):
    """Predicts the gradient itself, without a proxy target: the ablation of section 3.1, which diverges.

    Its field need not be the gradient of anything, so its value is only a figure to log:
    mean over C·H·W of (C·H·W·g)² / 4, times s: that of the MSE to the proxy target that g stands for.
    """

    @standard_state()
    def __init__(
        self,
        backbone: str = "resnet",
        *,
        grad_scale: float = Architecture.grad_scale,
        mean: tuple[float, ...] = Architecture.mean,
        std: tuple[float, ...] = Architecture.std,
        **settings: Any,
    ) -> None:
        super().__init__(Architecture("direct", backbone, settings, "", "", grad_scale, mean, std))
        self.backbone = _backbone(self.architecture, 3)

    def encode(self, target: Tensor) -> Kept:
        """What the backbone keeps of targets; the targets themselves first."""
        return self.backbone.encode(target)

    def predict(self, images: Tensor, kept: Kept) -> tuple[Tensor, Tensor]:
        """The output o stands for g = 2 o / (C·H·W·s), in the units of the proxy families."""
        pull = self.backbone(images, kept).to(images.dtype)
        scale = self.architecture.grad_scale
        return pull.square().mean((1, 2, 3)) / scale, 2 * pull / (images[0].numel() * scale)


_RESERVED = ("grad_scale", "mean", "std", "backbone", "proxy", "distance", "channels")
"""What an architecture says elsewhere."""


def build_network(architecture: Architecture) -> GradientNetwork:
    """The network of an architecture, freshly initialised.

    Raises:
        ConfigError: its settings do not fit.
    """
    a = architecture
    reserved = _RESERVED if a.family != "distilled" else _RESERVED[:3]
    wrong = [name for name in reserved if name in a.settings]
    if wrong:
        raise ConfigError(
            f"settings are those of the backbone or of the thin loss alone; got {', '.join(wrong)}"
        )
    shared: dict[str, Any] = {"grad_scale": a.grad_scale, "mean": a.mean, "std": a.std, **a.settings}
    if a.family == "proxy":
        return PerceptualGradientNetwork(a.backbone, proxy=a.proxy, distance=a.distance, **shared)
    if a.family == "direct":
        return DirectGradientNetwork(a.backbone, **shared)
    from lossnets.gradients.distilled import DistilledGradientNetwork

    return DistilledGradientNetwork(**shared)
