"""Image files on disk -> tensors and back: every kind of file is read right or refused with a reason."""

from __future__ import annotations

import mmap
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from lossnets.errors import ImageError
from lossnets.home import atomic_write, is_file
from lossnets.images import pnm, tiff
from lossnets.images.decoding import CheckSize, decode, opaque, upright
from lossnets.images.kinds import NOT_READ, READ, Damaged, Unsupported, kind_of

MAX_PIXELS = 89_478_485
"""Most pixels `read_image` decodes unless told otherwise: Pillow's own limit, about 1 GB as float32."""


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Read one image file -> (3, H, W) float32 in [0, 1].

    The kind of a file is told by its content; `kinds.READ` are read. Values are those stored in the file,
    divided by the largest that its depth (or, in PGM and PPM, its header) allows; grey is repeated to RGB,
    palettes are resolved, the EXIF orientation is applied, and an alpha channel is dropped when it is opaque
    everywhere. Colour profiles and gamma values are not applied. Every file is checked to be whole, with its
    checksums where its kind has some, whatever the process has set in Pillow. The documentation has a table.

    Args:
        path: the file.
        max_pixels: images with more pixels are refused before they are decoded.

    Raises:
        ImageError: the file is missing, is no image or of a kind that is not read, is damaged or cut short,
            is too large, is animated, is see-through, or holds CMYK, Lab, floating-point or 32-bit values.
    """
    path = Path(path)
    if not is_file(path):
        raise ImageError(f"image file {str(path)!r} does not exist or is not a file; check the path.")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImageError(f"image file {str(path)!r} cannot be read: {error.strerror or error}.") from error
    kind = known_kind(path, data[:64])
    try:
        picture = decode(kind, data, _size_check(path, max_pixels))
        pixels = upright(opaque(picture), picture.orientation)
    except ImageError:
        raise
    except Unsupported as error:
        raise ImageError(f"{str(path)!r} {error}{_way_out(str(error))}.") from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageError(
            f"{str(path)!r} has more pixels than PIL.Image.MAX_IMAGE_PIXELS = {Image.MAX_IMAGE_PIXELS} "
            "allows; scale the image down or cut it into crops, or set that to None if it is meant."
        ) from error
    except Exception as error:  # broken files raise nearly anything: OSError, SyntaxError, struct.error, ...
        why = str(error) if isinstance(error, Damaged) else f"{type(error).__name__}: {error}"
        raise ImageError(
            f"{str(path)!r} is corrupt or truncated ({why}); get the file again or leave it out."
        ) from error
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    values = pixels.transpose(2, 0, 1).astype(np.float32, order="C")
    values /= np.float32(picture.full)
    return torch.from_numpy(values)


def image_size(path: str | Path) -> tuple[int, int]:
    """Height and width of an image file as they are stored (orientation aside), from its header where it can.

    Raises:
        ImageError: see `read_image`.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            kind = kind_of(file.read(64))
            if kind == "TIFF":
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                    header = tiff.header_of(data)  # type: ignore[arg-type]  # bytes, for all that is done to them
                    return header.height, header.width
            file.seek(0)
            if kind == "PNM":
                width, height = pnm.header_of(file.read(1 << 16))[:2]
                return height, width
            with Image.open(file, formats=(kind.upper(),)) as image:
                return image.height, image.width
    except Exception:  # whatever it is, reading the whole file says it best
        height, width = read_image(path).shape[1:]
        return height, width


def known_kind(path: Path, head: bytes) -> str:
    """The kind of a file by its first bytes.

    Raises:
        ImageError: it is none that is read; the message names it where it is known.
    """
    kind = kind_of(head)
    if kind in READ:
        return kind
    kind = kind or NOT_READ.get(path.suffix.lower(), "")
    if kind:
        raise ImageError(f"{str(path)!r} is {kind}, which is not read; convert it to PNG.")
    raise ImageError(
        f"{str(path)!r} is not an image that is read ({path.stat().st_size} bytes); "
        f"convert it to PNG. Read are: {', '.join(READ)}."
    )


def _way_out(reason: str) -> str:
    """What to do about a file of an unsupported kind, unless the reason says it."""
    return "" if ";" in reason else "; convert it to 8-bit or 16-bit RGB or grey first, as PNG"


def _size_check(path: Path, max_pixels: int) -> CheckSize:
    def check(width: int, height: int) -> None:
        if width * height > max_pixels:
            raise ImageError(
                f"{str(path)!r} has {width}×{height} = {width * height} pixels; allowed are {max_pixels} "
                "pixels. Scale the image down or cut it into crops, or pass a larger max_pixels= if it is "
                "meant."
            )

    return check


def write_image(path: str | Path, image: Tensor) -> None:
    """Write an (3, H, W) or (1, H, W) image, float in [0, 1] or uint8, as an 8-bit PNG, atomically.

    Raises:
        ImageError: another suffix than .png, another shape or type, values out of range or not
            finite, or a place that cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise ImageError(f"images are written as .png, got {path.name!r}; change the file name's ending.")
    picture = Image.fromarray(_to_bytes(image))
    try:
        with atomic_write(path) as file:
            picture.save(file, format="PNG")
    except OSError as error:
        raise ImageError(f"cannot write the image {str(path)!r}: {error}") from error


def _to_bytes(image: Tensor) -> NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[0] not in (1, 3) or image.numel() == 0:
        raise ImageError(f"image must be (3, H, W) or (1, H, W) and not empty, got {tuple(image.shape)}.")
    image = image.detach().cpu()
    if image.dtype != torch.uint8:
        if not image.is_floating_point():
            raise ImageError(f"image must be floating point in [0, 1] or uint8, got {image.dtype}.")
        image = image.float()
        if not bool(torch.isfinite(image).all()) or image.min() < 0 or image.max() > 1:
            raise ImageError(
                f"image must lie in [0, 1], got values from {image.min():.4g} to {image.max():.4g}; "
                "rescale or clamp it first."
            )
        image = (image * 255).round().to(torch.uint8)
    pixels: NDArray[np.uint8] = image.permute(1, 2, 0).contiguous().numpy()
    return pixels[..., 0] if pixels.shape[2] == 1 else pixels
