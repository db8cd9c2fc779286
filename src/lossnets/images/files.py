"""Image files on disk -> tensors and back: every kind of file is read right or refused with a reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from lossnets.errors import ImageError
from lossnets.home import atomic_write

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""File name endings that `list_images` takes for images (upper or lower case)."""

MAX_PIXELS = 89_478_485
"""Most pixels `read_image` decodes unless told otherwise: Pillow's own limit, about 1 GB as float32."""

_EIGHT_BIT = {"1", "L", "RGB", "P", "LA", "La", "PA", "RGBA", "RGBa", "YCbCr"}
# Pillow keeps only the upper byte of 16-bit colour. Decoding once more with the byte order swapped
# yields the lower byte, so that nothing is lost.
_SWAPPED = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}


def read_image(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> Tensor:
    """Read one image file -> (3, H, W) float32 in [0, 1].

    The EXIF orientation is applied. 8-bit values are divided by 255, 16-bit ones by 65535; grey is
    repeated to RGB; palettes are resolved; an alpha channel is dropped when it is opaque
    everywhere. Embedded colour profiles are not applied: values are those stored in the file.

    Args:
        path: the file.
        max_pixels: images with more pixels are refused before they are decoded.

    Raises:
        ImageError: the file is missing, is not an image, is corrupt or truncated, is too large, is
            animated, is see-through, or holds CMYK, Lab, floating-point or 32-bit values.
    """
    path = Path(path)
    if not path.is_file():
        raise ImageError(f"image file {str(path)!r} does not exist or is not a file; check the path.")
    try:
        with Image.open(path) as image:
            _check_header(image, path, max_pixels)
            values = _decode(image, path)
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(
            f"{str(path)!r} is not an image that Pillow can read "
            f"({path.stat().st_size} bytes); convert it to PNG or JPEG."
        ) from error
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(path, "more pixels than PIL.Image.MAX_IMAGE_PIXELS allows", max_pixels) from error
    except Exception as error:  # broken files raise nearly anything: OSError, SyntaxError, struct.error, ...
        raise ImageError(
            f"{str(path)!r} is corrupt or truncated ({type(error).__name__}: {error}); "
            "get the file again or leave it out."
        ) from error
    return torch.from_numpy(values)


def _too_large(path: Path, what: str, max_pixels: int) -> ImageError:
    return ImageError(
        f"{str(path)!r} has {what}; allowed are {max_pixels} pixels. Scale the image down or cut it "
        "into crops, or pass a larger max_pixels= if it is meant."
    )


def _check_header(image: Image.Image, path: Path, max_pixels: int) -> None:
    """Refuse by what the header says, before any pixel is decoded."""
    width, height = image.size
    if width * height > max_pixels:
        raise _too_large(path, f"{width}×{height} = {width * height} pixels", max_pixels)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # cameras store a photograph and its preview as MPO
        raise ImageError(
            f"{str(path)!r} holds {frames} frames or pages, one is allowed; "
            "save the frames as single images first."
        )
    if image.mode in _EIGHT_BIT or image.mode.startswith("I;16") or _is_old_png16(image):
        return
    reason = {
        "CMYK": "ink values (CMYK), which have no single RGB meaning without their colour profile",
        "LAB": "CIE Lab values",
        "F": "floating-point values of unknown range",
        "I": "32-bit integers of unknown range",
    }.get(image.mode, f"values of Pillow mode {image.mode!r}")
    raise ImageError(f"{str(path)!r} holds {reason}; convert it to 8-bit or 16-bit RGB or grey first.")


def _is_old_png16(image: Image.Image) -> bool:
    return image.mode == "I" and image.format == "PNG"  # how Pillow < 11 opens 16-bit grey PNGs


def _decode(image: Image.Image, path: Path) -> NDArray[np.float32]:
    rawmode = _rawmode(image)
    pixels: NDArray[Any]
    if image.mode in {"RGB", "RGBA"} and ";16" in rawmode:
        pixels, full = _read_16bit_colour(image, path, rawmode), 65535.0
    elif image.mode.startswith("I"):
        pixels, full = np.asarray(ImageOps.exif_transpose(image)), 65535.0
        _refuse_16bit_transparency(image, path)
    else:
        see_through = "transparency" in image.info or image.mode in {"LA", "La", "PA", "RGBA", "RGBa"}
        oriented = ImageOps.exif_transpose(image)
        pixels, full = np.asarray(oriented.convert("RGBA" if see_through else "RGB")), 255.0
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[..., None], 3, axis=2)
    if pixels.shape[2] == 4:
        pixels = _drop_alpha(pixels, full, path)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1).astype(np.float32) / np.float32(full))


