"""Masks: the share of each pixel in a loss, checked in compiled code as well."""

from __future__ import annotations

import torch
from torch import Tensor

from lossnets.errors import ImageError
from lossnets.torch_state import value_holder


def checked_mask(mask: Tensor) -> Tensor:
    """A mask (N, 1, H, W) or (1, 1, H, W), if it lies in [0, 1] and leaves something of every image.

    Raises:
        ImageError: it holds other values, or is empty for an image; in compiled code when it runs.
    """
    if torch.compiler.is_compiling():  # the check becomes a step of the compiled code; it adds exactly 0
        checked: Tensor = torch.ops.lossnets.checked_mask(mask.detach())
        return mask + (checked - mask.detach())
    values = value_holder(mask)
    if values is not None:
        _check(values.reshape(-1, *values.shape[-3:]))  # a transform may have put axes in front
    return mask


def _check(mask: Tensor) -> None:
    least, most = (float(v) for v in torch.aminmax(mask))
    if not (least >= 0 and most <= 1):
        raise ImageError(f"mask must be bool or lie in [0, 1]; got minimum {least:.4g}, maximum {most:.4g}")
    if not bool((mask.flatten(1).sum(1) > 0).all()):
        raise ImageError(
            "mask must leave at least one pixel of every image; got an empty one. Leave such images out of "
            "the batch"
        )


@torch.library.custom_op("lossnets::checked_mask", mutates_args=())
def _compiled_check(mask: Tensor) -> Tensor:
    """`checked_mask` as one operation, which a compiler leaves in its place."""
    _check(mask)
    return mask.clone()


@_compiled_check.register_fake
def _(mask: Tensor) -> Tensor:
    return torch.empty_like(mask)
