"""Generated road scenes: the same every time, not trivial, said to be generated."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lossnets.datasets.sample_roads import (
    ROAD_SIZES,
    TEXTURES,
    _make,
    _stroke,
    draw_scene,
    read_sample_roads,
    sample_roads_fingerprint,
)
from lossnets.errors import UnknownNameError


def test_scenes_are_the_same_every_time_and_all_different() -> None:
    first = read_sample_roads("smoke")
    again = _make.__wrapped__("smoke", ())
    assert torch.equal(first.images, again.images)
    assert torch.equal(first.masks, again.masks)
    assert len({image.numpy().tobytes() for image in first.images}) == len(first.names)


def test_sizes_splits_and_names_say_what_they_are() -> None:
    scenes, size = read_sample_roads("smoke"), ROAD_SIZES["smoke"]
    assert scenes.images.shape == (size.train + size.validation + size.test, 3, size.side, size.side)
    assert scenes.masks.shape == (len(scenes.names), 1, size.side, size.side)
    assert [scenes.splits.count(s) for s in ("train", "val", "test")] == [
        size.train,
        size.validation,
        size.test,
    ]
    assert all(name.startswith("generated-") for name in scenes.names)
    image, mask = scenes.read(0)
    assert (image.dtype, mask.dtype) == (torch.float32, torch.float32)
    assert 0 <= float(image.min()) <= float(image.max()) <= 1
    assert set(mask.unique().tolist()) == {0.0, 1.0}


def test_every_scene_has_a_road_and_most_of_it_is_none() -> None:
    shares = read_sample_roads("smoke").masks.float().mean((1, 2, 3))
    assert float(shares.min()) > 0.01
    assert float(shares.max()) < 0.5


def test_no_brightness_tells_roads_from_the_rest() -> None:
    """Not trivial: the best threshold on any one channel leaves most of the quality out of reach."""
    scenes = read_sample_roads("smoke")
    masks = scenes.masks[:, 0].bool()
    best = 0.0
    for channel in scenes.images.float().unbind(1):
        for low in range(0, 250, 10):
            for high in range(low + 20, 256, 20):
                found = (channel >= low) & (channel <= high)
                best = max(best, float((found & masks).sum() / (found | masks).sum()))
    assert best < 0.5


def test_a_stroke_covers_its_area_and_its_border_is_soft() -> None:
    points = np.array([[-5.0, 20.0], [45.0, 20.0]])
    area = _stroke(points, 6.0, 40)
    assert area.sum() == pytest.approx(6 * 40, rel=0.1)
    slanted = _stroke(np.array([[-5.0, 10.0], [45.0, 25.0]]), 6.0, 40)
    assert ((slanted > 0.05) & (slanted < 0.95)).sum() > 40
    assert slanted[0, 0] == 0


def test_a_scene_depends_on_its_numbers_alone() -> None:
    rng = np.random.default_rng(5)
    textures = [rng.random((3, 80, 90)).astype(np.float32) for _ in TEXTURES]
    first = draw_scene(textures, 64, np.random.default_rng(1))
    same = draw_scene(textures, 64, np.random.default_rng(1))
    other = draw_scene(textures, 64, np.random.default_rng(2))
    assert (first[0] == same[0]).all()
    assert (first[1] == same[1]).all()
    assert (first[0] != other[0]).any()


def test_the_fingerprint_needs_no_scene() -> None:
    _make.cache_clear()
    assert len(sample_roads_fingerprint()) == 64
    assert sample_roads_fingerprint() == sample_roads_fingerprint()
    assert _make.cache_info().currsize == 0


def test_an_unknown_size_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="size of the generated road scenes 'large' is not known"):
        read_sample_roads("large")
