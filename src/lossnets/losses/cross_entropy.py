"""Binary cross-entropy as a loss of images: the pixel-wise loss of masks and probability maps."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor
from torch.nn import functional

from lossnets.images.contract import RANGE_TOLERANCE, DataRange
from lossnets.losses.encoded import EncodedTarget
from lossnets.losses.pixel import NetworkFreeLoss, decoded
from lossnets.losses.spec import parse_loss


class CrossEntropyLoss(NetworkFreeLoss):
    """Binary cross-entropy above its minimum, of images in [0, 1]: (N, C, H, W) x 2 -> a number, or (N,).

    Each value p of ``input`` is a probability, each value t of ``target`` the truth:
    t log(t / p) + (1 - t) log((1 - t) / (1 - p)), averaged over pixels and channels. That is
    cross-entropy minus the target's own entropy, a constant: 0 for equal images like every loss here,
    with the gradient of cross-entropy. For a target of zeros and ones it is cross-entropy itself.
    Logarithms are cut at -100, as in `torch.nn.BCELoss`.

    Args:
        data_range: of the images. Input outside of it is refused in training, too: it is no probability.
        reduction: ``mean``, ``sum`` or ``none`` over the batch.
        validate: check the value range ``always``, on the ``first`` call, or ``never``.
        range_tolerance: share of the range by which values may leave it; they are clamped.
        double_backward: allow second derivatives (gradient penalties).

    >>> import torch
    >>> loss = CrossEntropyLoss()
    >>> round(float(loss(torch.full((1, 1, 4, 4), 0.5), torch.ones(1, 1, 4, 4))), 4)  # log 2
    0.6931
    """

    _bounded_input = True

    def __init__(
        self,
        *,
        data_range: DataRange = (0.0, 1.0),
        reduction: str = "mean",
        validate: str = "always",
        range_tolerance: float = RANGE_TOLERANCE,
        double_backward: bool = False,
    ) -> None:
        super().__init__(
            parse_loss("pixel:bce"),
            data_range=data_range,
            reduction=reduction,
            validate=validate,
            range_tolerance=range_tolerance,
            double_backward=double_backward,
        )

    def _distances(self, images: Tensor, target: Tensor | EncodedTarget) -> Iterator[tuple[str, Tensor]]:
        yield "pixel", self._excess(images, decoded(target)).flatten(1).mean(1)

    def _maps(self, images: Tensor, target: Tensor) -> Iterator[tuple[str, Tensor]]:
        yield "pixel", self._excess(images, target).mean(1, keepdim=True)

    def _excess(self, images: Tensor, target: Tensor) -> Tensor:
        """(N, C, H, W) x 2 -> (N, C, H, W), 0 or more up to rounding."""
        truth = target.clamp(0, 1)
        entropy = functional.binary_cross_entropy(truth.detach(), truth, reduction="none")
        return functional.binary_cross_entropy(images.clamp(0, 1), truth, reduction="none") - entropy
