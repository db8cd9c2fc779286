"""What losses cost, as a frame: measured here, or else on the machine of those who made the package.

`costs_for` takes the user's own measurements (``lossnets profile``) where there are any, and those that ship
with the package for other losses; every row says which.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossnets.analysis.results import pandas
from lossnets.home import home
from lossnets.runs.cost_records import ALONE, Cost, cost_key, parse_costs, read_costs

if TYPE_CHECKING:
    import pandas as pd

PROFILE_FILE = "profile.json"
SHIPPED_COSTS = "costs.json"
SHIPPED_COSTS_NAME = "the costs that ship with lossnets"
COST_COLUMNS = (
    "loss", "key", "task", "device", "step_ratio", "step_ratio_low", "step_ratio_high", "step_ms", "baseline",
    "ms_per_image", "ms_low", "ms_high", "pixel_ratio", "images", "side", "memory", "source", "machine",
    "note",
)  # fmt: skip
LONG_COLUMNS = (
    "loss", "task", "device", "images", "side", "rounds", "seconds", "seconds_low", "seconds_high",
    "baseline", "ratio", "ratio_low", "ratio_high", "memory", "measured", "machine", "error", "source",
)  # fmt: skip


@dataclass(frozen=True)
class Costs:
    """Measured costs, and where they came from.

    Attributes:
        records: one for each loss, task and device.
        sources: of each record, as people call it: a path, or `SHIPPED_COSTS_NAME`.
    """

    records: tuple[Cost, ...]
    sources: tuple[str, ...]

    @property
    def source(self) -> str:
        """All sources, the user's own first."""
        return " and ".join(dict.fromkeys(self.sources)) or "no measured costs"

    @property
    def machine(self) -> str:
        """All machines that they were measured on."""
        return "; ".join(dict.fromkeys(str(cost.machine) for cost in self.records))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row for each loss, task (empty: the loss alone) and device (`LONG_COLUMNS`); seconds, bytes."""
        rows = [
            {**asdict(cost), "machine": str(cost.machine), "source": source}
            for cost, source in zip(self.records, self.sources, strict=True)
        ]
        return pandas().DataFrame(rows, columns=list(LONG_COLUMNS))

    def of(self, losses: Sequence[str], task: str | None = None, device: str = "cpu") -> pd.DataFrame:
        """One row for each loss as named (`COST_COLUMNS`); NaN where something was not measured.

        ``step_ratio`` is the training step of the task over that with the pixel loss, ``step_ms`` its
        milliseconds per step; ``ms_per_image`` is forward and backward of the loss alone for one image of
        ``side`` pixels, ``pixel_ratio`` that over ``pixel:mse``; ``memory`` in bytes.
        """
        losses = [losses] if isinstance(losses, str) else losses
        known = {c.key: (c, s) for c, s in zip(self.records, self.sources, strict=True)}
        rows = []
        for loss in losses:
            key = cost_key(loss)
            step = known.get((key, task, device)) if task else None
            rows.append(_row(loss, key, task or "", device, known.get((key, ALONE, device)), step))
        return pandas().DataFrame(rows, columns=list(COST_COLUMNS))


_Found = tuple[Cost, str]


def _row(
    loss: str, key: str, task: str, device: str, alone: _Found | None, step: _Found | None
) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(COST_COLUMNS, math.nan)
    row |= {"loss": loss, "key": key, "task": task, "device": device, "baseline": "", "note": ""}
    found = [pair for pair in (step, alone) if pair is not None]
    row["source"] = " and ".join(dict.fromkeys(source for _, source in found))
    row["machine"] = "; ".join(dict.fromkeys(str(cost.machine) for cost, _ in found))
    row["note"] = "; ".join(dict.fromkeys(cost.error for cost, _ in found if cost.error))
    if alone is not None:
        row |= _alone(alone[0])
    if step is not None:
        cost = step[0]
        numbers = cost.ratio, cost.ratio_low, cost.ratio_high
        row |= dict(zip(("step_ratio", "step_ratio_low", "step_ratio_high"), map(_nan, numbers), strict=True))
        row |= {"step_ms": 1e3 * _nan(cost.seconds), "baseline": cost.baseline}
    return row


def _alone(cost: Cost) -> dict[str, Any]:
    numbers = cost.seconds, cost.seconds_low, cost.seconds_high
    names = ("ms_per_image", "ms_low", "ms_high")
    times = {n: 1e3 * _nan(v) / cost.images for n, v in zip(names, numbers, strict=True)}
    return times | {
        "pixel_ratio": _nan(cost.ratio),
        "images": cost.images,
        "side": cost.side,
        "memory": _nan(cost.memory),
    }


def _nan(number: float | None) -> float:
    return math.nan if number is None else float(number)


def profile_path() -> Path:
    """Where ``lossnets profile`` keeps what it measured: ``profile.json`` in the home of lossnets."""
    return home() / PROFILE_FILE


def load_costs(path: str | Path) -> Costs:
    """Costs of a file that ``lossnets profile`` has written.

    Raises:
        DataError: it cannot be read, or is none.
    """
    records = read_costs(path)
    return Costs(tuple(records), (str(path),) * len(records))


def shipped_costs() -> Costs:
    """The costs that come with the package, measured on the machine that `Costs.machine` names."""
    text = files("lossnets.analysis").joinpath("shipped").joinpath(SHIPPED_COSTS).read_text(encoding="utf-8")
    records = parse_costs(text, SHIPPED_COSTS)
    return Costs(tuple(records), (SHIPPED_COSTS_NAME,) * len(records))


def known_costs() -> Costs:
    """The user's own measurements, and the shipped ones of what was not measured here.

    Ratios of two machines are alike, milliseconds are not: see the column ``source``.

    Raises:
        DataError: the user's file is damaged.
    """
    shipped = shipped_costs()
    if not profile_path().exists():
        return shipped
    own = load_costs(profile_path())
    good = {cost.key for cost in own.records if not cost.error}
    rest = [cost for cost in shipped.records if cost.key not in good]
    covered = {cost.key for cost in rest}
    kept = [cost for cost in own.records if cost.key in good or cost.key not in covered]
    sources = (own.source,) * len(kept) + (SHIPPED_COSTS_NAME,) * len(rest)
    return Costs((*kept, *rest), sources)


def costs_for(
    losses: Sequence[str], task: str | None = None, *, device: str = "cpu", costs: Costs | None = None
) -> pd.DataFrame:
    """What is known of the cost of each loss (`Costs.of`), the user's measurements before the shipped ones.

    Args:
        losses: loss names, as in results; their weights do not matter.
        task: whose training step is wanted beside the loss alone.
        device: of the measurement.
        costs: None: `known_costs`.
    """
    return (known_costs() if costs is None else costs).of(losses, task, device)
