"""Costs of gradients, as records: time, operations, memory, ratios to the true loss; read and written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lossnets.judging.records import build, plain
from lossnets.runs.cost_records import Machine

if TYPE_CHECKING:
    import pandas as pd

TRUE = "true"
"""Key of the rival that the others are compared with."""


@dataclass(frozen=True)
class Timing:
    """Seconds of a gradient and their ratio to the true loss's: median and quartiles of the rounds."""

    seconds: float
    seconds_low: float
    seconds_high: float
    ratio: float
    ratio_low: float
    ratio_high: float


@dataclass(frozen=True)
class RivalCost:
    """What one gradient of a rival costs, averaged over its period.

    Attributes:
        key: of the rival.
        letter: of its kind.
        title: for tables.
        encoded: with a target that was encoded beforehand.
        whole: with the encoding of the target.
        macs: multiplications of a gradient, for one image, target encoded.
        macs_whole: with the encoding.
        memory: bytes, for all images of the step: what is kept of the target and the most that is held
            beside it while a gradient is computed; weights not included. None: not measured.
        memory_whole: the most that is held when the encoding takes part.
        error: why there is nothing; empty where there is.
    """

    key: str
    letter: str
    title: str
    encoded: Timing | None = None
    whole: Timing | None = None
    macs: float | None = None
    macs_whole: float | None = None
    memory: int | None = None
    memory_whole: int | None = None
    error: str = ""

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> RivalCost:
        """Read what `CostResult.as_dict` wrote."""
        timings = {k: record.get(k) and build(Timing, record[k]) for k in ("encoded", "whole")}
        made: RivalCost = build(cls, {**record, **timings})
        return made


@dataclass(frozen=True)
class CostResult:
    """Costs of all rivals, of one run on one machine.

    Attributes:
        costs: in the order of the rivals.
        images: in a step.
        side: of the images, in pixels.
        rounds: that were timed.
        device: where.
        machine: where.
        measured: date and time, UTC.
    """

    costs: tuple[RivalCost, ...]
    images: int
    side: int
    rounds: int
    device: str
    machine: Machine
    measured: str

    def of(self, key: str) -> RivalCost | None:
        """The cost of a rival; None where it was not measured."""
        return next((cost for cost in self.costs if cost.key == key and not cost.error), None)

    def ratio(self, key: str) -> float | None:
        """Time of a rival's gradient, that of the true loss being 1, targets encoded; None: not measured."""
        cost = self.of(key)
        return None if cost is None or cost.encoded is None else cost.encoded.ratio

    def memory_ratio(self, key: str) -> float | None:
        """Memory of a rival's gradient, that of the true loss being 1; None: not measured."""
        ours, theirs = self.of(key), self.of(TRUE)
        if ours is None or theirs is None or ours.memory is None or not theirs.memory:
            return None
        return ours.memory / theirs.memory

    def frame(self) -> pd.DataFrame:
        """One row per rival."""
        import pandas as pd

        return pd.DataFrame([self._row(cost) for cost in self.costs])

    def _row(self, cost: RivalCost) -> dict[str, Any]:
        row: dict[str, Any] = {"key": cost.key, "letter": cost.letter, "title": cost.title}
        for name in ("encoded", "whole"):
            timing = getattr(cost, name)
            row |= {f"{name}_ms": None if timing is None else 1e3 * timing.seconds}
            for entry in ("ratio", "ratio_low", "ratio_high"):
                row[f"{name}_{entry}"] = None if timing is None else getattr(timing, entry)
        for name in ("macs", "macs_whole"):
            value = getattr(cost, name)
            row[name.replace("macs", "gmac")] = None if value is None else value / 1e9
        return row | {
            "memory": cost.memory, "memory_whole": cost.memory_whole,
            "memory_ratio": self.memory_ratio(cost.key), "error": cost.error,
        }  # fmt: skip

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found: dict[str, Any] = plain(asdict(self))
        return found

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> CostResult:
        """Read what `as_dict` wrote.

        Raises:
            DataError: entries are missing or unknown.
        """
        parts = {
            "costs": tuple(RivalCost.from_dict(cost) for cost in record.get("costs") or ()),
            "machine": build(Machine, record.get("machine") or {}),
        }
        made: CostResult = build(cls, {**record, **parts})
        return made
