"""The bytes of an image file -> its values as they are stored, after the file was found to be whole.

Nothing depends on what the process has set in Pillow, and nothing is set: each kind of file is checked here
before Pillow sees it, so that ``ImageFile.LOAD_TRUNCATED_IMAGES`` has nothing to let through.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from lossnets.images import pnm, tiff
from lossnets.images.containers import bmp_size, check_avif, check_bmp, check_gif, check_webp, palette_bmp
from lossnets.images.jpeg import check_jpeg, components_of
from lossnets.images.kinds import INK, SEVERAL, Damaged, Unsupported
from lossnets.images.png import Png, as_bytes, check_png, check_rows

CheckSize = Callable[[int, int], None]
"""Called with width and height before anything is decoded; raises where they are too large."""

_KNOWN_WHOLE = 100_000
_whole: OrderedDict[bytes, int] = OrderedDict()  # JPEG files by the hash of their content -> where they end
# Pillow keeps only the upper byte of 16-bit colour. Decoding once more with the byte order swapped
# yields the lower byte, so that nothing is lost.
_SWAPPED = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}


@dataclass
class Picture:
    """What a file holds.

    Attributes:
        pixels: (H, W, C), C being 1 (grey) or 3, and one more with alpha.
        full: the value that is white, or opaque.
        orientation: as EXIF numbers it, 1 to 8.
    """

    pixels: NDArray[Any]
    full: float = 255.0
    orientation: int = 1


def decode(kind: str, data: bytes, check_size: CheckSize) -> Picture:
    """Read the bytes of a file of one of the kinds `kinds.READ`.

    Raises:
        Damaged: the file is cut short or broken.
        Unsupported: it holds what has no single meaning as an image of [0, 1].
        Exception: anything that Pillow raises.
    """
    return _DECODERS[kind](data, check_size)


def _open(kind: str, data: bytes, check_size: CheckSize) -> Image.Image:
    image = Image.open(io.BytesIO(data), formats=(kind,))
    check_size(*image.size)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # cameras store a photograph and its preview as MPO
        raise _several(frames)
    return image


def _several(frames: int) -> Unsupported:
    return Unsupported(SEVERAL.format(frames))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception as error:  # broken metadata raise nearly anything
        raise Damaged(f"its EXIF data cannot be read ({type(error).__name__}: {error})") from error
    return value if value in range(1, 9) else 1


def _jpeg(data: bytes, check_size: CheckSize) -> Picture:
    if components_of(data) not in (1, 3):
        raise Unsupported(f"holds {INK}")
    with _open("JPEG", data, check_size) as image:
        end, orientation = _end_of_jpeg(data), _orientation(image)
        if image.mode not in ("L", "RGB"):
            raise Unsupported(f"holds values of Pillow mode {image.mode!r}")
        values = Image.frombytes(image.mode, image.size, data[:end], "jpeg", image.mode, "")
    return Picture(_three_axes(np.asarray(values)), orientation=orientation)


def _end_of_jpeg(data: bytes) -> int:
    """Check a JPEG file, or remember that the same content was checked before."""
    key = blake2b(data, digest_size=16).digest()
    end = _whole.get(key)
    if end is None:
        end = _whole[key] = check_jpeg(data)
        while len(_whole) > _KNOWN_WHOLE:
            _whole.popitem(last=False)
    return end


def _png(data: bytes, check_size: CheckSize) -> Picture:
    png = check_png(data)
    check_size(png.width, png.height)
    if png.frames > 1:
        raise _several(png.frames)
    check_rows(png)
    with _open("PNG", data, check_size) as image:
        image.load()  # EXIF data may stand behind the picture
        orientation = _orientation(image)
        if png.depth < 16:
            clear = image.info.get("transparency")
            if png.colour == 0 and isinstance(clear, int):  # stored as it is in the file, the values are not
                image.info["transparency"] = clear * (255 // ((1 << png.depth) - 1))
            return Picture(_eight_bits(image, png.colours), orientation=orientation)
        if "transparency" in image.info:
            raise _see_through("one value of a 16-bit image is declared transparent")
    return Picture(_sixteen_bits(png, data, check_size), 65535.0, orientation)


def _sixteen_bits(png: Png, data: bytes, check_size: CheckSize) -> NDArray[Any]:
    if png.colour in (0, 4):  # two bytes of grey are read as grey and alpha, four of grey and alpha as RGBA
        with _open("PNG", as_bytes(png, {0: 4, 4: 6}[png.colour]), check_size) as image:
            values = np.ascontiguousarray(np.asarray(image))
        return values.view(">u2").astype(np.uint16)
    with _open("PNG", data, check_size) as image:
        upper = np.asarray(image).astype(np.uint16)
    with _open("PNG", data, check_size) as again:
        again.tile = [tile._replace(args=_SWAPPED[tile.args]) for tile in again.tile]  # type: ignore[attr-defined]
        lower = np.asarray(again).astype(np.uint16)
    return upper * np.uint16(256) + lower


def _gif(data: bytes, check_size: CheckSize) -> Picture:
    frames, colours = check_gif(data)
    if frames > 1:
        raise _several(frames)
    with _open("GIF", data, check_size) as image:
        return Picture(_eight_bits(image, colours))


def _bmp(data: bytes, check_size: CheckSize) -> Picture:
    colours = check_bmp(data)
    if colours:
        check_size(*bmp_size(data))
        return Picture(palette_bmp(data, colours))
    with _open("BMP", data, check_size) as image:
        return Picture(_eight_bits(image))


def _webp(data: bytes, check_size: CheckSize) -> Picture:
    check_webp(data)
    with _open("WEBP", data, check_size) as image:
        return Picture(_eight_bits(image), orientation=_orientation(image))


def _avif(data: bytes, check_size: CheckSize) -> Picture:
    check_avif(data)
    with _open("AVIF", data, check_size) as image:
        return Picture(_eight_bits(image), orientation=_orientation(image))


def _tiff(data: bytes, check_size: CheckSize) -> Picture:
    header = tiff.header_of(data)
    check_size(header.width, header.height)
    pixels, full = tiff.read_tiff(data, header)
    return Picture(pixels, float(full), header.orientation if header.orientation in range(1, 9) else 1)


def _pnm(data: bytes, check_size: CheckSize) -> Picture:
    check_size(*pnm.header_of(data)[:2])
    pixels, full = pnm.read_pnm(data)
    return Picture(pixels, float(full))


_DECODERS: dict[str, Callable[[bytes, CheckSize], Picture]] = {
    "JPEG": _jpeg, "PNG": _png, "GIF": _gif, "BMP": _bmp,
    "TIFF": _tiff, "WebP": _webp, "AVIF": _avif, "PNM": _pnm,
}  # fmt: skip


def _eight_bits(image: Image.Image, colours: int = 0) -> NDArray[Any]:
    """Values of an image that Pillow holds in 8 bits: grey or RGB, with alpha where there is any."""
    if image.mode not in ("1", "L", "P", "RGB", "LA", "PA", "RGBA"):
        raise Unsupported(f"holds values of Pillow mode {image.mode!r}")
    if colours and image.mode in ("L", "P") and int(np.asarray(image).max()) >= colours:
        raise Damaged(f"it holds colour {int(np.asarray(image).max())} of a palette of {colours}")
    if "transparency" in image.info or image.mode in ("LA", "PA", "RGBA"):
        return np.asarray(image.convert("RGBA"))
    return np.asarray(image.convert("RGB"))


def _three_axes(values: NDArray[Any]) -> NDArray[Any]:
    return values[..., None] if values.ndim == 2 else values


def opaque(picture: Picture) -> NDArray[Any]:
    """The pixels without alpha.

    Raises:
        Unsupported: alpha is not full everywhere.
    """
    pixels = picture.pixels
    if pixels.shape[2] in (1, 3):
        return pixels
    seen_through = pixels[..., -1] != picture.full
    if seen_through.any():
        raise _see_through(f"alpha is below its maximum at {float(seen_through.mean()):.1%} of the pixels")
    return pixels[..., :-1]


def upright(pixels: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Turn and mirror (H, W, C) as EXIF's orientation says."""
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _see_through(what: str) -> Unsupported:
    return Unsupported(
        f"is see-through ({what}), so its colours depend on a background that the file does not name; "
        "paste it onto one (PIL.Image.alpha_composite) and save it without alpha"
    )
