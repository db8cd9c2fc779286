"""Distortions of known strength: pure functions on images (N, 3, H, W) in [0, 1], severity 1 to 5."""

from __future__ import annotations

import io
import math
from typing import Protocol, TypeVar

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from lossnets.errors import ConfigError, ImageError, unknown_name
from lossnets.torch_state import constant

SEVERITIES = (1, 2, 3, 4, 5)

_Level = TypeVar("_Level")

_BLUR_SIGMA = (0.6, 1.0, 1.6, 2.5, 4.0)  # pixels
_BICUBIC_FACTOR = (1.5, 2.0, 3.0, 4.0, 6.0)
_NOISE_STD = (0.02, 0.04, 0.08, 0.14, 0.22)
_JPEG_QUALITY = (70, 40, 20, 10, 5)
_COLOUR = ((0.9, 5.0), (0.75, 12.0), (0.6, 25.0), (0.4, 45.0), (0.2, 80.0))  # saturation, hue in degrees
_SHIFT = (1, 2, 4, 7, 12)  # pixels

# BT.601 luma and two colour differences: hue turns in the plane of the latter, at constant luma.
_TO_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))


class Degradation(Protocol):
    """Images (N, 3, H, W) in [0, 1] -> a distorted copy of the same shape and range."""

    def __call__(self, images: Tensor, severity: int, *, generator: torch.Generator | None = None) -> Tensor:
        """Severity 1 (hardly visible) to 5 (strong); generator: None behaves like seed 0."""


def degrade(images: Tensor, name: str, severity: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Apply the degradation of this name, see `DEGRADATIONS`: (N, 3, H, W) -> (N, 3, H, W).

    Raises:
        UnknownNameError: no degradation has the name.
        ConfigError: severity is not 1, 2, 3, 4 or 5.
        ImageError: images break the contract.
    """
    if name not in DEGRADATIONS:
        raise unknown_name("degradation", name, DEGRADATIONS)
    return DEGRADATIONS[name](images, severity, generator=generator)


def gaussian_blur(images: Tensor, severity: int, *, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG001
    """Gaussian blur, σ = 0.6, 1, 1.6, 2.5, 4 pixels, reflected borders: (N, 3, H, W) -> same."""
    images = _checked(images)
    sigma = _pick(_BLUR_SIGMA, severity)
    radius = min(math.ceil(3 * sigma), min(images.shape[-2:]) - 1)
    offsets = torch.arange(-radius, radius + 1, device=images.device, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).to(images.dtype)
    padded = functional.pad(images, (radius,) * 4, mode="reflect")
    rows = functional.conv2d(padded, kernel.view(1, 1, 1, -1).expand(3, 1, 1, -1), groups=3)
    return functional.conv2d(rows, kernel.view(1, 1, -1, 1).expand(3, 1, -1, 1), groups=3).clamp(0, 1)


def bicubic(images: Tensor, severity: int, *, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG001
    """Bicubic down-sampling (antialiased) by 1.5, 2, 3, 4, 6 and up again: (N, 3, H, W) -> same."""
    images = _checked(images)
    factor = _pick(_BICUBIC_FACTOR, severity)
    height, width = images.shape[-2:]
    size = (max(1, round(height / factor)), max(1, round(width / factor)))
    small = functional.interpolate(images, size, mode="bicubic", antialias=True, align_corners=False)
    return functional.interpolate(
        small.clamp(0, 1), (height, width), mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 1)


def gaussian_noise(images: Tensor, severity: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Additive noise, standard deviation 0.02, 0.04, 0.08, 0.14, 0.22: (N, 3, H, W) -> same."""
    images = _checked(images)
    noise = torch.randn(images.shape, generator=_generator(generator), dtype=torch.float32)
    return (images + _pick(_NOISE_STD, severity) * noise.to(images)).clamp(0, 1)


def jpeg(images: Tensor, severity: int, *, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG001
    """JPEG at quality 70, 40, 20, 10, 5 (8 bits, 4:2:0) and back: (N, 3, H, W) -> same."""
    images = _checked(images)
    quality = _pick(_JPEG_QUALITY, severity)
    values = (images.detach().cpu() * 255).round().to(torch.uint8).permute(0, 2, 3, 1)
    decoded = torch.stack([_through_jpeg(image.numpy(), quality) for image in values])
    return (decoded.permute(0, 3, 1, 2).float() / 255).contiguous().to(images)


def _through_jpeg(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], quality: int) -> Tensor:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="JPEG", quality=quality, subsampling=2)
    with Image.open(buffer) as image:
        return torch.from_numpy(np.array(image.convert("RGB")))


