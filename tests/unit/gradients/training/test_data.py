"""Pictures and crops: what is left out is named, held-out images stay out, crops depend on the step alone."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import pytest
import torch
from PIL import Image

from lossnets.errors import DataError, ImageError
from lossnets.gradients.training.data import Crops, Steps, files_sha256, find_pictures, held_out_crops
from lossnets.images.files import read_image, write_image


@pytest.fixture
def mixed(pictures: Path, tmp_path: Path) -> Path:
    """Two good pictures, a small one, a broken one, a text."""
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes((pictures / name).read_bytes())
    Image.new("RGB", (20, 90)).save(tmp_path / "small.png")
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff not a picture")
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def test_edge_maps_are_left_out(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_image(tmp_path / f"{name}.png", torch.rand(3, 40, 40))
    write_image(tmp_path / "edges.png", (torch.rand(1, 40, 40) * 9).round().expand(3, -1, -1) / 9)
    write_image(tmp_path / "grey.png", torch.rand(1, 40, 40).expand(3, -1, -1))
    found = find_pictures(tmp_path, 32, 0.3)
    assert {path.name for path in (*found.train, *found.held_out)} == {"one.png", "two.png", "grey.png"}
    assert found.skipped["edges.png"].startswith("is a mask or edge map, no photograph")


def test_bad_images_are_named_and_left_out(mixed: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="lossnets"):
        found = find_pictures(mixed, 32, 0.0)
    assert [path.name for path in found.train] == ["a.png", "b.png"]
    assert set(found.skipped) == {"small.png", "broken.jpg"}
    assert found.skipped["small.png"] == "20×90 pixels are too small for crops of 32"
    assert "2 of 4 images are left out: broken.jpg:" in caplog.text
    assert found.card(32)["skipped"] == 2


def test_a_folder_without_usable_images_is_refused(mixed: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"4 image files, none usable: a.png: 56×48 pixels are too small"):
        find_pictures(mixed, 64, 0.0)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(DataError, match="holds no image to train on: 0 image files"):
        find_pictures(empty, 32, 0.0)
    with pytest.raises(ImageError, match="does not exist"):
        find_pictures(tmp_path / "nowhere", 32, 0.0)


def test_held_out_images_are_not_trained_on(pictures: Path) -> None:
    found = find_pictures(pictures, 32, 0.3)
    assert len(found.held_out) == 1
    assert not set(found.held_out) & set(found.train)
    assert len(found.train) == 3
    assert find_pictures(pictures, 32, 0.3) == found
    card = found.card(32)
    assert (card["images"], card["held_out"], card["crop"]) == (3, 1, 32)
    assert card["folder"] == pictures.name
    assert card["sources"] == [".: 3 images", "more: 1 images"]
    assert len(find_pictures(pictures, 32, 0.99).train) == 1  # something is left to train on


def test_the_identity_is_of_names_contents_and_parts(pictures: Path, tmp_path: Path) -> None:
    pictures = shutil.copytree(pictures, tmp_path / "own")
    found = find_pictures(pictures, 32, 0.3)
    assert found.identity() == find_pictures(pictures, 32, 0.3).identity()
    assert found.identity() != find_pictures(pictures, 32, 0.0).identity()
    card, identity = found.card(32), found.identity()
    (pictures / "a.png").rename(pictures / "z.png")
    renamed = find_pictures(pictures, 32, 0.3)
    assert renamed.card(32)["sha256"] == card["sha256"]
    assert renamed.identity() != identity


def test_pictures_of_the_training_itself_are_left_out(pictures: Path) -> None:
    found = find_pictures(pictures, 32, 0.0, leave_out=pictures / "more")
    assert [path.name for path in found.train] == ["a.png", "b.png", "c.png"]


def test_one_picture_serves_for_both(pictures: Path) -> None:
    found = find_pictures(pictures / "more", 32, 0.5)
    assert found.train == found.held_out
    assert found.card(32)["held_out"] == 0


def test_the_hash_is_of_contents_alone(pictures: Path, tmp_path: Path) -> None:
    files = sorted(pictures.glob("*.png"))
    other = tmp_path / "renamed.png"
    other.write_bytes(files[0].read_bytes())
    assert files_sha256(files) == files_sha256([*files[1:], other])
    assert files_sha256(files) != files_sha256(files[1:])


def test_crops_depend_on_seed_and_step_alone(pictures: Path) -> None:
    files = sorted(pictures.glob("*.png"))
    crops = Crops(files, 3, 32, seed=1)
    first = crops[5]
    assert first.shape == (3, 3, 32, 32)
    assert first.dtype == torch.uint8
    assert crops[6].ne(first).any()
    assert torch.equal(Crops(files, 3, 32, seed=1)[5], first)
    assert not torch.equal(Crops(files, 3, 32, seed=2)[5], first)


def test_a_crop_is_a_window_of_an_image_maybe_mirrored(pictures: Path) -> None:
    path = pictures / "a.png"
    image = (read_image(path) * 255).round().to(torch.uint8)
    windows = image.unfold(1, 32, 1).unfold(2, 32, 1).permute(1, 2, 0, 3, 4).flatten(0, 1)
    for crop in Crops([path], 6, 32, seed=0)[0]:
        same = [bool((windows == c).flatten(1).all(1).any()) for c in (crop, crop.flip(2))]
        assert any(same)


def test_reduced_crops_are_averages(tmp_path: Path) -> None:
    pixels = torch.arange(64).repeat(64, 1).to(torch.uint8)
    Image.fromarray(pixels.numpy()).save(tmp_path / "ramp.png")
    crop = Crops([tmp_path / "ramp.png"], 1, 32, seed=0, downscale=(2,))[0][0, 0, 0].int()
    crop = crop if crop[0] < crop[-1] else crop.flip(0)
    assert crop.tolist() == [round(2 * k + 0.5) for k in range(32)]  # averages of 2k and 2k + 1, half to even
    # an image that is too small for the factor is taken as it is
    assert Crops([tmp_path / "ramp.png"], 1, 48, seed=0, downscale=(2,))[0].shape == (1, 3, 48, 48)


def test_an_image_that_vanishes_is_replaced_and_named(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for path in files:
        path.write_bytes((pictures / path.name).read_bytes())
    crops = Crops(files, 4, 32, seed=0)
    files[0].unlink()
    assert crops[0].shape == (4, 3, 32, 32)
    assert caplog.text.count("left out: image file") == 1
    files[1].unlink()
    with pytest.raises(DataError, match="no image of the training data can be read any more"):
        Crops(files, 1, 32, seed=0)[0]


def test_steps_of_several_processes_are_different_batches() -> None:
    assert list(Steps(4, 7)) == [4, 5, 6]
    first, second = (list(Steps(4, 7, rank, 2)) for rank in (0, 1))
    assert (first, second) == ([8, 10, 12], [9, 11, 13])
    assert len(Steps(4, 7, 1, 2)) == 3


def test_held_out_crops(pictures: Path) -> None:
    crops = held_out_crops([pictures / "a.png"], 2, 32, seed=0)
    assert crops.shape == (2, 3, 32, 32)
    assert 0 <= float(crops.min()) <= float(crops.max()) <= 1
