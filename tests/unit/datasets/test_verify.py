"""Checking what is on disk: what is missing, superfluous, empty, cut short or not as published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lossnets.datasets import catalogue, data_home, verify
from lossnets.datasets.facts import Archive, Content, DataSetCard
from lossnets.errors import DataError

CONTENT = b"the archive"
SHA = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def root(monkeypatch) -> Path:
    """A whole data set of 45 images and one other file."""
    monkeypatch.delenv("LOSSNETS_DATA", raising=False)
    root = data_home() / "toy"
    (root / "train").mkdir(parents=True)
    for k in range(45):
        values = np.random.default_rng(k).integers(0, 255, (16, 16, 3), dtype=np.uint8)
        Image.fromarray(values).save(root / "train" / f"{k:02}.png")
    (root / "labels.bin").write_bytes(b"abc")
    card = DataSetCard(
        "toy", "A toy", (), "CC0", "", "Ask.",
        archives=(Archive("http://localhost:9/toy.zip", "toy.zip", sha256=SHA, size=len(CONTENT)),),
        contents=(
            Content("train", ("train/*.png",), 45),
            Content("train", ("labels.bin",), 1, size=3, md5=hashlib.md5(b"abc").hexdigest(), images=False),
            Content("more", ("more/*.png",), 1, optional=True),
        ),
    )  # fmt: skip
    monkeypatch.setitem(catalogue._CARDS, "toy", card)
    return root


def bad(report) -> list[str]:
    return [f"{finding.what}: {finding.result}" for finding in report.findings if not finding.good]


def test_a_good_one(root):
    report = verify("toy")
    assert (report.good, report.name, report.folder, report.skipped) == (True, "toy", root, ("more",))
    assert report.decoded == 20
    assert verify(root, deep=True).decoded == 45
    assert [finding.what for finding in report.findings] == ["train: train/*.png", "train: labels.bin"]


def test_progress(root):
    seen: list[tuple[str, int, int | None]] = []
    verify("toy", progress=lambda *amount: seen.append(amount))
    assert seen[0] == ("train/*.png", 1, 20)
    assert seen[-1] == ("train/*.png", 20, 20)


def test_missing_and_superfluous_files(root):
    (root / "train" / "00.png").rename(root / "elsewhere.png")
    assert bad(verify("toy"))[0] == "train: train/*.png: 44 of 45 files"
    (root / "elsewhere.png").rename(root / "train" / "00.png")
    (root / "train" / "99.png").write_bytes((root / "train" / "00.png").read_bytes())
    assert bad(verify("toy")) == ["train: train/*.png: 46 files, 1 more than there should be"]


def test_an_image_that_is_cut_short(root):
    file = root / "train" / "01.png"
    file.write_bytes(file.read_bytes()[:200])
    assert verify("toy").good  # not among those that are looked at
    (line,) = bad(verify("toy", deep=True))
    assert line.startswith("train/01.png: ")
    assert "corrupt or truncated" in line


def test_an_empty_image(root):
    (root / "train" / "01.png").write_bytes(b"")
    assert "1 empty files: 01.png" in bad(verify("toy"))[0]


def test_a_file_of_the_right_size_and_the_wrong_content(root):
    (root / "labels.bin").write_bytes(b"abd")
    (line,) = bad(verify("toy"))
    assert "it has md5 4911e516e5aa21d327512e0c8b197616, expected 900150983cd24fb0d6963f7d28e17f72" in line


def test_an_archive_that_is_still_there(root):
    archive = root / ".archives" / "toy.zip"
    archive.parent.mkdir()
    archive.write_bytes(CONTENT)
    assert verify("toy").findings[-1].result == f"sha256 {SHA}, as published"
    archive.write_bytes(CONTENT[::-1])
    assert bad(verify("toy"))[0].endswith(f"expected {SHA}")
    archive.write_bytes(CONTENT[:-1])
    assert bad(verify("toy")) == [f"toy.zip: {len(CONTENT) - 1} bytes, expected {len(CONTENT)}"]


def test_any_folder_of_images(root, tmp_path):
    for k in range(3):
        (tmp_path / f"{k}.png").write_bytes((root / "train" / f"{k:02}.png").read_bytes())
    report = verify(tmp_path)
    assert (report.name, report.decoded, report.good) == ("image-folder", 3, True)
    (tmp_path / "2.png").write_bytes(b"nothing")
    assert "2.png" in bad(verify(str(tmp_path)))[0]


def test_what_is_not_there(root, tmp_path):
    with pytest.raises(DataError, match="neither a folder nor a data set of the catalogue"):
        verify("toys")
    with pytest.raises(DataError, match=r"data set 'coco2014' is not there\. Looked in"):
        verify("coco2014")
    with pytest.raises(DataError, match="holds no image"):
        verify(tmp_path)


@pytest.mark.shared
def test_real_folders(shared_data):
    report = verify(shared_data / "bsds500")
    assert (report.name, report.good, report.decoded) == ("bsds500", True, 60)
    assert verify(shared_data / "set5", deep=True).decoded == 5
