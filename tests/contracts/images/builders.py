"""Image files written byte by byte, by their specifications and without Pillow where that is feasible."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Sequence

import numpy as np
from PIL import Image


def packed(values: np.ndarray, bits: int, order: str = ">") -> bytes:
    """Rows of values (H, any) in ``bits`` each, every row filled up to whole bytes."""
    if bits == 16:
        return values.astype(f"{order}u2").tobytes()
    wide = (values[..., None] >> np.arange(bits - 1, -1, -1)) & 1
    return np.packbits(wide.reshape(len(values), -1).astype(np.uint8), axis=1).tobytes()


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(
    pixels: np.ndarray,
    colour: int,
    bits: int = 8,
    extra: bytes = b"",
    interlaced: bool = False,
    end: bytes = b"",
) -> bytes:
    """(H, W, C) as a PNG file of a colour type; ``extra`` chunks stand before the picture."""
    height, width = pixels.shape[:2]
    passes = [(0, 0, 1, 1)]
    if interlaced:
        passes = [
            (0, 0, 8, 8),
            (0, 4, 8, 8),
            (4, 0, 8, 4),
            (0, 2, 4, 4),
            (2, 0, 4, 2),
            (0, 1, 2, 2),
            (1, 0, 2, 1),
        ]
    rows = b""
    for top, left, down, across in passes:
        for row in pixels[top::down, left::across]:
            rows += b"\0" + packed(row.reshape(1, -1), bits) if row.size else b""
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, interlaced)
    body = chunk(b"IDAT", zlib.compress(rows)) + end + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + body


def palette(colours: np.ndarray, alpha: Sequence[int] = ()) -> bytes:
    """PLTE and tRNS of a PNG file."""
    return chunk(b"PLTE", colours.astype(np.uint8).tobytes()) + (
        chunk(b"tRNS", bytes(alpha)) if alpha else b""
    )


def exif(orientation: int) -> bytes:
    """EXIF data (TIFF) with nothing but an orientation."""
    return b"II*\0" + struct.pack("<IHHHIHHI", 8, 1, 0x0112, 3, 1, orientation, 0, 0)


def pnm(pixels: np.ndarray, kind: int, top: int = 255) -> bytes:
    """(H, W, C) as P1 to P6."""
    height, width = pixels.shape[:2]
    head = f"P{kind}\n# made by hand\n{width} {height}\n" + ("" if kind in (1, 4) else f"{top}\n")
    if kind <= 3:
        return head.encode() + b"\n".join(b" ".join(b"%d" % v for v in row.ravel()) for row in pixels) + b"\n"
    if kind == 4:
        return head.encode() + packed(pixels[..., 0], 1)
    return head.encode() + pixels.astype(">u2" if top > 255 else np.uint8).tobytes()


def tiff(
    pixels: np.ndarray,
    bits: int,
    colour: int,
    *,
    order: str = "<",
    rows: int | None = None,
    tile: int | None = None,
    planar: bool = False,
    deflate: bool = False,
    predictor: bool = False,
    data: bytes | None = None,
    tags: dict[int, tuple[int, Sequence[int]]] | None = None,
) -> bytes:
    """(H, W, C) as a TIFF file with one picture; ``tags`` (number -> type, values) are added or replaced."""
    height, width, channels = pixels.shape
    planes = np.moveaxis(pixels, 2, 0)[..., None] if planar else pixels[None]
    down, across = (tile, tile) if tile else (rows or height, width)
    parts = []
    for plane in planes:
        for top in range(0, height, down):
            for left in range(0, width, across):
                part = plane[top : top + down, left : left + across]
                if tile:
                    gap = ((0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0))
                    part = np.pad(part, gap)
                if predictor:
                    part = np.diff(part, axis=1, prepend=np.zeros_like(part[:, :1])) % (1 << bits)
                raw = packed(part.reshape(len(part), -1), bits, order) if data is None else data
                parts.append(zlib.compress(raw) if deflate else raw)
    starts = [8 + sum(map(len, parts[:k])) for k in range(len(parts))]
    sizes = [len(part) for part in parts]
    found: dict[int, tuple[int, Sequence[int]]] = {
        256: (3, [width]), 257: (3, [height]), 258: (3, [bits] * channels), 259: (3, [8 if deflate else 1]),
        262: (3, [colour]), 277: (3, [channels]), 284: (3, [2 if planar else 1]),
        317: (3, [2 if predictor else 1]),
    }  # fmt: skip
    if tile:
        found |= {322: (3, [tile]), 323: (3, [tile]), 324: (4, starts), 325: (4, sizes)}
    else:
        found |= {273: (4, starts), 278: (3, [down]), 279: (4, sizes)}
    return _with_directory(b"".join(parts), found | (tags or {}), order)


def _with_directory(data: bytes, tags: dict[int, tuple[int, Sequence[int]]], order: str) -> bytes:
    data += bytes(len(data) % 2)
    place = 8 + len(data)
    room = place + 2 + 12 * len(tags) + 4
    entries, behind = b"", b""
    for tag, (kind, values) in sorted(tags.items()):
        body = struct.pack(f"{order}{len(values)}{'H' if kind == 3 else 'I'}", *values)
        field = body.ljust(4, b"\0")
        if len(body) > 4:
            field, behind = struct.pack(f"{order}I", room + len(behind)), behind + body
        entries += struct.pack(f"{order}HHI", tag, kind, len(values)) + field
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", place)
    return head + data + struct.pack(f"{order}H", len(tags)) + entries + bytes(4) + behind


def bmp(pixels: np.ndarray, bits: int, colours: np.ndarray | None = None, downwards: bool = False) -> bytes:
    """(H, W, C) as a BMP file: indices of 1, 4 or 8 bits, or BGR in 24 or 32."""
    height, width = pixels.shape[:2]
    rows = pixels if downwards else pixels[::-1]
    if bits >= 24:
        rows = rows[..., ::-1]
        if bits == 32:
            rows = np.pad(rows, ((0, 0), (0, 0), (0, 1)))
    size = len(packed(rows[:1].reshape(1, -1), min(bits, 8)))
    body = b"".join(packed(row.reshape(1, -1), min(bits, 8)).ljust(-(-size // 4) * 4, b"\0") for row in rows)
    table = b"" if colours is None else np.pad(colours[:, ::-1], ((0, 0), (0, 1))).astype(np.uint8).tobytes()
    start = 54 + len(table)
    head = struct.pack("<IiiHHIIiiII", 40, width, -height if downwards else height, 1, bits, 0, 0, 0, 0,
                       0 if colours is None else len(colours), 0)  # fmt: skip
    return b"BM" + struct.pack("<IHHI", start + len(body), 0, 0, start) + head + table + body


def gif(
    indices: np.ndarray,
    colours: np.ndarray,
    *,
    clear_index: int | None = None,
    frames: int = 1,
    canvas: tuple[int, int] | None = None,
) -> bytes:
    """(H, W) indices into 256 colours as a GIF file; its codes stand for one pixel each."""
    height, width = indices.shape
    codes: list[int] = []
    for k, value in enumerate(indices.ravel().tolist()):
        codes += [256, value] if k % 100 == 0 else [value]
    bits = sum(code << 9 * k for k, code in enumerate([*codes, 257]))
    data = bits.to_bytes(-(-9 * (len(codes) + 1) // 8), "little")
    blocks = b"".join(bytes((len(data[k : k + 255]),)) + data[k : k + 255] for k in range(0, len(data), 255))
    high, wide = canvas or (height, width)
    file = b"GIF89a" + struct.pack("<HHBBB", wide, high, 0xF7, 0, 0) + colours.astype(np.uint8).tobytes()
    for _ in range(frames):
        if clear_index is not None:
            file += b"!\xf9\x04\x01\0\0" + bytes((clear_index, 0))
        file += b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x08" + blocks + b"\0"
    return file + b";"


def by_pillow(pixels: np.ndarray, form: str, mode: str | None = None, **options: object) -> bytes:
    """As Pillow writes it: for kinds with a compression that cannot be written by hand."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels.astype(np.uint8).squeeze())
    (image.convert(mode) if mode else image).save(buffer, format=form, **options)
    return buffer.getvalue()
