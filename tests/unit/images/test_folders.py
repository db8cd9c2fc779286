"""scan_folder, list_images and pair_folders on the folders that users have."""

from __future__ import annotations

import logging
import os
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from lossnets.errors import ImageError
from lossnets.home import original_name, printable
from lossnets.images import list_images, pair_folders, scan_folder
from lossnets.images.folders import describe_left_out

NFC, NFD = (unicodedata.normalize(form, "Müller.png") for form in ("NFC", "NFD"))


def touch(folder: Path, *names: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (1, 1)).save(folder / name, format="PNG")
    return folder


def reasons(folder: Path, **options: bool) -> dict[str, str]:
    return {f.path.relative_to(folder).as_posix(): f.reason for f in scan_folder(folder, **options).left_out}


def names(folder: Path, **options: bool) -> list[str]:
    return [path.relative_to(folder).as_posix() for path in list_images(folder, **options)]


def test_everything_that_is_left_out_has_a_reason(tmp_path: Path) -> None:
    folder = touch(tmp_path / "f", "a.png", "b.JFIF", ".hidden.png", ".git/x.png", "other.dat", "sub/c.png")
    for name in ("notes.txt", "raw.heic", "Thumbs.db", ".DS_Store", "._a.png"):
        (folder / name).write_bytes(b"something")
    (folder / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (folder / "self.png").symlink_to(folder / "self.png")
    want = {
        ".git": "hidden",
        ".hidden.png": "hidden",
        "gone.png": "broken link",
        "notes.txt": "no image ending",
        "other.dat": "PNG under another ending",
        "raw.heic": "HEIC, not read",
        "self.png": "cannot be read (Too many levels of symbolic links)",
    }
    assert reasons(folder) == want | {"sub/c.png": "in a sub-folder"}
    assert reasons(folder, recursive=True) == want
    assert names(folder) == ["a.png", "b.JFIF"]
    assert names(folder, recursive=True) == ["a.png", "b.JFIF", "sub/c.png"]


def test_linked_folders_are_followed_and_circles_are_not(tmp_path: Path) -> None:
    real = touch(tmp_path / "real", "1.png", "deep/2.png")
    folder = touch(tmp_path / "f", "0.png")
    (folder / "link").symlink_to(real)
    (real / "deep" / "up").symlink_to(folder)
    assert names(folder, recursive=True) == ["0.png", "link/1.png", "link/deep/2.png"]
    assert reasons(folder, recursive=True) == {"link/deep/up": "a link to a folder above it"}


def test_what_looks_like_an_image_is_named_in_the_log_and_nothing_else(tmp_path, caplog) -> None:
    folder = touch(tmp_path / "f", "a.png")
    (folder / "labels.csv").write_text("file,label\n")
    with caplog.at_level(logging.WARNING, "lossnets"):
        list_images(folder)
        assert not caplog.records
        (folder / "b.heic").write_bytes(b"?")
        list_images(folder)
    assert "left out: 1 file (b.heic: HEIC, not read)" in caplog.text


def test_a_long_list_is_counted(tmp_path: Path) -> None:
    folder = tmp_path / "f"
    folder.mkdir()
    for k in range(8):
        (folder / f"{k}.txt").write_text("")
    said = describe_left_out(scan_folder(folder).left_out, folder)
    assert said.startswith("left out: 8 files (0.txt: no image ending; 1.txt")
    assert said.endswith("; and 3 more)")
    assert describe_left_out((), folder) == ""


@pytest.mark.parametrize(("a", "b"), [(NFC, NFD), ("Photo.PNG", "photo.png"), (NFD.upper(), NFC)])
def test_names_that_differ_in_normalisation_or_case_pair_up(a: str, b: str, tmp_path: Path) -> None:
    first, second = touch(tmp_path / "a", a, "x.png"), touch(tmp_path / "b", b, "x.png")
    pairs = {(x.name, y.name) for _, x, y in pair_folders(first, second)}
    assert pairs == {(a, b), ("x.png", "x.png")}


@pytest.mark.parametrize(("a", "b"), [("Maße.png", "Masse.png"), ("ſ.png", "s.png"), ("ﬁ.png", "fi.png")])
def test_letters_that_only_look_alike_stay_apart(a: str, b: str, tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="some images have no partner"):
        pair_folders(touch(tmp_path / "a", a), touch(tmp_path / "b", b))


def test_a_name_that_no_system_takes_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="does not exist or is not a folder"):
        scan_folder(tmp_path / ("x" * 300))


def test_names_that_could_mean_two_files_are_refused_with_both(tmp_path: Path) -> None:
    first, second = touch(tmp_path / "a", NFC, NFD), touch(tmp_path / "b", NFC)
    with pytest.raises(ImageError, match=r"1 only in .*M\\xfcller.*Mu\\u0308ller|Mu\\u0308ller.*M\\xfcller"):
        pair_folders(first, second)
    touch(second, NFD)
    assert len(pair_folders(first, second)) == 2  # the same names on both sides leave no doubt
    with pytest.raises(ImageError, match="letter case only"):
        pair_folders(touch(tmp_path / "c", "x.png", "X.png"), touch(tmp_path / "d", "x.png"))


def test_scenes_are_paired_by_path(tmp_path: Path) -> None:
    a, b = (
        touch(tmp_path / "a", "garden/0.png", "room/0.png"),
        touch(tmp_path / "b", "garden/0.jpg", "room/0.png"),
    )
    assert [key for key, _, _ in pair_folders(a, b, recursive=True)] == ["garden/0", "room/0"]
    with pytest.raises(ImageError, match=r"holds no image itself, but 2 in its sub-folders.*--recursive"):
        pair_folders(a, b)
    with pytest.raises(ImageError, match="garden/1"):
        pair_folders(touch(a, "garden/1.png"), b, recursive=True)


def test_dots_in_names_and_folders_stay_apart(tmp_path: Path) -> None:
    a, b = (
        touch(tmp_path / "a", "v1.0/x.1.png", "v1.0/x.2.png"),
        touch(tmp_path / "b", "v1.0/x.1.png", "v1.0/x.2.png"),
    )
    assert [key for key, _, _ in pair_folders(a, b, recursive=True)] == ["v1.0/x.1", "v1.0/x.2"]


def test_a_name_that_is_no_utf8_can_be_printed_and_read_back(tmp_path: Path) -> None:
    name = os.fsdecode(b"caf\xe9.png")
    folder = tmp_path / "f"
    try:
        touch(folder, name)
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    (found,) = list_images(folder)
    assert printable(found.name) == "caf\\udce9.png"
    assert original_name(printable(found.name)) == found.name == name
    assert original_name(printable("plain é.png")) == "plain é.png"


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="the system lets us read everything")
def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    folder = touch(tmp_path / "f", "a.png", "closed/b.png")
    (folder / "closed").chmod(0)
    try:
        assert "cannot be read" in reasons(folder, recursive=True)["closed"]
    finally:
        (folder / "closed").chmod(0o700)
