"""Backbones of perceptual gradient networks: images x̂ and y, (N, 3, H, W) each -> (N, channels, H, W).

The published ones (`resnet`, `unet`; Nikulin et al. 2021, section 3.3) keep the names of their released
parameters, so that those files load. `shuffled` is a cheaper one of our own: it works at a quarter of the
resolution and pays for width with it.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lossnets.errors import ConfigError, unknown_name

INPUTS = 6
_SLOPE = 0.2


class ResidualBlock(nn.Module):
    """Two 3×3 convolutions with batch normalisation beside the identity; nothing after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
            nn.LeakyReLU(_SLOPE),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        out: Tensor = x + self.conv_block(x)
        return out


class Backbone(nn.Module):
    """What the parts of a gradient network agree on: ``forward(x̂, encode(y))``, images normalised."""

    def encode(self, target: Tensor) -> tuple[Tensor, ...]:
        """What is kept of a target, (N, ...) each, the target itself first; computed once for many x̂."""
        return (target,)

    def forward(self, images: Tensor, kept: tuple[Tensor, ...]) -> Tensor:
        """x̂ (N, 3, H, W), any H and W, and what `encode` made of y -> (N, channels, H, W)."""
        raise NotImplementedError


class ResNet(Backbone):
    """resnet-n of the paper: stem 64, stride-2 convolution 128, n blocks, nearest upsampling, 64, output."""

    def __init__(self, blocks: int = 4, channels: int = 3, width: int = 64) -> None:
        super().__init__()
        wide = 2 * width
        self.model = nn.Sequential(
            nn.Conv2d(INPUTS, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(_SLOPE),
            nn.Conv2d(width, wide, 3, 2, padding=1, bias=False), nn.BatchNorm2d(wide), nn.LeakyReLU(_SLOPE),
            *(ResidualBlock(wide) for _ in range(blocks)),
            nn.Upsample(scale_factor=2, mode="nearest"),
            nn.Conv2d(wide, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(_SLOPE),
            nn.Conv2d(width, channels, 3, padding=1),
        )  # fmt: skip

    def forward(self, images: Tensor, kept: tuple[Tensor, ...]) -> Tensor:
        """x̂ (N, 3, H, W), any H and W, and what `encode` made of y -> (N, channels, H, W)."""
        x = torch.cat([images, kept[0]], 1)
        out: Tensor = self.model(x)
        return out[..., : x.shape[2], : x.shape[3]]  # an odd side comes back one pixel longer


def _separable(inputs: int, outputs: int, kernel: int) -> nn.Sequential:
    groups = math.gcd(inputs, outputs)
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, groups=groups),
        nn.Conv2d(outputs, outputs, 1),
        nn.ReLU(),
    )


class SeparableBlock(nn.Module):
    """Two depthwise 5×5 convolutions, each followed by a pointwise one, beside a shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__()
        self.cdw1 = nn.Conv2d(inputs, outputs, 5, stride, padding=2, groups=inputs, bias=False)
        self.cpw1 = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.cdw2 = nn.Conv2d(outputs, outputs, 5, padding=2, groups=outputs, bias=False)
        self.cpw2 = nn.Conv2d(outputs, outputs, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
        if stride != 1 or inputs != outputs:
            self.c1 = nn.Conv2d(inputs, outputs, 1, stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H / stride, W / stride)."""
        out = F.relu(self.bn1(self.cpw1(self.cdw1(x))))
        out = self.bn2(self.cpw2(self.cdw2(out)))
        return F.relu(out + (self.c1(x) if hasattr(self, "c1") else x))


