"""One exam for every backend of the results store: each promise at the top of runs/store.py is a test.

PostgreSQL takes part where LOSSNETS_TEST_POSTGRESQL holds the URL of a database that may be emptied.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lossnets.errors import StoreError
from lossnets.runs.identity import UNRESOLVED, RunConfig
from lossnets.runs.owner import new_owner
from lossnets.runs.records import Failure, Outcome, ScoreRecord
from lossnets.runs.schema import metadata
from lossnets.runs.store import LEASE_SECONDS, Store

CONFIG = RunConfig("pixel:mse", "sig-1", "toy", "grey", "f" * 64, "smoke", options={"resize": 64})
OTHER = replace(CONFIG, loss="pixel:l1", signature="sig-2")
SCORES = (
    ScoreRecord("2afc", 0.1 + 0.2, "fraction", True, "val/cnn", 0.25, 0.35, 40),
    ScoreRecord("2afc", 1 / 3, "fraction", True, "overall", None, None, 80, "mean of 2 splits"),
    ScoreRecord("spearman", None, "", True, "overall", note="one value only"),
    ScoreRecord("error", -1e-300, "dB", False),
)
ITEMS = {"d0": np.arange(5, dtype=np.float32) / 7, "label": np.array(["a", "é", "c", "d", "e"])}
DONE = Outcome(
    CONFIG, SCORES, ITEMS, None, 1.5, 2, {"torch": "2.4", "commit": None}, {"resize": 64, "items": 5}
)


class Clock:
    """Seconds that pass only when a test says so."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


Open = Callable[..., Store]


