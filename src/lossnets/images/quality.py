"""Classic image quality: PSNR, SSIM (torchmetrics) and the luma they are often computed on."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor

from lossnets.errors import ConfigError, ImageError, require
from lossnets.torch_state import value_holder
from lossnets.torchvision_compat import ensure_torchvision

SSIM_WINDOW = 11
"""Side in pixels of the Gaussian window of `ssim` (σ = 1.5), and so the smallest image it takes."""

PSNR_CAP = 100.0
"""dB that benchmarks take for more: equal images have infinitely many, and a mean of them no meaning."""


def psnr(input: Tensor, target: Tensor, *, border: int = 0) -> Tensor:  # noqa: A002
    """Peak signal-to-noise ratio in dB: images (N, C, H, W) in [0, 1], twice -> (N,); equal images: inf.

    Args:
        input: images.
        target: images of the same shape.
        border: pixels that are cut off on every side first.

    Raises:
        ImageError: shapes differ, a range is broken, or nothing is left inside the border.
    """
    input, target = _shaved(input, target, border, smallest=1)  # noqa: A001
    return _torchmetrics().peak_signal_noise_ratio(  # type: ignore[no-any-return]
        input, target, data_range=1.0, dim=(1, 2, 3), reduction="none"
    )


def ssim(input: Tensor, target: Tensor, *, border: int = 0) -> Tensor:  # noqa: A002
    """Structural similarity (11×11 Gaussian window, σ 1.5): (N, C, H, W) in [0, 1], twice -> (N,) in [-1, 1].

    Averaged over all positions; at the edges the images are continued by reflection. Arguments and
    errors as in `psnr`; inside the border, 11×11 pixels are needed.
    """
    return structural_similarity(*_shaved(input, target, border, smallest=SSIM_WINDOW))


def structural_similarity(input: Tensor, target: Tensor) -> Tensor:  # noqa: A002
    """`ssim` of images that were checked already, in any range around [0, 1]: (N, C, H, W), twice -> (N,)."""
    value: Tensor = _torchmetrics().structural_similarity_index_measure(
        input, target, data_range=1.0, sigma=1.5, kernel_size=SSIM_WINDOW, reduction="none"
    )
    return value.reshape(len(input))


def luma(images: Tensor) -> Tensor:
    """Y of YCbCr by ITU-R BT.601, studio range: RGB (N, 3, H, W) in [0, 1] -> (N, 1, H, W).

    Y = (16 + 65.481 R + 128.553 G + 24.966 B) / 255, so black is 16/255 and white 235/255: the
    convention of MATLAB's rgb2ycbcr, which the super-resolution literature computes PSNR and SSIM on.

    Raises:
        ImageError: not (N, 3, H, W), or values out of range.
    """
    _check(images, "images")
    if images.shape[1] != 3:
        raise ImageError(f"images must be RGB (N, 3, H, W); got {tuple(images.shape)}.")
    weights = torch.tensor([65.481, 128.553, 24.966], dtype=images.dtype, device=images.device)
    return (16 + (images * weights.view(1, 3, 1, 1)).sum(1, keepdim=True)) / 255


def _torchmetrics() -> Any:
    loaded = sys.modules.get("torchmetrics.functional.image")
    if loaded is not None:  # and compilers need not follow how it is imported
        return loaded
    ensure_torchvision()  # torchmetrics imports it, which fails beside a CPU-only torch before this call
    return require("torchmetrics.functional.image", "bench", "PSNR and SSIM")


def _shaved(a: Tensor, b: Tensor, border: int, smallest: int) -> tuple[Tensor, Tensor]:
    _check(a, "input")
    _check(b, "target")
    if a.shape != b.shape:
        raise ImageError(f"input and target must have one shape; got {tuple(a.shape)} and {tuple(b.shape)}.")
    if isinstance(border, bool) or not isinstance(border, int) or border < 0:
        raise ConfigError(f"border must be a whole number of pixels, 0 or more; got {border!r}.")
    if min(a.shape[-2:]) - 2 * border < smallest:
        raise ImageError(
            f"images of {a.shape[-2]}×{a.shape[-1]} are too small: {smallest}×{smallest} pixels are needed "
            f"inside a border of {border}."
        )
    if border:
        a, b = (x[..., border:-border, border:-border] for x in (a, b))
    return a, b


def _check(images: Tensor, name: str) -> None:
    if not isinstance(images, Tensor) or images.ndim != 4 or not images.is_floating_point():
        got = f"{images.dtype} {tuple(images.shape)}" if isinstance(images, Tensor) else type(images).__name__
        raise ImageError(f"{name} must be a floating-point tensor (N, C, H, W) in [0, 1]; got {got}.")
    if images.numel() == 0:
        raise ImageError(f"{name} must not be empty; got {tuple(images.shape)}.")
    values = value_holder(images)
    if values is not None and not (values.min() >= 0 and values.max() <= 1):  # NaN fails both
        raise ImageError(
            f"{name} must lie in [0, 1]; got values from {values.min():.4g} to {values.max():.4g}. "
            "Rescale or clamp them first."
        )
