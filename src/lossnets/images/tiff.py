"""TIFF files with whole numbers of 1 to 16 bits: grey, RGB and palettes, in strips or tiles.

The values are taken apart here, so that each depth and each layout is read in one way. Pillow does what it
does well: its libtiff unpacks LZW and PackBits, one strip or tile after the other.
"""

from __future__ import annotations

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lossnets.images.kinds import INK, SEVERAL, Damaged, Unsupported

_TYPES = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i", 13: "I", 16: "Q"}
_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_SUBFILE, _WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 254, 256, 257, 258, 259, 262
_FILL_ORDER, _STRIPS, _ORIENTATION, _SAMPLES, _ROWS, _STRIP_BYTES = 266, 273, 274, 277, 278, 279
_PLANAR, _PREDICTOR, _COLOUR_MAP, _TILE_WIDTH, _TILE_HEIGHT = 284, 317, 320, 322, 323
_TILES, _TILE_BYTES, _SUB_IFDS, _EXTRA, _FORMAT, _CFA, _DNG = 324, 325, 330, 338, 339, 33421, 50706
_NONE, _LZW, _PACKBITS, _DEFLATE = 1, 5, 32773, (8, 32946)
_COMPRESSIONS = {
    2: "CCITT", 3: "CCITT fax 3", 4: "CCITT fax 4", 6: "old JPEG", 7: "JPEG", 34712: "JPEG 2000",
    34887: "LERC",
    34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL",
}  # fmt: skip
_COLOURS = {
    4: "a transparency mask", 5: INK, 6: "YCbCr values", 8: "CIE Lab values", 9: "CIE Lab values",
    10: "CIE Lab values", 32803: "a camera's raw data", 32844: "LogL values", 32845: "LogLuv values",
    34892: "a camera's raw data",
}  # fmt: skip
_WHITE_IS_0, _BLACK_IS_0, _RGB, _PALETTE = 0, 1, 2, 3


@dataclass(frozen=True)
class Tiff:
    """What the header says of the only picture.

    Attributes:
        width, height: in pixels.
        orientation: as EXIF numbers it.
        depth: bits of a value.
        channels: values of a pixel.
        colour: TIFF's photometric interpretation.
        planar: whether the channels lie one behind the other.
        alpha: whether the last channel is alpha.
        tags: all tags with whole numbers.
        order: "<" or ">".
    """

    width: int
    height: int
    orientation: int
    depth: int
    channels: int
    colour: int
    planar: bool
    alpha: bool
    tags: dict[int, tuple[int, ...]]
    order: str


def header_of(data: bytes) -> Tiff:
    """Read the header.

    Raises:
        Damaged: it is cut short or contradicts itself.
        Unsupported: it holds several pages, or values of a kind that is not read.
    """
    order = "<" if data[:2] == b"II" else ">"
    tags, following = _directory(data, order, _number(data, order + "I", 4))
    if _DNG in tags or _CFA in tags or tags.get(_SUBFILE, (0,))[0] & 1 or _SUB_IFDS in tags:
        raise Unsupported("holds a camera's raw data, or a small picture beside the whole one")
    pages = 1
    while following and pages < 1000:
        _, following = _directory(data, order, following)
        pages += 1
    if pages > 1:
        raise Unsupported(SEVERAL.format(pages))
    _refuse(tags)
    channels = _one(tags, _SAMPLES, 1)
    depths = set(tags.get(_BITS, (1,)))
    base = 3 if _one(tags, _PHOTOMETRIC) == _RGB else 1
    if len(depths) != 1 or channels not in (base, base + 1):
        raise Unsupported(f"holds {channels} values of {sorted(depths)} bits per pixel")
    extra = tags.get(_EXTRA, ())
    if channels > base and extra[:1] not in ((1,), (2,)):
        raise Unsupported("holds a channel that is neither colour nor alpha")
    width, height, depth = _one(tags, _WIDTH), _one(tags, _HEIGHT), depths.pop()
    if not width or not height or not 1 <= depth <= 16:
        raise Unsupported(f"holds values of {depth} bits") if width and height else Damaged("its size is 0")
    return Tiff(
        width, height, _one(tags, _ORIENTATION, 1), depth, channels, _one(tags, _PHOTOMETRIC),
        _one(tags, _PLANAR, 1) == 2 and channels > 1, channels > base, tags, order,
    )  # fmt: skip


