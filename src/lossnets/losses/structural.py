"""Structural similarity as a loss: the classic rival of every perceptual loss."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from lossnets.errors import ConfigError, ImageError, require
from lossnets.images.contract import RANGE_TOLERANCE, DataRange
from lossnets.images.quality import SSIM_WINDOW, structural_similarity
from lossnets.losses.encoded import EncodedTarget
from lossnets.losses.pixel import NetworkFreeLoss, decoded
from lossnets.losses.spec import parse_loss
from lossnets.torchvision_compat import ensure_torchvision


class StructuralLoss(NetworkFreeLoss):
    """1 - SSIM (Wang et al. 2004) of images in [0, 1]: (N, C, H, W) x 2 -> a number, or (N,), in [0, 2].

    Computed by torchmetrics: 11x11 Gaussian window, sigma 1.5, channels averaged. Images of any
    number of channels, at least 11x11 pixels.

    Args:
        data_range: of the images.
        reduction: ``mean``, ``sum`` or ``none`` over the batch.
        validate: check the value range ``always``, on the ``first`` call, or ``never``.
        range_tolerance: share of the range by which values may leave it.
        double_backward: allow second derivatives (gradient penalties).

    Raises:
        MissingExtraError: torchmetrics is not installed.

    >>> import torch
    >>> x = torch.rand(1, 3, 16, 16)
    >>> abs(float(StructuralLoss()(x, x))) < 1e-6
    True
    """

    def __init__(
        self,
        *,
        data_range: DataRange = (0.0, 1.0),
        reduction: str = "mean",
        validate: str = "always",
        range_tolerance: float = RANGE_TOLERANCE,
        double_backward: bool = False,
    ) -> None:
        ensure_torchvision()  # torchmetrics imports it
        require("torchmetrics", "bench", "pixel:ssim")
        super().__init__(
            parse_loss("pixel:ssim"),
            data_range=data_range,
            reduction=reduction,
            validate=validate,
            range_tolerance=range_tolerance,
            double_backward=double_backward,
        )

    def _check_place(self, images: Tensor, name: str) -> None:
        if min(images.shape[2:]) < SSIM_WINDOW:
            raise ImageError(
                f"{name} must be at least {SSIM_WINDOW}x{SSIM_WINDOW} pixels for pixel:ssim, the size of its "
                f"window; got {tuple(images.shape[2:])}. Enlarge the images, or use pixel:mse"
            )

    def _distances(self, images: Tensor, target: Tensor | EncodedTarget) -> Iterator[tuple[str, Tensor]]:
        yield "pixel", 1 - structural_similarity(images, decoded(target))

    def _maps(self, images: Tensor, target: Tensor) -> Iterator[tuple[str, Tensor]]:
        del images, target
        raise ConfigError("pixel:ssim has no map or mask here; use pixel:mse or a perceptual loss")
