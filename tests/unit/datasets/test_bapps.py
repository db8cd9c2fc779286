"""BAPPS readers on a small tree in the published format."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossnets.datasets import read_bapps_2afc, read_bapps_jnd
from lossnets.errors import ConfigError, DataError


def make_split(folder: Path, n: int = 3, *, jnd: bool = False, seed: int = 0, side: int = 8) -> Path:
    rng = np.random.default_rng(seed)
    label = "same" if jnd else "judge"
    for part in ("p0", "p1") if jnd else ("ref", "p0", "p1"):
        (folder / part).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 256, (side, side, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / part / f"{i:06d}.png")
    (folder / label).mkdir()
    for i in range(n):
        np.save(folder / label / f"{i:06d}.npy", np.array([i / max(1, n - 1)], np.float32))
    return folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for k, split in enumerate(("superres", "traditional", "cnn")):  # not in the published order
        make_split(tmp_path / "2afc" / "val" / split, seed=k)
    make_split(tmp_path / "2afc" / "train" / "mix", 2, seed=9)
    for split in ("cnn", "traditional"):
        make_split(tmp_path / "jnd" / "val" / split, jnd=True)
    return tmp_path


def test_items_are_sorted_by_split_in_published_order_and_by_number(root):
    data = read_bapps_2afc(root, resize=None)
    assert data.splits == ("traditional", "cnn", "superres")
    assert [t.judge for t in data.items] == [0.0, 0.5, 1.0] * 3
    assert data.items[4].ref == "cnn/ref/000001.png"
    with Image.open(root / "2afc" / "val" / data.items[4].p1) as image:
        want = np.asarray(image).transpose(2, 0, 1) / np.float32(255)
    assert np.array_equal(data.images.load(data.items[4].p1).numpy(), want)
    assert data.kind == "human judgement"


@pytest.mark.parametrize("inside", ["2afc", "2afc/val"])
def test_root_may_be_the_task_or_the_phase_folder(root, inside):
    whole, part = read_bapps_2afc(root), read_bapps_2afc(root / inside)
    assert part.items == whole.items
    assert part.fingerprint() == whole.fingerprint()


def test_root_may_be_one_split(root):
    data = read_bapps_2afc(root / "2afc" / "val" / "cnn")
    assert data.items == read_bapps_2afc(root, splits=["cnn"]).items
    assert data.splits == ("cnn",)


def test_phase_and_splits_are_chosen(root):
    assert read_bapps_2afc(root, phase="train").splits == ("mix",)
    assert read_bapps_2afc(root, splits=["superres", "cnn"]).splits == ("superres", "cnn")
    with pytest.raises(DataError, match=r"Did you mean 'superres'"):
        read_bapps_2afc(root, splits=["super"])
    with pytest.raises(ConfigError, match="phase must be one of train, val"):
        read_bapps_2afc(root, phase="test")
    with pytest.raises(ConfigError, match="at least one"):
        read_bapps_2afc(root, splits=[])


def test_jnd_has_pairs_and_same(root):
    data = read_bapps_jnd(root)
    assert data.splits == ("traditional", "cnn")
    assert [p.same for p in data.items] == [0.0, 0.5, 1.0] * 2
    assert read_bapps_jnd(root / "jnd").items == data.items
    assert read_bapps_jnd(root / "jnd" / "val" / "cnn").splits == ("cnn",)


def test_images_are_resized_to_64_by_default(root):
    data = read_bapps_2afc(root)
    assert data.resize == 64
    assert data.images.load(data.items[0].ref).shape == (3, 64, 64)
    assert data.fingerprint() != read_bapps_2afc(root, resize=32).fingerprint()


def test_nothing_there_says_how_to_get_it(tmp_path):
    with pytest.raises(DataError, match=r"download_dataset\.sh"):
        read_bapps_2afc(tmp_path / "none")
    with pytest.raises(DataError, match=r"looked for 2afc/val/SPLIT.*ref, p0, p1, judge.*download"):
        read_bapps_2afc(tmp_path)
    with pytest.raises(DataError, match=r"jnd/val/SPLIT.*p0, p1, same"):
        read_bapps_jnd(tmp_path)


@pytest.mark.parametrize(
    ("part", "name"), [("p1", "000001.png"), ("judge", "000002.npy"), ("ref", "000000.png")]
)
def test_unpaired_files_are_named(root, part, name):
    (root / "2afc" / "val" / "cnn" / part / name).unlink()
    with pytest.raises(DataError, match=rf"do not pair up.*1 of .*\({name[:6]}\)"):
        read_bapps_2afc(root)


def test_missing_and_empty_parts_are_named(root):
    folder = root / "2afc" / "val" / "cnn" / "p0"
    for file in folder.iterdir():
        file.unlink()
    with pytest.raises(DataError, match=r"p0' holds no \.png"):
        read_bapps_2afc(root)
    folder.rmdir()
    with pytest.raises(DataError, match="p0' is missing"):
        read_bapps_2afc(root)


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (np.array([1.5]), r"\[0, 1\]; got 1\.5"),
        (np.array([-0.1]), r"\[0, 1\]"),
        (np.array([np.nan]), "nan"),
        (np.array([0.1, 0.2]), "one number; got shape"),
        (np.array([]), "one number"),
        (np.array(["x"]), "cannot be read as a NumPy number"),
        (np.array([{}], dtype=object), "cannot be read"),
    ],
)
def test_a_bad_judgement_names_its_file(root, value, said):
    np.save(root / "2afc" / "val" / "cnn" / "judge" / "000001.npy", value, allow_pickle=True)
    with pytest.raises(DataError, match=rf"cnn/judge/000001\.npy'.*{said}"):
        read_bapps_2afc(root)


def test_a_truncated_judgement_names_its_file(root):
    for content in (b"", b"\x93NUMPY\x01\x00"):
        (root / "2afc" / "val" / "cnn" / "judge" / "000001.npy").write_bytes(content)
        with pytest.raises(DataError, match=r"000001\.npy"):
            read_bapps_2afc(root)


def test_scalar_judgements_and_hidden_files_are_fine(root):
    folder = root / "2afc" / "val" / "cnn"
    np.save(folder / "judge" / "000001.npy", np.float64(0.25))
    (folder / "ref" / "._000001.png").write_bytes(b"mac")
    assert 0.25 in [t.judge for t in read_bapps_2afc(root).items]
