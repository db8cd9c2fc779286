"""The toy benchmark, its plans and stores, for every test of runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

from lossnets.runs.plan import Plan, parse_plan
from lossnets.runs.store import Store

HERE = Path(__file__).parent
collect_ignore = ["toy_sweep.py", "sweep_process.py"]  # imported by name, as worker processes do


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module toy_sweep, importable here and in spawned workers."""
    monkeypatch.syspath_prepend(str(HERE))
    import toy_sweep

    assert "toy_sweep" in sys.modules
    return toy_sweep


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Where the toy benchmark notes what it evaluates."""
    return tmp_path / "log.txt"


@pytest.fixture
def plan(toy: ModuleType, log: Path) -> Callable[..., Plan]:
    """Make a plan of two pixel losses over the toy; options as keywords."""

    def make(
        *,
        losses: str = "[pixel:mse, pixel:l1]",
        seeds: str = "[0, 1, 2]",
        variants: str = "[baseline]",
        **options: object,
    ) -> Plan:
        settings = ", ".join(f"{key}: {value}" for key, value in {"log": log, **options}.items())
        return parse_plan(
            f"name: test\nlosses: {losses}\nseeds: {seeds}\nprofile: smoke\nvariants: {variants}\n"
            f"benchmarks:\n  - benchmark: toy\n    options: {{{settings}}}\n"
        )

    return make


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """A results store of its own for each test."""
    with Store(tmp_path / "results.sqlite") as opened:
        yield opened
