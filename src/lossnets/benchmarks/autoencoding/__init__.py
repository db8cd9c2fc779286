"""Autoencoding: how much of an image is left in 64 numbers, when a loss decides what counts."""

from lossnets.benchmarks.autoencoding.benchmark import Autoencoding
from lossnets.benchmarks.autoencoding.kinds import (
    AutoencodingFolders,
    AutoencodingSample,
    AutoencodingSTL10,
    AutoencodingSVHN,
)
from lossnets.benchmarks.autoencoding.network import Autoencoder, image_autoencoder, kl_divergence

__all__ = [
    "Autoencoder",
    "Autoencoding",
    "AutoencodingFolders",
    "AutoencodingSTL10",
    "AutoencodingSVHN",
    "AutoencodingSample",
    "image_autoencoder",
    "kl_divergence",
]
