"""What a comparison of pictures holds: candidates, what each loss says of them, and where losses disagree."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from lossnets.analysis.results import pandas

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    Pixels = NDArray[Any]

COMPARISON_COLUMNS = ("loss", "candidate", "distance", "rank", "relative", "map_mean", "error")
TAP_COLUMNS = ("loss", "candidate", "tap", "distance", "share")


@dataclass(frozen=True, eq=False)
class Candidate:
    """One picture of the comparison.

    Attributes:
        name: unique; the file's name, with as many folders as tell it apart.
        source: its path; empty for a tensor.
        size: (width, height) in pixels; None where it could not be read.
        picture: (h, w, 3) in [0, 1], reduced for drawing; None where it could not be read.
        problem: why it is not compared; empty where it is.
    """

    name: str
    source: str
    size: tuple[int, int] | None
    picture: Pixels | None
    problem: str = ""


@dataclass(frozen=True, eq=False)
class LossRow:
    """What one loss says.

    Attributes:
        loss: its name.
        signature: of the loss.
        distances: candidate -> distance, not negative; candidates without one are not in.
        taps: candidate -> {tap: its part of the distance}, which add up to it.
        maps: candidate -> (h, w) difference at each position, reduced for drawing.
        no_map: why there are no maps; empty where there are, or where none were asked for.
        errors: candidate -> why it has no distance.
        error: why the loss has none at all.
    """

    loss: str
    signature: str
    distances: dict[str, float]
    taps: dict[str, dict[str, float]]
    maps: dict[str, Pixels]
    no_map: str
    errors: dict[str, str]
    error: str

    @property
    def ranks(self) -> dict[str, int]:
        """Candidate -> 1 + how many are closer, closest first; equal distances have the same rank."""
        values = sorted(self.distances.items(), key=lambda pair: pair[1])
        return {name: 1 + sum(other < value for _, other in values) for name, value in values}


@dataclass(frozen=True)
class Dispute:
    """Two candidates that losses put in different orders.

    Attributes:
        first: a candidate.
        second: another.
        for_first: losses to which the first is closer.
        for_second: losses to which the second is closer.
    """

    first: str
    second: str
    for_first: tuple[str, ...]
    for_second: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Comparison:
    """Candidates against a reference under several losses.

    Attributes:
        reference: the picture that all are compared with.
        candidates: in the order given.
        rows: one for each loss, in the order given.
    """

    reference: Candidate
    candidates: tuple[Candidate, ...]
    rows: tuple[LossRow, ...]

    @property
    def frame(self) -> pd.DataFrame:
        """One row for each loss and candidate (`COMPARISON_COLUMNS`), closest first.

        ``rank`` is 1 for the closest, ``relative`` the distance over that of the closest; NaN for none.
        """
        rows = [row for each in self.rows for row in self._rows(each)]
        frame = pandas().DataFrame(rows, columns=list(COMPARISON_COLUMNS))
        return frame.astype({"rank": "Int64"})

    def _rows(self, row: LossRow) -> list[dict[str, Any]]:
        ranks, least = row.ranks, min(row.distances.values(), default=math.nan)
        problems = {c.name: c.problem for c in self.candidates}
        names = [*ranks, *(name for name in problems if name not in ranks)]
        return [
            {
                "loss": row.loss,
                "candidate": name,
                "distance": (value := row.distances.get(name, math.nan)),
                "rank": ranks.get(name),
                "relative": value / least if least > 0 else math.nan,
                "map_mean": float(row.maps[name].mean()) if name in row.maps else math.nan,
                "error": "" if name in ranks else problems[name] or row.error or row.errors.get(name, ""),
            }
            for name in names
        ]

    @property
    def taps(self) -> pd.DataFrame:
        """One row for each loss, candidate and tap (`TAP_COLUMNS`): its part and its share."""
        rows = [
            (row.loss, name, tap, part, part / total if (total := sum(parts.values())) > 0 else math.nan)
            for row in self.rows
            for name, parts in row.taps.items()
            for tap, part in parts.items()
        ]
        return pandas().DataFrame(rows, columns=list(TAP_COLUMNS))

    @property
    def disputes(self) -> list[Dispute]:
        """Pairs of candidates whose order is not the same to all losses, the most disputed first."""
        found = []
        for first, second in combinations([c.name for c in self.candidates if not c.problem], 2):
            sides: tuple[list[str], list[str]] = [], []
            for row in self.rows:
                if first in row.distances and second in row.distances:
                    gap = row.distances[first] - row.distances[second]
                    if gap != 0:
                        sides[gap > 0].append(row.loss)
            if all(sides):
                found.append(Dispute(first, second, tuple(sides[0]), tuple(sides[1])))
        return sorted(found, key=lambda d: -min(len(d.for_first), len(d.for_second)))

    @property
    def summary(self) -> str:
        """One sentence: whether the losses agree on the order."""
        ordered = [row for row in self.rows if len(row.distances) > 1]
        if len(ordered) < 2:
            several = "losses" if len(self.rows) < 2 else "candidates"
            return f"Nothing to disagree on: that takes two {several} with distances."
        pairs = math.comb(max(len(row.distances) for row in ordered), 2)
        disputes = len(self.disputes)
        if not disputes:
            order = ", ".join(ordered[0].ranks)
            return f"All {len(ordered)} losses agree on the order, closest first: {order}."
        word = "pair" if pairs == 1 else "pairs"
        return f"The losses disagree on the order of {disputes} of {pairs} {word} of candidates."

    def to_dict(self) -> dict[str, Any]:
        """All numbers, for JSON; null where there is none."""
        return {
            "reference": {
                "name": self.reference.name,
                "path": self.reference.source,
                "size": self.reference.size,
            },
            "candidates": [
                {"name": c.name, "path": c.source, "size": c.size, "error": c.problem or None}
                for c in self.candidates
            ],
            "losses": [self._loss_dict(row) for row in self.rows],
            "summary": self.summary,
            "disputes": [
                {"pair": [d.first, d.second], "closer": {d.first: d.for_first, d.second: d.for_second}}
                for d in self.disputes
            ],
        }

    def _loss_dict(self, row: LossRow) -> dict[str, Any]:
        results = [
            {
                "candidate": found["candidate"],
                "distance": row.distances.get(found["candidate"]),
                "rank": row.ranks.get(found["candidate"]),
                "taps": row.taps.get(found["candidate"], {}),
                "error": found["error"] or None,
            }
            for found in self._rows(row)
        ]
        return {
            "loss": row.loss,
            "signature": row.signature,
            "error": row.error or None,
            "no_map": row.no_map or None,
            "results": results,
        }