def _refuse(tags: dict[int, tuple[int, ...]]) -> None:
    """Refuse what is not whole numbers of few bits in grey, RGB or palettes."""
    depth, form = max(tags.get(_BITS, (1,))), set(tags.get(_FORMAT, (1,)))
    if 3 in form:
        raise Unsupported("holds floating-point values of unknown range")
    if depth > 16:
        raise Unsupported(f"holds {depth}-bit integers of unknown range")
    if form - {1, 4}:
        raise Unsupported("holds integers with a sign, of unknown range")
    colour = _one(tags, _PHOTOMETRIC)
    if colour > _PALETTE:
        raise Unsupported(f"holds {_COLOURS.get(colour, f'values of the kind {colour}')}")
    compression = _one(tags, _COMPRESSION, _NONE)
    if compression not in (_NONE, _LZW, _PACKBITS, *_DEFLATE):
        name = _COMPRESSIONS.get(compression, f"number {compression}")
        raise Unsupported(f"is compressed by {name}, which is not read in TIFF")
    if _one(tags, _FILL_ORDER, 1) != 1:
        raise Unsupported("has its bits in reverse order (FillOrder 2)")
    if _one(tags, _PREDICTOR, 1) not in (1, 2) or (_one(tags, _PREDICTOR, 1) == 2 and depth not in (8, 16)):
        raise Unsupported(f"has predictor {_one(tags, _PREDICTOR)} for values of {depth} bits")