@pytest.fixture(params=["file", "memory", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return str(tmp_path / "results.sqlite")
    if request.param == "memory":
        return "sqlite://"
    url = os.environ.get("LOSSNETS_TEST_POSTGRESQL")
    if not url:
        pytest.skip("set LOSSNETS_TEST_POSTGRESQL to the URL of a database for tests")
    with Store(url) as store:
        metadata.drop_all(store._database.engine)
    return url


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(where: str, clock: Clock) -> Iterator[Store]:
    with Store(where, owner_name="us", clock=clock) as opened:
        yield opened


@pytest.fixture
def rival(where: str, store: Store, clock: Clock) -> Iterator[Store]:
    """A second process on the same store (in memory: the same database object, another owner)."""
    if where == "sqlite://":
        other = Store.__new__(Store)
        other._database, other._owner, other._clock, other._mine = store._database, "them", clock, set()
        yield other
        return
    with Store(where, owner_name="them", clock=clock) as other:
        yield other


def finish(store: Store, outcome: Outcome, *, rerun: bool = False) -> None:
    claim = store.claim(outcome.config, rerun=rerun)
    assert claim is not None
    store.finish(claim, outcome)


def failed(config: RunConfig, message: str = "no weights") -> Outcome:
    return Outcome(config, failure=Failure("WeightsError", message))


def test_an_empty_store_answers_empty(store: Store) -> None:
    assert store.records() == []
    assert store.standing(CONFIG) is None
    assert store.statuses([CONFIG]) == {}
    with pytest.raises(StoreError, match="has no finished run of pixel:mse on toy/grey"):
        store.items(CONFIG)


def test_a_record_comes_back_bit_by_bit(store: Store, clock: Clock) -> None:
    finish(store, DONE)
    (record,) = store.records()
    assert record.config == CONFIG
    assert record.identity == CONFIG.identity
    assert record.scores == SCORES
    assert (record.status, record.attempt, record.failure) == ("done", 1, None)
    assert (record.seconds, record.group_size, record.started) == (1.5, 2, clock.now)
    assert dict(record.environment) == {"torch": "2.4", "commit": None}
    assert dict(record.facts) == {"resize": 64, "items": 5}
    assert record.item_names == ("d0", "label")
    assert store.standing(CONFIG) == record


def test_items_come_back_bit_by_bit(store: Store) -> None:
    finish(store, DONE)
    found = store.items(CONFIG)
    assert list(found) == ["d0", "label"]
    for name, values in ITEMS.items():
        assert found[name].dtype == values.dtype
        np.testing.assert_array_equal(found[name], values)


def test_returned_records_and_items_are_copies(store: Store) -> None:
    finish(store, DONE)
    record = store.records()[0]
    with pytest.raises(TypeError):
        record.environment["torch"] = "0"  # type: ignore[index]
    with pytest.raises(TypeError):
        record.config.options["resize"] = 1  # type: ignore[index]
    store.items(CONFIG)["d0"][:] = -1
    np.testing.assert_array_equal(store.items(CONFIG)["d0"], ITEMS["d0"])
    assert store.records()[0].scores == SCORES


def test_a_failure_keeps_type_and_message(store: Store) -> None:
    finish(store, failed(CONFIG, "weights of é ünïcode\nsecond line"))
    (record,) = store.records()
    assert record.status == "failed"
    assert record.failure == Failure("WeightsError", "weights of é ünïcode\nsecond line")
    assert record.scores == ()


def test_a_claimed_run_is_running_and_belongs_to_one(store: Store, rival: Store) -> None:
    assert store.claim(CONFIG) is not None
    assert store.statuses([CONFIG, OTHER]) == {CONFIG.identity: "running"}
    assert store.records()[0].status == "running"
    assert rival.claim(CONFIG) is None
    assert rival.claim(OTHER) is not None


def test_a_done_run_is_claimed_only_to_rerun(store: Store) -> None:
    finish(store, DONE)
    assert store.claim(CONFIG) is None
    assert store.claim(CONFIG, rerun=True) is not None
    assert store.statuses([CONFIG]) == {CONFIG.identity: "done"}  # the old result stands meanwhile


def test_a_rerun_adds_and_never_modifies(store: Store) -> None:
    finish(store, DONE)
    first = store.records()[0]
    finish(store, replace(DONE, scores=SCORES[:1], items={}), rerun=True)
    before, after = store.records(history=True)
    assert before == first
    assert (after.attempt, after.scores) == (2, SCORES[:1])
    assert store.records() == [after]
    assert store.items(CONFIG) == {}


def test_a_failed_rerun_does_not_hide_the_result(store: Store) -> None:
    finish(store, DONE)
    finish(store, failed(CONFIG), rerun=True)
    assert [r.status for r in store.records(history=True)] == ["done", "failed"]
    assert store.records()[0].scores == SCORES
    assert store.statuses([CONFIG]) == {CONFIG.identity: "done"}


def test_a_failed_run_is_tried_again(store: Store) -> None:
    finish(store, failed(CONFIG))
    finish(store, DONE)
    assert [(r.attempt, r.status) for r in store.records(history=True)] == [(1, "failed"), (2, "done")]
    assert [r.status for r in store.records()] == ["done"]


def test_finishing_twice_never_modifies_the_first_result(store: Store) -> None:
    claim = store.claim(CONFIG)
    assert claim is not None
    store.finish(claim, DONE)
    store.finish(claim, replace(DONE, scores=()))
    first, second = store.records(history=True)
    assert (first.attempt, first.scores) == (1, SCORES)
    assert (second.attempt, second.scores) == (2, ())


def test_a_claim_stands_while_it_is_renewed_and_ends_with_its_lease(
    store: Store, rival: Store, clock: Clock
) -> None:
    store.claim(CONFIG)
    clock.now += LEASE_SECONDS * 0.9
    assert store.heartbeat() == 1
    clock.now += LEASE_SECONDS * 0.9
    assert rival.claim(CONFIG) is None
    clock.now += LEASE_SECONDS * 0.2
    taken = rival.claim(CONFIG)
    assert taken is not None
    assert taken.attempt == 1
    assert store.heartbeat() == 0  # it is no longer ours


def test_a_dead_process_blocks_nobody(where: str, rival: Store, store: Store) -> None:
    machine, _, start, token = new_owner().split("/")
    store._owner = f"{machine}/{2**22 + 1}/{start}/{token}"  # beyond the largest process id of Linux
    store.claim(CONFIG)
    assert rival.claim(CONFIG) is not None


def test_a_live_process_keeps_its_claim(rival: Store, store: Store) -> None:
    store._owner = new_owner()
    store.claim(CONFIG)
    assert rival.claim(CONFIG) is None


def test_what_was_computed_is_stored_though_the_claim_was_lost(
    store: Store, rival: Store, clock: Clock
) -> None:
    ours = store.claim(CONFIG)
    clock.now += LEASE_SECONDS + 1
    theirs = rival.claim(CONFIG)
    assert ours is not None
    assert theirs is not None
    store.finish(ours, DONE)
    rival.finish(theirs, replace(DONE, seconds=9.0))
    assert sorted((r.attempt, r.seconds) for r in store.records(history=True)) == [(1, 9.0), (2, 1.5)]
    np.testing.assert_array_equal(store.items(CONFIG)["d0"], ITEMS["d0"])


def test_release_gives_back_what_is_unfinished_only(store: Store, rival: Store) -> None:
    done, open_ = store.claim(CONFIG), store.claim(OTHER)
    assert done is not None
    assert open_ is not None
    store.finish(done, DONE)
    store.release([done, open_])
    assert [r.config for r in store.records()] == [CONFIG]
    assert rival.claim(OTHER) is not None


def test_release_leaves_a_claim_that_another_took_over(store: Store, rival: Store, clock: Clock) -> None:
    ours = store.claim(CONFIG)
    clock.now += LEASE_SECONDS + 1
    assert rival.claim(CONFIG) is not None
    assert ours is not None
    store.release([ours])
    assert store.statuses([CONFIG]) == {CONFIG.identity: "running"}


def test_an_outcome_of_another_run_is_refused(store: Store) -> None:
    claim = store.claim(CONFIG)
    assert claim is not None
    with pytest.raises(StoreError, match=r"the outcome is of pixel:l1 .* the claim is on pixel:mse"):
        store.finish(claim, failed(OTHER))


def test_a_loss_that_could_not_load_disappears_once_it_has_loaded(store: Store) -> None:
    unresolved = replace(CONFIG, signature=UNRESOLVED)
    finish(store, failed(unresolved))
    finish(store, failed(replace(OTHER, signature=UNRESOLVED)))
    assert len(store.records()) == 2
    finish(store, DONE)
    assert {(r.config.loss, r.status) for r in store.records()} == {
        ("pixel:mse", "done"),
        ("pixel:l1", "failed"),
    }
    assert len(store.records(history=True)) == 3


def test_an_outcome_is_stored_as_a_whole_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = store.claim(CONFIG)
    assert claim is not None
    twice = replace(DONE, scores=SCORES)
    monkeypatch.setattr(
        "lossnets.runs.rows.score_columns",
        lambda run_id, scores: [{"run_id": run_id, "position": 0, "name": None}],  # name may not be null
    )
    with pytest.raises(StoreError, match="breaks the store's rules"):
        store.finish(claim, twice)
    monkeypatch.undo()
    assert store.records()[0].status == "running"
    store.finish(claim, DONE)
    assert store.records()[0].scores == SCORES


def test_many_threads_share_one_store(store: Store) -> None:
    configs = [replace(CONFIG, seed=seed) for seed in range(24)]
    got: list[int] = []

    def work() -> None:
        for config in configs:
            claim = store.claim(config)
            if claim is not None:
                got.append(config.seed)
                store.finish(claim, replace(DONE, config=config))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == list(range(24))  # each run went to exactly one thread
    assert len(store.records(history=True)) == 24


def test_records_survive_closing(where: str, store: Store) -> None:
    if where == "sqlite://":
        pytest.skip("a store in memory ends with its connection, as documented")
    finish(store, DONE)
    store.close()
    with Store(where, create=False) as again:
        assert again.records()[0].scores == SCORES
