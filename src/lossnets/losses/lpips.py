"""LPIPS (Zhang et al. 2018, arXiv 1801.03924): weighted squares of unit features."""

from __future__ import annotations

import torch

from lossnets.errors import unknown_name
from lossnets.images.contract import RANGE_TOLERANCE, DataRange
from lossnets.losses.heads import load_lpips_head
from lossnets.losses.perceptual import PerceptualLoss
from lossnets.losses.spec import LPIPS_NETWORKS, LPIPS_VERSIONS, LossSpec
from lossnets.networks import load_network, network_spec
from lossnets.networks.load import Weights


class LPIPS(PerceptualLoss):
    """Learned perceptual image patch similarity: (N, 3, H, W) x 2 -> a number, or (N,).

    The numbers are those of the package ``lpips`` 0.1.4 with the same network weights (a test holds
    them to 1e-6). Differences: images are in [0, 1] unless ``data_range`` says otherwise, the head
    is frozen, and gradients are finite at zero features.

    Args:
        net: ``alexnet``, ``vgg16`` or ``squeezenet1_1`` (also ``alex``, ``vgg``, ``squeeze``).
        version: of the heads: ``0.1``, or ``0.0``, the first release, which did not scale its input.
        weights: of the network, see `load_network`.
        data_range: (low, high) of the images; uint8 is always 0..255.
        reduction: ``mean``, ``sum`` or ``none`` over the batch.
        channels: ``rgb``, ``gray`` or ``per-channel``, see `PerceptualLoss`.
        compute_dtype: see `PerceptualLoss`.
        trainable: ``none``, ``head`` or ``all``.
        double_backward: allow second derivatives (gradient penalties); slower, and more memory.
        validate: check the value range ``always``, on the ``first`` call, or ``never``.
        range_tolerance: share of the range by which values may leave it.

    Raises:
        MissingExtraError: no package that carries the published heads is installed.

    >>> str(LPIPS("squeeze", weights="random-0"))
    'lpips:squeezenet1_1:weights=random-0'
    """

    def __init__(
        self,
        net: str = "alexnet",
        version: str = "0.1",
        *,
        weights: Weights = "default",
        data_range: DataRange = (0.0, 1.0),
        reduction: str = "mean",
        channels: str = "rgb",
        compute_dtype: torch.dtype = torch.float32,
        trainable: str = "none",
        double_backward: bool = False,
        validate: str = "always",
        range_tolerance: float = RANGE_TOLERANCE,
    ) -> None:
        net, version = str(net), str(version)  # so that 0.1 is understood as "0.1"
        if net not in LPIPS_NETWORKS:
            raise unknown_name("LPIPS network", net, LPIPS_NETWORKS)
        if version not in LPIPS_VERSIONS:
            raise unknown_name("LPIPS version", version, LPIPS_VERSIONS)
        name = LPIPS_NETWORKS[net]
        # v0.0 fed the network images in [-1, 1] as they were: (x - 0.5) / 0.5 of images in [0, 1].
        halves = (0.5,) * 3 if version == "0.0" else None
        network = load_network(
            name,
            network_spec(name).lpips_points,
            weights=weights,
            trainable=trainable == "all",
            mean=halves,
            std=halves,
        )
        super().__init__(
            network,
            distance="lpips",
            data_range=data_range,
            reduction=reduction,
            channels=channels,
            compute_dtype=compute_dtype,
            channel_weights=load_lpips_head(name, network.taps, version),
            trainable=trainable,
            double_backward=double_backward,
            validate=validate,
            range_tolerance=range_tolerance,
        )
        plain = self.spec
        self._spec = LossSpec(
            "lpips", name, plain.taps, plain.distance, plain.weights,
            channels=plain.channels, dtype=plain.dtype, version=version,
        )  # fmt: skip
