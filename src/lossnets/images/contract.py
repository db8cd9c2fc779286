"""What an image batch is: (N, C, H, W), floating point in a stated range, or uint8 in 0..255.

Every entry point checks it here, so that a wrong shape, type or range is an error, never a number.
"""

from __future__ import annotations

import logging
import warnings

import torch
from torch import Tensor
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from lossnets.errors import ConfigError, ImageError
from lossnets.torch_state import among_fake_tensors, value_holder, values_are_hidden

DataRange = tuple[float, float]
RANGE_TOLERANCE = 0.05
"""Share of the range by which values may leave it: networks and bicubic filters overshoot a little."""

_VALIDATE = ("always", "first", "never")
_DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8)
_said: set[tuple[str, DataRange]] = set()
logger = logging.getLogger("lossnets")


class RangeWarning(UserWarning):
    """The images lie inside the stated range, but look as if they were meant for another one."""


def check_data_range(data_range: DataRange) -> DataRange:
    """Return ``(low, high)`` as floats, or say what is wrong with it."""
    try:
        low, high = (float(value) for value in data_range)
    except (TypeError, ValueError) as error:
        raise ConfigError(
            f"data_range must be a pair (low, high), e.g. (0, 1); got {data_range!r}"
        ) from error
    if not (low < high and abs(low) < float("inf") and abs(high) < float("inf")):
        raise ConfigError(f"data_range must be (low, high) with low < high; got {data_range!r}")
    return low, high


def check_validate(validate: str) -> str:
    """Return ``validate`` if it is one of ``always``, ``first``, ``never``."""
    if validate not in _VALIDATE:
        raise ConfigError(f"validate must be one of {', '.join(_VALIDATE)}; got {validate!r}")
    return validate


def check_layout(images: object, name: str, *, channels: int | None = 3) -> Tensor:
    """Check type and shape (free of cost): a (N, C, H, W) tensor of a floating type or uint8.

    Subclasses that only add to a tensor (``torchvision.tv_tensors.Image``) come back as plain tensors.

    Args:
        images: what came.
        name: the argument's name, for the message.
        channels: required C; None for any.
    """
    if not isinstance(images, Tensor):
        raise ImageError(
            f"{name} must be a torch.Tensor of shape (N, {channels or 'C'}, H, W); "
            f"got {type(images).__name__}. Files are read with lossnets.read_image, "
            "arrays with torch.from_numpy(a).permute(2, 0, 1)[None]"
        )
    _check_kind(images, name)
    shape = tuple(images.shape)
    if images.ndim != 4:
        hint = ": add a batch axis with images[None]" if images.ndim == 3 else ""
        raise ImageError(f"{name} must have shape (N, {channels or 'C'}, H, W); got {shape}{hint}")
    if 0 in shape:
        raise ImageError(f"{name} must not be empty; got shape {shape}")
    if channels is not None and images.shape[1] != channels:
        raise ImageError(f"{name} must have {channels} channel(s); got shape {shape}.{_channel_hint(shape)}")
    if images.dtype not in _DTYPES:
        raise ImageError(
            f"{name} must be floating point (float16, bfloat16, float32, float64) or uint8; got "
            f"{images.dtype}. Convert it: images.float()"
        )
    return images if type(images) is Tensor else _plain(images)


def _check_kind(images: Tensor, name: str) -> None:
    """Refuse tensors that do not hold one number a pixel in ordinary memory."""
    kind = type(images).__name__
    if images.is_nested or images.layout != torch.strided or images.is_quantized:
        what = "quantized" if images.is_quantized else "nested" if images.is_nested else str(images.layout)
        raise ImageError(
            f"{name} must be an ordinary (dense, strided) tensor; got a {what} one. Convert it: "
            "images.to_dense(), images.dequantize(), or torch.stack of images of one size"
        )
    if type(images) is not Tensor and _stands_for_others(images) and not values_are_hidden():
        raise ImageError(
            f"{name} must be an ordinary tensor; got {kind}, which only stands for others. Pass what this "
            "process holds (DTensor: images.to_local() or images.full_tensor())"
        )
    if among_fake_tensors() or (kind == "FakeTensor" and not torch.compiler.is_compiling()):
        raise ImageError(
            f"{name} came among fake tensors, which have shapes and no values to compare. Call the loss "
            "outside of FakeTensorMode"
        )
    if images.is_meta and not values_are_hidden():
        raise ImageError(
            f"{name} is on the meta device and has no values to compare. Make it on another device"
        )


