"""The study's 14 networks with their 4 points each, the points of LPIPS, and human names for layers.

Content only: adding a network to the study means adding a row here.
"""

from __future__ import annotations

from collections.abc import Iterable

# Pihlgren et al. 2023 (arXiv 2302.04032): child indices, counted from 0 over the children of
# `features`, or of the model itself ("root"); early to late.
STUDY_POINTS: dict[str, tuple[str, tuple[int, int, int, int]]] = {
    "alexnet": ("features", (1, 4, 7, 11)),
    "vgg11": ("features", (1, 4, 9, 19)),
    "vgg16": ("features", (3, 8, 15, 29)),
    "vgg16_bn": ("features", (5, 12, 22, 42)),
    "vgg19": ("features", (3, 8, 17, 35)),
    "densenet121": ("features", (2, 4, 6, 10)),
    "resnet18": ("root", (2, 4, 5, 7)),
    "resnet50": ("root", (2, 4, 5, 7)),
    "resnext50_32x4d": ("root", (2, 4, 5, 7)),
    "googlenet": ("root", (0, 5, 8, 15)),
    "inception_v3": ("root", (2, 7, 9, 14)),
    "squeezenet1_1": ("features", (1, 3, 7, 12)),
    "efficientnet_b0": ("features", (0, 1, 4, 7)),
    "efficientnet_b7": ("features", (0, 1, 4, 7)),
}

# Relatives of studied networks, at the matching depths: not part of the study.
RELATED_POINTS: dict[str, tuple[str, tuple[int, int, int, int]]] = {
    "squeezenet1_0": ("features", (1, 3, 7, 12)),
    "vgg13": ("features", (3, 8, 13, 23)),
    "mobilenet_v2": ("features", (0, 1, 6, 17)),
}

# Zhang et al. 2018 (arXiv 1801.03924): children of `features`.
LPIPS_POINTS: dict[str, tuple[int, ...]] = {
    "alexnet": (1, 4, 7, 9, 11),
    "vgg16": (3, 8, 15, 22, 29),
    "squeezenet1_1": (1, 4, 7, 9, 10, 11, 12),
}

# The packaged networks (timm's tf_efficientnet_lite*): stem, and the stages that match
# efficientnet_b0's features 1, 4 and 7.
PACKAGED_POINTS = ("bn1", "blocks.0", "blocks.3", "blocks.6")

_WITH_ALIASES = ("vgg", "alexnet")


def layer_aliases(network: str, features: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Human names of the children of ``features``: ``{"features.15": "relu3_3"}``.

    Args:
        network: name of the network; only VGG networks and AlexNet have such names in the field.
        features: (child index, class name) of each child, in order.

    >>> layer_aliases("vgg16", [("0", "Conv2d"), ("1", "ReLU"), ("2", "MaxPool2d"), ("3", "Conv2d")])
    {'features.0': 'conv1_1', 'features.1': 'relu1_1', 'features.2': 'pool1', 'features.3': 'conv2_1'}
    """
    if not network.startswith(_WITH_ALIASES):
        return {}
    block, layer, names = 1, 0, {}
    flat = network.startswith("alexnet")  # five convolutions, named conv1 ... conv5
    for index, kind in features:
        path = f"features.{index}"
        if kind == "Conv2d":
            layer += 1
        if kind in ("Conv2d", "BatchNorm2d", "ReLU"):
            word = {"Conv2d": "conv", "BatchNorm2d": "bn", "ReLU": "relu"}[kind]
            names[path] = f"{word}{layer}" if flat else f"{word}{block}_{layer}"
        elif kind in ("MaxPool2d", "AvgPool2d"):  # either, as the caller wishes
            names[path] = f"pool{layer}" if flat else f"pool{block}"
            if not flat:
                block, layer = block + 1, 0
    return names