def read_tiff(data: bytes, tiff: Tiff) -> tuple[NDArray[Any], int]:
    """The values (H, W, 1 to 4), and which of them is white (and opaque).

    Raises:
        Damaged: a strip or tile is missing, lies outside of the file, or cannot be unpacked.
        Unsupported: palette of a kind that is not read.
    """
    across, down = tiff.width, _one(tiff.tags, _ROWS, tiff.height)
    down = min(down, tiff.height) or tiff.height
    tiled = _TILES in tiff.tags
    if tiled:
        across, down = _one(tiff.tags, _TILE_WIDTH), _one(tiff.tags, _TILE_HEIGHT)
    if not across or not down:
        raise Damaged("its tiles have no size")
    planes = tiff.channels if tiff.planar else 1
    channels = 1 if tiff.planar else tiff.channels
    columns, rows = -(-tiff.width // across), -(-tiff.height // down)
    parts = _parts(data, tiff, planes * rows * columns, tiled)
    out = np.zeros((planes, tiff.height, tiff.width, channels), np.uint16 if tiff.depth > 8 else np.uint8)
    for number, part in enumerate(parts):
        plane, place = divmod(number, rows * columns)
        top, left = place // columns * down, place % columns * across
        lines = down if tiled else min(down, tiff.height - top)
        values = _values(
            _unpacked(part, tiff, -(-across * channels * tiff.depth // 8), lines), tiff, channels
        )
        values = values[:, : across * channels].reshape(lines, across, channels)
        here = out[plane, top : top + down, left : left + across]
        here[...] = values[: here.shape[0], : here.shape[1]]
    pixels = np.concatenate(list(out), axis=2)
    if tiff.colour == _PALETTE:
        return _coloured(pixels, tiff)
    full = (1 << tiff.depth) - 1
    if tiff.colour == _WHITE_IS_0:
        pixels[..., :1] = full - pixels[..., :1]
    return pixels, full


def _parts(data: bytes, tiff: Tiff, count: int, tiled: bool) -> list[bytes]:
    """The strips or tiles as they are stored."""
    offsets = tiff.tags.get(_TILES if tiled else _STRIPS, ())
    sizes = tiff.tags.get(_TILE_BYTES if tiled else _STRIP_BYTES, ())
    if len(offsets) != count or len(sizes) != count:
        raise Damaged(f"it names {min(len(offsets), len(sizes))} of {count} strips or tiles")
    if any(size == 0 or offset + size > len(data) for offset, size in zip(offsets, sizes, strict=True)):
        raise Damaged("a strip or tile is empty, or ends outside of the file")
    return [data[offset : offset + size] for offset, size in zip(offsets, sizes, strict=True)]


def _unpacked(part: bytes, tiff: Tiff, row: int, lines: int) -> NDArray[np.uint8]:
    """The bytes of one strip or tile: (lines, row)."""
    compression, size = _one(tiff.tags, _COMPRESSION, _NONE), row * lines
    if compression in _DEFLATE:
        unzip = zlib.decompressobj()
        try:
            part = unzip.decompress(part, size + 1)
            if not unzip.eof and len(part) == size:
                part += unzip.decompress(unzip.unconsumed_tail, 1)
        except zlib.error as error:
            raise Damaged(f"a strip or tile cannot be inflated ({error})") from error
        if not unzip.eof and len(part) <= size:
            raise Damaged("a strip or tile ends before its checksum")
    elif compression != _NONE:
        part = _by_libtiff(part, compression, row, lines)
    if len(part) < size:
        raise Damaged(f"a strip or tile holds {len(part)} of {size} bytes")
    return np.frombuffer(part, np.uint8, size).reshape(lines, row)


def _by_libtiff(part: bytes, compression: int, row: int, lines: int) -> bytes:
    """Unpack bytes as the only strip of a grey picture that is as wide as a row has bytes."""
    tags = [(_WIDTH, row), (_HEIGHT, lines), (_BITS, 8), (_COMPRESSION, compression), (_PHOTOMETRIC, 1),
            (_STRIPS, 0), (_SAMPLES, 1), (_ROWS, lines), (_STRIP_BYTES, len(part))]  # fmt: skip
    start = 8 + 2 + 12 * len(tags) + 4
    entries = (struct.pack("<HHII", tag, 4, 1, start if tag == _STRIPS else value) for tag, value in tags)
    file = b"II*\0" + struct.pack("<IH", 8, len(tags)) + b"".join(entries) + bytes(4) + part
    with Image.open(io.BytesIO(file), formats=("TIFF",)) as image:
        return image.tobytes()


def _values(rows: NDArray[np.uint8], tiff: Tiff, channels: int) -> NDArray[Any]:
    """Bytes (lines, bytes) -> values (lines, at least as many as a row has)."""
    values: NDArray[Any]
    if tiff.depth == 8:
        values = rows
    elif tiff.depth == 16:
        values = rows.view(f"{tiff.order}u2").astype(np.uint16)
    else:
        bits = np.unpackbits(rows, axis=1)
        bits = bits[:, : bits.shape[1] // tiff.depth * tiff.depth].reshape(len(rows), -1, tiff.depth)
        values = np.zeros(bits.shape[:2], np.uint16)
        for k in range(tiff.depth):
            values = values << 1 | bits[..., k]
    packed = _one(tiff.tags, _COMPRESSION, _NONE) in (_LZW, *_DEFLATE)  # others have no predictor
    if packed and _one(tiff.tags, _PREDICTOR, 1) == 2:
        steps = values.reshape(len(rows), -1, channels)
        values = np.cumsum(steps, axis=1, dtype=values.dtype).reshape(values.shape)
    return values


def _coloured(pixels: NDArray[Any], tiff: Tiff) -> tuple[NDArray[Any], int]:
    size, colours = 1 << tiff.depth, tiff.tags.get(_COLOUR_MAP, ())
    if tiff.channels != 1 or tiff.depth > 8:
        raise Unsupported(f"holds a palette of {tiff.depth} bits with {tiff.channels} values per pixel")
    if len(colours) != 3 * size:
        raise Damaged("its palette has the wrong length")
    table = np.array(colours, np.uint16).reshape(3, size).T
    if table.max() < 256 and table.max() > 0:
        raise Unsupported("holds a palette of 8-bit colours where TIFF demands 16 bits")
    if not (table & 255).any():  # 8-bit colours in the upper bytes, as many programs write them
        return (table >> 8)[pixels[..., 0]], 255
    return table[pixels[..., 0]], 65535


def _directory(data: bytes, order: str, place: int) -> tuple[dict[int, tuple[int, ...]], int]:
    """Tags with whole numbers, and where the next directory is."""
    count, tags = _number(data, order + "H", place), {}
    for k in range(count):
        at = place + 2 + 12 * k
        tag, kind, number = _number(data, order + "H", at), _number(data, order + "H", at + 2), 0
        number = _number(data, order + "I", at + 4)
        size = _SIZES.get(kind, 1) * number
        where = at + 8 if size <= 4 else _number(data, order + "I", at + 8)
        if where + size > len(data):
            raise Damaged("a part of its header is outside of the file")
        if kind in _TYPES:
            tags[tag] = struct.unpack_from(f"{order}{number}{_TYPES[kind]}", data, where)
    return tags, _number(data, order + "I", place + 2 + 12 * count)


def _number(data: bytes, form: str, place: int) -> int:
    try:
        return int(struct.unpack_from(form, data, place)[0])
    except struct.error:
        raise Damaged("its header is outside of the file") from None


def _one(tags: dict[int, tuple[int, ...]], tag: int, missing: int | None = None) -> int:
    values = tags.get(tag) or (() if missing is None else (missing,))
    if not values:
        raise Damaged(f"its header lacks tag {tag}")
    return values[0]
