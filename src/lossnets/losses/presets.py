"""Losses of well-known papers, ready to use, each with its citation and what is known to differ.

>>> load_preset("johnson2016-content", weights="random-0").name
'vgg16/relu2_2:weights=random-0'
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from lossnets.errors import ConfigError, unknown_name
from lossnets.losses.base import ImageLoss
from lossnets.losses.load import load_loss

_VGG19_RELUS = ",".join(
    f"relu{block}_{layer}"
    for block, layers in ((1, 2), (2, 2), (3, 4), (4, 4), (5, 1))
    for layer in range(1, layers + 1)
)


@dataclass(frozen=True)
class Preset:
    """A published loss.

    Attributes:
        name: how to ask for it.
        loss: its loss name.
        citation: where it was published.
        note: what the loss was used for, and where this definition departs from the publication.
    """

    name: str
    loss: str
    citation: str
    note: str


_JOHNSON = (
    "Johnson, Alahi, Fei-Fei, Perceptual losses for real-time style transfer and super-resolution, ECCV 2016"
)
_STUDY = (
    "Pihlgren et al., A systematic performance analysis of deep perceptual loss networks, arXiv 2302.04032"
)
PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "johnson2016-content",
            "vgg16/relu2_2",
            _JOHNSON,
            "feature reconstruction for super-resolution and style transfer; the authors used Caffe's VGG-16",
        ),
        Preset(
            "johnson2016-style",
            "vgg16/relu1_2,relu2_2,relu3_3,relu4_3:gram-sum",
            _JOHNSON,
            "squared Frobenius norm of Gram matrix differences; the authors used Caffe's VGG-16",
        ),
        Preset(
            "srgan",
            "vgg19/relu5_4",
            "Ledig et al., Photo-realistic single image super-resolution using a GAN, CVPR 2017",
            "VGG-5,4 after the activation; the publication rescales the features by 1/12.75",
        ),
        Preset(
            "esrgan",
            "vgg19/conv5_4:l1",
            "Wang et al., ESRGAN: enhanced super-resolution generative adversarial networks, ECCVW 2018",
            "before the activation; L1, as in the authors' code",
        ),
        Preset(
            "pix2pixhd",
            "vgg19/relu1_1=0.03125,relu2_1=0.0625,relu3_1=0.125,relu4_1=0.25,relu5_1:l1",
            "Wang et al., High-resolution image synthesis with conditional GANs, CVPR 2018",
            "the authors' code feeds images in [-1, 1]; here they are normalised as the weights expect",
        ),
        Preset("lpips-alex", "lpips:alexnet", "Zhang et al., CVPR 2018, arXiv 1801.03924", "for measuring"),
        Preset(
            "lpips-vgg",
            "lpips:vgg16",
            "Zhang et al., CVPR 2018, arXiv 1801.03924",
            "nearest to classic losses",
        ),
        Preset(
            "lpips-squeeze", "lpips:squeezenet1_1", "Zhang et al., CVPR 2018, arXiv 1801.03924", "smallest"
        ),
        Preset(
            "study-super-resolution",
            "squeezenet1_1/features.1",
            _STUDY,
            "the architecture that did best on super-resolution, at its earliest point: the study finds that "
            "early points suit this task; it fed the network images that were not normalised (input=raw)",
        ),
        Preset(
            "study-autoencoding",
            "vgg11/relu5_2",
            _STUDY,
            "the architecture with the best average rank, at its latest point: the study finds that late "
            "points suit autoencoding; it fed the network images that were not normalised (input=raw)",
        ),
        Preset(
            "pgn2021",
            f"vgg19/{_VGG19_RELUS}:l1:pooling=avg",
            "Nikulin et al., Perceptual gradient networks, arXiv 2105.01957",
            "VGG-19, L1 at every ReLU of the first 30 layers, average pooling, sum over layers",
        ),
    )
}


def list_presets() -> list[Preset]:
    """All presets."""
    return list(PRESETS.values())


def load_preset(name: str, *, weights: str | None = None, **options: Any) -> ImageLoss:
    """Build a published loss.

    Args:
        name: see `list_presets`.
        weights: of the network, instead of the published ones (see `load_network`).
        options: as for `load_loss`.
    """
    if name not in PRESETS:
        raise unknown_name("preset", name, PRESETS)
    loss = PRESETS[name].loss
    if weights is not None and not isinstance(weights, str):
        raise ConfigError(
            f"weights must be text (a name, 'random-SEED' or a path); got {type(weights).__name__}"
        )
    return load_loss(loss if weights is None else f"{loss}:weights={quote(weights)}", **options)
