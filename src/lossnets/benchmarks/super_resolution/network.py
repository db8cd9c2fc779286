"""The network that is trained: low resolution in, 4 or 8 times the height and width out.

Johnson, Alahi, Fei-Fei: Perceptual Losses for Real-Time Style Transfer and Super-Resolution, ECCV 2016,
with the supplementary material for the sizes.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from lossnets.errors import ImageError

RESIDUAL_BLOCKS = 4
SMALLEST = 5
"""Height and width, in pixels, that the reflection of a 9×9 convolution needs of its input."""


class SuperResolver(nn.Module):
    """Images (N, 3, h, w) in [0, 1] -> (N, 3, scale·h, scale·w) in [0, 1], any h and w from `SMALLEST`.

    A 9×9 convolution to ``width`` channels, 4 residual blocks, as many blocks of nearest-neighbour
    upsampling by 2 and 3×3 convolution as the scale takes, a 9×9 convolution to 3 channels, and a tanh
    scaled to [0, 1]. Borders are continued by reflection; every convolution but the last is followed by
    batch normalisation, and by ReLU except for the sum of a residual block and what goes into it.

    Args:
        scale: a power of 2: 4 or 8 in the study.
        width: channels, 64 in the paper.
    """

    def __init__(self, scale: int = 4, width: int = 64) -> None:
        super().__init__()
        self.first = _block(3, width, 9)
        self.residual = nn.Sequential(*(ResidualBlock(width) for _ in range(RESIDUAL_BLOCKS)))
        self.upsampling = nn.Sequential(
            *(
                nn.Sequential(nn.Upsample(scale_factor=2, mode="nearest"), _block(width, width, 3))
                for _ in range(round(math.log2(scale)))
            )
        )
        self.last = _convolution(width, 3, 9)

    def forward(self, images: Tensor) -> Tensor:
        """Enlarge.

        Raises:
            ImageError: the images are smaller than the reflection at their border.
        """
        if min(images.shape[-2:]) < SMALLEST:
            raise ImageError(
                f"low-resolution images must be at least {SMALLEST}×{SMALLEST} pixels; got "
                f"{images.shape[-2]}×{images.shape[-1]}. Take larger images, or a smaller scale."
            )
        images = images.contiguous(memory_format=torch.channels_last)  # up to a half faster on a CPU
        features = self.upsampling(self.residual(self.first(images)))
        return (torch.tanh(self.last(features)) + 1) / 2


class ResidualBlock(nn.Module):
    """(N, C, h, w) -> the same: two 3×3 convolutions added to the input, no activation after the sum."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _block(width, width, 3), _convolution(width, width, 3), nn.BatchNorm2d(width)
        )

    def forward(self, features: Tensor) -> Tensor:
        """Add what the body makes of the features."""
        changed: Tensor = self.body(features)
        return features + changed


def _block(channels: int, width: int, kernel: int) -> nn.Sequential:
    return nn.Sequential(_convolution(channels, width, kernel), nn.BatchNorm2d(width), nn.ReLU(inplace=True))


def _convolution(channels: int, width: int, kernel: int) -> nn.Conv2d:
    made = nn.Conv2d(channels, width, kernel, padding=kernel // 2, padding_mode="reflect")
    made.weight.data = made.weight.data.contiguous(memory_format=torch.channels_last)
    return made
