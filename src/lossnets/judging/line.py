"""The line of the plain rivals: the gap closed that is to be had at each cost without a gradient network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Corner:
    """A rival on the line.

    Attributes:
        key: of the rival.
        cost: of its gradient, that of the true loss being 1.
        gap: gap closed.
    """

    key: str
    cost: float
    gap: float


def upper_line(points: Sequence[Corner]) -> tuple[Corner, ...]:
    """The corners of the piecewise linear line over plain rivals, by cost: each closes more than all cheaper.

    What costs more and closes no more than another is below the line. What is not finite is left out.

    >>> points = [Corner("mse", 0.01, 0.0), Corner("half", 0.3, -0.2), Corner("cut-1", 0.2, 0.7)]
    >>> [corner.key for corner in upper_line(points)]
    ['mse', 'cut-1']
    """
    known = [p for p in points if math.isfinite(p.cost) and math.isfinite(p.gap) and p.cost > 0]
    line: list[Corner] = []
    for point in sorted(known, key=lambda p: (p.cost, -p.gap, p.key)):
        if not line or point.gap > line[-1].gap:
            line.append(point)
    return tuple(line)


def weights_at(line: Sequence[Corner], cost: float) -> dict[str, float]:
    """Shares of rivals whose mean is the line at a cost: {key: share}; empty where nothing is as cheap.

    Linear in the logarithm of the cost between two corners, as it is drawn; level behind the last.

    >>> line = (Corner("mse", 0.01, 0.0), Corner("true", 1.0, 1.0))
    >>> weights_at(line, 0.1)
    {'mse': 0.5, 'true': 0.5}
    >>> weights_at(line, 2.0), weights_at(line, 0.001)
    ({'true': 1.0}, {})
    """
    if not line or cost < line[0].cost:
        return {}
    for left, right in pairwise(line):
        if cost < right.cost:
            share = math.log(cost / left.cost) / math.log(right.cost / left.cost)
            return {left.key: 1 - share, right.key: share} if share > 0 else {left.key: 1.0}
    return {line[-1].key: 1.0}


def height_at(line: Sequence[Corner], cost: float) -> float:
    """The gap closed by the line at a cost; NaN where nothing is as cheap."""
    gaps = {corner.key: corner.gap for corner in line}
    shares = weights_at(line, cost)
    return sum(share * gaps[key] for key, share in shares.items()) if shares else math.nan
