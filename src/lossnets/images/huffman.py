"""Whether the entropy-coded data of a JPEG scan hold exactly the blocks that they should.

libjpeg goes on after damaged data and keeps quiet, and Pillow passes that on: half of the picture is wrong.
Nothing is decoded to coefficients here; only lengths are followed, from code to code. Damage shows as a code
that no table has, as a block of more coefficients than there are, or as data that end before or after the
last block.

A long scan is cut into lanes that are followed side by side. A lane begins a while before its part, at a
guess; Huffman codes fall into step by themselves, and where a lane did not, it is followed again from where
the lane before it ended. So the result is that of one walk from the beginning.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

_BITS, _STEP, _RUN = (
    0,
    6,
    16,
)  # places in an entry: bits to skip, coefficients to skip, exponent of a run of blocks
_END = 128  # added to the coefficients: the block ends
_INVALID = 192  # as coefficients: no such code; behind all that a block may have
_LANES, _SHORTEST, _WARM_UP = 1500, 768, 2048  # how many lanes, and bits
_SHORT = 6_000  # bytes that are followed without lanes
_ROUNDS = 24
_GAP = bytes(8)  # between two parts
_CANNOT_BE = "its data hold a code or a run of coefficients that cannot be"


@dataclass(frozen=True)
class Table:
    """A Huffman table: how many codes there are of 1 to 16 bits, and their symbols in order."""

    counts: bytes
    symbols: bytes


@dataclass(frozen=True)
class Blocks:
    """What one scan codes, block by block.

    Attributes:
        dc: for each block of an MCU, the table of its first coefficient; None: it has none.
        ac: for each block of an MCU, the table of its other coefficients; None: it has none.
        band: coefficients of a block.
        runs: whether one code may end several blocks (progressive).
    """

    dc: tuple[Table | None, ...]
    ac: tuple[Table | None, ...]
    band: int
    runs: bool


def problem(parts: Sequence[tuple[bytes, int]], blocks: Blocks) -> str:
    """What is wrong with a scan; "" where nothing is.

    Args:
        parts: between two restart markers each: the data without stuffing, and the blocks that they hold.
        blocks: what a block is.
    """
    walk = _Walk(blocks)
    data, starts = _GAP.join([part for part, _ in parts]), []
    place = 0
    for part, _ in parts:
        starts.append(place)
        place += 8 * (len(part) + len(_GAP))
    ends = [start + 8 * len(part) for start, (part, _) in zip(starts, parts, strict=True)]
    words = _words(data)
    begun = [(start, 0, 0) for start in starts]
    if len(data) > _SHORT:
        begun = walk.lanes(words, starts, ends)
    for (place, state, done), end, (_, count) in zip(begun, ends, parts, strict=True):
        said = _CANNOT_BE if done < 0 else walk.follow(words, place, state, count - done, end)
        if said:
            return said
    return ""


class _Walk:
    """The tables of a scan, made ready; states are numbers: 256 × block of the MCU + coefficient."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        size = len(blocks.dc)
        self._wrap = np.full(size * 256, -1, np.int64)
        for block in range(size):
            here, following = block * 256, (block + 1) % size * 256
            self._wrap[here : here + blocks.band] = np.arange(here, here + blocks.band)
            self._wrap[here + blocks.band] = following
            self._wrap[here + _END : here + _END + blocks.band] = following
        self._single, self._base = self._tables(several=False)
        self._several: Ints | None = None

    def _tables(self, *, several: bool) -> tuple[Ints, Ints]:
        """All tables in a row, and where each state's begins."""
        blocks = self._blocks
        kinds: dict[tuple[Table, bool], int] = {}
        base = np.zeros(len(blocks.dc) * 256, np.int64)
        for block, (dc, ac) in enumerate(zip(blocks.dc, blocks.ac, strict=True)):
            if ac is not None:
                key = (ac, False)
                base[block * 256 : block * 256 + 256] = kinds.setdefault(key, len(kinds)) << 16
            if dc is not None:
                base[block * 256] = kinds.setdefault((dc, True), len(kinds)) << 16
        entries = [_entries(table, dc, blocks.runs, several and not dc) for table, dc in kinds]
        return np.concatenate(entries), base

    def follow(self, words: Ints, place: int, state: int, count: int, end: int) -> str:
        """One code after the other, until ``count`` blocks are complete; "" if that is at the end."""
        if count < 0:
            return f"its data hold at least {-count} blocks too many"
        tables = self._single if self._several is None else self._several
        single, joined, base, wrap, bits = (
            a.data for a in (self._single, tables, self._base, self._wrap, words)
        )
        while count > 0:
            if place >= end:
                return f"its data end {count} blocks too early"
            window = base[state] + (bits[place >> 3] >> 16 - (place & 7) & 0xFFFF)
            entry = joined[window]
            moved = wrap[state + (entry >> 6 & 255)]
            if moved < 0:  # several codes were joined that go beyond the block, or there is an error
                entry = single[window]
                moved = wrap[state + (entry >> 6 & 255)]
                if moved < 0:
                    return _CANNOT_BE
            state = moved
            place += entry & 63
            if entry >= 65536:
                run = entry >> 16
                more = bits[place - run >> 3] >> 32 - (place - run & 7) - run
                count -= (1 << run) + (more & (1 << run) - 1) - 1
            if state & 255 == 0:
                count -= 1
        return _end(words, place, end, count)

    def lanes(self, words: Ints, first: list[int], last: list[int]) -> list[tuple[int, int, int]]:
        """Follow parts but for their last bits -> for each: place, state, blocks that are complete.

        The blocks are -1 where there is an error.
        """
        if self._several is None:
            self._several = self._tables(several=True)[0]
        length = max(_SHORTEST, sum(b - a for a, b in zip(first, last, strict=True)) // _LANES)
        lanes = [np.arange(a, max(b - 256, a + 1), length) for a, b in zip(first, last, strict=True)]
        part = np.repeat(np.arange(len(lanes)), [len(lane) for lane in lanes])
        starts, begin = np.concatenate(lanes), np.asarray(first)[part]
        joint = part[1:] == part[:-1]  # a lane goes on where the one before it ends
        limit = np.asarray(last)[part] - 128
        limit[:-1] = np.where(joint, starts[1:], limit[:-1])
        place, state = np.maximum(starts - _WARM_UP, begin), np.zeros_like(starts)
        place, state, _, _ = self._run(words, place, state, starts)
        end, after, done, bad = self._run(words, place, state, limit)
        for _ in range(_ROUNDS):
            wrong = 1 + np.flatnonzero(joint & ((end[:-1] != place[1:]) | (after[:-1] != state[1:])))
            if not len(wrong):
                break
            place[wrong], state[wrong] = end[wrong - 1], after[wrong - 1]
            end[wrong], after[wrong], done[wrong], bad[wrong] = self._run(
                words, place[wrong], state[wrong], limit[wrong]
            )
        out = []
        wrong = np.append(0, joint & ((end[:-1] != place[1:]) | (after[:-1] != state[1:])))
        for k in range(len(lanes)):  # what does not fall into step is followed from there, one by one
            mine = np.flatnonzero(part == k)
            odd = np.flatnonzero(wrong[mine])
            mine = mine[: odd[0]] if len(odd) else mine
            blocks = -1 if bad[mine].any() else int(done[mine].sum())
            out.append((int(end[mine[-1]]), int(after[mine[-1]]), blocks))
        return out

    def _run(self, words: Ints, place: Ints, state: Ints, ends: Ints) -> tuple[Ints, Ints, Ints, Bools]:
        """Follow every lane until it is at or behind its end -> places, states, blocks, errors."""
        out = place.copy(), state.copy(), np.zeros_like(place), np.zeros(len(place), bool)
        lanes = np.flatnonzero(place < ends)
        place, state, ends = place[lanes], state[lanes], ends[lanes]
        blocks, bad = np.zeros_like(place), np.zeros(len(place), bool)
        while len(lanes):
            for _ in range(16):
                self._step(words, place, state, ends, blocks, bad)
            live = place < ends
            if not live.all():
                for whole, part in zip(out, (place, state, blocks, bad), strict=True):
                    whole[lanes] = part
                place, state, ends, blocks, bad, lanes = (
                    a[live] for a in (place, state, ends, blocks, bad, lanes)
                )
        return out

    def _step(self, words: Ints, place: Ints, state: Ints, ends: Ints, blocks: Ints, bad: Bools) -> None:
        """One entry further in every lane that is not at its end; all is written in place."""
        assert self._several is not None  # noqa: S101  # made by _lanes
        live = place < ends
        window = (words.take(place >> 3) >> (16 - (place & 7))) & 0xFFFF
        window += self._base.take(state)
        entry = self._several.take(window)
        moved = self._wrap.take(state + (entry >> _STEP & 255))
        odd = np.flatnonzero(((moved < 0) | (entry >= 1 << _RUN)) & live)
        if len(odd):
            entry[odd], moved[odd], more, bad[odd] = self._odd(
                words, place[odd], state[odd], window[odd], bad[odd]
            )
            blocks[odd] += more
        blocks += live & (moved & 255 == 0)
        place += (entry & 63) * live
        np.copyto(state, moved, where=live)

    def _odd(
        self, words: Ints, place: Ints, state: Ints, window: Ints, bad: Bools
    ) -> tuple[Ints, Ints, Ints, Bools]:
        """The few lanes where a block is full, a code ends several blocks, or there is an error."""
        entry = self._single[window]
        moved = self._wrap.take(state + (entry >> _STEP & 255))
        run = entry >> _RUN
        where = place + (entry & 63) - run
        bits = (words[where >> 3] >> (32 - (where & 7) - run)) & ((1 << run) - 1)
        more = np.where(run > 0, (1 << run) + bits - 1, 0)
        return entry, np.maximum(moved, 0), more, bad | (moved < 0)


def _end(words: Ints, place: int, end: int, count: int) -> str:
    """What is wrong where the blocks are complete."""
    left = end - place
    if count < 0:
        return f"its last code ends {-count} blocks too many"
    if left < 0:
        return "its data end within the last block"
    if left >= 8:
        return f"{left // 8} bytes are left behind its last block"
    padding = int(words[place >> 3]) >> 24 & ((1 << left) - 1)
    return "" if padding in (0, (1 << left) - 1) else "bits are left behind its last block"


def _words(data: bytes) -> Ints:
    """The 32 bits that begin at each byte."""
    padded = np.frombuffer(data + bytes(12), np.uint8).astype(np.int64)
    return padded[:-3] << 24 | padded[1:-2] << 16 | padded[2:-1] << 8 | padded[3:]


@lru_cache(maxsize=32)
def _entries(table: Table, dc: bool, runs: bool, several: bool) -> Ints:
    """For each 16 bits: how many of them and what follows to skip, and how many coefficients that is."""
    lengths = np.repeat(np.arange(1, 17), np.frombuffer(table.counts, np.uint8))
    symbols = np.frombuffer(table.symbols, np.uint8).astype(np.int64)
    high, low = symbols >> 4, symbols & 15
    if dc:
        bits, step, run, fine = symbols, np.ones_like(symbols), np.zeros_like(symbols), symbols <= 11
    else:
        ends = (low == 0) & (high < 15)
        run = np.where(ends, high, 0) if runs else np.zeros_like(high)
        bits = np.where(ends, run, low)
        step = np.where(ends, _END, high + 1)
        fine = (low <= 10) & (~ends | (high == 0) | runs)
    entries = (lengths + bits) << _BITS | np.where(fine, step, _INVALID) << _STEP | run << _RUN
    whole = np.full(1 << 16, 1 | _INVALID << _STEP, np.int64)
    filled = np.repeat(entries.astype(np.int64), 1 << (16 - lengths))[: 1 << 16]
    whole[: len(filled)] = filled
    return _joined(whole) if several else whole


def _joined(single: Ints) -> Ints:
    """Entries that skip up to four codes at once, as far as 16 bits hold them whole."""
    window, joined = np.arange(1 << 16), single.copy()
    for _ in range(3):
        bits, step = joined & 63, joined >> _STEP & 255
        following = single[(window << np.minimum(bits, 16)) & 0xFFFF]
        more = following >> _STEP & 255
        fits = (joined < 1 << _RUN) & (following < 1 << _RUN) & (bits + (following & 63) <= 16)
        fits &= (step < _END) & (more != _INVALID) & (step + (more & 127) <= 64)
        joined = np.where(fits, (bits + (following & 63)) | (step + more) << _STEP, joined).astype(np.int64)
    return joined
