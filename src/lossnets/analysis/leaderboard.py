"""Losses ranked by one score on one split of one data set, with intervals, gaps and failures shown."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lossnets.analysis.loss_facts import imitated_loss
from lossnets.analysis.settings import Measure, Setting
from lossnets.runs.records import RunRecord, ScoreRecord

State = Literal["ranked", "reference", "undefined", "failed", "running", "missing"]


@dataclass(frozen=True)
class Standing:
    """One loss on one board.

    Attributes:
        rank: from 1; equal values share a rank (1, 2, 2, 4). None where there is no value.
        loss: name.
        value: mean over the seeds; None where there is no value.
        low: the lowest lower end of the seeds' intervals; None where a seed has none.
        high: the highest upper end. The interval of several seeds is thus never narrower than
            that of one: seeds that evaluate the same items are no independent evidence.
        seeds: number of seeds behind the value.
        failed: number of seeds that failed.
        state: ``ranked``, or why there is no rank; ``reference`` for what needs no loss (bicubic
            enlargement), shown for comparison.
        note: the error of a failed run, the reason of an undefined score.
        signature: of the loss; empty for a loss that is missing.
    """

    rank: int | None
    loss: str
    value: float | None
    low: float | None
    high: float | None
    seeds: int
    failed: int = 0
    state: State = "ranked"
    note: str = ""
    signature: str = ""


@dataclass(frozen=True)
class Board:
    """One ranking: everything but the loss and the seed is the same for all rows."""

    benchmark: str
    data: str
    fingerprint: str
    profile: str
    variant: str
    options: str
    score: str
    unit: str
    higher_is_better: bool
    split: str
    rows: tuple[Standing, ...]

    @property
    def title(self) -> str:
        """One line that says what is ranked, where, and which direction is better."""
        direction = "higher is better" if self.higher_is_better else "lower is better"
        unit = f", {self.unit}" if self.unit else ""
        where = f"{self.benchmark} on {self.data} ({self.profile}, {self.variant})"
        return f"{where}: {self.score}, {self.split} ({direction}{unit})"


def leaderboards(
    records: Iterable[RunRecord], *, split: str | None = "overall", losses: Sequence[str] | None = None
) -> list[Board]:
    """Runs -> one board for each (benchmark, data, profile, variant, options, score, split).

    Args:
        records: as `Store.records` returns them.
        split: only boards of this split; None: of every split.
        losses: what every board has to show; a loss without a run on a board is ``missing`` there.
            By default all that have a run of the board's benchmark, on whatever data.

    A score that is named ``SCORE@METHOD`` is a reference: an unranked row on the board of SCORE.

    Returns:
        Boards in order of first appearance; the rows best first, then those without a value.
    """
    kept = list(records)
    settings: dict[Setting, list[RunRecord]] = defaultdict(list)
    for record in kept:
        settings[Setting.of(record)].append(record)
    boards: list[Board] = []
    for setting, members in settings.items():
        family = [r.loss for r in kept if r.config.benchmark == setting.benchmark]
        expected = list(dict.fromkeys(family if losses is None else losses))
        measures = dict.fromkeys(
            Measure.of(score) for record in members for score in record.scores if "@" not in score.name
        )
        boards += [
            Board(**vars(setting), **vars(measure), rows=_rows(members, measure, expected))
            for measure in measures
            if split is None or measure.split == split
        ]
    return boards


def unscored(setting: Setting, records: Iterable[RunRecord]) -> Board:
    """The board of a setting without a single score: its losses, each with the reason; ``score`` is empty.

    Args:
        setting: of some of the records.
        records: of all settings; losses of the same benchmark elsewhere are ``missing`` here.
    """
    family = [record for record in records if record.config.benchmark == setting.benchmark]
    members = [record for record in family if Setting.of(record) == setting]
    measure = Measure("", "", True, "overall")
    expected = list(dict.fromkeys(record.loss for record in family))
    return Board(**vars(setting), **vars(measure), rows=_rows(members, measure, expected))


def _rows(records: Sequence[RunRecord], measure: Measure, expected: Sequence[str]) -> tuple[Standing, ...]:
    of_loss: dict[tuple[str, str], list[RunRecord]] = defaultdict(list)
    for record in records:
        of_loss[record.loss, record.config.signature].append(record)
    rows = [_standing(loss, runs, measure, signature) for (loss, signature), runs in of_loss.items()]
    present = {loss for loss, _ in of_loss}
    rows += [
        Standing(None, loss, None, None, None, 0, state="missing", note="not run here")
        for loss in expected
        if loss not in present
    ]
    return _ranked(rows + _references(records, measure), measure.higher_is_better)


def _references(records: Sequence[RunRecord], measure: Measure) -> list[Standing]:
    """One row for each method; all runs of a board measured the same, so the first that has it speaks."""
    found: dict[str, ScoreRecord] = {}
    for score in (score for record in records for score in record.scores):
        name, at, method = score.name.partition("@")
        if at and score.split == measure.split and name == measure.score and score.value is not None:
            found.setdefault(method, score)
    return [
        Standing(None, f"({method})", s.value, s.low, s.high, 0, state="reference", note="a reference")
        for method, s in found.items()
    ]


def _standing(loss: str, runs: Sequence[RunRecord], measure: Measure, signature: str) -> Standing:
    scores = [s for run in runs for s in run.scores if Measure.of(s) == measure]
    defined = [s for s in scores if s.value is not None]
    failed = sum(run.status == "failed" for run in runs)
    imitated = imitated_loss(signature)
    about = [f"imitates {imitated}"] if imitated else []
    if not defined:
        state, note = _why_none(runs, scores)
        note = "; ".join([*about, *([note] if note else [])])
        return Standing(None, loss, None, None, None, 0, failed, state, note, signature)
    about += [f"{failed} of {len(runs)} seeds failed"] if failed else []
    return Standing(
        None,
        loss,
        sum(s.value for s in defined if s.value is not None) / len(defined),
        min(_all_or_none([s.low for s in defined]), default=None),
        max(_all_or_none([s.high for s in defined]), default=None),
        len(defined),
        failed,
        note="; ".join(about),
        signature=signature,
    )


def _all_or_none(ends: Sequence[float | None]) -> list[float]:
    known = [end for end in ends if end is not None]
    return known if len(known) == len(ends) else []


def _why_none(runs: Sequence[RunRecord], scores: Sequence[ScoreRecord]) -> tuple[State, str]:
    for run in runs:
        if run.failure is not None:
            return "failed", f"{run.failure.type}: {run.failure.message}"
    if scores:
        return "undefined", scores[0].note
    if any(run.status == "running" for run in runs):
        return "running", ""
    return "missing", "the run has no such score"


def _ranked(rows: Iterable[Standing], higher_is_better: bool) -> tuple[Standing, ...]:
    sign = -1.0 if higher_is_better else 1.0
    order = ("ranked", "undefined", "running", "failed", "missing")

    def place(row: Standing) -> tuple[int, float, str]:
        group = 0 if row.state == "reference" else order.index(row.state)
        return group, sign * row.value if row.value is not None else 0.0, row.loss

    placed: list[Standing] = []
    before: list[Standing] = []  # those with a rank
    for row in sorted(rows, key=place):
        if row.state == "ranked":
            same = before and before[-1].value == row.value
            ranked = replace(row, rank=before[-1].rank if same else len(before) + 1)
            before.append(ranked)
            placed.append(ranked)
        else:
            placed.append(replace(row, rank=None))
    return tuple(placed)
