"""Every function on the shipped results, on results with gaps, and on 5,000 runs in seconds."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from lossnets.analysis import (
    Results,
    agreement,
    average_ranks,
    best_architectures,
    best_taps,
    compare_losses,
    compare_over_settings,
    grid,
    grid_states,
    loss_facts,
    rank_table,
    shipped_results,
)

from .simulate import simulated

FUNCTIONS: dict[str, Callable[[Results], Any]] = {
    "compare_losses": lambda results: [compare_losses(results, s) for s in results.settings],
    "compare_losses, pooled": lambda r: [compare_losses(r, s, variances="pooled") for s in r.settings],
    "compare_losses, separate": lambda r: [compare_losses(r, s, variances="separate") for s in r.settings],
    "compare_over_settings": compare_over_settings,
    "rank_table": rank_table,
    "average_ranks": average_ranks,
    "average_ranks, architecture": lambda results: average_ranks(results, by="architecture"),
    "average_ranks, all": lambda results: average_ranks(results, common=False),
    "best_taps": best_taps,
    "best_architectures": best_architectures,
    "grid": lambda r: [(grid(r, setting), grid_states(r, setting)) for setting in r.settings],
    "agreement": agreement,
}


@pytest.fixture(scope="module")
def shipped() -> Results:
    return shipped_results()


@pytest.fixture(scope="module")
def gaps() -> Results:
    return simulated(np.random.default_rng(2), architectures=4, missing=0.3, failed=0.3)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_takes_shipped_results_gaps_and_nothing(
    name: str, shipped: Results, gaps: Results
) -> None:
    for results in (shipped, gaps, Results(())):
        FUNCTIONS[name](results)


def test_intervals_of_shipped_results_hold_their_ranks(shipped: Results) -> None:
    frame = rank_table(shipped)
    ranked = frame[frame["state"] == "ranked"]
    assert len(ranked) > 50
    assert (ranked["low"] <= ranked["rank"]).all()
    assert (ranked["rank"] <= ranked["high"]).all()
    assert set(frame["setting"]) == set(shipped.labels.values())


@pytest.fixture(scope="module")
def many() -> Results:
    settings = ("similarity", "super-resolution", "super-resolution/b", "delineation", "delineation/b",
                "autoencoding", "autoencoding/b")  # fmt: skip
    results = simulated(
        np.random.default_rng(1), architectures=14, settings=settings, seeds=15, missing=0.01, failed=0.01
    )
    for record in results.records:
        loss_facts(record.config.loss)  # the first look at a network traces it
    return results


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_five_thousand_runs_take_seconds(name: str, many: Results) -> None:
    assert len(many.records) > 5000 * 0.97
    fresh = Results(many.records)
    start = time.process_time()
    FUNCTIONS[name](fresh)
    assert time.process_time() - start < 10
