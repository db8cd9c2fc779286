"""PBM, PGM and PPM files (P1 to P6), with any maximum value."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossnets.images.kinds import Damaged, Unsupported

_TOKEN = re.compile(rb"(?:\s|#[^\r\n]*[\r\n])*(\d+)")
_COMMENT = re.compile(rb"#[^\r\n]*")


def header_of(data: bytes) -> tuple[int, int, int, int]:
    """Width, height, maximum value, and where the header ends.

    Raises:
        Damaged: it has no such header.
    """
    numbers: list[int] = []
    place = 2
    while len(numbers) < (2 if data[1:2] in b"14" else 3):
        found = _TOKEN.match(data, place)
        if found is None or len(found[1]) > 10:
            raise Damaged("its header is wrong")
        numbers.append(int(found[1]))
        place = found.end()
    width, height, top = (*numbers, 1)[:3]
    if not width or not height or not 1 <= top <= 65535 or not data[place : place + 1].isspace():
        raise Damaged("its header is wrong, or it ends within it")
    return width, height, top, place + 1


def read_pnm(data: bytes) -> tuple[NDArray[Any], int]:
    """The values (H, W, 1 or 3) and their maximum, which is white.

    Raises:
        Damaged: it is cut short, or a value is above the maximum.
        Unsupported: more than one picture is in the file.
    """
    width, height, top, place = header_of(data)
    channels = 3 if data[1:2] in b"36" else 1
    shape, size = (height, width, channels), height * width * channels
    kind = data[1:2]
    if kind in b"123":
        values = _written_out(data[place - 1 :], size, kind == b"1")
    elif kind == b"4":
        rows = _raw(data, place, height * -(-width // 8), np.dtype(np.uint8)).reshape(height, -1)
        values = np.unpackbits(rows, axis=1)[:, :width]
    else:
        values = _raw(data, place, size, np.dtype(np.uint8 if top < 256 else ">u2"))
    if values.max() > top:
        raise Damaged(f"it holds {values.max()}, above the maximum {top} that it names")
    values = values.reshape(shape)
    return (1 - values if kind in b"14" else values), top  # bitmaps have 1 for black


def _raw(data: bytes, place: int, size: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    end = place + size * dtype.itemsize
    if len(data) < end:
        raise Damaged(f"it ends {end - len(data)} bytes too early")
    if re.match(rb"P[1-6]\s+[\d#]", data[end : end + 8]):
        raise Unsupported("holds several pictures, one is allowed; save them as single files first")
    if data[end:] and (data[end:] != b"\n" or data[place - 1 : place] == b"\r"):
        raise Damaged(f"it has {len(data) - end} bytes more than its header says, which may begin elsewhere")
    return np.frombuffer(data, dtype, size, place)


def _written_out(text: bytes, size: int, bits: bool) -> NDArray[Any]:
    text = _COMMENT.sub(b"", text)
    words = [bytes((c,)) for c in b"".join(text.split())] if bits else text.split()
    if len(words) < size:
        raise Damaged(f"it holds {len(words)} of {size} values")
    if len(words) > size:
        raise Damaged("it holds more values than its header says")
    if not bits and not text[-1:].isspace():
        raise Damaged("no line end follows its last value, which may be cut short")
    if not all(word.isdigit() and len(word) <= 5 for word in words):
        raise Damaged("a value is no number")
    return np.array([int(word) for word in words], np.int64)
