"""Where every rival stands: gap closed against cost, and how far off the line of the plain ones."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lossnets.benchmarks.intervals import Estimate
from lossnets.judging.cost_result import CostResult
from lossnets.judging.effect_result import EffectResult
from lossnets.judging.gaps import RESAMPLES, Array, gap_difference, mean_gap
from lossnets.judging.line import Corner, height_at, upper_line, weights_at
from lossnets.judging.records import RivalRecord, plain

if TYPE_CHECKING:
    import pandas as pd

ABOVE, ON, BELOW = "above", "on", "below"
"""The line: the interval of the difference to it lies above 0, holds 0, lies below 0."""


@dataclass(frozen=True)
class Standing:
    """One rival in the table of the verdict; NaN where something is not known.

    Attributes:
        key: of the rival.
        letter: of its kind.
        title: for tables.
        loss: a loss name, "" where none says it.
        python: an expression that gives it.
        plain: whether it needs no gradient network.
        cost: time of its gradient, that of the true loss being 1, targets encoded.
        cost_low: lower quartile over rounds.
        cost_high: upper quartile.
        memory: of its gradient, that of the true loss being 1.
        gap: gap closed, mean over the generators where it is defined.
        low: end of its 95% interval.
        high: end of its 95% interval.
        note: why there is no gap or interval.
        by_generator: the gap closed on each generator: (value, low, high).
        diverged: fits that diverged.
        fits: in all.
        line: gap closed by the line of plain rivals at its cost.
        over: gap closed above the line; 0 for a plain rival that is a corner of it.
        over_low: end of its 95% interval, paired over images and seeds.
        over_high: end of its 95% interval.
        place: ``above``, ``on`` or ``below`` the line, or "".
    """

    key: str
    letter: str
    title: str
    loss: str
    python: str
    plain: bool
    cost: float
    cost_low: float
    cost_high: float
    memory: float
    gap: float
    low: float
    high: float
    note: str
    by_generator: dict[str, tuple[float, float, float]]
    diverged: int
    fits: int
    line: float = math.nan
    over: float = math.nan
    over_low: float = math.nan
    over_high: float = math.nan
    place: str = ""


@dataclass(frozen=True)
class Standings:
    """All rivals of a judgement, and the line of the plain ones.

    Attributes:
        rows: a rival each.
        line: its corners, by cost.
        generators: those on which the gap is defined.
        undefined: {generator: why the gap is not defined there}.
    """

    rows: tuple[Standing, ...]
    line: tuple[Corner, ...]
    generators: tuple[str, ...]
    undefined: dict[str, str]

    def of(self, key: str) -> Standing | None:
        """The row of a rival; None: it took no part."""
        return next((row for row in self.rows if row.key == key), None)

    def frame(self) -> pd.DataFrame:
        """One row per rival, cheapest first; what each generator has is in columns of its own."""
        import pandas as pd

        rows = []
        for row in sorted(self.rows, key=lambda r: (not math.isfinite(r.cost), r.cost, r.key)):
            record = asdict(row)
            for kind, (value, low, high) in record.pop("by_generator").items():
                record |= {f"gap {kind}": value, f"low {kind}": low, f"high {kind}": high}
            rows.append(record)
        return pd.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found: dict[str, Any] = plain(asdict(self))
        return found


def standings(effect: EffectResult, cost: CostResult, *, resamples: int = RESAMPLES) -> Standings:
    """Gap closed, cost and distance to the line of every rival.

    Only generators on which the gap is defined count; the others are named. A plain rival that diverged
    or was not timed makes no corner of the line. The true loss is its end: cost 1, gap closed 1.

    Args:
        effect: fits of all rivals.
        cost: of their gradients.
        resamples: bootstrap draws.
    """
    undefined = {}
    for kind in effect.generators:
        estimate = effect.gap(kind, "true", resamples=resamples)
        if math.isnan(estimate.value):
            undefined[kind] = estimate.note
    kinds = [kind for kind in effect.generators if kind not in undefined]
    rows = [_standing(effect, cost, kinds, record, resamples) for record in effect.rivals]
    line = upper_line([Corner(r.key, r.cost, r.gap) for r in rows if _makes_line(r)])
    placed = [_placed(effect, kinds, row, line, resamples) for row in rows]
    return Standings(tuple(placed), line, tuple(kinds), undefined)


def _makes_line(row: Standing) -> bool:
    return (row.plain or row.key == "true") and not row.diverged


def _standing(
    effect: EffectResult, cost: CostResult, kinds: Sequence[str], record: RivalRecord, resamples: int
) -> Standing:
    each = {kind: effect.gap(kind, record.key, resamples=resamples) for kind in kinds}
    parts = [_parts(effect, kind, record.key) for kind in kinds]
    gap = mean_gap(parts, resamples=resamples) if kinds else Estimate(math.nan, math.nan, math.nan, "no gap")
    timed = cost.of(record.key)
    timing = None if timed is None else timed.encoded
    nothing = (math.nan, math.nan, math.nan)
    prices = nothing if timing is None else (timing.ratio, timing.ratio_low, timing.ratio_high)
    memory = cost.memory_ratio(record.key)
    ours = [fit for fit in effect.fits if fit.rival == record.key]
    return Standing(
        record.key, record.letter, record.title, record.loss, record.python, record.plain, *prices,
        math.nan if memory is None else memory, gap.value, gap.low, gap.high, gap.note,
        {kind: (found.value, found.low, found.high) for kind, found in each.items()},
        sum(fit.diverged for fit in ours), len(ours),
    )  # fmt: skip


def _parts(effect: EffectResult, kind: str, key: str) -> tuple[Array, Array, Array]:
    return effect.values(kind, "mse"), effect.values(kind, "true"), effect.values(kind, key)


def _placed(
    effect: EffectResult, kinds: Sequence[str], row: Standing, line: Sequence[Corner], resamples: int
) -> Standing:
    """With its distance to the line; a corner of the line is on it."""
    if row.key in {corner.key for corner in line}:
        return replace(row, line=row.gap, over=0.0, place=ON)
    if not (math.isfinite(row.cost) and math.isfinite(row.gap)):
        return row
    shares = weights_at(line, row.cost)
    if not shares:  # nothing plain is as cheap
        return replace(row, place=ABOVE)
    over = _over(effect, kinds, row.key, shares, resamples)
    known = math.isfinite(over.low) and math.isfinite(over.high)
    place = "" if not known else ABOVE if over.low > 0 else BELOW if over.high < 0 else ON
    return replace(
        row,
        line=height_at(line, row.cost),
        over=over.value,
        over_low=over.low,
        over_high=over.high,
        place=place,
    )


def _over(
    effect: EffectResult, kinds: Sequence[str], key: str, shares: Mapping[str, float], resamples: int
) -> Estimate:
    """Gap closed less that of the line. The gap is linear in the true loss, so is the line's."""
    parts = []
    for kind in kinds:
        mse, true, ours = _parts(effect, kind, key)
        mean = np.sum([share * effect.values(kind, name) for name, share in shares.items()], axis=0)
        parts.append((mse, true, ours, np.asarray(mean)))
    return gap_difference(parts, resamples=resamples)
