"""A sweep computes what is missing, records it at once, and survives whatever happens to it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch

from lossnets.errors import ConfigError, DataError, StoreError
from lossnets.runs.benchmarks import BenchmarkChoice
from lossnets.runs.evaluate import Group
from lossnets.runs.executors import Executor, LocalExecutor, ProcessExecutor, RayExecutor
from lossnets.runs.plan import Plan, read_plan
from lossnets.runs.records import RunRecord
from lossnets.runs.store import Store
from lossnets.runs.sweep import SweepEvent, run_sweep

MakePlan = Callable[..., Plan]

PLAN = """
name: to be killed
losses: [pixel:mse, pixel:l1]
seeds: [0, 1, 2, 3, 4, 5]
profile: smoke
benchmarks:
  - benchmark: toy
    options: {log: log.txt, delay: 0.25}
"""


def scores(store: Store) -> dict[str, list[object]]:
    return {record.identity: list(record.scores) for record in store.records()}


def evaluations(log: Path) -> Counter[str]:
    return Counter(log.read_text().splitlines()) if log.exists() else Counter()


def by_loss(records: list[RunRecord]) -> dict[str, RunRecord]:
    return {record.config.loss: record for record in records}


# --- what a sweep computes ------------------------------------------------------------------------


def test_scores_are_those_of_the_benchmark(plan: MakePlan, store: Store) -> None:
    summary = run_sweep(plan(seeds="[7]"), store)
    a, b = torch.rand(2, 8, 3, 16, 16, generator=torch.Generator().manual_seed(7)).numpy()
    records = by_loss(store.records())
    for loss, power in (("pixel:mse", 2), ("pixel:l1", 1)):
        each = (np.abs(a - b) ** power).mean((1, 2, 3))
        score = records[loss].score("closeness")
        assert score.value == pytest.approx(-each.mean(), abs=1e-6)
        assert (score.low, score.high) == pytest.approx((-each.mean() - 0.1, -each.mean() + 0.1), abs=1e-6)
        np.testing.assert_allclose(store.items(records[loss].config)["distance"], each, atol=1e-6)
    assert [r.config.loss for r in summary.done] == ["pixel:mse", "pixel:l1"]
    assert str(summary) == "2 runs: 2 done"


def test_a_record_says_what_it_was_made_with(plan: MakePlan, store: Store) -> None:
    run_sweep(plan(seeds="[0]"), store)
    record = store.records()[0]
    made_with = record.environment
    assert made_with["torch"] == torch.__version__
    assert set(made_with) >= {"python", "lossnets", "torchvision", "timm", "commit", "device", "threads"}
    assert made_with["peak_memory_bytes"] > 50e6  # type: ignore[operator]  # torch alone is more
    assert record.seconds > 0
    assert record.group_size == 2
    assert record.facts == {"items": 8}
    assert record.score("spread").value is None
    assert record.score("spread").note == "no spread"
    assert record.config.data == "noise"
    assert "log" not in record.config.options  # where a file lies does not change a number


def test_losses_of_one_network_share_a_pass(plan: MakePlan, store: Store, log: Path) -> None:
    run_sweep(plan(seeds="[3, 4]"), store)
    assert log.read_text().splitlines() == ["pixel:mse 3", "pixel:l1 3", "pixel:mse 4", "pixel:l1 4"]


def test_a_trained_variant_is_a_run_of_its_own(plan: MakePlan, store: Store, log: Path) -> None:
    run_sweep(plan(seeds="[5]", variants="[lin, baseline]"), store)
    assert log.read_text().splitlines() == ["lin pixel:mse 5", "lin pixel:l1 5", "pixel:mse 5", "pixel:l1 5"]
    found = {(r.config.loss, r.config.variant): r for r in store.records()}
    assert found["pixel:mse", "lin"].score("closeness").value == -5.0
    assert found["pixel:mse", "lin"].group_size == 1  # it shares no pass, training is its own
    assert found["pixel:mse", "baseline"].group_size == 2


def test_progress_is_told_after_each_stored_run(plan: MakePlan, store: Store) -> None:
    told: list[SweepEvent] = []
    seen: list[int] = []

    def progress(event: SweepEvent) -> None:
        told.append(event)
        seen.append(sum(r.status == "done" for r in store.records()))

    run_sweep(plan(seeds="[0]"), store)
    run_sweep(plan(seeds="[0, 1]"), store, progress=progress)
    assert [(event.finished, event.total) for event in told] == [(2, 4), (3, 4), (4, 4)]
    assert seen == [2, 3, 4]  # it is in the store when it is told
    assert told[0].record is None


# --- what is done already -------------------------------------------------------------------------


def test_a_second_call_has_nothing_to_do(plan: MakePlan, store: Store, log: Path) -> None:
    first = run_sweep(plan(), store)
    before = store.records(history=True)
    second = run_sweep(plan(), store)
    assert (len(first.done), len(second.done), len(second.skipped)) == (6, 0, 6)
    assert store.records(history=True) == before
    assert max(evaluations(log).values()) == 1
    assert str(second) == "6 runs: 6 skipped (done before)"


def test_only_what_is_missing_is_computed(plan: MakePlan, store: Store, log: Path) -> None:
    run_sweep(plan(losses="pixel:mse", seeds="[0, 1]"), store)
    summary = run_sweep(plan(seeds="[1, 2]"), store)
    assert len(summary.skipped) == 1
    assert evaluations(log) == Counter(
        ["pixel:mse 0", "pixel:mse 1", "pixel:l1 1", "pixel:mse 2", "pixel:l1 2"]
    )


def test_rerun_computes_again_beside_the_old(plan: MakePlan, store: Store) -> None:
    run_sweep(plan(seeds="[0]"), store)
    summary = run_sweep(plan(seeds="[0]"), store, existing="rerun")
    assert [record.attempt for record in summary.done] == [2, 2]
    assert len(store.records()) == 2
    assert len(store.records(history=True)) == 4


def test_error_refuses_before_anything_runs(plan: MakePlan, store: Store, log: Path) -> None:
    run_sweep(plan(seeds="[0]"), store)
    with pytest.raises(
        ConfigError, match=r"2 of 4 runs are already done in .*results.sqlite, the first: pixel:mse"
    ):
        run_sweep(plan(seeds="[0, 1]"), store, existing="error")
    assert set(evaluations(log)) == {"pixel:mse 0", "pixel:l1 0"}


def test_an_unknown_policy_is_refused(plan: MakePlan, store: Store) -> None:
    with pytest.raises(ConfigError, match="existing must be 'skip', 'rerun' or 'error'; got 'maybe'"):
        run_sweep(plan(), store, existing="maybe")  # type: ignore[arg-type]


# --- what goes wrong ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trouble", "error", "message"),
    [
        ({"nan": "pixel:l1"}, "DataError", "'distance' = nan for item 3 of 8; every distance must be finite"),
        ({"error": "pixel:l1"}, "DataError", "cannot be read: broken.png"),
        ({"explode": "pixel:l1"}, "RuntimeError", "the pass with pixel:l1 broke"),
    ],
)
def test_trouble_of_one_loss_is_not_the_others(
    plan: MakePlan, store: Store, trouble: dict[str, str], error: str, message: str
) -> None:
    quoted = {key: f"'{value}'" for key, value in trouble.items()}
    summary = run_sweep(plan(seeds="[0]", **quoted), store)
    records = by_loss(store.records())
    assert records["pixel:mse"].status == "done"
    failure = records["pixel:l1"].failure
    assert failure is not None
    assert failure.type == error
    assert message in failure.message
    assert records["pixel:l1"].scores == ()
    assert str(summary) == "2 runs: 1 done, 1 failed"


def test_a_loss_without_weights_is_a_failed_run(plan: MakePlan, store: Store) -> None:
    summary = run_sweep(plan(losses="[vgg16/relu3_3, pixel:mse]", seeds="[0, 1]"), store)
    assert [(r.config.loss, r.status) for r in store.records()] == [
        ("vgg16/relu3_3", "failed"),
        ("vgg16/relu3_3", "failed"),
        ("pixel:mse", "done"),
        ("pixel:mse", "done"),
    ]
    assert summary.failed[0].failure is not None
    assert summary.failed[0].failure.type == "WeightsError"
    assert "vgg16-397923af.pth" in summary.failed[0].failure.message


def test_failed_runs_are_tried_again_and_only_they(plan: MakePlan, store: Store, log: Path) -> None:
    broken = plan(seeds="[0]", explode="'pixel:l1'")
    run_sweep(broken, store)
    log.unlink()
    summary = run_sweep(broken, store)
    assert (len(summary.skipped), len(summary.failed)) == (1, 1)
    assert [r.attempt for r in store.records()] == [1, 2]
    assert evaluations(log) == Counter()


def test_missing_data_stop_the_sweep_before_it_starts(plan: MakePlan, store: Store) -> None:
    with pytest.raises(DataError, match="get them from nowhere"):
        run_sweep(plan(missing="true"), store)
    assert store.records() == []


def test_an_interrupt_keeps_what_is_done_and_gives_back_the_rest(
    plan: MakePlan, store: Store, tmp_path: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_sweep(plan(interrupt=2), store)
    assert [(r.config.seed, r.status) for r in store.records()] == [(0, "done")] * 2 + [(1, "done")] * 2
    with Store(tmp_path / "results.sqlite") as other:  # nothing is left claimed
        summary = run_sweep(plan(), other)
    # another option, so another configuration: all six are new
    assert len(summary.done) == 6


def test_a_store_that_breaks_keeps_what_it_has(
    plan: MakePlan, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = store.finish
    calls: list[int] = []

    def breaking(*args: object) -> RunRecord:
        calls.append(1)
        if len(calls) >= 4:
            raise StoreError("the disk is full")
        return finish(*args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(store, "finish", breaking)
        patch.setattr("lossnets.runs.recorder.RETRY_SECONDS", 0.0)
        with pytest.raises(StoreError, match="the disk is full"):
            run_sweep(plan(), store)
    assert [record.status for record in store.records()] == ["done"] * 3
    resumed = run_sweep(plan(), store)  # one was finished and kept in a rescue file
    assert (len(resumed.done), len(resumed.skipped)) == (2, 4)


def test_weights_that_change_under_way_are_noticed(
    plan: MakePlan, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lossnets.runs.sweep.signatures", lambda losses, folder: dict.fromkeys(losses, "old"))
    summary = run_sweep(plan(losses="pixel:mse", seeds="0"), store)
    failure = summary.failed[0].failure
    assert failure is not None
    assert "the weights of 'pixel:mse' changed since the sweep began: signature 'old' then" in failure.message


# --- several processes ----------------------------------------------------------------------------


def start(folder: Path, *workers: str) -> subprocess.Popen[str]:
    (folder / "plan.yaml").write_text(PLAN)
    script = Path(__file__).parent / "sweep_process.py"
    command = [
        sys.executable,
        str(script),
        str(folder / "plan.yaml"),
        str(folder / "results.sqlite"),
        *workers,
    ]
    return subprocess.Popen(
        command, text=True, stdout=subprocess.PIPE, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )


def wait_for(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def done(path: Path) -> int:
    if not path.exists():
        return 0
    with Store(path) as store:
        return sum(record.status == "done" for record in store.records())


@pytest.mark.parametrize("workers", [(), ("2",)], ids=["in one process", "with workers"])
def test_kill_minus_nine_loses_only_what_was_in_flight(
    tmp_path: Path, toy: ModuleType, log: Path, workers: tuple[str, ...]
) -> None:
    process = start(tmp_path, *workers)
    try:
        wait_for(lambda: done(tmp_path / "results.sqlite") >= 4)
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()

    with Store(tmp_path / "results.sqlite") as store:
        kept = {r.identity: r for r in store.records() if r.status == "done"}
        assert 4 <= len(kept) < 12
        resumed = run_sweep(read_plan(tmp_path / "plan.yaml"), store)
        assert len(resumed.done) == 12 - len(kept)
        assert (len(resumed.skipped), resumed.failed, resumed.elsewhere) == (len(kept), (), ())
        after = {r.identity: r for r in store.records()}
        assert {identity: after[identity] for identity in kept} == kept  # not touched, not recomputed
        found = scores(store)

    in_flight = 2 * max(1, len(workers) and int(workers[0]))
    assert sum(evaluations(log).values()) <= 12 + in_flight
    with Store(tmp_path / "whole.sqlite") as whole:
        run_sweep(read_plan(tmp_path / "plan.yaml"), whole)
        assert scores(whole) == found


def test_two_sweeps_at_once_share_the_work(tmp_path: Path, toy: ModuleType, log: Path) -> None:
    both = [start(tmp_path), start(tmp_path)]
    assert [process.communicate(timeout=120) and process.returncode for process in both] == [0, 0]
    assert sorted(evaluations(log).values()) == [1] * 12  # none was run twice
    assert done(tmp_path / "results.sqlite") == 12


def test_runs_of_a_live_process_are_left_to_it(plan: MakePlan, store: Store, tmp_path: Path) -> None:
    wanted = plan(seeds="[0]")
    with Store(tmp_path / "results.sqlite") as other:
        configs = run_sweep(wanted, Store("sqlite://")).configs
        assert other.claim(configs[0]) is not None
        summary = run_sweep(wanted, store)
        assert summary.elsewhere == configs[:1]
        assert [r.config for r in summary.done] == [configs[1]]
        assert str(summary) == "2 runs: 1 done, 1 in work by another process"


# --- one exam for every executor ------------------------------------------------------------------


def _ray() -> Executor:
    pytest.importorskip("ray")
    here = {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}}
    return RayExecutor(in_flight=2, runtime_env=here, num_cpus=1)


EXECUTORS = {"local": LocalExecutor, "processes": lambda: ProcessExecutor(2), "ray": _ray}


@pytest.mark.parametrize("name", EXECUTORS)
def test_every_executor_gives_the_same_results(
    name: str, plan: MakePlan, store: Store, tmp_path: Path, log: Path
) -> None:
    executor = EXECUTORS[name]()
    trouble = plan(seeds="[0, 1]", nan="'pixel:l1'")
    with Store("sqlite://") as expected:
        run_sweep(trouble, expected)
        log.unlink()
        summary = run_sweep(trouble, store, executor=executor)
        assert scores(store) == scores(expected)
    assert (len(summary.done), len(summary.failed)) == (2, 2)
    assert sorted(evaluations(log).values()) == [1] * 4


def test_a_worker_that_dies_fails_its_runs_only(plan: MakePlan, store: Store) -> None:
    summary = run_sweep(plan(losses="pixel:mse", die=1), store, executor=ProcessExecutor(1))
    assert {r.config.seed: r.status for r in store.records()} == {0: "done", 1: "failed", 2: "done"}
    failure = summary.failed[0].failure
    assert failure is not None
    assert failure.type == "WorkerDied"
    assert "Start the sweep again to retry" in failure.message


@pytest.mark.parametrize("file", ["<stdin>", None])
def test_workers_of_a_program_that_is_no_file(
    plan: MakePlan, store: Store, monkeypatch: pytest.MonkeyPatch, file: str | None
) -> None:
    """Standard input, a notebook: workers start without it, and it is afterwards as it was."""
    main = ModuleType("__main__")
    if file is not None:
        main.__file__ = file
    monkeypatch.setitem(sys.modules, "__main__", main)
    summary = run_sweep(plan(losses="pixel:mse", seeds="0"), store, executor=ProcessExecutor(1))
    assert len(summary.done) == 1
    assert getattr(main, "__file__", None) == file

    def own(_group: object) -> list[object]:
        return []

    own.__module__ = "__main__"
    with pytest.raises(ConfigError, match="evaluate is defined in a program that is no file"):
        ProcessExecutor(1, own)  # type: ignore[arg-type]
    group = Group(summary.configs, BenchmarkChoice("toy", module="__main__"))
    (outcome,) = ProcessExecutor(1).map([group])
    assert outcome.failure is not None
    assert "Define it in a module" in outcome.failure.message


def test_a_worker_that_ends_by_an_error_of_its_own_was_not_killed(
    plan: MakePlan, store: Store, tmp_path: Path
) -> None:
    summary = run_sweep(plan(losses="pixel:mse", seeds="1", die=1), store, executor=ProcessExecutor(1))
    failure = summary.failed[0].failure
    assert failure is not None
    assert "ended by itself, twice (exit code 9)" in failure.message
    assert "__main__" in failure.message


def test_an_answer_that_cannot_leave_its_process_is_a_failure(
    plan: MakePlan, store: Store, toy: ModuleType
) -> None:
    summary = run_sweep(
        plan(losses="pixel:mse", seeds="0"), store, executor=ProcessExecutor(1, toy.unpicklable)
    )
    assert len(summary.failed) == 1


def test_workers_must_be_positive() -> None:
    with pytest.raises(ConfigError, match="workers must be at least 1; got 0"):
        ProcessExecutor(0)


def test_without_ray_the_way_out_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r"pip install 'lossnets\[ray\]'"):
        RayExecutor()
