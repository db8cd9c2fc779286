"""Whether a JPEG file is whole: its markers, its tables, and the length of its data, scan by scan."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass, field

import numpy as np
from PIL import JpegImagePlugin

from lossnets.images.huffman import Blocks, Table, problem
from lossnets.images.kinds import Damaged, Unsupported
from lossnets.images.refinement import refinement_problem

_END_OF_SCAN = re.compile(rb"\xff+[^\x00\xff\xd0-\xd7]")
_RESTART = re.compile(rb"\xff+([\xd0-\xd7])")
_SOI, _EOI, _SOS, _DHT, _DQT, _DRI, _DNL = 0xD8, 0xD9, 0xDA, 0xC4, 0xDB, 0xDD, 0xDC
_FRAMES = {*range(0xC0, 0xD0)} - {_DHT, 0xC8, 0xCC}
_BRIGHTEST = 1024 * 1.12  # a block's mean times 8 at most, with what some encoders add to make edges crisp
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2


@dataclass
class _Component:
    horizontal: int
    vertical: int
    quantisation: int
    width: int = 0  # in blocks, without those that only fill up an MCU
    height: int = 0


@dataclass
class _Frame:
    kind: int
    width: int
    height: int
    components: dict[int, _Component]

    @property
    def mcus(self) -> int:
        """MCUs of a scan of all components."""
        across = max(c.horizontal for c in self.components.values()) * 8
        down = max(c.vertical for c in self.components.values()) * 8
        return -(-self.width // across) * -(-self.height // down)


@dataclass
class _State:
    frame: _Frame | None = None
    tables: dict[int, Table] = field(default_factory=dict)  # class << 4 | number
    quantisation: set[int] = field(default_factory=set)
    interval: int = 0
    refining: list[tuple[int, int]] = field(default_factory=list)  # where the data of such scans are
    lacking: dict[tuple[int, int], int] = field(default_factory=dict)  # (component, coefficient) -> low bits


def components_of(data: bytes) -> int:
    """Number of components that the frame names: 1 grey, 3 colour, 4 ink; 0 where there is no frame.

    Raises:
        Unsupported: the kind of compression, or the bits of a value, are not read.
        Damaged: there is no frame before the file ends.
    """
    place, kind, body = 2, 0, b""
    while kind not in _FRAMES:
        kind, body, place = _segment(data, place)
        if kind in (_EOI, _SOS):
            raise Damaged("it has no frame header")
    if kind not in (_BASELINE, _EXTENDED, _PROGRESSIVE):
        raise Unsupported("is a JPEG with lossless, hierarchical or arithmetic coding")
    if len(body) < 6:
        raise Damaged("its frame header is too short")
    if body[0] != 8:
        raise Unsupported(f"is a JPEG with {body[0]} bits per value")
    return body[5]


def check_jpeg(data: bytes) -> int:
    """Follow the first picture of a file to its end -> where in the file that is.

    Raises:
        Damaged: a marker, a table, a scan or part of one is missing, or the data do not hold the picture.
        Unsupported: it is of a kind that is not read.
    """
    components_of(data)
    state, place, kind = _State(), 2, 0
    while kind != _EOI:
        kind, body, place = _segment(data, place)
        if kind == _SOS:
            place = _scan(data, body, place, state)
        else:
            _header(kind, body, state)
    channels = state.frame.components if state.frame is not None else ()
    if not channels or any(state.lacking.get((name, k)) != 0 for name in channels for k in range(64)):
        raise Damaged("a scan of its data is missing")
    if not _plausible(data[:place]):
        raise Damaged("its data hold values far beyond white or black")
    said = refinement_problem(data[:place], state.refining) if state.refining else ""
    if said:
        raise Damaged(said)
    return place


def _header(kind: int, body: bytes, state: _State) -> None:
    """Take in a marker that is no scan."""
    if kind in _FRAMES:
        if state.frame is not None:
            raise Damaged("it has two frame headers")
        state.frame = _frame(kind, body)
    elif kind == _DHT:
        _huffman_tables(body, state.tables)
    elif kind == _DQT:
        _quantisation_tables(body, state.quantisation)
    elif kind == _DRI:
        state.interval = int.from_bytes(body[:2], "big")
    elif kind in (_DNL, _SOI) or 0xD0 <= kind <= 0xD7 or kind < 0xC0:
        raise Damaged(f"marker FF{kind:02X} is out of place")


def _plausible(data: bytes) -> bool:
    """Whether the mean of every block is one that a picture can have.

    Means are stored as differences, so that damage to one moves all that follow. They are read by Pillow, at
    one pixel for each block, with other quantisation: a quarter for the mean, so that what is beyond white
    is seen, and 0 for all else.
    """
    changed, place, kind = bytearray(data), 2, 0
    steps, chosen, names = {}, [], b""
    while kind != _EOI:
        kind, body, end = _segment(data, place)
        if kind in _FRAMES:
            chosen = [body[8 + 3 * k] for k in range(body[5])]
            names = bytes(body[6 + 3 * k] for k in range(body[5]))
        at = end - len(body)
        while kind == _DQT and at < end:
            wide = 2 if data[at] >> 4 else 1
            step = int.from_bytes(data[at + 1 : at + 1 + wide], "big")
            steps[data[at] & 15] = step
            changed[at + 1 : at + 1 + 64 * wide] = max(1, step // 4).to_bytes(wide, "big") + bytes(63 * wide)
            at += 1 + 64 * wide
        found = _END_OF_SCAN.search(data, end) if kind == _SOS else None
        place = found.start() if found else end
    with JpegImagePlugin.JpegImageFile(io.BytesIO(bytes(changed))) as image:
        unmarked = "adobe" not in image.info and "jfif" not in image.info
        stored_as_rgb = image.info.get("adobe_transform") == 0 or (unmarked and names == b"RGB")
        if len(chosen) == 1 or not stored_as_rgb:
            image.draft("YCbCr" if len(chosen) == 3 else "L", (1, 1))
        else:
            image.draft("RGB", (1, 1))
        means = np.atleast_3d(np.asarray(image)).astype(int) - 128
    for channel, table in zip(np.moveaxis(means, 2, 0), chosen, strict=True):
        step = steps[table]
        scale = step / max(1, step // 4)  # 1: no room beyond white
        if scale > 1 and np.abs(channel).max() * 8 * scale > _BRIGHTEST + step + 8 * scale:
            return False
    return True


def _segment(data: bytes, place: int) -> tuple[int, bytes, int]:
    """Marker, content, and where the next one begins."""
    if data[place : place + 1] not in (b"\xff", b""):
        raise Damaged(f"byte {place} should begin a marker")
    while data[place : place + 1] == b"\xff":
        place += 1
    if place >= len(data):
        raise Damaged("it ends before its end marker")
    kind = data[place]
    if kind in (_SOI, _EOI) or 0xD0 <= kind <= 0xD7 or kind in (0, 1):
        return kind, b"", place + 1
    size = int.from_bytes(data[place + 1 : place + 3], "big")
    if size < 2 or place + 1 + size > len(data):
        raise Damaged("it ends within a header")
    return kind, data[place + 3 : place + 1 + size], place + 1 + size


def _frame(kind: int, body: bytes) -> _Frame:
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if len(body) != 6 + 3 * body[5] or not body[5]:
        raise Damaged("its frame header has the wrong length")
    if not height or not width:
        raise Damaged("its height or width is 0")
    parts = [body[6 + 3 * k : 9 + 3 * k] for k in range(body[5])]
    components = {part[0]: _Component(part[1] >> 4, part[1] & 15, part[2]) for part in parts}
    if len(components) != body[5] or not all(
        1 <= c.horizontal <= 4 and 1 <= c.vertical <= 4 for c in components.values()
    ):
        raise Damaged("its frame header is wrong")
    across = max(c.horizontal for c in components.values())
    down = max(c.vertical for c in components.values())
    for c in components.values():
        c.width = math.ceil(math.ceil(width * c.horizontal / across) / 8)
        c.height = math.ceil(math.ceil(height * c.vertical / down) / 8)
    return _Frame(kind, width, height, components)


def _huffman_tables(body: bytes, tables: dict[int, Table]) -> None:
    while body:
        counts = body[1:17]
        size = sum(counts)
        space = sum(count << (16 - length) for length, count in enumerate(counts, 1))
        if len(counts) < 16 or len(body) < 17 + size or size > 256 or space > 1 << 16:
            raise Damaged("a Huffman table is wrong")
        tables[body[0]] = Table(counts, body[17 : 17 + size])
        body = body[17 + size :]


def _quantisation_tables(body: bytes, numbers: set[int]) -> None:
    while body:
        size = 129 if body[0] >> 4 else 65
        if len(body) < size:
            raise Damaged("a quantisation table is too short")
        numbers.add(body[0] & 15)
        body = body[size:]


def _scan(data: bytes, header: bytes, place: int, state: _State) -> int:
    """Check the scan whose header ends at ``place`` -> where the next marker is."""
    found = _END_OF_SCAN.search(data, place)
    if found is None:
        raise Damaged("it ends within its picture data")
    chosen, first, last, precision = _scan_header(header, state)
    parts = _parts(data[place : found.start()], state, chosen)
    said = ""
    if first == 0 and precision >> 4:
        said = _one_bit_each(parts)
    elif precision >> 4:
        state.refining.append((place, found.start()))
    else:
        said = problem(parts, _blocks(state, chosen, first, last))
    if said:
        raise Damaged(said)
    return found.start()


def _scan_header(header: bytes, state: _State) -> tuple[list[tuple[int, int]], int, int, int]:
    """Channels with the numbers of their tables; first and last coefficient; bits that are refined."""
    if state.frame is None:
        raise Damaged("picture data come before the frame header")
    count = header[0] if header else 0
    if not 1 <= count <= 4 or len(header) != 4 + 2 * count:
        raise Damaged("a scan header has the wrong length")
    chosen = [(header[1 + 2 * k], header[2 + 2 * k]) for k in range(count)]
    first, last, precision = header[-3:]
    for name, _ in chosen:
        if name not in state.frame.components:
            raise Damaged("a scan names a colour channel that does not exist")
        if state.frame.components[name].quantisation not in state.quantisation:
            raise Damaged("a quantisation table is missing")
    if state.frame.kind != _PROGRESSIVE:
        first, last, precision = 0, 63, 0
    if first > last or last > 63 or (first > 0 and count > 1):
        raise Damaged("a scan header is wrong")
    high, low = precision >> 4, precision & 15
    for name, k in ((name, k) for name, _ in chosen for k in range(first, last + 1)):
        before = state.lacking.get((name, k))
        if before != (high or None) or (high and low != high - 1):
            raise Damaged("its scans are not in order")
        state.lacking[name, k] = low
    return chosen, first, last, precision


def _parts(data: bytes, state: _State, chosen: list[tuple[int, int]]) -> list[tuple[bytes, int]]:
    """The data between restart markers, without stuffing, each with the blocks that it should hold."""
    assert state.frame is not None  # noqa: S101  # the caller looked
    if len(chosen) == 1:
        component = state.frame.components[chosen[0][0]]
        units, size = component.width * component.height, 1
    else:
        members = [state.frame.components[name] for name, _ in chosen]
        units, size = state.frame.mcus, sum(c.horizontal * c.vertical for c in members)
    pieces = _RESTART.split(data)
    whole, numbers = pieces[::2], pieces[1::2]
    interval = state.interval or units
    if len(whole) != -(-units // interval) or any(n[0] != 0xD0 + k % 8 for k, n in enumerate(numbers)):
        raise Damaged("its restart markers are not those that it should have")
    counts = [min(interval, units - k * interval) * size for k in range(len(whole))]
    return [(part.replace(b"\xff\x00", b"\xff"), count) for part, count in zip(whole, counts, strict=True)]


def _blocks(state: _State, chosen: list[tuple[int, int]], first: int, last: int) -> Blocks:
    assert state.frame is not None  # noqa: S101  # the caller looked
    dc: list[Table | None] = []
    ac: list[Table | None] = []
    for name, numbers in chosen:
        component = state.frame.components[name]
        size = component.horizontal * component.vertical if len(chosen) > 1 else 1
        for tables, number, wanted in ((dc, numbers >> 4, first == 0), (ac, 0x10 | numbers & 15, last > 0)):
            if wanted and number not in state.tables:
                raise Damaged("a Huffman table is missing")
            tables += [state.tables[number] if wanted else None] * size
    return Blocks(tuple(dc), tuple(ac), last - first + 1, runs=state.frame.kind == _PROGRESSIVE)


def _one_bit_each(parts: list[tuple[bytes, int]]) -> str:
    wrong = any(len(data) != -(-count // 8) for data, count in parts)
    return "its data do not hold one bit for each block" if wrong else ""
