"""Whether GIF, BMP, WebP and AVIF files are whole, and whether they hold one picture of 8-bit values."""

from __future__ import annotations

import importlib.util
import struct

import numpy as np
from numpy.typing import NDArray

from lossnets.images.kinds import Damaged, Unsupported


def check_gif(data: bytes) -> tuple[int, int]:
    """Walk over the blocks and the codes of the first frame -> number of frames, colours of the first.

    Raises:
        Damaged: the file is cut short, or the codes do not make the picture.
        Unsupported: the first frame does not cover the whole picture.
    """
    width, height, flags = _unpack("<HHB", data, 6)
    place, frames, colours = 13 + _table_size(flags), 0, 0
    while True:
        mark = data[place : place + 1]
        if mark in (b";", b"") and frames:
            return frames, colours
        if mark == b"!":
            _, place = _sub_blocks(data, place + 2)
        elif mark == b",":
            left, top, across, down, local = _unpack("<HHHHB", data, place + 1)
            frames, place = frames + 1, place + 10 + _table_size(local)
            codes, size = _sub_blocks(data, place + 1), data[place] if place < len(data) else 0
            place = codes[1]
            if frames > 1:
                continue
            if (left, top, across, down) != (0, 0, width, height):
                raise Unsupported("holds a frame that does not cover the picture")
            colours = _table_size(local) // 3 or _table_size(flags) // 3
            _check_codes(codes[0], size, across * down)
        else:
            raise Damaged("it ends before its picture" if not mark else "a block begins with a wrong byte")


