"""Every kind of image file: how it is made, and what the tool does; docs/images.md shows this list."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from PIL import features

from .builders import bmp, by_pillow, chunk, exif, gif, packed, palette, png, pnm, tiff

READ = "read"
RNG = np.random.default_rng(11)
HEIGHT, WIDTH = 13, 18


@dataclass(frozen=True)
class Case:
    """One kind of file.

    Attributes:
        form: format, as in the table.
        content: mode and depth, as in the table.
        does: what the tool does, as in the table: begins with "read" or "refused".
        make: the bytes.
        values: (H, W, 1 or 3) in [0, 1] that must be read; None: refused.
        refusal: part of the message.
        tolerance: of the values; 0: to rounding of float32.
    """

    form: str
    content: str
    does: str
    make: Callable[[], bytes]
    values: np.ndarray | None = None
    refusal: str = ""
    tolerance: float = 0.0

    @property
    def name(self) -> str:
        return f"{self.form} {self.content}"


def numbers(top: int, channels: int = 1) -> np.ndarray:
    """Values from 0 to ``top``, both of them there."""
    values = RNG.integers(0, top + 1, (HEIGHT, WIDTH, channels))
    values[0, 0], values[0, 1] = 0, top
    return values


def flat(*colour: int) -> np.ndarray:
    """(32, 32, C) of one colour, which every compression keeps."""
    return np.full((32, 32, len(colour)), colour)


COLOURS = RNG.integers(0, 256, (256, 3))
OPAQUE_16 = np.concatenate([numbers(65535, 3), np.full((HEIGHT, WIDTH, 1), 65535)], axis=2)
CLEAR_16 = np.concatenate([numbers(65535, 3), np.full((HEIGHT, WIDTH, 1), 65534)], axis=2)
GREY_OPAQUE_16 = np.concatenate([numbers(65535), np.full((HEIGHT, WIDTH, 1), 65535)], axis=2)


def png_cases() -> Iterator[Case]:
    for bits in (1, 2, 4, 8, 16):
        v, top = numbers((1 << bits) - 1), (1 << bits) - 1
        yield Case(
            "PNG", f"grey, {bits} bits", f"read: value / {top}", lambda v=v, b=bits: png(v, 0, b), v / top
        )
    for bits in (8, 16):
        v, top = numbers((1 << bits) - 1, 3), (1 << bits) - 1
        yield Case(
            "PNG", f"RGB, {bits} bits", f"read: value / {top}", lambda v=v, b=bits: png(v, 2, b), v / top
        )
        yield Case(
            "PNG", f"RGB, {bits} bits, interlaced", f"read: value / {top}",
            lambda v=v, b=bits: png(v, 2, b, interlaced=True), v / top,
        )  # fmt: skip
    for bits in (1, 2, 4, 8):
        v, colours = numbers((1 << bits) - 1), COLOURS[: 1 << bits]
        yield Case(
            "PNG", f"palette, {bits} bits", "read: the colours of the palette / 255",
            lambda v=v, b=bits, c=colours: png(v, 3, b, palette(c)), colours[v[..., 0]] / 255,
        )  # fmt: skip
    v = numbers(3)
    few = COLOURS[:4]
    yield Case(
        "PNG", "palette with transparent colours that are not used", "read",
        lambda: png(np.minimum(v, 2), 3, 8, palette(few, (255, 255, 255, 0))),
        few[np.minimum(v, 2)[..., 0]] / 255,
    )  # fmt: skip
    clear = palette(few, (255, 0))
    yield Case(
        "PNG", "palette with transparent colours that are used", "refused: see-through",
        lambda: png(v, 3, 8, clear), refusal="see-through",
    )  # fmt: skip
    yield Case(
        "PNG", "palette, a value beyond it", "refused: corrupt",
        lambda: png(v, 3, 8, palette(few[:3])), refusal="colour 3 of a palette of 3",
    )  # fmt: skip
    grey, rgb = numbers(255), numbers(255, 3)
    full, half = np.full_like(grey, 255), np.full_like(grey, 128)
    for name, body, kind in (("grey", grey, 4), ("RGB", rgb, 6)):
        yield Case(
            "PNG", f"{name} with alpha, opaque, 8 bits", "read: alpha is dropped",
            lambda b=body, k=kind: png(np.concatenate([b, full], 2), k), body / 255,
        )  # fmt: skip
        yield Case(
            "PNG", f"{name} with alpha, 8 bits", "refused: see-through",
            lambda b=body, k=kind: png(np.concatenate([b, half], 2), k), refusal="see-through",
        )  # fmt: skip
    yield Case(
        "PNG", "grey with alpha, opaque, 16 bits", "read: alpha is dropped",
        lambda: png(GREY_OPAQUE_16, 4, 16), GREY_OPAQUE_16[..., :1] / 65535,
    )  # fmt: skip
    yield Case(
        "PNG", "RGB with alpha, opaque, 16 bits", "read: alpha is dropped",
        lambda: png(OPAQUE_16, 6, 16), OPAQUE_16[..., :3] / 65535,
    )  # fmt: skip
    yield Case(
        "PNG", "RGB with alpha, 16 bits", "refused: see-through", lambda: png(CLEAR_16, 6, 16),
        refusal="see-through",
    )  # fmt: skip
    profile = chunk(b"iCCP", b"any\0\0" + zlib.compress(bytes(200)))
    gamma = chunk(b"gAMA", struct.pack(">I", 100_000))
    yield Case(
        "PNG", "with an ICC profile or a gamma value", "read: values as stored, neither is applied",
        lambda: png(rgb, 2, 8, profile + gamma), rgb / 255,
    )  # fmt: skip
    frames = chunk(b"acTL", struct.pack(">II", 3, 0))
    yield Case(
        "PNG", "animated (APNG)", "refused: several frames", lambda: png(rgb, 2, 8, frames),
        refusal="3 frames",
    )  # fmt: skip


def tiff_cases() -> Iterator[Case]:
    for bits in (1, 2, 4, 8, 12, 16):
        v, top = numbers((1 << bits) - 1), (1 << bits) - 1
        yield Case(
            "TIFF", f"grey, {bits} bits", f"read: value / {top}", lambda v=v, b=bits: tiff(v, b, 1), v / top
        )
        yield Case(
            "TIFF", f"grey, 0 is white, {bits} bits", f"read: 1 - value / {top}",
            lambda v=v, b=bits: tiff(v, b, 0), 1 - v / top,
        )  # fmt: skip
    for bits in (8, 12, 16):
        v, top = numbers((1 << bits) - 1, 3), (1 << bits) - 1
        yield Case(
            "TIFF", f"RGB, {bits} bits", f"read: value / {top}", lambda v=v, b=bits: tiff(v, b, 2), v / top
        )
    rgb, deep = numbers(255, 3), numbers(65535, 3)
    layouts: dict[str, dict[str, object]] = {
        "big-endian": {"order": ">"}, "in strips": {"rows": 5}, "in tiles": {"tile": 16},
        "planar": {"planar": True}, "planar, in tiles": {"planar": True, "tile": 16},
        "deflate": {"deflate": True},
        "deflate, predictor": {"deflate": True, "predictor": True},
        "deflate, predictor, in strips": {"deflate": True, "predictor": True, "rows": 4},
    }  # fmt: skip
    for name, options in layouts.items():
        yield Case(
            "TIFF",
            f"RGB, 8 bits, {name}",
            "read: value / 255",
            lambda o=options: tiff(rgb, 8, 2, **o),
            rgb / 255,
        )  # type: ignore[arg-type]
        yield Case(
            "TIFF",
            f"RGB, 16 bits, {name}",
            "read: value / 65535",
            lambda o=options: tiff(deep, 16, 2, **o),
            deep / 65535,
        )  # type: ignore[arg-type]
    for name, how in (("LZW", "tiff_lzw"), ("PackBits", "packbits")):
        yield Case(
            "TIFF", f"RGB, 8 bits, {name}", "read: value / 255",
            lambda h=how: by_pillow(rgb, "TIFF", compression=h), rgb / 255,
        )  # fmt: skip
    v = numbers(15)
    table = RNG.integers(0, 65536, (16, 3))
    yield Case(
        "TIFF", "palette, 4 bits", "read: the colours of the palette / 65535",
        lambda: tiff(v, 4, 3, tags={320: (3, table.T.ravel().tolist())}), table[v[..., 0]] / 65535,
    )  # fmt: skip
    for level, does in ((255, "read: alpha is dropped"), (9, "refused: see-through")):
        body = np.concatenate([rgb, np.full((HEIGHT, WIDTH, 1), level)], 2)
        fine = level == 255
        yield Case(
            "TIFF", f"RGB with alpha{', opaque' * fine}", does,
            lambda b=body: tiff(b, 8, 2, tags={338: (3, [2])}), rgb / 255 if fine else None, "see-through",
        )  # fmt: skip
    one = numbers(255)
    odd: dict[str, tuple[str, Callable[[], bytes]]] = {
        "floating-point, any range": (
            "floating-point",
            lambda: tiff(one, 32, 1, data=(one / 255).astype("<f4").tobytes(), tags={339: (3, [3])}),
        ),
        "32-bit integers": ("32-bit", lambda: tiff(one, 32, 1, data=one.astype("<u4").tobytes())),
        "integers with a sign": ("sign", lambda: tiff(one, 16, 1, tags={339: (3, [2])})),
        "CMYK": ("CMYK", lambda: tiff(numbers(255, 4), 8, 5)),
        "YCbCr": ("YCbCr", lambda: tiff(rgb, 8, 6)),
        "CIE Lab": ("Lab", lambda: tiff(rgb, 8, 8)),
        "JPEG, CCITT and other compressions": (
            "compressed by JPEG", lambda: tiff(one, 8, 1, tags={259: (3, [7])})
        ),
        "a camera's raw data (DNG)": ("raw", lambda: tiff(one, 8, 1, tags={50706: (4, [0x01040000])})),
        "bits in reverse order": ("reverse", lambda: tiff(one, 8, 1, tags={266: (3, [2])})),
    }  # fmt: skip
    for name, (said, make) in odd.items():
        yield Case("TIFF", name, f"refused: {said}", make, refusal=said)
    yield Case(
        "TIFF", "several pages", "refused: several frames",
        lambda: by_pillow(rgb, "TIFF", save_all=True, append_images=[_image(rgb)]), refusal="2 frames",
    )  # fmt: skip


def _image(pixels: np.ndarray) -> object:
    from PIL import Image

    return Image.fromarray(pixels.astype(np.uint8))


def pnm_cases() -> Iterator[Case]:
    for kind, name in ((1, "PBM, as text"), (4, "PBM")):
        v = numbers(1)
        yield Case(name, "black and white", "read: 1 is black", lambda v=v, k=kind: pnm(v, k), 1 - v)
    for kinds, name, channels in (((2, 5), "PGM", 1), ((3, 6), "PPM", 3)):
        for kind in kinds:
            for top in (1, 100, 255, 1023, 4095, 65535):
                v = numbers(top, channels)
                yield Case(
                    f"{name}{', as text' * (kind < 4)}", f"maximum {top}", f"read: value / {top}",
                    lambda v=v, k=kind, t=top: pnm(v, k, t), v / top,
                )  # fmt: skip
    above = numbers(120)
    yield Case(
        "PGM",
        "a value above the maximum",
        "refused: corrupt",
        lambda: pnm(above, 5, 100),
        refusal="120, above",
    )
    twice = pnm(above, 5) * 2
    yield Case(
        "PGM", "several pictures", "refused: several pictures", lambda: twice, refusal="several pictures"
    )


def bmp_cases() -> Iterator[Case]:
    for bits in (1, 4, 8):
        v, colours = numbers((1 << bits) - 1), COLOURS[: 1 << bits]
        yield Case(
            "BMP", f"palette, {bits} bits", "read: the colours of the palette / 255",
            lambda v=v, b=bits, c=colours: bmp(v, b, c), colours[v[..., 0]] / 255,
        )  # fmt: skip
    rgb, v = numbers(255, 3), numbers(255)
    for bits in (24, 32):
        yield Case("BMP", f"RGB, {bits} bits", "read: value / 255", lambda b=bits: bmp(rgb, b), rgb / 255)
    yield Case(
        "BMP", "RGB, from top to bottom", "read: value / 255", lambda: bmp(rgb, 24, downwards=True), rgb / 255
    )
    rle = bytearray(bmp(v, 8, COLOURS))
    rle[30] = 1
    yield Case("BMP", "compressed", "refused", lambda: bytes(rle), refusal="compressed BMP")
    five = bytearray(bmp(rgb, 24))
    five[28] = 16
    yield Case("BMP", "16 bits per pixel", "refused", lambda: bytes(five), refusal="16 bits per pixel")


def gif_cases() -> Iterator[Case]:
    v = numbers(254)
    want = COLOURS[v[..., 0]] / 255
    yield Case(
        "GIF", "one frame", "read: the colours of the palette / 255", lambda: gif(v[..., 0], COLOURS), want
    )
    yield Case(
        "GIF",
        "a transparent colour that is not used",
        "read",
        lambda: gif(v[..., 0], COLOURS, clear_index=255),
        want,
    )
    yield Case(
        "GIF",
        "a transparent colour that is used",
        "refused: see-through",
        lambda: gif(v[..., 0], COLOURS, clear_index=0),
        refusal="see-through",
    )
    yield Case(
        "GIF",
        "animated",
        "refused: several frames",
        lambda: gif(v[..., 0], COLOURS, frames=4),
        refusal="4 frames",
    )
    yield Case(
        "GIF",
        "a frame smaller than the picture",
        "refused",
        lambda: gif(v[..., 0], COLOURS, canvas=(40, 40)),
        refusal="does not cover",
    )


def jpeg_cases() -> Iterator[Case]:
    close = 2.5 / 255
    grey, rgb = flat(90), flat(200, 40, 90)
    ways: dict[str, dict[str, object]] = {
        "": {}, ", chroma not subsampled": {"subsampling": 0}, ", progressive": {"progressive": True},
        ", own tables": {"optimize": True},
        ", with restart markers": {"restart_marker_blocks": 1}, ", stored as RGB": {"keep_rgb": True},
    }  # fmt: skip
    for name, options in ways.items():
        yield Case(
            "JPEG",
            f"RGB{name}",
            "read: value / 255",
            lambda o=options: by_pillow(rgb, "JPEG", **o),
            rgb / 255,
            tolerance=close,
        )
    yield Case(
        "JPEG", "grey", "read: value / 255", lambda: by_pillow(grey, "JPEG"), grey / 255, tolerance=close
    )
    yield Case(
        "JPEG",
        "with an ICC profile",
        "read: values as stored, it is not applied",
        lambda: by_pillow(rgb, "JPEG", icc_profile=bytes(200)),
        rgb / 255,
        tolerance=close,
    )
    ink = flat(10, 60, 90, 30)
    cmyk = by_pillow_cmyk(ink)
    yield Case("JPEG", "CMYK, Adobe's inverted one", "refused: CMYK", lambda: cmyk, refusal="CMYK")
    yield Case("JPEG", "YCCK", "refused: CMYK", lambda: with_adobe(cmyk, 2), refusal="CMYK")
    yield Case(
        "JPEG", "CMYK without Adobe's marker", "refused: CMYK", lambda: with_adobe(cmyk, None), refusal="CMYK"
    )
    for kind, name in ((0xC3, "lossless"), (0xC9, "arithmetic coding")):
        yield Case(
            "JPEG",
            name,
            "refused",
            lambda k=kind: by_pillow(rgb, "JPEG").replace(b"\xff\xc0", bytes((255, k)), 1),
            refusal="lossless, hierarchical or arithmetic",
        )
    deep = by_pillow(rgb, "JPEG")
    place = deep.index(b"\xff\xc0") + 4
    yield Case(
        "JPEG", "12 bits", "refused", lambda: deep[:place] + b"\x0c" + deep[place + 1 :], refusal="12 bits"
    )
    yield Case(
        "JPEG (MPO)",
        "a photograph and its preview",
        "read: the photograph",
        lambda: by_pillow(rgb, "MPO", save_all=True, append_images=[_image(rgb)]),
        rgb / 255,
        tolerance=close,
    )


def by_pillow_cmyk(ink: np.ndarray) -> bytes:
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.frombytes("CMYK", ink.shape[1::-1], ink.astype(np.uint8).tobytes()).save(buffer, format="JPEG")
    return buffer.getvalue()


def with_adobe(data: bytes, transform: int | None) -> bytes:
    """Another word of Adobe's marker on the colours, or none of its at all."""
    place = data.index(b"\xff\xee")
    size = 2 + int.from_bytes(data[place + 2 : place + 4], "big")
    marker = b"" if transform is None else data[place : place + size - 1] + bytes((transform,))
    return data[:place] + marker + data[place + size :]


