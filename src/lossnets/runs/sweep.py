"""Run a plan: what is missing in the store is computed, everything is recorded as soon as it exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from lossnets.benchmarks.base import benchmark_class
from lossnets.benchmarks.engine.fit import Execution
from lossnets.errors import ConfigError, ImageError, LossnetsError
from lossnets.runs.benchmarks import DataName
from lossnets.runs.evaluate import Group
from lossnets.runs.executors import Executor, LocalExecutor
from lossnets.runs.folders import runs_folder
from lossnets.runs.identity import UNRESOLVED, RunConfig
from lossnets.runs.lease import Heartbeat
from lossnets.runs.losses import network_of, signatures
from lossnets.runs.plan import Plan, PlanEntry, PlannedRun
from lossnets.runs.recorder import Progress, Recorder, SweepEvent
from lossnets.runs.records import RunRecord
from lossnets.runs.rescue import take_in
from lossnets.runs.store import Store

__all__ = ["Existing", "Progress", "SweepEvent", "SweepSummary", "run_sweep"]

Existing = Literal["skip", "rerun", "error"]


@dataclass(frozen=True)
class SweepSummary:
    """What a sweep did.

    Attributes:
        configs: all runs of the plan, in its order.
        skipped: runs that were done before.
        done: records stored by this call.
        failed: records of failures stored by this call.
        elsewhere: runs that a live process is working on; it will store them.
    """

    configs: tuple[RunConfig, ...]
    skipped: tuple[RunConfig, ...] = ()
    done: tuple[RunRecord, ...] = ()
    failed: tuple[RunRecord, ...] = ()
    elsewhere: tuple[RunConfig, ...] = ()

    def __str__(self) -> str:
        parts = {
            "done": len(self.done),
            "skipped (done before)": len(self.skipped),
            "failed": len(self.failed),
            "in work by another process": len(self.elsewhere),
        }
        told = ", ".join(f"{count} {what}" for what, count in parts.items() if count)
        return f"{len(self.configs)} runs: {told or 'nothing to do'}"


def run_sweep(
    plan: Plan,
    store: Store,
    *,
    existing: Existing = "skip",
    executor: Executor | None = None,
    device: str = "cpu",
    loaders: int = 0,
    progress: Progress | None = None,
) -> SweepSummary:
    """Evaluate every run of the plan that the store does not have; safe to stop and call again.

    Args:
        plan: from `read_plan`.
        store: where results are looked up and kept.
        existing: what to do with runs that are done: leave them (``skip``), compute them again
            beside the old record (``rerun``), or refuse to start (``error``). Failed runs are
            always tried again.
        executor: where to compute; this process by default.
        device: where the networks run.
        loaders: processes that load images for each training; 0: the one that trains.
        progress: told of each run that was stored.

    Returns:
        What was done. A run that fails is recorded with its error and does not stop the others; so
        are all runs of a benchmark one of whose images cannot be read.

    Raises:
        DataError: data of a benchmark are missing; nothing has run then.
        ConfigError: ``existing="error"`` and some runs are done, or there is no such device; nothing
            has run then.
        StoreError: the store cannot be written; what was recorded before is kept, and what was
            finished since lies in a rescue file that the message names.
    """
    if existing not in ("skip", "rerun", "error"):
        raise ConfigError(f"existing must be 'skip', 'rerun' or 'error'; got {existing!r}")
    Execution.parse(device).check()
    take_in(store)
    planned, broken = _resolve(plan)
    configs = list(planned)
    finished = {identity for identity, status in store.statuses(configs).items() if status == "done"}
    before = [config for config in configs if config.identity in finished]
    if existing == "error" and before:
        raise ConfigError(
            f"{len(before)} of {len(configs)} runs are already done in {store.name}, the first: {before[0]}. "
            "Use existing='skip' (the default) to keep them, 'rerun' to compute them again"
        )
    skipped = [] if existing == "rerun" else before
    leave = set(skipped)
    todo = [config for config in configs if config not in leave]
    sweep = Recorder(store, existing == "rerun", progress, len(skipped), len(configs))
    resolved = {config: planned[config] for config in todo if config.resolved}
    shared = Group((), plan.benchmarks[0], device, plan.folder, str(runs_folder(store)), loaders)
    groups = _groups(resolved, shared)
    with Heartbeat(store):
        try:
            sweep.tell(None)
            sweep.fail([config for config in todo if not config.resolved], broken, device)
            sweep.work(groups, executor or LocalExecutor())
        finally:
            sweep.release()
    late = _done(store, sweep.elsewhere)  # by the other process, while this one worked on the rest
    return SweepSummary(
        tuple(configs),
        tuple(skipped + late),
        tuple(record for record in sweep.records if record.status == "done"),
        tuple(record for record in sweep.records if record.status == "failed"),
        tuple(config for config in sweep.elsewhere if config not in late),
    )


def _done(store: Store, configs: Sequence[RunConfig]) -> list[RunConfig]:
    statuses = store.statuses(configs)
    return [config for config in configs if statuses.get(config.identity) == "done"]


def _resolve(plan: Plan) -> tuple[dict[RunConfig, PlannedRun], dict[RunConfig, LossnetsError]]:
    """Planned runs with signatures and fingerprints, and those whose loss or data cannot be read."""
    data = {
        (entry.benchmark, entry.profile, variant, seed): _described(entry, seed, variant)
        for entry in plan.entries
        for variant in entry.variants
        for seed in entry.seeds
    }
    known = signatures(plan.losses, plan.folder)
    configs: dict[RunConfig, PlannedRun] = {}
    broken: dict[RunConfig, LossnetsError] = {}
    for run in plan.runs():
        loss = known[run.loss]
        described = data[run.benchmark, run.profile, run.variant, run.seed]
        name = described if isinstance(described, DataName) else _unread(run)
        config = RunConfig(
            loss=run.loss,
            signature=loss if isinstance(loss, str) else UNRESOLVED,
            benchmark=run.benchmark.name,
            data=name.name,
            fingerprint=name.fingerprint,
            profile=run.profile,
            variant=run.variant,
            seed=run.seed,
            options=run.benchmark.settings,
        )
        configs[config] = run
        for answer in (described, loss):
            if isinstance(answer, LossnetsError):
                broken[config] = answer
    return configs, broken


def _unread(run: PlannedRun) -> DataName:
    """What stands for data that could not be read."""
    return DataName(benchmark_class(run.benchmark.name).data, UNRESOLVED)  # type: ignore[attr-defined]


def _described(entry: PlanEntry, seed: int, variant: str) -> DataName | LossnetsError:
    """Name and fingerprint of the data; the error where one of their images cannot be read."""
    try:
        return entry.benchmark.describe_data(entry.profile, seed, variant)
    except ImageError as error:
        return error


def _groups(runs: dict[RunConfig, PlannedRun], shared_by_all: Group) -> list[Group]:
    """Runs that can share a pass over the data; where something is trained none does."""
    shared: dict[object, list[RunConfig]] = {}
    for config, run in runs.items():
        trains = run.variant != "baseline" or run.benchmark.trains
        alone = config.identity if trains else network_of(run.loss)
        shared.setdefault((run.benchmark, run.profile, run.variant, run.seed, alone), []).append(config)
    return [
        replace(shared_by_all, configs=tuple(members), choice=runs[members[0]].benchmark)
        for members in shared.values()
    ]
