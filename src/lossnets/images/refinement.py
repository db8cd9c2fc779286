"""Whether the scans of a progressive JPEG that refine coefficients end where their data do.

How long a code is there depends on all scans before it, so that nothing short of decoding follows them.
Pillow decodes them, twice or more, with other bytes at the end of a scan: bytes behind the end of a whole
scan change nothing, and its last bytes change something.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import JpegImagePlugin

_OTHER = b"\x5a\x93\x2c\xd1" * 16  # bytes without a marker in them
_LAST = 8
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")


def refinement_problem(data: bytes, scans: Sequence[tuple[int, int]]) -> str:
    """What is wrong with a file whose refining scans' data are at these places; "" where nothing is."""
    pixels, longer = _decoded(data), data
    for _, end in reversed(scans):
        longer = longer[:end] + _OTHER + longer[end:]
    if not np.array_equal(pixels, _decoded(longer)):
        return "the data of a scan that refines others end too early"
    for start, end in scans:
        if end - start < 4 * _LAST:
            continue
        cut = end - _LAST - (data[end - _LAST - 1] == 0xFF)  # FF00 stays one byte of data
        if _RESTART.search(data, start, end):  # its last bytes belong to many short parts
            continue
        if all(np.array_equal(pixels, _decoded(data[:cut] + t + data[end:])) for t in _tails(data[cut:end])):
            return "bytes are left behind the last block of a scan that refines others"
    return ""


def _tails(last: bytes) -> Iterator[bytes]:
    """Other bytes in place of the last ones: one change may be too small to be seen, several are not."""
    for mask in (0xFF, 0x55, 0x0F):
        yield bytes(value ^ mask for value in last).replace(b"\xff", b"\xfe")


def _decoded(data: bytes) -> NDArray[np.uint8]:
    with JpegImagePlugin.JpegImageFile(io.BytesIO(data)) as image:
        return np.asarray(image)