def modern_cases() -> Iterator[Case]:
    rgb = flat(200, 40, 90)
    noise, clear = numbers(255, 3), numbers(255, 4)
    clear[..., 3] = 128
    more = [_image(noise[::-1])]
    yield Case(
        "WebP", "lossless", "read: value / 255", lambda: by_pillow(noise, "WEBP", lossless=True), noise / 255
    )
    yield Case(
        "WebP", "lossy", "read: value / 255", lambda: by_pillow(rgb, "WEBP"), rgb / 255, tolerance=5 / 255
    )
    yield Case(
        "WebP",
        "with alpha",
        "refused: see-through",
        lambda: by_pillow(clear, "WEBP", lossless=True, exact=True),
        refusal="see-through",
    )
    yield Case(
        "WebP",
        "animated",
        "refused: several frames",
        lambda: by_pillow(noise, "WEBP", lossless=True, save_all=True, append_images=more),
        refusal="2 frames",
    )
    if features.check("avif"):
        yield Case(
            "AVIF",
            "8 bits",
            "read: value / 255",
            lambda: by_pillow(rgb, "AVIF", quality=95),
            rgb / 255,
            tolerance=3 / 255,
        )
        yield Case(
            "AVIF",
            "10 and 12 bits",
            "refused",
            lambda: deeper(by_pillow(rgb, "AVIF")),
            refusal="10 or 12 bits",
        )
        yield Case(
            "AVIF",
            "animated",
            "refused: several frames",
            lambda: by_pillow(noise, "AVIF", save_all=True, append_images=more),
            refusal="2 frames",
        )


