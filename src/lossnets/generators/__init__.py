"""Generators: networks that make images, to be fitted to an image or trained with a loss."""

from lossnets.generators.autoencoder import Autoencoder
from lossnets.generators.decoder import LatentDecoder, train_decoder
from lossnets.generators.deep_decoder import DeepDecoder
from lossnets.generators.image_prior import ImagePrior
from lossnets.generators.population import Population, make_population

__all__ = [
    "Autoencoder",
    "DeepDecoder",
    "ImagePrior",
    "LatentDecoder",
    "Population",
    "make_population",
    "train_decoder",
]
