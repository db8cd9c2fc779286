"""Which images and crops are used."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lossnets.benchmarks.super_resolution.data import Crops, ImageSet, choose_training
from lossnets.datasets.folders import image_folder
from lossnets.errors import DataError, ImageError
from lossnets.images import read_image, write_image


def folder_of(path: Path, sizes: list[tuple[int, int]]) -> Path:
    path.mkdir()
    for number, size in enumerate(sizes):
        write_image(path / f"i{number:02d}.png", torch.rand(3, *size))
    return path


def image_set(path: Path) -> ImageSet:
    return ImageSet(image_folder(path), path)


def test_validation_images_are_held_out_and_no_seed_is_involved(tmp_path: Path) -> None:
    images = image_set(folder_of(tmp_path / "a", [(20, 20)] * 12))
    chosen = choose_training(images, None, images=5, held_out=3, side=16)
    assert (len(chosen.paths), len(chosen.validation), chosen.left_out) == (5, 1, 0)
    assert not set(chosen.paths) & set(chosen.validation)
    assert chosen == choose_training(images, None, images=5, held_out=3, side=16)


def test_a_validation_set_of_its_own_is_taken_whole(tmp_path: Path) -> None:
    train = image_set(folder_of(tmp_path / "a", [(20, 20)] * 4))
    validation = image_set(folder_of(tmp_path / "b", [(20, 20)] * 3))
    chosen = choose_training(train, validation, images=10, held_out=2, side=16)
    assert set(chosen.paths) == set(train.paths)
    assert len(chosen.validation) == 2
    assert set(chosen.validation) < set(validation.paths)


def test_small_images_are_left_out_and_counted(tmp_path: Path) -> None:
    images = image_set(folder_of(tmp_path / "a", [(20, 20), (15, 40), (16, 16), (40, 15)]))
    chosen = choose_training(images, None, images=10, held_out=1, side=16)
    assert {p.name for p in chosen.paths + chosen.validation} == {"i00.png", "i02.png"}
    assert chosen.left_out == 2


def test_nothing_left_is_an_error_with_the_numbers(tmp_path: Path) -> None:
    images = image_set(folder_of(tmp_path / "a", [(20, 20), (15, 40)]))
    with pytest.raises(DataError, match=r"no training image is left of 2: crops are 16×16 pixels, and 1 sm"):
        choose_training(images, None, images=10, held_out=1, side=16)


def test_an_unreadable_training_image_is_named(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", [(20, 20)] * 3)
    (folder / "broken.png").write_bytes(b"no image")
    with pytest.raises(ImageError, match=r"broken\.png"):
        choose_training(image_set(folder), None, images=10, held_out=1, side=16)


def test_fixed_crops_are_parts_of_their_images_and_depend_on_the_seed(tmp_path: Path) -> None:
    paths = image_folder(folder_of(tmp_path / "a", [(20, 24), (32, 17), (16, 16)]))
    crops = Crops(paths, 16, seed=3).fixed(7)
    assert crops.shape == (7, 3, 16, 16)
    for index, crop in enumerate(crops):
        places = read_image(paths[index % 3]).unfold(1, 16, 1).unfold(2, 16, 1)
        assert (places == crop[:, None, None]).all(-1).all(-1).all(0).any()
    assert torch.equal(crops, Crops(paths, 16, seed=3).fixed(7))
    assert not torch.equal(crops, Crops(paths, 16, seed=4).fixed(7))
    assert not torch.equal(crops[0], crops[3])  # the same image, another place


def test_fresh_crops_depend_on_epoch_and_index_only(tmp_path: Path) -> None:
    crops = Crops(image_folder(folder_of(tmp_path / "a", [(40, 40)] * 2)), 16, seed=0)
    batch = crops.fresh(1, [0, 5])
    assert torch.equal(batch, crops.fresh(1, [5, 0]).flip(0))
    assert not torch.equal(batch, crops.fresh(2, [0, 5]))


def test_validation_crops_are_central_first_and_no_seed_changes_them(tmp_path: Path) -> None:
    paths = image_folder(folder_of(tmp_path / "a", [(20, 24)]))
    crops = Crops(paths, 16, seed=0).central(3)
    assert torch.equal(crops[0], read_image(paths[0])[:, 2:18, 4:20])
    assert torch.equal(crops, Crops(paths, 16, seed=1).central(3))


def test_names_and_the_choice_of_some(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a", [(8, 8)] * 9)
    images = image_set(folder)
    some = images.some(4)
    assert images.names[:2] == ("i00", "i01")
    assert len(some) == 4
    assert list(some.paths) == sorted(some.paths)
    assert images.some(None).paths == images.some(99).paths == images.paths
    write_image(folder / "new.png", torch.rand(3, 8, 8))
    assert len(set(image_set(folder).some(4).paths) & set(some.paths)) >= 3  # at most one is displaced
    write_image(folder / "a.png", torch.rand(3, 8, 8))
    (folder / "a.bmp").write_bytes((folder / "a.png").read_bytes())
    assert "a.png" in image_set(folder).names


def test_fingerprints_change_with_names_and_sizes_not_with_places(tmp_path: Path) -> None:
    one, two = (folder_of(tmp_path / name, [(8, 8)]) for name in "ab")
    (two / "i00.png").write_bytes((one / "i00.png").read_bytes())
    assert image_set(one).fingerprint() == image_set(two).fingerprint()
    no_root = [ImageSet(image_folder(folder), None) for folder in (one, two)]
    assert no_root[0].fingerprint() == no_root[1].fingerprint() != image_set(one).fingerprint()
    (two / "i00.png").rename(two / "other.png")
    assert image_set(one).fingerprint() != image_set(two).fingerprint()