def deeper(avif: bytes) -> bytes:
    """The header of an AVIF file with the flag of more than 8 bits."""
    place = avif.index(b"av1C") + 6
    return avif[:place] + bytes((avif[place] | 0x40,)) + avif[place + 1 :]


def other_cases() -> Iterator[Case]:
    beginnings = {
        "HEIC, HEIF": b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "JPEG XL": b"\xff\x0a" + bytes(30),
        "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(30), "OpenEXR": b"v/1\x01" + bytes(30),
        "Radiance HDR": b"#?RADIANCE\n" + bytes(30), "Photoshop": b"8BPS" + bytes(30),
        "BigTIFF": b"II+\0" + bytes(30),
        "DDS": b"DDS " + bytes(30), "QOI": b"qoif" + bytes(30), "PFM": b"PF\n3 2\n-1.0\n" + bytes(72),
        "PAM": b"P7\nWIDTH 1\n" + bytes(9), "FITS": b"SIMPLE  =" + bytes(30),
        "icons": b"\0\0\x01\0" + bytes(30),
    }  # fmt: skip
    for name, data in beginnings.items():
        said = name.partition(",")[0]
        yield Case(name, "all", "refused by name", lambda d=data: d, refusal=f"is {said}, which is not read")


CASES = [
    *png_cases(), *jpeg_cases(), *tiff_cases(), *pnm_cases(), *bmp_cases(), *gif_cases(), *modern_cases(),
    *other_cases(),
]  # fmt: skip


def rows() -> list[list[str]]:
    """The table of the documentation: format, content, what the tool does."""
    return [[case.form, case.content.replace(" 1 bits", " 1 bit"), case.does] for case in CASES]


__all__ = ["CASES", "Case", "exif", "packed", "rows"]
