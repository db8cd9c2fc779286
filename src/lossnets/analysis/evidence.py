"""What results say on a task: which settings count, which losses they share, and which are told apart.

In each setting the *leading group* are the losses that no other is better than beyond chance: it holds the
best one with probability 1 - alpha (subset selection; Gupta, Technometrics 7, 1965; Hsu, Ann. Stat. 9, 1981).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, Any

from lossnets.analysis.comparisons import compare_losses
from lossnets.analysis.recommendation import Excluded, Quality
from lossnets.analysis.results import Results
from lossnets.analysis.settings import Setting
from lossnets.errors import unknown_name
from lossnets.losses.versions import split_name

if TYPE_CHECKING:
    import pandas as pd

_SIZES = ("smoke", "small", "paper")
_SAMPLE = "-sample"
ONE_SEED = "one seed"
_OLD = "results of an earlier definition of its distance; run it again"


def choose_settings(
    results: Results, task: str, data: str | None = None
) -> tuple[list[Setting], list[Excluded]]:
    """Settings of a task that a choice should rest on, and the others with the reason.

    Left out are trained variants of the losses (another question); a smaller profile of data that a larger
    one is there for; runs of profile ``smoke`` and packaged samples where there is anything else.

    Args:
        results: runs.
        task: one of `TASKS`, or a benchmark's name.
        data: only data sets that match; ``*`` and ``?`` as in a shell.

    Raises:
        UnknownNameError: no data set of the task matches.
    """
    kept = [s for s in results.settings if s.task == task and s in results.headlines]
    if data is not None:
        names = dict.fromkeys(setting.data for setting in kept)
        kept = [s for s in kept if fnmatchcase(s.data, data)]
        if names and not kept:
            raise unknown_name(f"data set of task {task!r} in {results.source}", data, names)
    out: list[Excluded] = []
    for why, unfit in (
        ("its losses are trained variants", lambda s, _: s.variant != "baseline"),
        ("runs of a larger profile are there", lambda s, others: _size(s) < _largest(s, others)),
        ("profile smoke is for tests, and there are other runs", lambda s, _: s.profile == "smoke"),
        ("it is a packaged sample, and there are other data", lambda s, _: s.benchmark.endswith(_SAMPLE)),
    ):
        fitting = [setting for setting in kept if not unfit(setting, kept)]
        if fitting:
            out += [Excluded(results.labels[s], why) for s in kept if s not in fitting]
            kept = fitting
    return kept, out


def _size(setting: Setting) -> int:
    return _SIZES.index(setting.profile) if setting.profile in _SIZES else 0


def _largest(setting: Setting, settings: Iterable[Setting]) -> int:
    return max(_size(s) for s in settings if (s.benchmark, s.data) == (setting.benchmark, setting.data))


def shared_losses(results: Results, settings: Sequence[Setting]) -> tuple[list[str], list[Excluded]]:
    """Losses with a value in every one of the settings, and the others with the reason."""
    losses = dict.fromkeys(r.loss for s in settings for r in results.members[s])
    why = {loss: _OLD for loss in losses if split_name(loss)[1]}
    for setting in settings:
        label = results.labels[setting]
        cells = results.cells[results.cells.setting == label]
        for loss in losses:
            reason = _lacking(cells[cells.loss == loss].to_dict("records"))
            if reason:
                why.setdefault(loss, f"{reason} on {setting.data}")
    return [loss for loss in losses if loss not in why], [Excluded(*item) for item in why.items()]


def _lacking(cells: Sequence[dict[str, Any]]) -> str:
    """Why a loss cannot be ranked in a setting; empty where it can."""
    if not cells:
        return "not run"
    if len(cells) > 1:
        return f"its name stands for {len(cells)} losses (signatures differ)"
    state, note = str(cells[0]["state"]), str(cells[0]["note"] or "")
    if state == "ranked":
        return ""
    return "not run" if state == "missing" else f"{state}{': ' + note if note else ''}"


@dataclass(frozen=True, eq=False)
class Compared:
    """The losses of one setting, compared with each other.

    Attributes:
        results: of nothing but these losses.
        setting: one of its settings.
        label: of the setting among all results.
        alpha: of the setting.
    """

    results: Results
    setting: Setting
    label: str
    alpha: float

    @property
    def _own(self) -> str:
        """Its label among these losses' results, where there may be fewer settings to tell apart."""
        return self.results.labels[self.setting]

    @cached_property
    def cells(self) -> dict[str, dict[str, Any]]:
        """Loss -> its row of `Results.cells`, best first."""
        frame = self.results.cells
        rows = frame[(frame.setting == self._own) & (frame.state == "ranked")].to_dict("records")
        return {row["loss"]: row for row in rows}

    @property
    def losses(self) -> tuple[str, ...]:
        """Best value first."""
        return tuple(self.cells)

    @cached_property
    def references(self) -> tuple[tuple[str, float], ...]:
        """What needs no loss (bicubic), with its value."""
        frame = self.results.cells
        rows = frame[(frame.setting == self._own) & (frame.state == "reference")]
        return tuple((str(name), float(value)) for name, value in zip(rows.loss, rows.value, strict=True))

    @cached_property
    def frame(self) -> pd.DataFrame:
        """`compare_losses` of these."""
        return compare_losses(self.results, self.setting, alpha=self.alpha)

    @cached_property
    def gaps(self) -> dict[tuple[str, str], dict[str, Any]]:
        """(better, worse) of pairs that are told apart -> the row that says so.

        With one seed nothing is tested, and pairs count whose intervals over items are apart; that says
        nothing of another training, and `weak` tells of it.
        """
        told: dict[tuple[str, str], dict[str, Any]] = {}
        for row in self.frame.to_dict("records"):
            pair = str(row["better"]), str(row["worse"])
            if bool(row["significant"]) or (row["basis"] == ONE_SEED and self._apart(*pair)):
                told[pair] = row
        return told

    def _apart(self, better: str, worse: str) -> bool:
        first, second = self.cells[better], self.cells[worse]
        higher = bool(first["higher_is_better"])
        ends = (first["low"], second["high"]) if higher else (second["low"], first["high"])
        if any(end is None or math.isnan(end) for end in ends):
            return False
        return bool(ends[0] > ends[1])

    @property
    def weak(self) -> bool:
        """Whether something rests on one seed, so that the scatter between trainings is unknown."""
        return self.setting.trains and self.least_seeds < 2

    @property
    def least_seeds(self) -> int:
        """Fewest seeds of any loss."""
        return min((int(row["seeds"]) for row in self.cells.values()), default=0)

    @property
    def most_seeds(self) -> int:
        """Most seeds of any loss."""
        return max((int(row["seeds"]) for row in self.cells.values()), default=0)

    @cached_property
    def leading(self) -> tuple[str, ...]:
        """Losses that no other is told to be better than, best value first."""
        beaten = {worse for _, worse in self.gaps}
        return tuple(loss for loss in self.losses if loss not in beaten)

    def quality(self, loss: str) -> Quality:
        """What a loss reached here; its rank is among these losses, and equal values share the mean rank."""
        cell = self.cells[loss]
        low, high = (
            None if cell[k] is None or math.isnan(cell[k]) else float(cell[k]) for k in ("low", "high")
        )
        return Quality(
            self.label, self.setting.data, str(cell["score"]), str(cell["unit"]),
            bool(cell["higher_is_better"]), float(cell["value"]), low, high, self.ranks[loss],
            int(cell["seeds"]),
        )  # fmt: skip

    @cached_property
    def ranks(self) -> dict[str, float]:
        """Loss -> rank from 1; equal values share the mean of theirs."""
        values = [row["value"] for row in self.cells.values()]
        return {
            loss: 1 + values.index(row["value"]) + (values.count(row["value"]) - 1) / 2
            for loss, row in self.cells.items()
        }