def _rawmode(image: Image.Image) -> str:
    """How the pixels lie in the file, as Pillow's decoders call it; "" where it does not say."""
    tiles = getattr(image, "tile", None) or [("", None, 0, "")]
    args = tiles[0][3]
    first = args[0] if isinstance(args, Sequence) and not isinstance(args, str) and args else args
    return first if isinstance(first, str) else ""


def _read_16bit_colour(image: Image.Image, path: Path, rawmode: str) -> NDArray[np.uint16]:
    if image.format != "PNG" or rawmode not in _SWAPPED or "transparency" in image.info:
        raise ImageError(
            f"{str(path)!r} holds 16-bit colour as {image.format} {rawmode}, which is read from opaque PNG "
            "only; save it as 16-bit PNG or as 8 bits per channel."
        )
    upper = np.asarray(ImageOps.exif_transpose(image)).astype(np.uint16)
    with Image.open(path) as again:
        again.tile = [tile._replace(args=_SWAPPED[rawmode]) for tile in again.tile]
        lower = np.asarray(ImageOps.exif_transpose(again)).astype(np.uint16)
    return upper * np.uint16(256) + lower


def _refuse_16bit_transparency(image: Image.Image, path: Path) -> None:
    if "transparency" in image.info:
        raise _see_through(path, "one grey level of a 16-bit image is declared transparent")


def _drop_alpha(pixels: NDArray[Any], full: float, path: Path) -> NDArray[Any]:
    alpha = pixels[..., 3]
    if not (alpha == full).all():
        share = float((alpha != full).mean())
        raise _see_through(path, f"alpha is below its maximum at {share:.1%} of the pixels")
    return pixels[..., :3]


def _see_through(path: Path, what: str) -> ImageError:
    return ImageError(
        f"{str(path)!r} is see-through ({what}), so its colours depend on a background that the file "
        "does not name; paste it onto one (PIL.Image.alpha_composite) and save it without alpha."
    )


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


def list_images(folder: str | Path, *, recursive: bool = False) -> list[Path]:
    """All image files (by `SUFFIXES`) of a folder, sorted by their path relative to it.

    Hidden files are left out. An empty folder gives an empty list.

    Raises:
        ImageError: the folder does not exist or is not a folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ImageError(f"image folder {str(folder)!r} does not exist or is not a folder; check the path.")
    found = folder.rglob("*") if recursive else folder.iterdir()
    images = [p for p in found if p.suffix.lower() in SUFFIXES and not p.name.startswith(".") and p.is_file()]
    return sorted(images, key=lambda p: p.relative_to(folder).as_posix())


def pair_folders(a: str | Path, b: str | Path) -> list[tuple[str, Path, Path]]:
    """Pair the images of two folders by file name -> [(name, path in a, path in b), ...], sorted.

    Endings do not matter (``x.png`` pairs with ``x.jpg``) unless a folder holds two images that
    differ in nothing else; then whole names are compared.

    Raises:
        ImageError: a folder is missing or empty, or an image has no partner.
    """
    in_a, in_b = list_images(a), list_images(b)
    for folder, images in ((a, in_a), (b, in_b)):
        if not images:
            raise ImageError(f"folder {str(folder)!r} holds no image; known endings: {', '.join(SUFFIXES)}.")
    by_stem = all(max(Counter(p.stem for p in images).values()) == 1 for images in (in_a, in_b))
    keyed_a = {(p.stem if by_stem else p.name): p for p in in_a}
    keyed_b = {(p.stem if by_stem else p.name): p for p in in_b}
    _refuse_leftovers(keyed_a, keyed_b, str(a), str(b))
    return [(key, keyed_a[key], keyed_b[key]) for key in sorted(keyed_a)]


def _refuse_leftovers(a: dict[str, Path], b: dict[str, Path], folder_a: str, folder_b: str) -> None:
    parts = []
    for alone, folder in ((a.keys() - b.keys(), folder_a), (b.keys() - a.keys(), folder_b)):
        if alone:
            some = ", ".join(sorted(alone)[:5]) + (", ..." if len(alone) > 5 else "")
            parts.append(f"{len(alone)} only in {folder!r}: {some}")
    if parts:
        raise ImageError(
            "folders are paired by file name, and some images have no partner: "
            + "; ".join(parts)
            + ". Add the missing images, or take away the others."
        )
