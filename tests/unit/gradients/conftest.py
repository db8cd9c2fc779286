"""Small networks and images on one thread: handing them out to several costs more than computing them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lossnets.gradients import Architecture, Card, GradientNetwork, build_network


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


THIN = {
    "proxy": Architecture("proxy", "shuffled", {"width": 8, "blocks": 1}),
    "direct": Architecture("direct", "shuffled", {"width": 8, "blocks": 1}),
    "distilled": Architecture(
        "distilled", settings={"network": "squeezenet1_1", "taps": ["features.1"], "widths": [6]}
    ),
}


class Thin(Mapping[str, GradientNetwork]):
    """Networks that are built when a test asks for them."""

    def __init__(self) -> None:
        self._built: dict[str, GradientNetwork] = {}

    def __getitem__(self, name: str) -> GradientNetwork:
        if name not in self._built:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(3)
                self._built[name] = build_network(THIN[name]).eval()
        return self._built[name]

    def __iter__(self) -> Iterator[str]:
        return iter(THIN)

    def __len__(self) -> int:
        return len(THIN)


@pytest.fixture
def thin() -> Thin:
    """A small network of each family."""
    return Thin()


@pytest.fixture
def pair() -> tuple[Tensor, Tensor]:
    """Two batches of images in [0, 1] that are alike, but not the same: (2, 3, 20, 24)."""
    x = torch.rand(2, 3, 20, 24)
    return x, (x + 0.2 * (torch.rand_like(x) - 0.5)).clamp(0, 1)


@pytest.fixture
def card() -> Card:
    """The card of the thin proxy network."""
    return Card(
        "mine", "pixel:mse", "pixel:mse|numerics:1", THIN["proxy"],
        data={"folder": "photographs", "images": 12}, training={"steps": 3, "seed": 0},
        fidelity={"cosine": 0.5},
    )  # fmt: skip


@pytest.fixture
def pretrained(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A folder in the place of the package's own."""
    from lossnets.gradients import pretrained as module

    folder = tmp_path / "pretrained_files"
    folder.mkdir()
    monkeypatch.setattr(module, "SHIPPED", folder)
    return folder
