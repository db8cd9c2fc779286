"""Pixel-wise losses, the baseline of every comparison, with the same call as a perceptual loss."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from lossnets.errors import unknown_name
from lossnets.images.contract import RANGE_TOLERANCE, DataRange
from lossnets.losses.base import NUMERICS_VERSION, ImageLoss
from lossnets.losses.encoded import EncodedTarget
from lossnets.losses.spec import PIXEL_METRICS, parse_loss


class NetworkFreeLoss(ImageLoss):
    """What losses without a network share: any number of channels, and targets encoded as they are."""

    def signature(self) -> str:
        """Name and version of the definition."""
        return f"{self.name}|numerics:{NUMERICS_VERSION}"

    def _channels(self) -> int | None:
        return None

    def _fold(self, images: Tensor) -> Tensor:
        return images

    def _encode(self, images: Tensor) -> tuple[tuple[tuple[Tensor, ...], ...], bool]:
        return ((images.detach().clone(),),), False


def decoded(target: Tensor | EncodedTarget) -> Tensor:
    """The target's images, encoded or not."""
    return target.embeddings[0][0] if isinstance(target, EncodedTarget) else target


class PixelLoss(NetworkFreeLoss):
    """Mean difference of pixels in [0, 1]: (N, C, H, W) x 2 -> a number, or (N,).

    Images of any number of channels; ``data_range`` is mapped to [0, 1] first, so that the number does
    not depend on it.

    Args:
        metric: ``mse`` (mean squared difference), ``l1`` (mean absolute difference) or ``l2``
            (Euclidean distance of the colours, over the root of C, averaged over pixels).
        data_range: of the images.
        reduction: ``mean``, ``sum`` or ``none`` over the batch.
        validate: check the value range ``always``, on the ``first`` call, or ``never``.
        range_tolerance: share of the range by which values may leave it.
        double_backward: allow second derivatives (gradient penalties).

    >>> import torch
    >>> float(PixelLoss("mse")(torch.zeros(1, 3, 4, 4), torch.full((1, 3, 4, 4), 0.5)))
    0.25
    """

    def __init__(
        self,
        metric: str = "mse",
        *,
        data_range: DataRange = (0.0, 1.0),
        reduction: str = "mean",
        validate: str = "always",
        range_tolerance: float = RANGE_TOLERANCE,
        double_backward: bool = False,
    ) -> None:
        if metric not in PIXEL_METRICS:
            raise unknown_name("pixel loss", metric, PIXEL_METRICS)
        super().__init__(
            parse_loss(f"pixel:{metric}"),
            data_range=data_range,
            reduction=reduction,
            validate=validate,
            range_tolerance=range_tolerance,
            double_backward=double_backward,
        )

    def _distances(self, images: Tensor, target: Tensor | EncodedTarget) -> Iterator[tuple[str, Tensor]]:
        yield "pixel", self.spec.distance(images, decoded(target), plain=self.double_backward)

    def _maps(self, images: Tensor, target: Tensor) -> Iterator[tuple[str, Tensor]]:
        yield "pixel", self.spec.distance.map(images, target)
