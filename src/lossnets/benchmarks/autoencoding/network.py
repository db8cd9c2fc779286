"""The autoencoder of Pihlgren et al. (2020), and parts that read or predict features instead of images."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, ImageError

SMALLEST, STEP = 64, 16
"""The network takes images with sides of 64 + 16 n pixels."""
ENCODER_CHANNELS = (3, 32, 64, 128, 256)
DECODER_CHANNELS = (1024, 128, 64, 32, 3)
DECODER_KERNELS = (5, 5, 6, 6)


class Coded(NamedTuple):
    """What an autoencoder makes of a batch.

    Attributes:
        output: (N, 3, H, W) in [0, 1], or (N, features).
        mean: (N, z), the embedding.
        log_variance: (N, z); None where the autoencoder is deterministic.
    """

    output: Tensor
    mean: Tensor
    log_variance: Tensor | None


def check_side(side: int, name: str = "side") -> int:
    """An image side in pixels, if the network takes it.

    Raises:
        ImageError: it is not 64 + 16 n.
    """
    if side < SMALLEST or (side - SMALLEST) % STEP:
        raise ImageError(
            f"{name} must be {SMALLEST} + {STEP} n pixels (64, 80, 96, ...) for the autoencoder; got {side}. "
            f"Pad or crop the images, e.g. to {next_side(side)}."
        )
    return side


def next_side(side: int) -> int:
    """The smallest 64 + 16 n that is at least ``side``.

    >>> next_side(32), next_side(64), next_side(65), next_side(96)
    (64, 64, 80, 96)
    """
    return SMALLEST + STEP * max(0, -(-(side - SMALLEST) // STEP))


def first_positions(size: tuple[int, int]) -> tuple[int, int]:
    """Rows and columns that the image decoder begins with, for images of (H, W) pixels.

    >>> first_positions((64, 96))
    (1, 3)
    """
    rows, columns = ((check_side(side) - SMALLEST) // STEP + 1 for side in size)
    return rows, columns


class ImageEncoder(nn.Sequential):
    """Images (N, 3, H, W) -> (N, width): four 4×4 convolutions of stride 2, batch normalisation, ReLU.

    Without padding a side s becomes floor((s - 4) / 2) + 1: 64 becomes 31, 14, 6 and 2 pixels.

    Args:
        size: (H, W), each 64 + 16 n.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        layers: list[nn.Module] = []
        for before, after in pairwise(ENCODER_CHANNELS):
            layers += [nn.Conv2d(before, after, 4, stride=2), nn.BatchNorm2d(after), nn.ReLU()]
        super().__init__(*layers, nn.Flatten())
        sides = [check_side(s) for s in size]
        for _ in ENCODER_CHANNELS[1:]:
            sides = [(s - 4) // 2 + 1 for s in sides]
        self.width = ENCODER_CHANNELS[-1] * math.prod(sides)


class ImageDecoder(nn.Module):
    """Embeddings (N, z) -> images (N, 3, H, W) in [0, 1].

    A linear layer with ReLU makes 1024 channels of (H - 64) / 16 + 1 by (W - 64) / 16 + 1 positions;
    four transposed convolutions of stride 2 make the image of them. A side g becomes 2 g + 3, then
    4 g + 9, 8 g + 22 and 16 g + 48 pixels: 64 for g = 1, and 16 more for every position more.

    Args:
        size: (H, W), each 64 + 16 n.
        z: width of the embedding.
    """

    def __init__(self, size: tuple[int, int], z: int) -> None:
        super().__init__()
        self.positions = first_positions(size)
        self.linear = nn.Linear(z, DECODER_CHANNELS[0] * math.prod(self.positions))
        layers: list[nn.Module] = []
        for (before, after), kernel in zip(pairwise(DECODER_CHANNELS), DECODER_KERNELS, strict=True):
            layers.append(nn.ConvTranspose2d(before, after, kernel, stride=2))
            last = after == DECODER_CHANNELS[-1]
            layers += [nn.Sigmoid()] if last else [nn.BatchNorm2d(after), nn.ReLU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """(N, z) -> (N, 3, H, W)."""
        start = self.linear(z).relu().unflatten(1, (DECODER_CHANNELS[0], *self.positions))
        return self.layers(start)  # type: ignore[no-any-return]


class FeatureEncoder(nn.Sequential):
    """Features (N, P) -> (N, 1024), linear layers with ReLU: P -> hidden -> 1024 (Pihlgren et al. 2021)."""

    width = 1024

    def __init__(self, features: int, hidden: int) -> None:
        super().__init__(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, self.width), nn.ReLU())


class FeatureDecoder(nn.Sequential):
    """Embeddings (N, z) -> features (N, P), linear: z -> first -> hidden -> P (Pihlgren et al. 2021)."""

    def __init__(self, features: int, hidden: int, z: int, first: int = 1024) -> None:
        super().__init__(
            nn.Linear(z, first), nn.ReLU(), nn.Linear(first, hidden), nn.ReLU(), nn.Linear(hidden, features)
        )


class Autoencoder(nn.Module):
    """Encoder, embedding of z numbers, decoder; deterministic or variational.

    Args:
        encoder: has ``width``, the number of values that it makes of an image.
        decoder: (N, z) -> output.
        z: width of the embedding.
        variational: also estimate a variance, and draw from it in training (Kingma & Welling 2014).
    """

    def __init__(
        self,
        encoder: ImageEncoder | FeatureEncoder,
        decoder: ImageDecoder | FeatureDecoder,
        z: int,
        variational: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.mean = nn.Linear(encoder.width, z)
        self.log_variance = nn.Linear(encoder.width, z) if variational else None
        self.decoder = decoder

    def encode(self, inputs: Tensor) -> Tensor:
        """Images or features -> embeddings (N, z); the mean where the autoencoder is variational."""
        return self.mean(self.encoder(inputs))  # type: ignore[no-any-return]

    def forward(self, inputs: Tensor) -> Coded:
        """Images (N, 3, H, W) or features (N, P) -> `Coded`.

        In training a variational one decodes mean + exp(log variance / 2) · noise, the noise from
        torch's global generator; in evaluation it decodes the mean.
        """
        code = self.encoder(inputs)
        mean = self.mean(code)
        if self.log_variance is None:
            return Coded(self.decoder(mean), mean, None)
        log_variance = self.log_variance(code)
        drawn = mean
        if self.training:
            drawn = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        return Coded(self.decoder(drawn), mean, log_variance)


def image_autoencoder(size: tuple[int, int], z: int = 64, variational: bool = False) -> Autoencoder:
    """The autoencoder of images: (N, 3, H, W) in [0, 1] -> the same.

    Args:
        size: (H, W), each 64 + 16 n.
        z: width of the embedding.
        variational: see `Autoencoder`.

    >>> image_autoencoder((64, 96))(torch.zeros(2, 3, 64, 96)).output.shape
    torch.Size([2, 3, 64, 96])
    """
    return Autoencoder(ImageEncoder(size), ImageDecoder(size, check_width(z)), z, variational)


def check_width(z: int) -> int:
    """The width of the embedding, if it is one.

    Raises:
        ConfigError: it is no whole number above 0.
    """
    if isinstance(z, bool) or not isinstance(z, int) or z < 1:
        raise ConfigError(f"z, the width of the embedding, must be a whole number above 0; got {z!r}.")
    return z


def kl_divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Divergence of N(mean, exp(log variance)) from N(0, 1), (N, z) x 2 -> (N,) in nats.

    -1/2 Σ_j (1 + log σ_j² - μ_j² - σ_j²), summed over the z dimensions (Kingma & Welling 2014,
    appendix B).

    >>> kl_divergence(torch.tensor([[2.0, 0.0]]), torch.zeros(1, 2))
    tensor([2.])
    """
    mean, log_variance = mean.float(), log_variance.float()
    return -0.5 * (1 + log_variance - mean.square() - log_variance.exp()).sum(1)
