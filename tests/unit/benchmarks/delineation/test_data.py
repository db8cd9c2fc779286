"""Scenes: splits, crops, files that do not fit."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from lossnets.benchmarks.delineation.data import (
    Scenes,
    augmented,
    centre,
    folder_scenes,
    spaced,
)
from lossnets.benchmarks.delineation.splits import assign_splits
from lossnets.benchmarks.engine import generator
from lossnets.datasets.folders import Masked, masked_folder
from lossnets.errors import ConfigError, DataError, ImageError
from lossnets.images.files import write_image

from .scenes import memory_scenes, scene, stripe, write_scenes


def test_crops_and_mirroring_are_the_same_for_image_and_mask() -> None:
    number = torch.arange(40 * 50).reshape(1, 40, 50).float()
    image, mask = number.repeat(3, 1, 1), number
    mirrored = 0
    seen = set()
    for i in range(40):
        a, b = augmented(image, mask, 32, generator(0, "crop", i))
        assert a.shape == (3, 32, 32)
        assert b.shape == (1, 32, 32)
        assert all(torch.equal(channel, b[0]) for channel in a)
        step = float(b[0, 0, 1] - b[0, 0, 0])
        assert abs(step) == 1
        assert float(b[0, 1, 0] - b[0, 0, 0]) == 50  # never upside down
        mirrored += step < 0
        seen.add(float(b.min()))
    assert 8 < mirrored < 32
    assert len(seen) > 30


def test_crops_depend_on_the_generator_alone() -> None:
    image, mask = scene(0, side=64)
    a = augmented(image, mask, 32, generator(1, "crop", 0, 5))
    torch.rand(7)
    b = augmented(image, mask, 32, generator(1, "crop", 0, 5))
    other = augmented(image, mask, 32, generator(1, "crop", 1, 5))
    assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))
    assert not torch.equal(a[0], other[0])


def test_an_image_smaller_than_the_crop_is_refused() -> None:
    with pytest.raises(DataError, match="image of 32×32 pixels is smaller than the training crop of 33"):
        augmented(*scene(0), 33, generator(0))


def test_the_centre_is_cut_from_what_is_larger() -> None:
    image = torch.arange(36.0).reshape(1, 6, 6)
    assert torch.equal(centre(image, 2), image[:, 2:4, 2:4])
    assert centre(image, 9) is not None
    assert torch.equal(centre(image, 9), image)
    assert torch.equal(centre(image, None), image)


def test_spaced_indices() -> None:
    assert spaced(range(10), None) == tuple(range(10))
    assert spaced(range(10), 20) == tuple(range(10))
    assert spaced(range(10), 4) == (0, 2, 5, 7)


def test_splits_are_drawn_once_for_all_runs_and_by_whole_groups() -> None:
    groups = [f"source{i // 2}" for i in range(40)]
    splits = assign_splits([None] * 40, groups, seed=3)
    assert splits == assign_splits([None] * 40, groups, seed=3)
    assert splits != assign_splits([None] * 40, groups, seed=4)
    assert {name: splits.count(name) for name in set(splits)} == {"train": 24, "val": 8, "test": 8}
    assert all(splits[i] == splits[i + 1] for i in range(0, 40, 2))


def test_validation_is_taken_from_training_and_given_splits_stay() -> None:
    given = ["train"] * 10 + ["test"] * 5
    splits = assign_splits(given, [str(i) for i in range(15)])
    assert splits[10:] == ("test",) * 5
    assert splits[:10].count("val") == 2
    all_given = ["train", "val", "test", "test"]
    assert assign_splits(all_given, list("abcd")) == tuple(all_given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["train", "train", "val"], "split 'test' is empty; scores are computed on it"),
        (["test", "test", "val"], "split 'train' is empty"),
        (["train", "test"], "split 'val' is to be drawn from 1 training scene"),
        (["train", "test", None], "1 of 3 scenes have no split"),
        (["train", "dark", "test"], r"splits must be among train, val, test; got \['dark'\]"),
        ([None], "split 'test' is to be drawn from 1 training scene"),
    ],
)
def test_splits_that_do_not_do(given: list[str | None], message: str) -> None:
    with pytest.raises(DataError, match=message):
        assign_splits(given, [str(i) for i in range(len(given))])


@pytest.mark.parametrize("shares", [(0.0, 0.2), (0.2, 1.0), (0.5, 0.5)])
def test_shares_must_leave_some_for_training(shares: tuple[float, float]) -> None:
    with pytest.raises(ConfigError, match="must be shares between 0 and 1 that leave some for training"):
        assign_splits([None] * 9, list("abcdefghi"), validation=shares[0], test=shares[1])


def _from(folder: Path) -> Scenes:
    return folder_scenes(masked_folder(folder), (folder, folder))


def test_files_are_read_as_they_are(tmp_path: Path) -> None:
    write_scenes(tmp_path, 6)
    scenes = _from(tmp_path)
    assert scenes.names == tuple(f"scene{i:02d}" for i in range(6))
    for _ in range(2):  # from the files, then from memory
        for i in range(6):
            image, mask = scenes.read(i)
            torch.testing.assert_close(image, scene(i)[0])
            assert torch.equal(mask, scene(i)[1])
    assert scenes.side == 32


def test_sixteen_bit_values_survive_memory() -> None:
    image = torch.full((3, 32, 32), 1 / 65535)
    scenes = Scenes(("a", "b", "c"), ("train", "val", "test"), 32, lambda _: (image, stripe(3)), "")
    scenes.read(0)
    assert torch.equal(scenes.read(0)[0], image)


def test_the_fingerprint_is_that_of_files_and_splits_wherever_they_lie(tmp_path: Path) -> None:
    write_scenes(tmp_path / "a", 6)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    first = _from(tmp_path / "a")
    assert first.fingerprint == _from(tmp_path / "b").fingerprint
    items, roots = masked_folder(tmp_path / "a"), (tmp_path / "a", tmp_path / "a")
    assert folder_scenes(items, roots, seed=1).fingerprint != first.fingerprint
    write_image(tmp_path / "b" / "images" / "scene03.png", torch.rand(3, 32, 32))
    assert _from(tmp_path / "b").fingerprint != first.fingerprint


def test_a_mask_of_another_size_is_refused_before_anything_is_trained(tmp_path: Path) -> None:
    write_scenes(tmp_path, 5)
    write_image(tmp_path / "masks" / "scene02.png", torch.zeros(1, 32, 40))
    with pytest.raises(DataError, match=r"scene02.png' has 32×40 pixels, its image .*scene02.png' 32×32"):
        _from(tmp_path)


def test_a_mask_turned_by_a_quarter_is_refused_when_it_is_read(tmp_path: Path) -> None:
    write_scenes(tmp_path, 5)
    write_image(tmp_path / "images" / "scene02.png", torch.zeros(3, 40, 32))
    write_image(tmp_path / "masks" / "scene02.png", torch.zeros(1, 32, 40))
    with pytest.raises(DataError, match=r"mask of '.*scene02.png' has 32×40 pixels, its image 40×32"):
        _from(tmp_path).read(2)


def test_a_mask_with_greys_is_refused(tmp_path: Path) -> None:
    write_scenes(tmp_path, 5)
    write_image(tmp_path / "masks" / "scene01.png", torch.rand(1, 32, 32))
    with pytest.raises(DataError, match=r"scene01.png' must have two levels"):
        _from(tmp_path).read(1)


def test_a_check_reads_each_scene_once_and_keeps_none() -> None:
    """Memory is for training images first: the order in which it fills does not depend on the check."""
    scenes = memory_scenes()
    read: list[int] = []
    scenes.reader = lambda index: (read.append(index), scene(index))[1]
    for _ in range(2):
        scenes.check([4, 6, 8], 16)
    assert read == [4, 6, 8]
    assert (scenes._kept, scenes._bytes) == ({}, 0)
    with pytest.raises(DataError, match=r"image 'test-7' \(split 'test'\) has 32×32 pixels; .* at least 33"):
        scenes.check([7], 33)


def test_a_threshold_makes_masks_of_jpegs(tmp_path: Path) -> None:
    write_scenes(tmp_path, 5)
    mask = scene(1)[1]
    (tmp_path / "masks" / "scene01.png").unlink()
    Image.fromarray((mask[0] * 255).byte().numpy()).save(tmp_path / "masks" / "scene01.jpg", quality=10)
    with pytest.raises(DataError, match=r"scene01.jpg' must have two levels"):
        _from(tmp_path).read(1)
    scenes = folder_scenes(masked_folder(tmp_path), (tmp_path, tmp_path), mask_threshold=0.5)
    assert torch.equal(scenes.read(1)[1], mask)
    assert torch.equal(scenes.read(2)[1], scene(2)[1])


def test_an_unreadable_image_is_named(tmp_path: Path) -> None:
    write_scenes(tmp_path, 5)
    (tmp_path / "images" / "scene04.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"scene04.png' is not an image"):
        _from(tmp_path)
    whole = (tmp_path / "images" / "scene03.png").read_bytes()
    write_scenes(tmp_path, 5)
    (tmp_path / "images" / "scene03.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ImageError, match=r"scene03.png' is corrupt or truncated"):
        _from(tmp_path).read(3)


def test_equal_names_in_several_splits_are_told_apart(tmp_path: Path) -> None:
    for split in ("train", "valid", "test"):
        write_scenes(tmp_path / split, 2, images="sat", masks="map")
    scenes = _from(tmp_path)
    assert len(set(scenes.names)) == 6
    assert "test-scene00" in scenes.names
    assert scenes.splits == ("train",) * 2 + ("val",) * 2 + ("test",) * 2


def test_no_scene_and_no_split_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no image with a mask"):
        folder_scenes([], (tmp_path, tmp_path))
    with pytest.raises(DataError, match="split 'val' is empty"):
        Scenes(("a", "b"), ("train", "test"), 32, scene, "")
    write_scenes(tmp_path, 1)
    one = Masked(tmp_path / "images" / "scene00.png", tmp_path / "masks" / "scene00.png", None)
    with pytest.raises(DataError, match="split 'test' is to be drawn"):
        folder_scenes([one], (tmp_path, tmp_path))


def test_limits_take_evenly_spaced_scenes_of_one_split() -> None:
    scenes = memory_scenes(8, 2, 3)
    assert scenes.of("train", 4) == (0, 2, 4, 6)
    assert scenes.of("test") == (10, 11, 12)
