"""The delineation network: a U-Net that sees its own last prediction, and refines it a few times.

Mosinska, Márquez-Neila, Koziński, Fua: Beyond the Pixel-Wise Loss for Topology-Aware Delineation,
CVPR 2018 (section 3.3: iterative refinement with shared weights).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from lossnets.errors import ConfigError, ImageError

STRIDE = 16
"""Four steps of stride 2: inside the network sides are multiples of this."""
WIDTHS = (64, 128, 256, 512)
"""Channels of the four levels; the protocol does not state any, these are pix2pix's."""


class UNet(nn.Module):
    """Four 4×4 stride-2 convolutions down, four transposed ones up, joined: (N, 4, H, W) -> (N, 1, H, W).

    Batch normalisation follows each convolution but the last; LeakyReLU(0.2) on the way down, ReLU on
    the way up. The result are logits: a sigmoid makes probabilities of them.

    Args:
        widths: channels after each of the four steps down.
        channels: of the input.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS, channels: int = 4) -> None:
        super().__init__()
        if len(widths) != 4 or min(widths) < 1:
            raise ConfigError(f"widths must be four numbers of channels above 0; got {tuple(widths)}.")
        a, b, c, d = widths
        self.down = nn.ModuleList(_down(i, o) for i, o in ((channels, a), (a, b), (b, c), (c, d)))
        self.up = nn.ModuleList(_up(i, o) for i, o in ((d, c), (2 * c, b), (2 * b, a)))
        self.last = nn.ConvTranspose2d(2 * a, 1, 4, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """(N, channels, H, W), sides multiples of 16 -> logits (N, 1, H, W)."""
        skips = []
        for step in self.down:
            images = step(images)
            skips.append(images)
        images = skips.pop()
        for step in self.up:
            images = torch.cat([step(images), skips.pop()], dim=1)
        logits: Tensor = self.last(images)
        return logits


def _down(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.Conv2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.LeakyReLU(0.2))


def _up(inputs: int, outputs: int) -> nn.Sequential:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, 2, 1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())


class Delineator(nn.Module):
    """One U-Net applied K times to the image and its last prediction (zeros at first).

    Nothing is kept between calls: every image begins with a prediction of zeros. Gradients flow back
    through all K steps.

    Args:
        refinements: K, at least 1.
        widths: see `UNet`.

    Raises:
        ConfigError: an argument is out of range.
    """

    def __init__(self, refinements: int = 3, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        if refinements < 1:
            raise ConfigError(f"refinements must be at least 1; got {refinements}.")
        self.refinements = refinements
        self.unet = UNet(widths)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Images (N, 3, H, W) in [0, 1], sides at least 16 -> logits (N, 1, H, W) of each refinement.

        Sides that are no multiple of 16 are padded by reflection, and the result is cut back.

        Raises:
            ImageError: a side is below 16 pixels.
        """
        height, width = images.shape[-2:]
        padded = pad_to_stride(images)
        prediction = torch.zeros_like(padded[:, :1])
        steps = []
        for _ in range(self.refinements):
            # Logits leave as float32: under mixed precision the cross-entropy is computed from them.
            logits = self.unet(torch.cat([padded, prediction], dim=1)).float()
            prediction = torch.sigmoid(logits).to(padded.dtype)
            steps.append(logits[..., :height, :width])
        return tuple(steps)


def pad_to_stride(images: Tensor) -> Tensor:
    """Reflect (N, C, H, W) at the right and the bottom until both sides are multiples of 16.

    Raises:
        ImageError: a side is below 16 pixels, which leaves too little to reflect.
    """
    height, width = images.shape[-2:]
    if min(height, width) < STRIDE:
        raise ImageError(
            f"images to delineate must have sides of at least {STRIDE} pixels; got {height}×{width}."
        )
    pad = (0, -width % STRIDE, 0, -height % STRIDE)
    return functional.pad(images, pad, mode="reflect") if any(pad) else images