class UNet(Backbone):
    """The paper's separable U-Net: down 64, 64, 128, 256, 512, up 512, 256, 256, 128, 64; ReLU."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.layer0 = nn.Sequential(
            nn.Conv2d(INPUTS, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        self.layer1 = nn.Sequential(nn.MaxPool2d(3, 2, 1), SeparableBlock(64, 64))
        self.layer2 = SeparableBlock(64, 128, 2)
        self.layer3 = SeparableBlock(128, 256, 2)
        self.layer4 = SeparableBlock(256, 512, 2)
        self.conv_original_size0 = _separable(INPUTS, 64, 3)
        self.conv_original_size1 = _separable(64, 64, 3)
        self.layer0_1x1, self.layer1_1x1 = _separable(64, 64, 1), _separable(64, 64, 1)
        self.layer2_1x1, self.layer3_1x1 = _separable(128, 128, 1), _separable(256, 256, 1)
        self.layer4_1x1 = _separable(512, 512, 1)
        self.conv_original_size2 = _separable(128 + 64, 64, 3)
        self.conv_up0, self.conv_up1 = _separable(256 + 64, 128, 3), _separable(256 + 64, 256, 3)
        self.conv_up2, self.conv_up3 = _separable(512 + 128, 256, 3), _separable(512 + 256, 512, 3)
        self.conv_last = nn.Conv2d(64, channels, 1)

    def forward(self, images: Tensor, kept: tuple[Tensor, ...]) -> Tensor:
        """x̂ (N, 3, H, W), any H and W, and what `encode` made of y -> (N, channels, H, W)."""
        x = torch.cat([images, kept[0]], 1)
        full = self.conv_original_size1(self.conv_original_size0(x))
        l0 = self.layer0(x)
        l1 = self.layer1(l0)
        l2 = self.layer2(l1)
        l3 = self.layer3(l2)
        out = self.layer4_1x1(self.layer4(l3))
        out = self.conv_up3(_beside(out, self.layer3_1x1(l3)))
        out = self.conv_up2(_beside(out, self.layer2_1x1(l2)))
        out = self.conv_up1(_beside(out, self.layer1_1x1(l1)))
        out = self.conv_up0(_beside(out, self.layer0_1x1(l0)))
        last: Tensor = self.conv_last(self.conv_original_size2(_beside(out, full)))
        return last


def _beside(low: Tensor, high: Tensor) -> Tensor:
    """Enlarge ``low`` to the size of ``high`` and stack both."""
    return torch.cat([F.interpolate(low, high.shape[2:], mode="bilinear", align_corners=True), high], 1)


class Shuffled(Backbone):
    """Residual blocks at 1 / ``factor`` of the resolution: pixels are folded into channels and back.

    Operations per pixel fall with factor², so that the width of the published networks costs a
    fraction of theirs.
    """

    def __init__(self, channels: int = 3, width: int = 96, blocks: int = 4, factor: int = 4) -> None:
        super().__init__()
        self.factor = factor
        self.stem = nn.Conv2d(INPUTS * factor**2, width, 3, padding=1)
        self.blocks = nn.Sequential(*(ResidualBlock(width) for _ in range(blocks)))
        self.head = nn.Conv2d(width, channels * factor**2, 3, padding=1)

    def forward(self, images: Tensor, kept: tuple[Tensor, ...]) -> Tensor:
        """x̂ (N, 3, H, W), any H and W, and what `encode` made of y -> (N, channels, H, W)."""
        x = torch.cat([images, kept[0]], 1)
        height, width = x.shape[2:]
        x = F.pad(x, (0, -width % self.factor, 0, -height % self.factor), mode="replicate")
        out = F.leaky_relu(self.stem(F.pixel_unshuffle(x, self.factor)), _SLOPE)
        out = F.pixel_shuffle(self.head(self.blocks(out)), self.factor)
        return out[..., :height, :width]


BACKBONES: dict[str, Callable[..., Backbone]] = {"resnet": ResNet, "unet": UNet, "shuffled": Shuffled}


def make_backbone(kind: str, channels: int = 3, **settings: Any) -> Backbone:
    """A backbone by kind and settings (``blocks=4``), freshly initialised.

    Raises:
        UnknownNameError: there is no such kind.
        ConfigError: it has no such setting, or not this value of it.
    """
    if kind not in BACKBONES:
        raise unknown_name("backbone", kind, BACKBONES)
    known = inspect.signature(BACKBONES[kind]).parameters
    for name, value in settings.items():
        least = 0 if name == "blocks" else 1
        if name in known and (not isinstance(value, int) or isinstance(value, bool) or value < least):
            raise ConfigError(
                f"{name} of backbone {kind!r} must be a whole number, {least} or more; got {value!r}"
            )
    try:
        return BACKBONES[kind](channels=channels, **settings)
    except TypeError as error:
        raise ConfigError(f"settings of backbone {kind!r} do not fit: {error}") from None
