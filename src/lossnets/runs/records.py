"""What the store hands out: frozen records of runs and their scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import numpy as np
import numpy.typing as npt

from lossnets.errors import ConfigError
from lossnets.runs.identity import RunConfig

Status = Literal["done", "failed", "running"]
Items = Mapping[str, npt.NDArray[np.generic]]
"""Per-item values of a run: name -> one-dimensional array in the order of the data set."""


@dataclass(frozen=True)
class ScoreRecord:
    """One number of a run, with all that is needed to read and rank it.

    Attributes:
        name: what was measured (``2afc``, ``spearman``).
        value: the number; None where it is not defined, and then ``note`` says why.
        unit: ``"fraction"``, ``"dB"``, or ``""`` for a correlation.
        higher_is_better: the direction of ranking.
        split: part of the data set (``val/cnn``) or ``overall``.
        low: lower end of the 95 % interval, None where there is none.
        high: upper end of the 95 % interval, None where there is none.
        n: items that the value was computed from; 0 where unknown.
        note: reason of a missing value, items left out, and the like.

    Raises:
        ConfigError: value, low or high is NaN or infinite.
    """

    name: str
    value: float | None
    unit: str = ""
    higher_is_better: bool = True
    split: str = "overall"
    low: float | None = None
    high: float | None = None
    n: int = 0
    note: str = ""

    def __post_init__(self) -> None:
        for label in ("value", "low", "high"):
            number = getattr(self, label)
            if number is not None and not math.isfinite(number):
                raise ConfigError(
                    f"{label} of score {self.name!r} on {self.split!r} must be finite; got {number}"
                )


@dataclass(frozen=True)
class Failure:
    """Why a run has no scores: the error's type name and its message."""

    type: str
    message: str

    @classmethod
    def of(cls, error: BaseException) -> Failure:
        """From an exception."""
        return cls(type(error).__name__, str(error) or repr(error))


@dataclass(frozen=True)
class Outcome:
    """What the evaluation of one run returns: scores, or a failure.

    Attributes:
        config: the run.
        scores: empty when it failed.
        items: per-item values worth keeping (distances), may be empty.
        failure: None when it succeeded.
        seconds: wall-clock seconds of the evaluation that this run was part of, divided by the
            number of runs that shared it.
        group_size: number of runs that shared the evaluation.
        environment: versions, device, threads, commit, peak memory; plain JSON values.
        facts: settings of the benchmark that the numbers depend on; plain JSON values.
    """

    config: RunConfig
    scores: tuple[ScoreRecord, ...] = ()
    items: Items = field(default_factory=dict)
    failure: Failure | None = None
    seconds: float = 0.0
    group_size: int = 1
    environment: Mapping[str, object] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class RunRecord:
    """One run as it stands in the store: a copy, changing it changes nothing.

    Attributes:
        config: what was run.
        status: ``running`` (claimed by a process), ``done`` or ``failed``.
        attempt: 1 for the first try; a run that is tried again gets a further record.
        scores: empty unless done.
        failure: None unless failed.
        seconds: wall-clock seconds (see `Outcome`).
        group_size: number of runs that shared the pass over the data.
        started: Unix time of the claim.
        environment: versions of python, torch, torchvision, timm and lossnets, git commit, device,
            threads, peak memory in bytes.
        facts: settings of the benchmark that the numbers depend on.
        item_names: names of the per-item arrays that ``Store.items`` can read.
    """

    config: RunConfig
    status: Status
    attempt: int = 1
    scores: tuple[ScoreRecord, ...] = ()
    failure: Failure | None = None
    seconds: float = 0.0
    group_size: int = 1
    started: float = 0.0
    environment: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    facts: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}), hash=False)
    item_names: tuple[str, ...] = ()

    @property
    def identity(self) -> str:
        """The run's identity, 64 hexadecimal digits."""
        return self.config.identity

    @property
    def loss(self) -> str:
        """What results call its loss: the name, with ``(numerics N)`` where it means another number today."""
        from lossnets.losses.versions import shown_name

        return shown_name(self.config.loss, self.config.signature)

    def score(self, name: str, split: str = "overall") -> ScoreRecord:
        """The score of that name and split.

        Raises:
            ConfigError: the run has no such score.
        """
        for item in self.scores:
            if (item.name, item.split) == (name, split):
                return item
        have = ", ".join(f"{item.name} on {item.split}" for item in self.scores) or "none"
        raise ConfigError(f"run {self.config} has no score {name!r} on {split!r}; it has: {have}")
