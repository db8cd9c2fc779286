"""Training schemes: whether images or features go in and come out (Pihlgren et al. 2021).

========  ==============  ==============  ===========================================================
scheme    goes in         comes out       trained to minimise
========  ==============  ==============  ===========================================================
I-I       image           image           the loss itself: I-I-PW with a pixel loss, I-I-PS with a
                                          perceptual one
I-F-FP    image           features        mean squared difference of features (feature prediction)
F-I-PS    features        image           the loss itself (perceptual similarity)
F-I-PW    features        image           mean squared difference of pixels
F-F-FP    features        features        mean squared difference of features
========  ==============  ==============  ===========================================================

Features are those of the input image at the taps of the loss, as `LossFeatures` makes a row of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses

from lossnets.benchmarks.autoencoding.network import (
    DECODER_CHANNELS,
    Autoencoder,
    FeatureDecoder,
    FeatureEncoder,
    ImageDecoder,
    ImageEncoder,
    check_width,
    first_positions,
)
from lossnets.distances import Distance
from lossnets.errors import ConfigError, unknown_name
from lossnets.losses import ImageLoss, PerceptualLoss

MOST_POSITIONS = 8
"""Feature maps with more positions a side are averaged down to so many."""


@dataclass(frozen=True)
class Scheme:
    """What goes into the encoder, what the decoder makes, and how it is judged.

    Attributes:
        name: as published; I-I stands for I-I-PW and I-I-PS.
        encodes: ``image`` or ``features``.
        decodes: ``image`` or ``features``.
        judged_by: ``loss``, ``pixels`` or ``features``.
    """

    name: str
    encodes: str
    decodes: str
    judged_by: str

    @property
    def needs_features(self) -> bool:
        """Whether the loss must have a network."""
        return "features" in (self.encodes, self.decodes)


SCHEMES = {
    scheme.name: scheme
    for scheme in (
        Scheme("I-I", "image", "image", "loss"),
        Scheme("I-F-FP", "image", "features", "features"),
        Scheme("F-I-PS", "features", "image", "loss"),
        Scheme("F-I-PW", "features", "image", "pixels"),
        Scheme("F-F-FP", "features", "features", "features"),
    )
}


def scheme_named(name: str) -> Scheme:
    """The training scheme of a name.

    Raises:
        UnknownNameError: there is none.
    """
    if name not in SCHEMES:
        raise unknown_name("training scheme", str(name), SCHEMES)
    return SCHEMES[name]


def check_loss(scheme: Scheme, loss: ImageLoss) -> None:
    """Refuse a loss that a scheme cannot use, or of which it would leave a part unused.

    Raises:
        ConfigError: it has no network; or features are predicted or encoded without the loss's own
            distance, and that is another one than the mean squared difference.
    """
    if not scheme.needs_features:
        return
    if not isinstance(loss, PerceptualLoss):
        raise ConfigError(
            f"scheme {scheme.name!r} takes features of a loss network, and loss {loss.name!r} has none. Use "
            "a perceptual loss (NETWORK/TAP, e.g. 'efficientnet_lite0/blocks.3'), or scheme 'I-I'."
        )
    plain = loss.spec.distance == Distance() and not loss.spec.function and not loss.channel_weights
    if loss.spec.channels != "rgb":
        raise ConfigError(f"scheme {scheme.name!r} takes features of RGB images; got loss {loss.name!r}.")
    if scheme.judged_by != "loss" and not plain:
        raise ConfigError(
            f"scheme {scheme.name!r} compares by mean squared difference and would leave the distance of "
            f"loss {loss.name!r} unused. Write it without a distance (NETWORK/TAP), or use scheme 'F-I-PS'."
        )


class LossFeatures:
    """Images (N, 3, H, W) in [0, 1] -> one row of features each (N, P), and the difference of such rows.

    The maps of all taps, flattened, one behind the other. A map of more than 8 positions a side is
    averaged (adaptive average pooling) to 8: the encoder and decoder of features are linear layers, whose
    size grows with the square of P. (The published study's 64×64 images give 7×7 positions at most.)

    Args:
        loss: whose network, taps and tap weights.
        size: (H, W) of the images.

    Raises:
        ImageError: the images are too small for the taps.
    """

    def __init__(self, loss: PerceptualLoss, size: tuple[int, int]) -> None:
        self.loss = loss
        network = loss.network
        with torch.no_grad():
            maps = network(torch.zeros(1, 3, *size, device=network.mean.device))
        self.widths = [_row(maps[tap.name]).shape[1] for tap in network.taps]
        weights = [loss.tap_weights[tap.name] for tap in network.taps]
        self._share = torch.cat([
            torch.full((width,), weight / width) for width, weight in zip(self.widths, weights, strict=True)
        ])  # fmt: skip

    @property
    def width(self) -> int:
        """P, the number of features of an image."""
        return sum(self.widths)

    def __call__(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) on the loss's device -> (N, P) float32, without gradient."""
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            network = self.loss.network
            maps = network.features(images.to(network.mean.dtype))
            return torch.cat([_row(features).float() for features in maps], dim=1)

    def difference(self, predicted: Tensor, features: Tensor) -> Tensor:
        """Rows (N, P), twice -> the sum over taps of weight · mean squared difference, mean over images."""
        share = self._share.to(features.device)
        return ((predicted.float() - features).square() * share).sum(1).mean()


def _row(features: Tensor) -> Tensor:
    """(N, C, h, w) -> (N, C · positions), at most `MOST_POSITIONS` a side."""
    height, width = (min(side, MOST_POSITIONS) for side in features.shape[2:])
    if (height, width) != tuple(features.shape[2:]):
        features = F.adaptive_avg_pool2d(features, (height, width))
    return features.flatten(1)


def build_autoencoder(
    scheme: Scheme,
    size: tuple[int, int],
    z: int,
    variational: bool,
    features: int = 0,
    hidden_limit: int | None = None,
) -> Autoencoder:
    """The model of a scheme.

    Args:
        scheme: what goes in and comes out.
        size: (H, W) of the images, each 64 + 16 n.
        z: width of the embedding.
        variational: see `Autoencoder`.
        features: P, where features go in or come out.
        hidden_limit: the layer next to the features has P / 2 units as published, and at most so many.
    """
    check_width(z)
    hidden = max(1, min(features // 2, hidden_limit or features // 2))
    encoder = ImageEncoder(size) if scheme.encodes == "image" else FeatureEncoder(features, hidden)
    if scheme.decodes == "image":
        return Autoencoder(encoder, ImageDecoder(size, z), z, variational)
    # as published: behind an image encoder as wide as the image decoder's first layer
    positions = math.prod(first_positions(size)) if scheme.encodes == "image" else 1
    decoder = FeatureDecoder(features, hidden, z, DECODER_CHANNELS[0] * positions)
    return Autoencoder(encoder, decoder, z, variational)
