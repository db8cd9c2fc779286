"""How images become small, and how bicubic interpolation makes them large again."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from lossnets.errors import ConfigError, ImageError
from lossnets.images.degradations import gaussian_blur

SCALES = (4, 8)
SHRINKING = ("blurred", "antialiased")
_SIGMA_ONE = 2  # the severity of `gaussian_blur` that is σ = 1 pixel


def check_scale(scale: object) -> int:
    """Return the scale if it is one of `SCALES`.

    Raises:
        ConfigError: it is not.
    """
    if isinstance(scale, bool) or not isinstance(scale, int) or scale not in SCALES:
        raise ConfigError(f"scale must be one of {', '.join(map(str, SCALES))}; got {scale!r}.")
    return scale


def low_resolution(images: Tensor, scale: int, shrinking: str = "blurred") -> Tensor:
    """What the network is given: (N, 3, H, W) in [0, 1] -> (N, 3, H/scale, W/scale) in [0, 1].

    ``blurred`` is the study's: a Gaussian blur (σ = 1 pixel of the large image, radius 3, reflected
    borders), and after it bicubic interpolation (a = -0.75) at the centres of the small pixels, without
    antialiasing, which is what the blur is there for. ``antialiased`` is what most of the literature
    does (MATLAB's imresize, Pillow): no blur, a bicubic kernel (a = -0.5) as wide as the small pixels.
    Values are clamped, since the kernels overshoot.

    Args:
        images: H and W are multiples of ``scale``.
        scale: how many times smaller.
        shrinking: one of `SHRINKING`.
    """
    height, width = images.shape[-2:]
    if height % scale or width % scale:
        raise ImageError(
            f"images must have a height and width that {scale} divides; got {height}×{width}. "
            "Cut them first: whole_multiple(images, scale)"
        )
    antialias = shrinking == "antialiased"
    if not antialias:
        images = gaussian_blur(images, _SIGMA_ONE)
    size = (height // scale, width // scale)
    small = functional.interpolate(images, size, mode="bicubic", antialias=antialias, align_corners=False)
    return small.clamp(0, 1)


def bicubic(images: Tensor, scale: int) -> Tensor:
    """The reference: bicubic interpolation (a = -0.5), (N, 3, h, w) in [0, 1] -> (N, 3, scale·h, scale·w).

    The kernel is that of MATLAB's imresize and of Pillow; values are clamped to [0, 1].
    """
    size = (images.shape[-2] * scale, images.shape[-1] * scale)
    # antialias decides on a = -0.5 rather than -0.75; where an image grows, nothing is smoothed
    large = functional.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)
    return large.clamp(0, 1)


def whole_multiple(images: Tensor, scale: int, side: int | None = None) -> Tensor:
    """Cut right and bottom to a multiple of ``scale``: (N, 3, H, W) -> (N, 3, H', W').

    Args:
        images: whole images.
        scale: what H' and W' are multiples of.
        side: cut the central part of at most so many pixels first; None: the whole image.
    """
    if side is not None:
        top, left = (max(0, (size - side) // 2) for size in images.shape[-2:])
        images = images[..., top : top + side, left : left + side]
    height, width = (size - size % scale for size in images.shape[-2:])
    return images[..., :height, :width].contiguous()