def _table_size(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 128 else 0


def _sub_blocks(data: bytes, place: int) -> tuple[bytes, int]:
    """Content of a chain of blocks, and where it ends."""
    parts: list[bytes] = []
    while True:
        if place >= len(data) or place + 1 + data[place] > len(data):
            raise Damaged("it ends within a block")
        size = data[place]
        if not size:
            return b"".join(parts), place + 1
        parts.append(data[place + 1 : place + 1 + size])
        place += 1 + size


def _check_codes(data: bytes, least: int, pixels: int) -> None:
    """Follow LZW codes by the number of pixels that each stands for."""
    if not 1 <= least <= 11:
        raise Damaged("its codes have a wrong size")
    clear = 1 << least
    lengths, bits, before = [1] * (clear + 2), least + 1, 0
    stock, held, place, done = 0, 0, 0, 0
    while done < pixels:
        while held < bits:
            if place >= len(data):
                raise Damaged(f"its data end after {done} of {pixels} pixels")
            stock |= data[place] << held
            held, place = held + 8, place + 1
        code, stock, held = stock & (1 << bits) - 1, stock >> bits, held - bits
        if code == clear:
            lengths, bits, before = [1] * (clear + 2), least + 1, 0
            continue
        if code == clear + 1:
            raise Damaged(f"its data end after {done} of {pixels} pixels")
        if code > len(lengths) or (code == len(lengths) and not before) or (code >= clear and not before):
            raise Damaged("its data hold a code that cannot be")
        if before and len(lengths) < 4096:
            lengths.append(before + 1)
            bits += len(lengths) == 1 << bits and bits < 12
        before = lengths[code]
        done += before


def check_bmp(data: bytes) -> int:
    """Compare the header with the length of the file -> colours of its palette, 0 for none.

    Raises:
        Damaged: the file is shorter than its header says.
        Unsupported: it is compressed, or has 16 bits per pixel.
    """
    start, size = _unpack("<II", data, 10)
    if size == 12:
        width, height, _, depth = _unpack("<HHHH", data, 18)
        compression, used, entry = 0, 0, 3
    else:
        width, height, _, depth, compression = _unpack("<iiHHI", data, 18)
        used, entry = _unpack("<I", data, 46)[0] if size >= 40 else 0, 4
    if compression not in (0, 3, 6):
        raise Unsupported("is a compressed BMP")
    if depth not in (1, 4, 8, 24, 32) or (compression and depth != 32):
        raise Unsupported(f"is a BMP with {depth} bits per pixel")
    if width <= 0 or not height:
        raise Damaged("its size is wrong")
    if len(data) < start + -(-width * depth // 32) * 4 * abs(height):
        raise Damaged("it ends within its picture data")
    if depth > 8:
        return 0
    colours = min(used or 1 << depth, 1 << depth)
    if start < 14 + size + colours * entry:
        raise Damaged("its palette and its picture data overlap")
    return colours


def bmp_size(data: bytes) -> tuple[int, int]:
    """Width and height in pixels of a BMP file."""
    core = _unpack("<I", data, 14)[0] == 12
    width, height = _unpack("<HH" if core else "<ii", data, 18)
    return width, abs(height)


def palette_bmp(data: bytes, colours: int) -> NDArray[np.uint8]:
    """The colours (H, W, 3) of a BMP file of 1, 4 or 8 bits a pixel that `check_bmp` has passed.

    Pillow takes a palette of black and white for one bit a pixel, whatever the header says.

    Raises:
        Damaged: a pixel has a colour that the palette does not have.
    """
    start, size = _unpack("<II", data, 10)
    core, (width, height) = size == 12, bmp_size(data)
    depth = _unpack("<H", data, 24 if core else 28)[0]
    entry, row = (3 if core else 4), -(-width * depth // 32) * 4
    table = np.frombuffer(data, np.uint8, colours * entry, 14 + size).reshape(colours, entry)[:, 2::-1]
    places = np.frombuffer(data, np.uint8, row * height, start).reshape(height, row)
    if depth < 8:
        shifts = np.arange(8 - depth, -1, -depth, dtype=np.uint8)
        places = (places[..., None] >> shifts & np.uint8((1 << depth) - 1)).reshape(height, -1)
    places = places[:, :width]
    if places.max() >= colours:
        raise Damaged(f"it holds colour {places.max()} of a palette of {colours}")
    pixels: NDArray[np.uint8] = table[places]
    lowest_first = core or _unpack("<i", data, 22)[0] > 0
    return pixels[::-1] if lowest_first else pixels


def check_webp(data: bytes) -> None:
    """Compare the sizes of all parts with that of the file.

    Raises:
        Damaged: it is cut short.
        Unsupported: this Pillow has no WebP.
    """
    _need("webp", "WebP")
    end, place = 8 + _unpack("<I", data, 4)[0], 12
    if end > len(data):
        raise Damaged(f"it ends {end - len(data)} bytes too early")
    while place + 8 <= end:
        place += 8 + _unpack("<I", data, place + 4)[0]
        if place > end:
            raise Damaged("a part ends outside of the file")
        place += place & 1
    if place not in (end, end + 1):
        raise Damaged("it ends within a part")


def check_avif(data: bytes) -> None:
    """Compare the sizes of all boxes with that of the file.

    Raises:
        Damaged: it is cut short.
        Unsupported: it has more than 8 bits, or this Pillow has no AVIF.
    """
    _need("avif", "AVIF")
    place = 0
    kinds: set[bytes] = set()
    while place < len(data):
        size, kind = _unpack(">I", data, place)[0], data[place + 4 : place + 8]
        if size == 1:
            size = _unpack(">Q", data, place + 8)[0]
        elif size == 0:
            size = len(data) - place
        if size < 8 or place + size > len(data):
            if {b"meta", b"mdat"} <= kinds:
                break  # something else behind the picture
            raise Damaged("it ends within a box")
        if kind == b"meta":
            _check_depth(data[place : place + size])
        kinds.add(kind)
        place += size
    if not {b"meta", b"mdat"} <= kinds:
        raise Damaged("it ends before its picture data")


def _check_depth(meta: bytes) -> None:
    place = meta.find(b"av1C")
    while place >= 0:
        if meta[place + 6 : place + 7] and meta[place + 6] & 0x40:
            raise Unsupported("is an AVIF with 10 or 12 bits per value, of which Pillow keeps 8")
        place = meta.find(b"av1C", place + 4)


def _need(module: str, name: str) -> None:
    if importlib.util.find_spec(f"PIL._{module}") is None:
        raise Unsupported(f"is {name}, which this version of Pillow cannot read")


def _unpack(form: str, data: bytes, place: int) -> tuple[int, ...]:
    try:
        return struct.unpack_from(form, data, place)
    except struct.error:
        raise Damaged("it ends within a header") from None
