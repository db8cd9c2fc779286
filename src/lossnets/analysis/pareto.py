"""Which losses are worth their cost: the Pareto front of quality and cost, with intervals."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lossnets.errors import unknown_name

if TYPE_CHECKING:
    import pandas as pd

FRONT, BEATEN, MAYBE, UNKNOWN = "front", "dominated", "perhaps dominated", "unknown"


def pareto_front(
    frame: pd.DataFrame,
    quality: str = "value",
    cost: str = "step_ratio",
    higher_is_better: bool = True,
    *,
    low: str = "low",
    high: str = "high",
) -> pd.DataFrame:
    """The frame with columns ``front`` (True, False; None without a number), ``standing``, ``dominated_by``.

    A row is on the front when no other is at least as good and at most as costly, and better in one of the
    two (Pareto 1906). ``standing`` says how sure that is: ``front``; ``dominated`` where a row that costs no
    more is better by intervals that are apart; ``perhaps dominated`` where one is better by its value only;
    ``unknown`` where quality or cost is missing. Intervals that are apart are a cautious criterion, as if
    the two were measured independently.

    Args:
        frame: one row per loss, such as `Results.cells` of one setting joined with `costs_for`.
        quality: column of the score.
        cost: column of the cost; lower is better.
        higher_is_better: direction of the score.
        low: column of the lower end of the score's interval; may be missing.
        high: column of the upper end.

    Raises:
        UnknownNameError: the frame has no such column.
    """
    for column in (quality, cost):
        if column not in frame.columns:
            raise unknown_name("column of the frame", column, map(str, frame.columns))
    rows = [_point(row, quality, cost, low, high, higher_is_better) for row in frame.to_dict("records")]
    judged = [_judge(k, rows) for k in range(len(rows))]
    names = frame["loss"].tolist() if "loss" in frame.columns else frame.index.tolist()
    by = ["" if index is None else str(names[index]) for _, index in judged]
    front = [None if state == UNKNOWN else state == FRONT for state, _ in judged]
    return frame.assign(front=front, standing=[state for state, _ in judged], dominated_by=by)


_Point = tuple[float, float, float, float]
"""Quality, its lower and upper end (all signed so that more is better), cost."""


def _point(row: dict[str, Any], quality: str, cost: str, low: str, high: str, higher: bool) -> _Point:
    value, least, most = (_number(row.get(name)) for name in (quality, low, high))
    if not higher:
        value, least, most = -value, -most, -least
    return value, least, most, _number(row[cost])


def _number(value: Any) -> float:
    return math.nan if value is None else float(value)


def _judge(index: int, rows: list[_Point]) -> tuple[str, int | None]:
    """How the row stands, and the row that dominates it: the surest, the best of these."""
    value, _, most, cost = rows[index]
    if math.isnan(value) or math.isnan(cost):
        return UNKNOWN, None
    above = [
        k
        for k, (other, _, _, price) in enumerate(rows)
        if other >= value and price <= cost and (other > value or price < cost)
    ]
    if not above:
        return FRONT, None
    surely = [k for k in above if rows[k][1] > most]
    best = max(surely or above, key=lambda k: rows[k][0])
    return (BEATEN if surely else MAYBE), best
