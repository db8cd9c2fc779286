"""Stored runs as tables: where every analysis begins.

`load_results` reads stores and exported files; `Results` holds the records and gives frames (pandas).
Nothing is dropped and nothing is filled in: a run that failed is a row without a value, a loss that was
not run in a setting is a row of state ``missing``.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lossnets.analysis.leaderboard import Board, Standing, leaderboards, unscored
from lossnets.analysis.loss_facts import loss_facts
from lossnets.analysis.settings import Measure, Setting, labels_of
from lossnets.errors import DataError, require, unknown_name
from lossnets.losses.versions import split_name
from lossnets.runs.export import read_runs
from lossnets.runs.records import RunRecord, ScoreRecord
from lossnets.runs.store import Store

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = "results.json"
SHIPPED_NAME = "the results that ship with lossnets"
_EXPORTS = (".json", ".csv")
SCORE_COLUMNS = (
    "setting", "task", "benchmark", "data", "profile", "variant", "loss", "signature", "architecture", "tap",
    "taps", "position", "design", "seed", "status", "score", "split", "value", "low", "high", "unit",
    "higher_is_better", "n", "note", "seconds", "identity",
)  # fmt: skip
CELL_COLUMNS = (
    "setting", "task", "data", "profile", "variant", "score", "split", "unit", "higher_is_better", "rank",
    "loss", "signature", "value", "low", "high", "sd", "seeds", "failed", "state", "note", "architecture",
    "tap", "taps", "position", "design", "contender", "main",
)  # fmt: skip


def pandas(purpose: str = "lossnets.analysis") -> Any:
    """The module, or an error that says how to install it."""
    return require("pandas", "bench", purpose)


@dataclass(frozen=True)
class Results:
    """Runs, and where they came from.

    Attributes:
        records: one for each run.
        source: for people: path, URL, or `SHIPPED_NAME`.

    Raises:
        DataError: two records are of the same run.

    >>> results = shipped_results()
    >>> results.source
    'the results that ship with lossnets'
    """

    records: tuple[RunRecord, ...]
    source: str = "runs"

    def __post_init__(self) -> None:
        object.__setattr__(self, "records", tuple(self.records))
        if len({record.identity for record in self.records}) < len(self.records):
            raise DataError(f"{self.source} holds a run twice; load each run once (`load_results` merges).")

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """What runs were made in, in order of first appearance."""
        return tuple(self.members)

    @cached_property
    def members(self) -> dict[Setting, tuple[RunRecord, ...]]:
        """The runs of each setting."""
        found: dict[Setting, list[RunRecord]] = {}
        for record in self.records:
            found.setdefault(Setting.of(record), []).append(record)
        return {setting: tuple(records) for setting, records in found.items()}

    @cached_property
    def labels(self) -> dict[Setting, str]:
        """A short text for each setting, no two the same; the ``setting`` column of every frame."""
        return labels_of(self.settings)

    def setting(self, label: Setting | str) -> Setting:
        """The setting of that label; one of `settings` is itself.

        Raises:
            UnknownNameError: there is none.
        """
        if isinstance(label, Setting):
            if label in self.members:
                return label
            raise unknown_name("setting in these results", label.label, self.labels.values())
        for setting, text in self.labels.items():
            if text == label:
                return setting
        raise unknown_name("setting in these results", str(label), self.labels.values())

    @cached_property
    def headlines(self) -> dict[Setting, Measure]:
        """The measure that each setting is ranked by: the benchmark's first score, overall.

        A setting without a single finished run has none.
        """
        found: dict[Setting, Measure] = {}
        for setting, records in self.members.items():
            scores = (score for record in records for score in record.scores)
            first = next((s for s in scores if s.split == "overall" and "@" not in s.name), None)
            if first is not None:
                found[setting] = Measure.of(first)
        return found

    def measure(self, setting: Setting, score: str | None = None, split: str = "overall") -> Measure | None:
        """The measure of a score's name in a setting; None: the headline. None where it was not measured."""
        if score is None and split == "overall":
            return self.headlines.get(setting)
        headline = self.headlines.get(setting)
        wanted = score if score is not None else headline.score if headline else None
        measures = (Measure.of(item) for r in self.members.get(setting, ()) for item in r.scores)
        return next((m for m in measures if (m.score, m.split) == (wanted, split)), None)

    @cached_property
    def scores(self) -> pd.DataFrame:
        """One row for each score of each run (`SCORE_COLUMNS`); a run without scores has one row.

        References (``SCORE@METHOD``) are left out. Missing numbers are NaN.
        """
        rows = [row for record in self.records for row in self._score_rows(record)]
        return pandas().DataFrame(rows, columns=list(SCORE_COLUMNS))

    def _score_rows(self, record: RunRecord) -> list[dict[str, Any]]:
        config, setting = record.config, Setting.of(record)
        facts = loss_facts(record.loss)
        head = {
            "setting": self.labels[setting], "task": setting.task, "benchmark": config.benchmark,
            "data": config.data, "profile": config.profile, "variant": config.variant, "loss": record.loss,
            "signature": config.signature, "architecture": facts.architecture, "tap": facts.tap,
            "taps": facts.taps, "position": facts.position, "design": facts.design, "seed": config.seed,
            "status": record.status, "seconds": record.seconds, "identity": record.identity,
        }  # fmt: skip
        scores = [score for score in record.scores if "@" not in score.name]
        if not scores:
            failure = record.failure
            return [head | {"note": f"{failure.type}: {failure.message}" if failure else record.status}]
        return [
            head | {
                "score": s.name, "split": s.split, "value": s.value, "low": s.low, "high": s.high,
                "unit": s.unit, "higher_is_better": s.higher_is_better, "n": s.n, "note": s.note,
            }
            for s in scores
        ]  # fmt: skip

    @cached_property
    def boards(self) -> list[Board]:
        """Leaderboards of every score on the overall split."""
        return leaderboards(self.records)

    def board(self, setting: Setting | str, score: str | None = None) -> Board | None:
        """The leaderboard of a setting (or its label); None where that score was not measured.

        Raises:
            UnknownNameError: there is no such setting.
        """
        setting = self.setting(setting)
        measure = self.measure(setting, score)
        fits = (b for b in self.boards if measure is not None and _is_of(b, setting, measure))
        return next(fits, None)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row for each setting and loss, by headline score (`CELL_COLUMNS`), best first in each setting.

        ``value`` is the mean over seeds, ``sd`` their standard deviation (NaN for one seed), ``low`` and
        ``high`` as in `Standing`. ``state`` says why there is no value: ``failed``, ``running``,
        ``undefined``, ``missing`` (other settings of the same benchmark have the loss). References
        (bicubic) are rows of state ``reference``. A setting without a single score has its losses, too, with
        an empty ``score`` and no ``higher_is_better``. ``contender`` names the same network and tap in every
        setting; ``main`` is False for losses of another design than most of their setting.
        """
        rows = []
        for setting in self.settings:
            board = self.board(setting) or unscored(setting, self.records)
            design = self.main_design(setting)
            rows += [self._cell(setting, board, standing, design) for standing in board.rows]
        return pandas().DataFrame(rows, columns=list(CELL_COLUMNS))

    def _cell(self, setting: Setting, board: Board, row: Standing, design: str) -> dict[str, Any]:
        facts = loss_facts(row.loss)
        return {
            "setting": self.labels[setting], "task": setting.task, "data": board.data,
            "profile": board.profile, "variant": board.variant, "score": board.score, "split": board.split,
            "unit": board.unit, "higher_is_better": board.higher_is_better if board.score else None,
            "rank": row.rank,
            "loss": row.loss, "signature": row.signature, "value": row.value, "low": row.low,
            "high": row.high, "sd": self._deviations.get((setting, row.loss, row.signature)),
            "seeds": row.seeds, "failed": row.failed, "state": row.state, "note": row.note,
            "architecture": facts.architecture, "tap": facts.tap, "taps": facts.taps,
            "position": facts.position, "design": facts.design, "contender": facts.contender,
            "main": facts.architecture is None or facts.design == design,
        }  # fmt: skip

    def main_design(self, setting: Setting) -> str:
        """The design (`LossFacts.design`) that most perceptual losses of a setting have; the first of equals.

        Comparisons of networks and taps are made within it, and across settings by `LossFacts.contender`.
        Results of an earlier definition (``... (numerics 1)``) are designs of their own and give way.
        """
        losses = {r.loss for r in self.members.get(setting, ())}
        facts = {loss_facts(loss) for loss in [n for n in losses if not split_name(n)[1]] or losses}
        counts = Counter(f.design for f in sorted(facts, key=str) if f.architecture is not None)
        return counts.most_common(1)[0][0] if counts else ""

    @cached_property
    def _deviations(self) -> dict[tuple[Setting, str, str], float]:
        values: dict[tuple[Setting, str, str], list[float]] = {}
        for setting, records in self.members.items():
            headline = self.headlines.get(setting)
            for record in records:
                found = [s.value for s in record.scores if headline == Measure.of(s) and s.value is not None]
                key = setting, record.loss, record.config.signature
                values.setdefault(key, []).extend(found)
        return {key: _deviation(found) for key, found in values.items() if len(found) > 1}

    def table(self, setting: Setting | str, score: str | None = None) -> pd.DataFrame:
        """Losses (rows) by seeds (columns) of a setting (or its label) and score; NaN where there is none.

        Raises:
            DataError: the setting has no such score.
            UnknownNameError: there is no such setting.
        """
        setting = self.setting(setting)
        scored = self.scored(setting, score)
        seeds = sorted({r.config.seed for r in self.members[setting]})
        rows = [[found[seed].value if seed in found else None for seed in seeds] for found in scored.values()]
        return pandas().DataFrame(rows, index=list(scored), columns=seeds, dtype=float)

    def names(self, setting: Setting) -> dict[tuple[str, str], str]:
        """(signature, loss) -> loss name; with the signature where one name stands for several losses."""
        return _names(self.members.get(setting, ()))

    def scored(self, setting: Setting, score: str | None = None) -> dict[str, dict[int, ScoreRecord]]:
        """Loss name (as `names` has it) -> seed -> the score, with its interval and note.

        Raises:
            DataError: the setting has no such score.
        """
        measure = self.measure(setting, score)
        if measure is None:
            raise DataError(f"{setting.label} has no score {score or 'at all'}; see Results.scores.")
        names = self.names(setting)
        found: dict[str, dict[int, ScoreRecord]] = {name: {} for name in names.values()}
        for record in self.members[setting]:
            config = record.config
            for item in record.scores:
                if Measure.of(item) == measure:
                    found[names[config.signature, record.loss]][config.seed] = item
        return found

    def only(
        self, *, task: str | None = None, profile: str | None = None, losses: Sequence[str] | None = None
    ) -> Results:
        """The runs of one task, profile, or of some losses.

        Raises:
            UnknownNameError: no run has that task, profile or loss.
        """
        losses = [losses] if isinstance(losses, str) else losses
        have = {
            "task": {Setting.of(r).task for r in self.records},
            "profile": {r.config.profile for r in self.records},
            "loss": {r.loss for r in self.records},
        }
        for what, wanted in (("task", [task]), ("profile", [profile]), ("loss", losses or [])):
            for name in wanted:
                if name is not None and name not in have[what]:
                    raise unknown_name(f"{what} in {self.source}", name, sorted(have[what]))
        kept = (
            r
            for r in self.records
            if task in (None, Setting.of(r).task)
            and profile in (None, r.config.profile)
            and (losses is None or r.loss in losses)
        )
        return Results(tuple(kept), self.source)


def _names(records: Iterable[RunRecord]) -> dict[tuple[str, str], str]:
    """(signature, loss) -> loss name; with the signature where one name stands for several losses."""
    keys = list(dict.fromkeys((r.config.signature, r.loss) for r in records))
    losses = [loss for _, loss in keys]
    return {(sign, loss): loss if losses.count(loss) == 1 else f"{loss} |{sign}" for sign, loss in keys}


def _is_of(board: Board, setting: Setting, measure: Measure) -> bool:
    same = all(getattr(board, name) == value for name, value in vars(setting).items())
    return same and all(getattr(board, name) == value for name, value in vars(measure).items())


def _deviation(values: Sequence[float]) -> float:
    mean = sum(values) / len(values)
    return math.hypot(*(v - mean for v in values)) / math.sqrt(len(values) - 1)  # squares may overflow


def load_results(*sources: str | Path | Store | Iterable[RunRecord]) -> Results:
    """Read runs from stores and exported files; of the same run in two sources the first counts.

    Args:
        sources: path of a store, ``postgresql://`` URL, an open store, a ``.json`` or ``.csv`` file that
            ``lossnets results`` exported, or records. A done run wins over one that is not.

    Raises:
        StoreError: a store cannot be read.
        DataError: there is no source, or a file is not an export of results.
    """
    if not sources:
        raise DataError("load_results needs a source: the path of a store, or of an exported file.")
    found: dict[str, RunRecord] = {}
    for source in sources:
        for record in _records(source):
            known = found.get(record.identity)
            if known is None or (known.status != "done" and record.status == "done"):
                found[record.identity] = record
    return Results(tuple(found.values()), ", ".join(map(_name, sources)))


def shipped_results() -> Results:
    """The real results that come with the package; `Results.source` says that they do."""
    with files("lossnets.analysis").joinpath("shipped").joinpath(SHIPPED).open("rb") as file:
        return Results(tuple(read_runs(file.read().decode(), "json", SHIPPED)), SHIPPED_NAME)


def _records(source: str | Path | Store | Iterable[RunRecord]) -> Iterable[RunRecord]:
    if isinstance(source, Store):
        return source.records()
    if not isinstance(source, (str, Path)):
        return _given(source)
    path = Path(source)
    if path.suffix.lower() in _EXPORTS:
        try:
            text = path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark in front
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"results file {str(path)!r} cannot be read: {error}") from error
        return read_runs(text, "csv" if path.suffix.lower() == ".csv" else "json", str(path))
    with Store(source, create=False, read_only=True) as store:
        return store.records()


def _given(source: Iterable[RunRecord]) -> tuple[RunRecord, ...]:
    """Records that were handed over themselves."""
    found: tuple[object, ...] = tuple(source) if isinstance(source, Iterable) else ()
    records = tuple(item for item in found if isinstance(item, RunRecord))
    if isinstance(source, Iterable) and len(records) == len(found):
        return records
    shown = repr(source)
    raise DataError(
        "load_results takes paths, open stores and iterables of RunRecord, one after the other: "
        "load_results('a.json', 'b.sqlite'), or load_results(*paths); got "
        f"{shown if len(shown) < 80 else shown[:77] + '...'}."
    )


def _name(source: object) -> str:
    if isinstance(source, Store):
        return source.name
    return without_password(str(source)) if isinstance(source, (str, Path)) else "runs"


def without_password(text: str) -> str:
    """Text in which a password of a URL is hidden.

    >>> without_password("postgresql://me:secret@host/runs")
    'postgresql://me:***@host/runs'
    """
    return re.sub(r"(://[^:/@\s]*):[^@\s]*@", r"\1:***@", text)
