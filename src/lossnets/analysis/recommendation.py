"""What a recommendation is: typed rows with their evidence, costs and lines of Python; or a refusal."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from lossnets.analysis.results import pandas

if TYPE_CHECKING:
    import pandas as pd

Confidence = Literal["high", "medium", "low"]

RULES: dict[Confidence, str] = {
    "high": "two data sets or more, three seeds or more wherever something is trained, a leading group of at "
    "most a third of the losses, and the first is better beyond chance than every loss outside of "
    "the group on every data set",
    "medium": "two seeds or more wherever something is trained, and a leading group of at most half of the "
    "losses",
    "low": "only one seed somewhere, a leading group of more than half of the losses, runs of profile smoke, "
    "or a single loss within the limits",
}
"""What each word means; the first that fits is used."""


@dataclass(frozen=True)
class Quality:
    """What a loss reached in one setting: the mean over seeds, and the widest interval of any seed."""

    setting: str
    data: str
    score: str
    unit: str
    higher_is_better: bool
    value: float
    low: float | None
    high: float | None
    rank: float
    seeds: int

    def __str__(self) -> str:
        ends = "" if self.low is None or self.high is None else f" ({self.low:.4g} .. {self.high:.4g})"
        return f"{self.score} {self.value:.4g}{ends}{' ' + self.unit if self.unit else ''} on {self.data}"


@dataclass(frozen=True)
class RowCost:
    """What a loss costs; None where it was not measured.

    Attributes:
        step_ratio: a training step of the task over that with the pixel loss, median of rounds.
        step_ratio_low: lower quartile.
        step_ratio_high: upper quartile.
        ms_per_image: forward and backward of the loss alone for one image, milliseconds.
        side: of that image, in pixels.
        memory: bytes that the loss alone takes.
        source: file of the measurement.
        machine: where it was measured.
        note: why something is not known.
    """

    step_ratio: float | None
    step_ratio_low: float | None
    step_ratio_high: float | None
    ms_per_image: float | None
    side: int | None
    memory: float | None
    source: str
    machine: str
    note: str = ""


@dataclass(frozen=True)
class Row:
    """One loss that may be taken.

    Attributes:
        rank: from 1, in the order of the recommendation.
        loss: its name.
        reason: why it stands here.
        leading: whether no loss is better beyond chance in any setting.
        confidence: of `leading`: how surely it belongs to the leading group, or outside of it (`RULES`).
        average_rank: mean of its ranks over the settings, among the losses that were compared.
        quality: one for each setting.
        cost: of time and memory.
        python: lines that use it.
        weights: where they come from; empty where there are none.
        ready: whether the lines run here as they are: no file is missing, nothing is to be downloaded.
    """

    rank: int
    loss: str
    reason: str
    leading: bool
    confidence: Confidence
    average_rank: float
    quality: tuple[Quality, ...]
    cost: RowCost
    python: tuple[str, ...]
    weights: str
    ready: bool


@dataclass(frozen=True)
class Evidence:
    """One setting that the recommendation rests on.

    Attributes:
        setting: its label.
        benchmark: name.
        data: name of the data set.
        fingerprint: of the data.
        profile: size of the runs.
        score: what losses were ranked by.
        unit: of the score.
        higher_is_better: its direction.
        losses: that were compared.
        seeds_least: fewest seeds of any of them.
        seeds_most: most seeds of any of them.
        trains: whether chance has a part.
        basis: what differences were judged by: ``seeds``, ``items``, or ``one seed`` (intervals apart).
        leading: losses that no other is better than beyond chance, best value first.
        references: (name, value) of what needs no loss.
        note: what the comparison left out.
    """

    setting: str
    benchmark: str
    data: str
    fingerprint: str
    profile: str
    score: str
    unit: str
    higher_is_better: bool
    losses: int
    seeds_least: int
    seeds_most: int
    trains: bool
    basis: str
    leading: tuple[str, ...]
    references: tuple[tuple[str, float], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Excluded:
    """A loss or a setting that was not considered, and why."""

    name: str
    why: str


@dataclass(frozen=True)
class Refusal:
    """Why nothing is recommended, and what would settle it."""

    why: str
    settle: str


@dataclass(frozen=True)
class Recommendation:
    """Losses for a task, the first to be taken; or `refused`.

    Attributes:
        task: that was asked for.
        source: of the results.
        rows: best first; empty where refused.
        confidence: of the first; None where refused.
        confidence_why: what keeps it from being higher, or what it rests on.
        leading: losses that are not told apart from the first, it included.
        cheapest: of these, by the training step (or the loss alone); None where costs are not known.
        evidence: the settings behind it.
        excluded: losses that were not considered.
        left_out: settings of the task that were not used.
        limits: as given.
        costs: source of the costs.
        warnings: what a user must know before taking the first.
        refused: None where there are rows.
        alpha: chance of any false claim of a difference.
    """

    task: str
    source: str
    rows: tuple[Row, ...] = ()
    confidence: Confidence | None = None
    confidence_why: str = ""
    leading: tuple[str, ...] = ()
    cheapest: str | None = None
    evidence: tuple[Evidence, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    left_out: tuple[Excluded, ...] = ()
    limits: tuple[str, ...] = ()
    costs: str = ""
    warnings: tuple[str, ...] = ()
    refused: Refusal | None = None
    alpha: float = 0.05
    rules: dict[Confidence, str] = field(default_factory=lambda: dict(RULES), repr=False, hash=False)

    @property
    def best(self) -> Row | None:
        """The first row; None where refused."""
        return self.rows[0] if self.rows else None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what is not known is None."""
        plain: dict[str, Any] = _plain(asdict(self))
        return plain

    @property
    def frame(self) -> pd.DataFrame:
        """One row per loss: rank, loss, leading, confidence, average_rank, costs, reason, quality as text."""
        rows = [
            {
                "rank": row.rank, "loss": row.loss, "leading": row.leading, "confidence": row.confidence,
                "average_rank": row.average_rank, "quality": "; ".join(map(str, row.quality)),
                "step_ratio": row.cost.step_ratio, "ms_per_image": row.cost.ms_per_image,
                "memory": row.cost.memory, "cost_source": row.cost.source, "reason": row.reason,
                "weights": row.weights, "ready": row.ready,
            }
            for row in self.rows
        ]  # fmt: skip
        return pandas().DataFrame(rows)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
