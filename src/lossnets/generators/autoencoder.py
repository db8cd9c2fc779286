"""The small autoencoder on which gradient networks are trained (Nikulin et al. 2021, section 4.1)."""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from lossnets.errors import ImageError
from lossnets.generators.population import check_whole


class SeparableResidual(nn.Module):
    """Two depthwise 5×5 convolutions with pointwise ones, beside a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels), nn.LeakyReLU(0.2),
            nn.Conv2d(channels, channels, 5, padding=2, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> the same shape."""
        return F.leaky_relu(x + self.layers(x), 0.2)


class Autoencoder(nn.Module):
    """Images (N, 3, H, W) in [0, 1] -> their reconstructions, the same shape, in [0, 1].

    7×7 stem with stride 2, ``depth`` further halvings with separable blocks, a 1×1 bottleneck, bilinear
    enlargement. H and W are multiples of 2^(depth + 1).

    Args:
        depth: 0, 1 or 2 in the paper.
        width: channels (128 in the paper).
        bottleneck: channels of the code; 0: as many as ``width``.
    """

    def __init__(self, depth: int = 1, width: int = 128, bottleneck: int = 0) -> None:
        super().__init__()
        check_whole(width=width)
        check_whole(0, depth=depth, bottleneck=bottleneck)
        self.multiple = 2 ** (depth + 1)
        code = bottleneck or width
        down: list[nn.Module] = [
            nn.Conv2d(3, width, 7, 2, padding=3, bias=False), nn.BatchNorm2d(width), nn.LeakyReLU(0.2)
        ]  # fmt: skip
        for _ in range(depth):
            down += [SeparableResidual(width), nn.MaxPool2d(2)]
        down += [SeparableResidual(width), nn.Conv2d(width, code, 1)]
        up: list[nn.Module] = [nn.Conv2d(code, width, 1), SeparableResidual(width)]
        for _ in range(depth):
            up += [_enlarge(), SeparableResidual(width)]
        up += [_enlarge(), nn.Conv2d(width, 3, 3, padding=1)]
        self.encoder, self.decoder = nn.Sequential(*down), nn.Sequential(*up)

    def forward(self, images: Tensor) -> Tensor:
        """Reconstruct images in [0, 1]: (N, 3, H, W) -> the same shape, in [0, 1].

        Raises:
            ImageError: a side is no multiple of 2^(depth + 1).
        """
        if images.shape[2] % self.multiple or images.shape[3] % self.multiple:
            raise ImageError(
                f"images must have sides that are multiples of {self.multiple} pixels; got "
                f"{tuple(images.shape[2:])}"
            )
        out: Tensor = self.decoder(self.encoder(2 * images - 1))
        return torch.sigmoid(out)


def _enlarge() -> nn.Upsample:
    return nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