def colour(images: Tensor, severity: int, *, generator: torch.Generator | None = None) -> Tensor:  # noqa: ARG001
    """Less saturation (0.9 to 0.2) and a turned hue (5° to 80°) at constant luma: (N, 3, H, W) -> same."""
    images = _checked(images)
    saturation, degrees = _pick(_COLOUR, severity)
    angle = math.radians(degrees)
    cos, sin = saturation * math.cos(angle), saturation * math.sin(angle)
    yiq = constant(sum(_TO_YIQ, ())).view(3, 3)
    turn = constant((1, 0, 0, 0, cos, -sin, 0, sin, cos)).view(3, 3)
    matrix = torch.linalg.inv(yiq) @ turn @ yiq
    return torch.einsum("ij,njhw->nihw", matrix.to(images), images).clamp(0, 1)


def shift(images: Tensor, severity: int, *, generator: torch.Generator | None = None) -> Tensor:
    """Translation by 1, 2, 4, 7, 12 pixels along one of 4 axes, reflected: (N, 3, H, W) -> same.

    The generator draws the direction, one for the whole batch. Images are at least 2 pixels wide
    and high; the shift is at most one pixel less than the shorter side.
    """
    images = _checked(images)
    height, width = images.shape[-2:]
    by = min(_pick(_SHIFT, severity), min(height, width) - 1)
    direction = int(torch.randint(4, (1,), generator=_generator(generator)))
    dy, dx = ((0, by), (by, 0), (0, -by), (-by, 0))[direction]
    padded = functional.pad(images, (by,) * 4, mode="reflect")
    return padded[..., by - dy : by - dy + height, by - dx : by - dx + width].contiguous()


DEGRADATIONS: dict[str, Degradation] = {
    "gaussian_blur": gaussian_blur,
    "bicubic": bicubic,
    "gaussian_noise": gaussian_noise,
    "jpeg": jpeg,
    "colour": colour,
    "shift": shift,
}
"""All degradations by name."""


def _pick(levels: tuple[_Level, ...], severity: int) -> _Level:
    if isinstance(severity, bool) or severity not in SEVERITIES:
        raise ConfigError(f"severity must be 1 (weak), 2, 3, 4 or 5 (strong); got {severity!r}.")
    return levels[severity - 1]


def _generator(generator: torch.Generator | None) -> torch.Generator:
    return torch.Generator().manual_seed(0) if generator is None else generator


def _checked(images: Tensor) -> Tensor:
    if not isinstance(images, Tensor) or not images.is_floating_point():
        got = images.dtype if isinstance(images, Tensor) else type(images).__name__
        raise ImageError(f"images must be a floating-point tensor (N, 3, H, W) in [0, 1]; got {got}.")
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[-2:]) < 2:
        raise ImageError(f"images must be (N, 3, H, W), at least 2×2 pixels; got {tuple(images.shape)}.")
    if images.numel() and not (images.min() >= 0 and images.max() <= 1):  # NaN fails both
        raise ImageError(
            f"images must lie in [0, 1]; got values from {images.min():.4g} to {images.max():.4g}. "
            "Rescale them first."
        )
    return images
