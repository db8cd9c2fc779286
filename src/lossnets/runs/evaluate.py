"""Evaluate runs that share a network, a benchmark, data and a seed: one pass, each with its own fate."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lossnets.benchmarks.base import Benchmark, Evaluation, Score
from lossnets.benchmarks.engine.fit import Execution
from lossnets.errors import DataChangedError, DataError, WeightsError
from lossnets.runs.benchmarks import BenchmarkChoice
from lossnets.runs.environment import PeakMemory, environment
from lossnets.runs.folders import run_folder
from lossnets.runs.identity import RunConfig
from lossnets.runs.losses import bank_signatures, load_bank, located
from lossnets.runs.records import Failure, Items, Outcome, ScoreRecord

ItemProgress = Callable[[int, int], None]
"""Called with (items done, items in all) during a pass over the data."""


@dataclass(frozen=True)
class Group:
    """Runs that are evaluated in one pass; small and picklable.

    Attributes:
        configs: the runs; they differ in the loss only.
        choice: the benchmark and its data.
        device: where to compute (``cpu``, ``cuda:0``).
        folder: where relative paths in loss names start: the folder of the plan.
        places: folder that holds a folder for each run that trains something; its checkpoints, logs
            and pictures are kept there. Empty: nowhere.
        loaders: processes that load images for a training; 0: the process that trains.
    """

    configs: tuple[RunConfig, ...]
    choice: BenchmarkChoice
    device: str = "cpu"
    folder: str = "."
    places: str = ""
    loaders: int = 0

    def __str__(self) -> str:
        first = self.configs[0]
        more = f" and {len(self.configs) - 1} more" if len(self.configs) > 1 else ""
        return f"{first}{more}"


def evaluate_group(group: Group, progress: ItemProgress | None = None) -> Iterator[Outcome]:
    """One outcome for each run of the group, failures included; an outcome comes as soon as it exists.

    If the shared pass breaks, the runs are tried one by one, so that only those fail that must.
    """
    try:
        outcomes = _one_pass(group, progress)
    except Exception as error:  # whatever breaks one pass must not stop the sweep
        if len(group.configs) == 1:
            yield _failed(group, error)
            return
    else:
        yield from outcomes
        return
    for config in group.configs:
        yield from evaluate_group(replace(group, configs=(config,)), progress)


def _one_pass(group: Group, progress: ItemProgress | None) -> list[Outcome]:
    start = time.perf_counter()
    with PeakMemory(group.device) as peak:
        results = _results(group, progress)
    size = len(group.configs)
    shared = {
        "seconds": (time.perf_counter() - start) / size,
        "group_size": size,
        "environment": environment(group.device) | {"peak_memory_bytes": peak.bytes},
    }
    return [_outcome(config, results[config.loss], shared) for config in group.configs]


def _results(group: Group, progress: ItemProgress | None) -> Mapping[str, Evaluation | Exception]:
    benchmark = group.choice.load()
    _check_data(group)
    found = _evaluated(group, benchmark, progress)
    _check_data(group)
    return found


def _evaluated(
    group: Group, benchmark: Benchmark, progress: ItemProgress | None
) -> Mapping[str, Evaluation | Exception]:
    first = group.configs[0]
    names = {located(config.loss, group.folder): config.loss for config in group.configs}
    if first.variant != "baseline":
        train: Any = benchmark  # a benchmark that lists further variants in its class can evaluate them
        found: Mapping[str, Evaluation | Exception] = train.evaluate_variant(
            list(names),
            variant=first.variant,
            seed=first.seed,
            profile=first.profile,
            device=Execution.parse(group.device).first,
            progress=progress,
        )
        return {names[name]: result for name, result in found.items()}
    trains = group.choice.trains
    first_device = Execution.parse(group.device).first
    bank = load_bank(list(names), "cpu" if trains else first_device)  # the training moves its loss itself
    _check_unchanged(group.configs, bank_signatures(bank, list(names.values()), group.folder))
    more: dict[str, Any] = {"device": first_device}
    if trains:
        more = {"device": group.device, "workers": group.loaders}
        more |= {"folder": run_folder(group.places, first)} if group.places else {}
    found = benchmark.evaluate_many(bank, seed=first.seed, profile=first.profile, progress=progress, **more)
    return {names[name]: result for name, result in found.items()}


def _check_data(group: Group) -> None:
    """Refuse to record numbers under the fingerprint of other data."""
    first = group.configs[0]
    now = group.choice.describe_data(first.profile, first.seed, first.variant).fingerprint
    if now != first.fingerprint:
        raise DataChangedError(
            f"the data of {first} changed since the sweep began: fingerprint {first.fingerprint[:12]}... "
            f"then, {now[:12]}... now. Leave them as they are, and start the sweep again."
        )


def _check_unchanged(configs: Sequence[RunConfig], signatures: Mapping[str, str]) -> None:
    for config in configs:
        now = signatures[config.loss]
        if now != config.signature:
            raise WeightsError(
                f"the weights of {config.loss!r} changed since the sweep began: signature "
                f"{config.signature!r} then, {now!r} now. Start the sweep again."
            )


def _outcome(config: RunConfig, result: Evaluation | Exception, shared: Mapping[str, Any]) -> Outcome:
    if isinstance(result, Exception):
        return Outcome(config, failure=Failure.of(result), **shared)
    try:
        check_items(config.loss, result.items)
        scores = tuple(score_record(score) for score in result.scores)
    except Exception as error:
        return Outcome(config, failure=Failure.of(error), **shared)
    return Outcome(config, scores=scores, items=result.items, facts=result.facts, **shared)


def _failed(group: Group, error: Exception) -> Outcome:
    return Outcome(
        group.configs[0], failure=Failure.of(error), environment=environment(group.device), group_size=1
    )


def score_record(score: Score) -> ScoreRecord:
    """A benchmark's score as the store keeps it: NaN, "not defined", becomes None."""
    return ScoreRecord(
        name=score.name,
        value=_defined(score.value),
        unit=score.unit,
        higher_is_better=score.higher_is_better,
        split=score.split,
        low=_defined(score.low),
        high=_defined(score.high),
        n=score.n,
        note=score.note,
    )


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def check_items(loss: str, items: Items) -> None:
    """Refuse distances that are NaN or infinite.

    Raises:
        DataError: a floating-point column has such a value; names the column and the first item.
    """
    for name, values in items.items():
        array = np.asarray(values)
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            where = int(np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(axis=1))[0])
            raise DataError(
                f"loss {loss!r} gave {name!r} = {array[where]} for item {where} of {len(array)}; "
                "every distance must be finite. Check that image, and compute in float32."
            )
