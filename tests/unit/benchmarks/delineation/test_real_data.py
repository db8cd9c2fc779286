"""The layouts of real sets: road tiles with a table of splits, cracks without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from lossnets.benchmarks import load_benchmark


@pytest.mark.shared
def test_road_tiles_keep_the_split_of_their_table(shared_data: Path) -> None:
    root = shared_data / "delineation" / "massachusetts_roads"
    benchmark: Any = load_benchmark(
        "delineation-folders", images=root, csv=root / "tiles.csv", group="source_image"
    )
    benchmark.prepare()
    scenes = benchmark.scenes("small")
    counts = {split: scenes.splits.count(split) for split in ("train", "val", "test")}
    assert counts["test"] == 17
    assert counts["train"] + counts["val"] == 75
    of_split = {s: {g for g, t in zip(scenes.groups, scenes.splits, strict=True) if t == s} for s in counts}
    assert not of_split["train"] & of_split["val"]
    assert not of_split["train"] & of_split["test"]
    image, mask = scenes.read(0)
    assert image.shape == (3, 256, 256)
    assert mask.shape == (1, 256, 256)
    assert 0.01 < float(mask.mean()) < 0.2
    assert set(mask.unique().tolist()) == {0.0, 1.0}


@pytest.mark.shared
def test_cracks_are_split_once_for_all_runs(shared_data: Path) -> None:
    root = shared_data / "delineation" / "crackforest"
    first: Any = load_benchmark("delineation-folders", images=root)
    again: Any = load_benchmark("delineation-folders", images=root / "images", masks=root / "masks")
    assert len(first.scenes("small")) == 118
    assert first.scenes("small").splits == again.scenes("small").splits
    assert {s: first.scenes("small").splits.count(s) for s in ("train", "val", "test")} == {
        "train": 70,
        "val": 24,
        "test": 24,
    }
    image, mask = first.scenes("small").read(0)
    assert image.shape[1:] == mask.shape[1:] == (320, 480)


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_roads_are_learned_at_the_small_profile(shared_data: Path) -> None:
    torch.set_num_threads(1)
    root = shared_data / "delineation" / "massachusetts_roads"
    benchmark: Any = load_benchmark("delineation-folders", images=root)
    scores = {s.name: s for s in benchmark.evaluate("pixel:bce", profile="small").scores}
    assert scores["quality"].value > 2 * scores["quality@everything"].value
