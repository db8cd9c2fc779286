"""Where data sets are looked for, and what is said when they are not there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lossnets.datasets import catalogue, data_home, data_places, find, locate, part_folder, status
from lossnets.datasets.facts import Archive, Content, DataSetCard
from lossnets.errors import ConfigError, DataError, UnknownNameError
from lossnets.home import home

TOY = DataSetCard(
    name="toy",
    title="A toy",
    files=("pictures/*.jpg",),
    licence="CC0",
    citation="",
    how_to_get="Ask.",
    archives=(Archive("http://localhost:9/toy.zip", "toy.zip", ("train", "val"), 3_000_000),),
    contents=(
        Content("train", ("train/*.jpg", "pictures/train/*.jpg"), 2),
        Content("val", ("val/*.jpg",), 1),
        Content("more", ("more/*.jpg",), 1, at_least=True, optional=True),
    ),
)


@pytest.fixture(autouse=True)
def toy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(catalogue._CARDS, "toy", TOY)
    monkeypatch.delenv("LOSSNETS_DATA", raising=False)


def fill(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")
    return folder


WHOLE = ("train/a.jpg", "train/b.jpg", "val/c.jpg")


class TestPlaces:
    def test_without_a_setting(self):
        assert data_places() == (home() / "data",)
        assert data_home() == home() / "data"
        assert not data_home().exists()

    def test_folders_of_the_user_come_first(self, tmp_path, monkeypatch):
        one, two = tmp_path / "one", tmp_path / "two"
        monkeypatch.setenv("LOSSNETS_DATA", f"{one}{os.pathsep}{two}{os.pathsep}")
        assert data_places() == (one, two, home() / "data")
        assert data_home() == one

    def test_what_cannot_be_written_is_only_read(self, tmp_path, monkeypatch):
        one, two = fill(tmp_path / "one", "x"), tmp_path / "two"
        monkeypatch.setenv("LOSSNETS_DATA", f"{one}{os.pathsep}{two}")
        monkeypatch.setattr(os, "access", lambda path, mode: path != one)
        assert data_places()[0] == one
        assert data_home() == two

    def test_a_file_is_refused(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LOSSNETS_DATA", str(fill(tmp_path, "file") / "file"))
        with pytest.raises(ConfigError, match=r"LOSSNETS_DATA must name folders, .*file is a file"):
            data_places()

    @pytest.mark.parametrize("place", ["~nouser-of-that-name/x", "x" * 300])
    def test_what_cannot_be_a_folder(self, place, monkeypatch):
        monkeypatch.setenv("LOSSNETS_DATA", place)
        if place.startswith("~"):
            with pytest.raises(ConfigError, match=r"LOSSNETS_DATA: .* begins with a user that has no home"):
                data_places()
        else:
            assert len(data_places()) == 2  # a place that is not there, as any other
            assert status("toy").state == "missing"

    def test_the_first_complete_one_is_taken(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LOSSNETS_DATA", f"{tmp_path / 'one'}{os.pathsep}{tmp_path / 'two'}")
        fill(tmp_path / "one" / "toy", "train/a.jpg")
        here = fill(tmp_path / "two" / "toy", *WHOLE)
        fill(home() / "data" / "toy", *WHOLE)
        assert find("toy") == locate("toy") == here

    def test_parts(self):
        here = fill(data_home() / "toy", "train/a.jpg", "train/b.jpg", "train/.hidden.jpg")
        assert locate("toy") is None
        assert locate("toy", parts=["train"]) == here
        assert locate("toy", parts=["more"]) is None
        with pytest.raises(UnknownNameError, match="part of toy 'vla' is not known"):
            locate("toy", parts=["vla"])
        with pytest.raises(ConfigError, match="parts must name at least one of train, val, more"):
            locate("toy", parts=[])

    def test_another_layout(self):
        here = fill(data_home() / "toy", "pictures/train/a.jpg", "pictures/train/b.jpg", "val/c.jpg")
        assert find("toy") == here
        assert part_folder("toy", here, "train") == here / "pictures" / "train"
        assert part_folder("toy", here, "val") == here / "val"
        with pytest.raises(DataError, match=r"part 'more' is not in .*expected 1 files more/\*\.jpg\. Ask"):
            part_folder("toy", here, "more")
        with pytest.raises(UnknownNameError, match="Allowed: train, val, more"):
            part_folder("toy", here, "test")

    def test_one_too_many_is_not_the_set(self):
        fill(data_home() / "toy", *WHOLE, "train/extra.jpg")
        assert locate("toy") is None
        with pytest.raises(DataError, match="3 files, 1 more than there should be"):
            find("toy")


class TestMissing:
    def test_the_message_has_all_one_needs(self, tmp_path, monkeypatch):
        monkeypatch.setenv("LOSSNETS_DATA", str(tmp_path))
        fill(tmp_path / "toy", "train/a.jpg")
        with pytest.raises(DataError) as caught:
            find("toy")
        message = str(caught.value)
        for text in (
            f"'toy' is not there. Looked in {tmp_path / 'toy'} (train/*.jpg: 1 of 2 files)",
            f"{home() / 'data' / 'toy'} (no such folder)",
            "lossnets data fetch toy (3 MB to download; licence: CC0)",
            "put it at <place>/toy and set LOSSNETS_DATA=<place>",
        ):
            assert text in message

    def test_of_a_part(self):
        with pytest.raises(DataError, match="lossnets data fetch toy --part more"):
            find("toy", parts=["more"])

    def test_unknown(self):
        with pytest.raises(UnknownNameError, match=r"'coco2104' is not known\. Did you mean 'coco2014'"):
            find("coco2104")

    def test_what_a_user_brings_is_not_looked_for(self):
        with pytest.raises(DataError, match=r"'image-folder' has no folder to look for\. Give the folder"):
            find("image-folder")


@pytest.mark.parametrize(
    ("files", "present", "missing", "state"),
    [
        ((), (), ("train", "val", "more"), "missing"),
        (("train/a.jpg",), (), ("train", "val", "more"), "incomplete"),
        (("val/a.jpg",), ("val",), ("train", "more"), "incomplete"),
        (WHOLE, ("train", "val"), ("more",), "without more"),
        ((*WHOLE, "more/d.jpg", "more/e.jpg"), ("train", "val", "more"), (), "complete"),
    ],
)
def test_status(files, present, missing, state):
    folder = fill(data_home() / "toy", *files) if files else None
    found = status("toy")
    assert (found.present, found.missing, found.state, found.folder) == (present, missing, state, folder)


def test_status_of_what_is_not_fetched():
    assert status("sample-roads").state == "with packages"
    assert status("masks-folder").state == "yours"


@pytest.mark.shared
def test_real_folders_are_found(shared_data, monkeypatch):
    monkeypatch.setenv("LOSSNETS_DATA", str(shared_data))
    assert find("bsds500") == shared_data / "bsds500"
    assert (
        part_folder("bsds500", shared_data / "bsds500", "val") == shared_data / "bsds500" / "val" / "images"
    )
    assert status("set5").state == "complete"
    assert locate("set14") is None
