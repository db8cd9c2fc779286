"""Run a plan: what is missing in the store is computed, everything is recorded as soon as it exists."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lossnets.errors import ConfigError, LossnetsError
from lossnets.runs.evaluate import Group
from lossnets.runs.executors import Executor, LocalExecutor
from lossnets.runs.folders import runs_folder
from lossnets.runs.identity import UNRESOLVED, RunConfig
from lossnets.runs.lease import Heartbeat
from lossnets.runs.losses import network_of, signatures
from lossnets.runs.plan import Plan, PlannedRun
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
        progress: told of each run that was stored.

    Returns:
        What was done. A run that fails is recorded with its error and does not stop the others.

    Raises:
        DataError: data of a benchmark are missing; nothing has run then.
        ConfigError: ``existing="error"`` and some runs are done; nothing has run then.
        StoreError: the store cannot be written; what was recorded before is kept, and what was
            finished since lies in a rescue file that the message names.
    """
    if existing not in ("skip", "rerun", "error"):
        raise ConfigError(f"existing must be 'skip', 'rerun' or 'error'; got {existing!r}")
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
    groups = _groups(resolved, device, plan.folder, str(runs_folder(store)))
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


def _resolve(plan: Plan) -> tuple[dict[RunConfig, PlannedRun], dict[str, LossnetsError]]:
    """Planned runs with signatures and fingerprints, and the losses that cannot be loaded."""
    data = {
        (entry.benchmark, entry.profile, variant, seed): entry.benchmark.describe_data(
            entry.profile, seed, variant
        )
        for entry in plan.entries
        for variant in entry.variants
        for seed in entry.seeds
    }
    known = signatures(plan.losses, plan.folder)
    broken = {loss: answer for loss, answer in known.items() if isinstance(answer, LossnetsError)}
    configs: dict[RunConfig, PlannedRun] = {}
    for run in plan.runs():
        answer = known[run.loss]
        described = data[run.benchmark, run.profile, run.variant, run.seed]
        config = RunConfig(
            loss=run.loss,
            signature=answer if isinstance(answer, str) else UNRESOLVED,
            benchmark=run.benchmark.name,
            data=described.name,
            fingerprint=described.fingerprint,
            profile=run.profile,
            variant=run.variant,
            seed=run.seed,
            options=run.benchmark.settings,
        )
        configs[config] = run
    return configs, broken


def _groups(runs: dict[RunConfig, PlannedRun], device: str, folder: str, places: str) -> list[Group]:
    """Runs that can share a pass over the data; where something is trained none does."""
    shared: dict[object, list[RunConfig]] = {}
    for config, run in runs.items():
        trains = run.variant != "baseline" or run.benchmark.trains
        alone = config.identity if trains else network_of(run.loss)
        shared.setdefault((run.benchmark, run.profile, run.variant, run.seed, alone), []).append(config)
    return [
        Group(tuple(members), runs[members[0]].benchmark, device, folder, places)
        for members in shared.values()
    ]
