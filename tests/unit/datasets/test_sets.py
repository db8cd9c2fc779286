"""Sets, image sources, the catalogue, and the packaged sample."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from PIL import Image

from lossnets.datasets import (
    HUMAN,
    SAMPLE_SIZES,
    SAMPLE_SPLITS,
    SEVERITY,
    OpinionSet,
    Triplet,
    TwoAFCSet,
    card,
    cards,
    read_sample,
    samples,
)
from lossnets.datasets.similarity import JNDSet, Opinion, SamePair
from lossnets.datasets.sources import FolderImages, MemoryImages, resize_shorter
from lossnets.errors import ConfigError, DataError, ImageError, MissingExtraError, UnknownNameError

IMAGES = MemoryImages({k: torch.full((3, 4, 4), v) for k, v in (("r", 0.0), ("x", 0.2), ("y", 0.4))})


def triplets(n: int = 10, split: str = "s", judge: float = 0.5) -> tuple[Triplet, ...]:
    return tuple(Triplet("r", "x", "y", judge, split) for _ in range(n))


def test_subset_select_and_sample():
    data = TwoAFCSet("d", triplets(6, "a") + triplets(4, "b"), IMAGES)
    assert data.splits == ("a", "b")
    assert len(data.subset([0, 9])) == 2
    assert data.select(["b"]).splits == ("b",)
    with pytest.raises(UnknownNameError, match="split of 'd'"):
        data.select(["c"])
    drawn = data.sample(5, seed=0)
    assert [sum(t.split == s for t in drawn.items) for s in "ab"] == [5, 4]
    assert data.sample(None, seed=0) is data


def test_sample_keeps_order_and_follows_its_seed():
    items = tuple(Triplet("r", "x", "y", i / 99, "s") for i in range(100))
    data = TwoAFCSet("d", items, IMAGES)
    first = [t.judge for t in data.sample(20, 1).items]
    assert first == sorted(first)
    assert first == [t.judge for t in data.sample(20, 1).items]
    assert first != [t.judge for t in data.sample(20, 2).items]


@pytest.mark.parametrize("judge", [-0.01, 1.01, float("nan"), float("inf")])
def test_judgements_outside_the_interval_are_refused(judge):
    with pytest.raises(DataError, match=r"judge of item 0 of 'd' must be in \[0, 1\]"):
        TwoAFCSet("d", triplets(1, judge=judge), IMAGES)
    with pytest.raises(DataError, match=r"same of item 0"):
        JNDSet("d", (SamePair("x", "y", judge, "s"),), IMAGES)


def test_empty_sets_and_infinite_scores_are_refused():
    with pytest.raises(DataError, match="is empty"):
        TwoAFCSet("d", (), IMAGES)
    with pytest.raises(DataError, match="finite"):
        OpinionSet("d", (Opinion("r", "x", float("nan"), "s"),), IMAGES)


def test_folder_images_keep_what_fits(tmp_path):
    for i in range(4):
        Image.new("RGB", (8, 8), (i, i, i)).save(tmp_path / f"{i}.png")
    images = FolderImages(tmp_path, cache_bytes=2 * 3 * 64 * 4)
    kept = images.load("0.png")
    assert images.load("0.png") is kept
    images.load("1.png")
    images.load("0.png")  # used again: 1 is now the oldest
    images.load("2.png")
    assert images.load("0.png") is kept
    assert {key for key, _ in images._cache} == {"0.png", "2.png"}
    assert FolderImages(tmp_path, cache_bytes=0).load("3.png").max().item() == pytest.approx(3 / 255)
    with pytest.raises(ImageError):
        images.load("none.png")
    with pytest.raises(DataError, match="went missing"):
        images.identity(["none.png"])


@pytest.mark.parametrize("resize", [0, -3, 1.5, True, "64"])
def test_wrong_resize_is_refused(tmp_path, resize):
    with pytest.raises(ConfigError, match="shorter side in pixels"):
        FolderImages(tmp_path, resize=resize)


def test_resize_is_pillows_bilinear_up_to_its_rounding():
    pixels = np.random.default_rng(0).integers(0, 256, (60, 90, 3), dtype=np.uint8)
    ours = resize_shorter(torch.from_numpy(pixels).permute(2, 0, 1) / 255, 20)
    theirs = np.asarray(Image.fromarray(pixels).resize((30, 20), Image.Resampling.BILINEAR)) / 255
    assert ours.shape == (3, 20, 30)
    assert np.abs(ours.permute(1, 2, 0).numpy() - theirs).max() < 1.5 / 255
    same = torch.rand(3, 20, 30)
    assert resize_shorter(same, 20) is same
    assert resize_shorter(torch.rand(3, 30, 20), 10).shape == (3, 15, 10)


def test_memory_images_name_what_they_lack():
    with pytest.raises(DataError, match="'z' is not in memory"):
        IMAGES.load("z")


def test_cards_are_complete_and_found_by_name():
    for entry in cards():
        assert card(entry.name) is entry
        assert all((entry.title, entry.licence, entry.how_to_get))
        assert bool(entry.judged_by) == entry.use.startswith("similarity")
    with pytest.raises(UnknownNameError, match="Did you mean 'bapps'"):
        card("baps")


def test_the_sample_is_what_its_seed_says():
    first = read_sample("smoke", seed=3)
    assert read_sample("smoke", seed=3) is first
    samples._make.cache_clear()
    again = read_sample("smoke", seed=3)
    assert again is not first
    assert again.fingerprint() == first.fingerprint()
    assert read_sample("smoke", seed=4).fingerprint() != first.fingerprint()


@pytest.mark.parametrize("size", SAMPLE_SIZES)
def test_the_sample_has_the_stated_shape_and_never_claims_people(size):
    data, shape = read_sample(size), SAMPLE_SIZES[size]
    assert len(data) == shape.photographs * shape.crops * 11
    assert data.kind == SEVERITY != HUMAN
    assert data.splits == SAMPLE_SPLITS
    assert {t.judge for t in data.items} == {0.0, 1.0}
    for t in data.items:
        name = t.p0.removeprefix(f"{t.ref}-{t.split}-")
        other = t.p1.removeprefix(f"{t.ref}-{t.split}-")
        assert t.judge == float(int(other) < int(name))  # the less distorted one is closer
        for key in (t.ref, t.p0, t.p1):
            image = data.images.load(key)
            assert image.shape == (3, shape.side, shape.side)
            assert image.min() >= 0
            assert image.max() <= 1
    assert min(float(data.images.load(t.ref).std()) for t in data.items) > 0.02  # no crop is flat


def test_moved_pairs_differ_in_severity_only_and_by_one_step():
    data = read_sample("smoke", seed=5)
    moved = [t for t in data.items if t.split.endswith("+moved")]
    assert len(moved) == 4 * 5
    for t in moved:
        severities = [int(key.rpartition("-")[2]) for key in (t.p0, t.p1)]
        assert abs(severities[0] - severities[1]) == 1
    by_split = {t.split: t for t in moved if t.ref == moved[0].ref}
    ref = data.images.load(moved[0].ref)[:, 6:-6, 6:-6]
    colour = by_split["colour+moved"]
    pair = [data.images.load(key)[:, 6:-6, 6:-6] for key in (colour.p0, colour.p1)]
    grey = [(x * torch.tensor([0.299, 0.587, 0.114])[:, None, None]).sum(0) for x in (ref, *pair)]
    assert (grey[1] - grey[2]).abs().mean() < 0.01  # colour keeps luma: both candidates lie alike
    assert (grey[1] - grey[0]).abs().mean() > 0.02  # and both are off the reference


def test_moved_pairs_tell_losses_apart_where_plain_ones_do_not():
    data = read_sample("small")
    right: dict[str, list[bool]] = {}
    for t in data.items:
        ref, p0, p1 = (data.images.load(k) for k in (t.ref, t.p0, t.p1))
        nearer = ((p1 - ref) ** 2).mean() < ((p0 - ref) ** 2).mean()
        right.setdefault(t.split, []).append(bool(nearer) == bool(t.judge))
    share = {split: sum(hits) / len(hits) for split, hits in right.items()}
    assert min(share[s] for s in share if not s.endswith("+moved")) > 0.95
    assert share["bicubic+moved"] < 0.75  # pixel MSE prefers the blurrier one: it hides the misalignment
    assert share["gaussian_noise+moved"] > 0.95  # noise hides nothing


def test_the_sample_says_what_is_missing(monkeypatch):
    with pytest.raises(UnknownNameError, match="size of the packaged sample 'large'"):
        read_sample("large")
    with pytest.raises(DataError, match=r"none\.png' is not part of the installed scikit-image"):
        samples.photograph_path("skimage", "data/none.png")
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n: None if n == "no_such_package" else real(n))
    with pytest.raises(MissingExtraError, match=r"lossnets\[bench\]"):
        samples.photograph_path("no_such_package", "a.png")


def test_an_image_that_was_replaced_is_read_again(tmp_path):
    images = FolderImages(tmp_path)
    Image.new("RGB", (8, 8), (10, 10, 10)).save(tmp_path / "a.bmp")
    first, identity = images.load("a.bmp"), images.identity(["a.bmp"])
    Image.new("RGB", (8, 8), (20, 20, 20)).save(tmp_path / "a.bmp")  # the same size in bytes
    assert images.load("a.bmp").max().item() == pytest.approx(20 / 255)
    assert first.max().item() == pytest.approx(10 / 255)
    assert images.identity(["a.bmp"]) != identity


def test_the_identity_of_images_in_memory_is_that_of_their_values():
    image = torch.full((3, 4, 4), 0.5)
    one, other = ({"a": image}, {"a": image + 1e-4})
    assert MemoryImages(one).identity(["a"]) != MemoryImages(other).identity(["a"])
    rounded = [MemoryImages(each, rounded=True).identity(["a"]) for each in (one, other)]
    assert rounded[0] == rounded[1]