def _stands_for_others(images: object) -> bool:
    return is_traceable_wrapper_subclass(images)


def _plain(images: Tensor) -> Tensor:
    """The tensor without its subclass; parameters, and stand-ins for tensors inside a compiler, stay."""
    if isinstance(images, torch.nn.Parameter) or values_are_hidden():
        return images
    return images.as_subclass(Tensor)


def _channel_hint(shape: tuple[int, ...]) -> str:
    if shape[3] == 3:
        return " The channels seem to be last: images.permute(0, 3, 1, 2)"
    if shape[1] == 1:
        return " For grey images use channels='gray'"
    if shape[1] == 4:
        return " Alpha is not an image channel: images[:, :3]"
    return " For images of any number of channels use channels='per-channel'"


def check_values(
    images: Tensor,
    name: str,
    data_range: DataRange,
    tolerance: float = RANGE_TOLERANCE,
    *,
    training: bool = False,
) -> None:
    """Check that all values are finite and lie in ``data_range``, give or take ``tolerance`` of its width.

    Args:
        images: (N, C, H, W).
        name: the argument's name, for the message.
        data_range: (low, high).
        tolerance: share of the range by which values may leave it.
        training: the images are the output of a network under training, which may leave the range. That is
            logged once in a process; values and gradients are those of the images as they are.

    Raises:
        ImageError: NaN, infinite or out of range.

    Warns:
        RangeWarning: inside the range, but probably meant for another one.
    """
    values = value_holder(images)
    if images.dtype == torch.uint8 or values is None:
        return
    low, high = data_range
    least, most = (float(v) for v in torch.aminmax(values))
    if not (abs(least) < float("inf") and abs(most) < float("inf")):  # false for NaN too
        raise ImageError(
            f"{name} must be finite; got minimum {least}, maximum {most}. Find the step that made it: "
            "torch.autograd.set_detect_anomaly(True)"
        )
    slack = tolerance * (high - low)
    if least < low - slack or most > high + slack:
        if training:
            _log_of_leaving(name, least, most, data_range)
            return
        raise ImageError(
            f"{name} must lie in [{low:g}, {high:g}] (data_range); "
            f"got minimum {least:.4g}, maximum {most:.4g}. {_range_hint(least, most)}"
        )
    _warn_of_another_range(least, most, data_range, name)


def _log_of_leaving(name: str, least: float, most: float, data_range: DataRange) -> None:
    """Say once in a process that the output of a network lies outside its range."""
    if (name, data_range) in _said:
        return
    _said.add((name, data_range))
    low, high = data_range
    logger.warning(
        "%s lies in [%.4g, %.4g], outside of data_range (%g, %g). That is usual for a network at the start "
        "of its training; values and gradients are right all the same. If it stays so, check data_range",
        name, least, most, low, high,
    )  # fmt: skip


def _range_hint(least: float, most: float) -> str:
    if least >= -0.01 and 2 < most <= 256:
        return "For images in 0..255 pass data_range=(0, 255), or uint8 tensors"
    if -1.05 <= least < 0 and most <= 1.05:
        return "For images in [-1, 1] pass data_range=(-1, 1)"
    return "Clamp the images, pass their true data_range, or widen range_tolerance"


def _warn_of_another_range(least: float, most: float, data_range: DataRange, name: str) -> None:
    low, high = data_range
    meant = None
    if low < 0 and least >= 0 and most > 0:
        meant = f"no value is negative although data_range is ({low:g}, {high:g})"
    elif low == 0 and high > 2 and 0 < most <= 1:
        meant = f"no value exceeds 1 although data_range is (0, {high:g})"
    elif low == 0 and high == 1 and 0 < most <= 1 / 255:
        meant = "no value exceeds 1/255: were they divided by 255 twice?"
    if meant:
        warnings.warn(f"{name}: {meant}. If this is intended, ignore it", RangeWarning, stacklevel=4)


def to_unit_range(images: Tensor, data_range: DataRange) -> Tensor:
    """Map ``data_range`` to [0, 1] in a new tensor (or the same one, unchanged, if that is its range).

    uint8 is always 0..255, whatever ``data_range`` says; half precision becomes float32.
    """
    if images.dtype == torch.uint8:
        return images.to(torch.float32) / 255.0
    if images.dtype in (torch.float16, torch.bfloat16):
        images = images.to(torch.float32)
    low, high = data_range
    if (low, high) == (0.0, 1.0):
        return images
    return (images - low) / (high - low)
