"""Whether a PNG file is whole: checksums of all chunks, and data for every row."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from lossnets.images.kinds import Damaged, Unsupported

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}  # by colour type
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), 3: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


@dataclass(frozen=True)
class Png:
    """What the header says, and the picture's data as they are stored.

    Attributes:
        width, height: in pixels.
        depth: bits of a value.
        colour: PNG's colour type.
        interlaced: whether it is stored in seven passes.
        colours: of its palette; 0 for none.
        frames: of an animation; 1 for none.
        data: of all IDAT chunks, compressed.
        end: where in the file the picture ends.
    """

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool
    colours: int
    frames: int
    data: bytes
    end: int


def check_png(data: bytes) -> Png:
    """Read the chunks of a PNG file.

    Raises:
        Damaged: a chunk is cut short or has a wrong checksum, one is missing, or the header is wrong.
        Unsupported: it has a chunk that must be understood and is not.
    """
    header, end = b"", 0
    parts: list[bytes] = []
    found = {b"PLTE": b"", b"acTL": b"\0\0\0\1"}
    before = b""
    for kind, body, end in _chunks(data):  # noqa: B007  # the last one counts
        if not header and kind != b"IHDR":
            raise Damaged("it does not begin with its header")
        if kind == b"IHDR":
            header = body
        elif kind == b"IDAT":
            if parts and before != b"IDAT":
                raise Damaged("its picture data are not in one piece")
            parts.append(body)
        elif kind == b"PLTE" and (parts or found[kind]):
            raise Damaged("its palette comes twice, or after the picture data")
        elif kind in (b"PLTE", b"acTL"):
            found[kind] = body
        elif kind != b"IEND" and not kind[0] & 32:
            raise Unsupported(f"holds a part {kind.decode('latin-1')!r} that no standard has")
        before = kind
    if len(header) != 13:
        raise Damaged("its header has the wrong length")
    frames = int.from_bytes(found[b"acTL"][:4], "big")
    return _png(header, len(found[b"PLTE"]) // 3, frames, b"".join(parts), end)


def _png(header: bytes, colours: int, frames: int, data: bytes, end: int) -> Png:
    width, height, depth, colour, method, filtering, interlace = struct.unpack(">IIBBBBB", header)
    right = depth in _DEPTHS.get(colour, ()) and method == filtering == 0 and interlace <= 1
    if not width or not height or not right:
        raise Damaged("its header is wrong")
    if colour == 3 and not colours:
        raise Damaged("it has no palette")
    return Png(width, height, depth, colour, bool(interlace), colours * (colour == 3), frames, data, end)


def check_rows(png: Png) -> None:
    """Inflate the data and see that each row is there.

    Raises:
        Damaged: the data are cut short, do not have the checksum that they name, or have too few rows.
    """
    bits = _SAMPLES[png.colour] * png.depth
    passes = [(png.width, png.height)]
    if png.interlaced:
        passes = [(-(-(png.width - x) // dx), -(-(png.height - y) // dy)) for x, y, dx, dy in _ADAM7]
    sizes = [(1 + -(-width * bits // 8), height) for width, height in passes if width > 0 and height > 0]
    total = sum(row * height for row, height in sizes)
    unzip = zlib.decompressobj()
    try:
        rows = unzip.decompress(png.data, total + 1)
        rest = unzip.decompress(unzip.unconsumed_tail, 1) if not unzip.eof else b""
    except zlib.error as error:
        raise Damaged(f"its data cannot be inflated ({error})") from error
    if len(rows) != total or rest:
        raise Damaged(f"its data hold {'fewer' if len(rows) < total else 'more'} rows than its header says")
    if not unzip.eof:
        raise Damaged("its data end before their checksum")
    place = 0
    for row, height in sizes:
        if np.frombuffer(rows, np.uint8, row * height, place)[::row].max() > 4:
            raise Damaged("a row has a filter that does not exist")
        place += row * height


def as_bytes(png: Png, colour: int) -> bytes:
    """The same data as a PNG file of 8-bit values in another colour type, with as many bytes for a pixel."""
    header = struct.pack(">IIBBBBB", png.width, png.height, 8, colour, 0, 0, png.interlaced)
    parts = ((b"IHDR", header), (b"IDAT", png.data), (b"IEND", b""))
    chunks = (struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in parts)
    return SIGNATURE + b"".join(chunks)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes, int]]:
    """Kind, content and end of each chunk up to the last."""
    place = len(SIGNATURE)
    while True:
        head = data[place : place + 8]
        end = place + 12 + int.from_bytes(head[:4], "big")
        if len(head) < 8 or end > len(data):
            raise Damaged("it ends within a chunk")
        kind = head[4:]
        if zlib.crc32(memoryview(data)[place + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise Damaged(f"its chunk {kind.decode('latin-1')!r} does not have the checksum that it names")
        yield kind, data[place + 8 : end - 4], end
        if kind == b"IEND":
            return
        place = end
