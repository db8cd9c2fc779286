"""Results whose every number the test writes down: ``made({"vgg16/features.3": [0.1, 0.2]})``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossnets.analysis import Results
from lossnets.runs.identity import RunConfig
from lossnets.runs.records import Failure, RunRecord, ScoreRecord

from .simulate import TASKS

Value = float | None | str | tuple[float, float, float]
"""Of one seed: a number; with its interval; None: not defined; ``failed``, ``running`` or ``absent``."""


def runs(
    values: Mapping[str, Sequence[Value]], where: str = "autoencoding", *, higher: bool = True, **config: Any
) -> list[RunRecord]:
    """Loss -> one value per seed (0, 1, ...), in the setting ``task`` or ``task/data``."""
    task, _, data = where.partition("/")
    benchmark, score, unit, _, _ = TASKS[task]
    out = []
    for loss, seeds in values.items():
        for seed, value in enumerate(seeds):
            if value == "absent":
                continue
            own = {"signature": f"{loss}|1", "data": data or task, "fingerprint": where} | config
            made = RunConfig(loss=loss, seed=seed, benchmark=benchmark, **own)
            if value in ("failed", "running"):
                failure = Failure("DataError", "broken.png") if value == "failed" else None
                out.append(RunRecord(made, value, failure=failure))  # type: ignore[arg-type]
                continue
            middle, low, high = value if isinstance(value, tuple) else (value, None, None)
            note = "one item only" if middle is None else ""
            record = ScoreRecord(score, middle, unit, higher, low=low, high=high, n=50, note=note)  # type: ignore[arg-type]
            out.append(RunRecord(made, "done", scores=(record,)))
    return out


def made(values: Mapping[str, Sequence[Value]], where: str = "autoencoding", **rest: Any) -> Results:
    """Results of one setting; see `runs`."""
    return Results(tuple(runs(values, where, **rest)))


def several(settings: Mapping[str, Mapping[str, Sequence[Value]]]) -> Results:
    """Results of several settings: ``task`` or ``task/data`` -> values."""
    return Results(tuple(run for where, values in settings.items() for run in runs(values, where)))
