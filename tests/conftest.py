"""What every test shares: where real data and weights are, and a home of its own."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).resolve().parents[1]


def _shared(variable: str, folder: str) -> Path:
    path = Path(os.environ.get(variable) or ROOT.parent / "shared" / folder)
    if not path.is_dir():
        pytest.skip(f"real {folder} not found; set {variable} to run this test")
    return path


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real images and human judgements; skips where there is none."""
    return _shared("LOSSNETS_SHARED_DATA", "data")


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    """Folder of real pretrained weights; skips where there is none."""
    return _shared("LOSSNETS_SHARED_WEIGHTS", "weights")


@pytest.fixture(autouse=True)
def own_home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test has an empty LOSSNETS_HOME and torch hub, and is offline: none can touch a user's cache."""
    home = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("LOSSNETS_HOME", str(home / "lossnets"))
    monkeypatch.setenv("TORCH_HOME", str(home / "torch"))
    monkeypatch.setenv("LOSSNETS_OFFLINE", "1")


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test starts from the same random state."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def simulated() -> Callable[..., Any]:
    """`simulated` of tests/unit/analysis/simulate.py: Results drawn from effects that the test chooses."""
    place = Path(__file__).parent / "unit" / "analysis" / "simulate.py"
    spec = importlib.util.spec_from_file_location("lossnets_simulate", place)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    drawn: Callable[..., Any] = module.simulated
    return drawn
