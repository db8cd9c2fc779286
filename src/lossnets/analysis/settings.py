"""What runs must share to be compared: everything but the loss and the seed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lossnets.benchmarks.base import benchmark_class
from lossnets.errors import UnknownNameError
from lossnets.runs.identity import canonical_json
from lossnets.runs.records import RunRecord, ScoreRecord

STUDY_TASKS = ("similarity", "super-resolution", "delineation", "autoencoding")
"""The questions that the study's benchmarks ask."""
TASKS = (*STUDY_TASKS, "image-prior", "inversion")
"""The questions that the benchmarks here ask; a benchmark's name begins with its task's."""


@dataclass(frozen=True)
class Setting:
    """One benchmark on one data set at one profile and variant, with its options.

    Attributes:
        benchmark: name (``super-resolution-folders``).
        data: name of the data set.
        fingerprint: hash of its content.
        profile: ``paper``, ``small`` or ``smoke``.
        variant: ``baseline``, ``lin``, ``tune`` or ``scratch``.
        options: of the benchmark, as canonical JSON.
    """

    benchmark: str
    data: str
    fingerprint: str
    profile: str
    variant: str
    options: str

    @classmethod
    def of(cls, record: RunRecord) -> Setting:
        """The setting of a run."""
        config = record.config
        options = canonical_json(config.options) if config.options else "{}"
        return cls(config.benchmark, config.data, config.fingerprint, config.profile, config.variant, options)

    @property
    def task(self) -> str:
        """What is asked: one of `TASKS`, or the benchmark's own name.

        >>> Setting("super-resolution-folders", "set5", "", "small", "baseline", "{}").task
        'super-resolution'
        """
        return task_of(self.benchmark)

    @property
    def label(self) -> str:
        """For people; two settings may share it (`Results.labels` tells them apart)."""
        variant = "" if self.variant == "baseline" else f", {self.variant}"
        return f"{self.task}: {self.data} ({self.profile}{variant})"

    @property
    def trains(self) -> bool:
        """Whether chance has a part: something is trained, so that another seed gives another score.

        Of a benchmark that is not known here, this is assumed.
        """
        if self.variant != "baseline":
            return True
        try:
            return bool(getattr(benchmark_class(self.benchmark), "trains", False))
        except UnknownNameError:
            return True


@dataclass(frozen=True)
class Measure:
    """What two scores must share to be compared."""

    score: str
    unit: str
    higher_is_better: bool
    split: str

    @classmethod
    def of(cls, score: ScoreRecord) -> Measure:
        """The measure of a score."""
        return cls(score.name, score.unit, score.higher_is_better, score.split)


def task_of(benchmark: str) -> str:
    """One of `TASKS` that the benchmark's name begins with, or the name itself."""
    found = (task for task in TASKS if benchmark == task or benchmark.startswith(f"{task}-"))
    return next(found, benchmark)


def labels_of(settings: Iterable[Setting]) -> dict[Setting, str]:
    """A label for each setting, no two the same: with options or a piece of the hash where it takes that."""
    kept = list(dict.fromkeys(settings))
    labels = {setting: setting.label for setting in kept}
    for extra in ("benchmark", "options", "fingerprint"):
        texts = list(labels.values())
        doubles = {text for text in texts if texts.count(text) > 1}
        labels = {s: f"{t} {_short(s, extra)}" if t in doubles else t for s, t in labels.items()}
    return _numbered(labels)


def _numbered(labels: dict[Setting, str]) -> dict[Setting, str]:
    """Labels with a number behind each that an earlier setting has."""
    taken: set[str] = set()
    out = {}
    for setting, text in labels.items():
        number, name = 1, text
        while name in taken:
            number += 1
            name = f"{text} ({number})"
        taken.add(name)
        out[setting] = name
    return out


def _short(setting: Setting, name: str) -> str:
    text = str(getattr(setting, name))
    return f"#{text.rpartition(':')[2][:6]}" if name == "fingerprint" else text
