"""Folders of images, plain, labelled and with masks; what is wrong with one is said."""

from __future__ import annotations

import hashlib
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lossnets.datasets import (
    Labelled,
    Masked,
    class_names,
    fingerprint,
    image_folder,
    labelled_folder,
    masked_folder,
    read_mask,
)
from lossnets.datasets.samples import photograph_path
from lossnets.datasets.verify import verify
from lossnets.errors import ConfigError, DataError, ImageError

NFC_E, NFD_E = "\xe9", "e\u0301"


def image(path: Path, values: np.ndarray | None = None, **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.zeros((4, 5), np.uint8) if values is None else values).save(path, **options)
    return path


def images(root: Path, *names: str) -> Path:
    for name in names:
        image(root / name)
    return root


def table(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def names(paths: tuple[Path, ...], root: Path) -> list[str]:
    return [p.relative_to(root).as_posix() for p in paths]


class TestImageFolder:
    def test_sorted_and_without_other_files(self, tmp_path):
        images(tmp_path, "b.png", "a.JPG", "c.bmp", ".hidden.png", "sub/z.png")
        table(tmp_path / "readme.txt", "x")
        assert names(image_folder(tmp_path), tmp_path) == ["a.JPG", "b.png", "c.bmp"]
        assert names(image_folder(str(tmp_path), limit=2), tmp_path) == ["a.JPG", "b.png"]

    def test_sub_folders_where_it_has_no_images_itself(self, tmp_path):
        images(tmp_path, "val/b.png", "train/a.png")
        assert names(image_folder(tmp_path), tmp_path) == ["train/a.png", "val/b.png"]

    def test_a_text_file_of_names(self, tmp_path):
        images(
            tmp_path, "val/images/3096.jpg", "val/images/8023.jpg", "train/images/8143.jpg", "train/x/1.jpg"
        )
        listed = table(tmp_path / "list.txt", "\ufeff# chosen\n8143\n\nval/images/3096.jpg\n8023.jpg\n")
        found = image_folder(tmp_path, names=listed)
        assert [p.stem for p in found] == ["8143", "3096", "8023"]
        assert image_folder(tmp_path, names=["8143", "3096.png"], limit=1) == found[:1]

    def test_names_that_are_not_there(self, tmp_path):
        images(tmp_path, "a.png")
        with pytest.raises(DataError, match=r"names: 2 of 3 images are not below .*\(b, c\)"):
            image_folder(tmp_path, names=["a", "b", "c"])

    def test_a_name_that_means_two(self, tmp_path):
        images(tmp_path, "train/a.png", "val/a.png")
        with pytest.raises(DataError, match=r"'a' could be 2 files .*\(train/a.png, val/a.png\)"):
            image_folder(tmp_path, names=["a"])
        assert len(image_folder(tmp_path, names=["val/a.png"])) == 1

    @pytest.mark.parametrize("limit", [0, -1, True, 1.5])
    def test_limit(self, limit, tmp_path):
        with pytest.raises(ConfigError, match="limit must be a whole number above 0"):
            image_folder(images(tmp_path, "a.png"), limit=limit)

    def test_what_is_missing(self, tmp_path):
        with pytest.raises(DataError, match=r"'.*nowhere' does not exist"):
            image_folder(tmp_path / "nowhere")
        with pytest.raises(DataError, match=r"hold no image; known endings: .*.bmp"):
            image_folder(tmp_path)
        with pytest.raises(DataError, match=r"text file .*list.txt' cannot be read"):
            image_folder(tmp_path, names=tmp_path / "list.txt")
        with pytest.raises(ConfigError, match="names must hold at least one image name"):
            image_folder(tmp_path, names=[])

    def test_masks_are_not_taken_for_images(self, tmp_path):
        images(tmp_path, "images/a.png", "masks/a.png")
        with pytest.raises(DataError, match="holds masks beside images"):
            image_folder(tmp_path)


class TestLabelledFolder:
    def test_a_folder_for_each_class(self, tmp_path):
        images(tmp_path, "dog/b.png", "dog/a.png", "cat/c.png", ".cache/x.png", "__MACOSX/x.png")
        items = labelled_folder(tmp_path)
        assert items == (
            Labelled(tmp_path / "cat/c.png", "cat", None),
            Labelled(tmp_path / "dog/a.png", "dog", None),
            Labelled(tmp_path / "dog/b.png", "dog", None),
        )
        assert class_names(items) == ("cat", "dog")

    def test_splits_above_the_classes(self, tmp_path):
        images(tmp_path, "train/dog/a.png", "valid/dog/b.png", "test/cat/c.png")
        found = [(item.path.name, item.label, item.split) for item in labelled_folder(tmp_path)]
        assert found == [("c.png", "cat", "test"), ("a.png", "dog", "train"), ("b.png", "dog", "val")]

    def test_a_table_in_the_folder(self, tmp_path):
        images(tmp_path, "images/a.png", "images/b.png", "images/not_listed.png")
        table(tmp_path / "labels.csv", "file,split,class,label\nb.png,Train,dog,1\na,validation,cat,0\n")
        found = [(item.path.name, item.label, item.split) for item in labelled_folder(tmp_path)]
        assert found == [("b.png", "dog", "train"), ("a.png", "cat", "val")]
        assert [item.label for item in labelled_folder(tmp_path, label="label")] == ["1", "0"]

    def test_a_table_elsewhere_with_other_names(self, tmp_path):
        images(tmp_path / "data", "a.png")
        csv = table(tmp_path / "t.csv", "picture,animal,fold\na.png,dog,7\n")
        (item,) = labelled_folder(tmp_path / "data", csv=csv, file="picture", label="animal", split="fold")
        assert item == Labelled(tmp_path / "data" / "a.png", "dog", "7")
        with pytest.raises(
            DataError, match=r"has no column file, .*; it has: picture, animal, fold. Say .*file="
        ):
            labelled_folder(tmp_path / "data", csv=csv)
        with pytest.raises(
            DataError, match=r"label='kind' is not a column of t.csv, which has: picture, animal"
        ):
            labelled_folder(tmp_path / "data", csv=csv, file="picture", label="kind")

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("file,label\n", "has no rows"),
            ("file,label\na.png\n", "line 2: the row has more or fewer values"),
            ("file,label\na.png,\n", "row 1: 'file' and 'label' must not be empty"),
            ("file,label\nb.png,dog\n", r"labels.csv: 1 of 1 images are not below .*\(b.png\)"),
        ],
    )
    def test_tables_that_are_wrong(self, text, message, tmp_path):
        images(tmp_path, "a.png")
        table(tmp_path / "labels.csv", text)
        with pytest.raises(DataError, match=message):
            labelled_folder(tmp_path)

    def test_what_is_missing(self, tmp_path):
        with pytest.raises(DataError, match=r"no labelled image in .*: expected a table labels.csv"):
            labelled_folder(tmp_path)
        with pytest.raises(DataError, match=r"has no labels.csv; name the table: csv="):
            labelled_folder(tmp_path, label="kind")
        with pytest.raises(DataError, match=r"table .*t.csv' does not exist"):
            labelled_folder(tmp_path, csv=tmp_path / "t.csv")

    @pytest.mark.parametrize(
        ("folders", "named"),
        [(("A", "a"), "'A' and 'a'"), ((NFC_E, NFD_E), r"'e\\u0301' and '\\xe9'")],
        ids=["case", "normalisation"],
    )
    @pytest.mark.parametrize("splits", [("", ""), ("train/", "test/")])
    def test_class_folders_that_look_alike(self, folders, named, splits, tmp_path):
        images(tmp_path, *(f"{split}{name}/1.png" for split, name in zip(splits, folders, strict=True)))
        with pytest.raises(DataError, match=rf"classes {named} differ in letter case or Unicode"):
            labelled_folder(tmp_path)

    @pytest.mark.parametrize(
        ("rows", "said"),
        [
            ("a,x,train\na.png,y,train", "of class 'x' in split 'train' is also .* of class 'y'"),
            ("a,x,train\na,x,test", "in split 'train' is also .* in split 'test'"),
            (f"a,{NFC_E},train\nb,{NFD_E},train", "differ in Unicode normalisation only"),
        ],
        ids=["classes", "splits", "normalisation"],
    )
    def test_rows_that_contradict_each_other(self, rows, said, tmp_path):
        images(tmp_path, "a.png", "b.png")
        table(tmp_path / "labels.csv", f"file,label,split\n{rows}\n")
        with pytest.raises(DataError, match=said):
            labelled_folder(tmp_path)

    def test_a_row_that_stands_twice_says_nothing_new(self, tmp_path):
        images(tmp_path, "a.png")
        table(tmp_path / "labels.csv", "file,label\na,x\na,x\n")
        assert len(labelled_folder(tmp_path)) == 2

    def test_a_column_that_stands_twice(self, tmp_path):
        images(tmp_path, "a.png")
        table(tmp_path / "labels.csv", "file,label,label\na,x,y\n")
        with pytest.raises(DataError, match="column 'label' stands there twice, as columns 2 and 3"):
            labelled_folder(tmp_path)


class TestPathsThatCannotBe:
    @pytest.mark.parametrize("path", ["x" * 300, "~nouser-of-that-name/x"])
    def test_they_are_refused(self, path, tmp_path, monkeypatch):
        monkeypatch.chdir(images(tmp_path, "a.png"))
        for call in (
            lambda: image_folder(path),
            lambda: image_folder(tmp_path, names=path),
            lambda: labelled_folder(path),
            lambda: labelled_folder(tmp_path, csv=path),
            lambda: masked_folder(path),
            lambda: masked_folder(tmp_path, tmp_path, csv=path),
            lambda: verify(path),
        ):
            with pytest.raises((DataError, ConfigError), match=r"not exist|cannot be read|home dir|neither"):
                call()


class TestMaskedFolder:
    def test_usual_names(self, tmp_path):
        images(tmp_path, "Images/b.jpg", "Images/a.jpg", "Masks/a.png", "Masks/b.png")
        assert masked_folder(tmp_path) == (
            Masked(tmp_path / "Images/a.jpg", tmp_path / "Masks/a.png", None),
            Masked(tmp_path / "Images/b.jpg", tmp_path / "Masks/b.png", None),
        )

    def test_two_folders(self, tmp_path):
        images(tmp_path, "photographs/a.jpg", "drawn/a.png")
        (item,) = masked_folder(tmp_path / "photographs", tmp_path / "drawn")
        assert item.mask == tmp_path / "drawn" / "a.png"

    def test_splits(self, tmp_path):
        for split in ("train", "valid", "test"):
            images(tmp_path, f"{split}/sat/{split}_15.tiff", f"{split}/map/{split}_15.tif")
        found = [(item.image.suffix, item.mask.suffix, item.split) for item in masked_folder(tmp_path)]
        assert found == [(".tiff", ".tif", split) for split in ("train", "val", "test")]

    def test_a_table_with_splits(self, tmp_path):
        images(tmp_path, *(f"{kind}/tile_{k}.png" for kind in ("images", "masks") for k in range(3)))
        text = "tile,x,suggested_split\ntile_2,0,train\ntile_0,5,test\n"
        table(tmp_path / "tiles.csv", text)
        found = [(item.image.stem, item.mask.stem, item.split) for item in masked_folder(tmp_path)]
        assert found == [("tile_2", "tile_2", "train"), ("tile_0", "tile_0", "test")]
        other = table(tmp_path / "other.csv", "tile\ntile_1.png\n")
        (item,) = masked_folder(tmp_path / "images", tmp_path / "masks", csv=other)
        assert (item.mask.stem, item.split) == ("tile_1", None)

    def test_what_is_wrong(self, tmp_path):
        with pytest.raises(DataError, match="does not exist"):
            masked_folder(tmp_path / "nowhere")
        with pytest.raises(
            DataError, match=r"no two sub-folders of images and masks .*images/masks, sat/map"
        ):
            masked_folder(tmp_path)
        images(tmp_path, "images/a.png", "images/b.png", "masks/a.png")
        with pytest.raises(DataError, match=r"do not go together: .* 1 only in .*images': b"):
            masked_folder(tmp_path)
        table(tmp_path / "tiles.csv", "file\na\nb\n")
        with pytest.raises(DataError, match=r"masks of tiles.csv: 1 of 2 images are not below"):
            masked_folder(tmp_path)

    @pytest.mark.parametrize("ending", ["_mask", "-mask", "_label", "_labels", "_gt", "_seg", "_annotation"])
    def test_masks_with_an_ending(self, ending, tmp_path):
        images(tmp_path, "images/b.jpg", "images/a.jpg", f"masks/a{ending}.png", f"masks/b{ending}.png")
        pairs = {(item.image.name, item.mask.name) for item in masked_folder(tmp_path)}
        assert pairs == {("a.jpg", f"a{ending}.png"), ("b.jpg", f"b{ending}.png")}
        csv = table(tmp_path / "tiles.csv", "file\nb\n")
        (item,) = masked_folder(tmp_path / "images", tmp_path / "masks", csv=csv)
        assert item.mask.name == f"b{ending}.png"

    def test_equal_names_come_before_endings(self, tmp_path):
        images(tmp_path, *(f"{kind}/{name}.png" for kind in ("images", "masks") for name in ("a", "a_mask")))
        assert all(item.image.name == item.mask.name for item in masked_folder(tmp_path))

    @pytest.mark.parametrize(
        "masks",
        [("a_mask", "b_gt"), ("a_mask",), ("a_mask", "b_mask", "c_mask"), ("a_mask", "b"), ("a_x", "b_x")],
        ids=["two endings", "one missing", "one too many", "not all", "not known"],
    )
    def test_endings_that_do_not_pair_all(self, masks, tmp_path):
        images(tmp_path, "images/a.jpg", "images/b.jpg", *(f"masks/{name}.png" for name in masks))
        with pytest.raises(
            DataError, match=r"only in .*images'.*a.* may also have one of _mask, .*_annotation at their end"
        ):
            masked_folder(tmp_path)

    @pytest.mark.parametrize(
        ("taken", "left"),
        [
            (("train/images/a", "train/masks/a"), ("test/images/b", "test/images/c")),
            (("train/images/a", "train/masks/a"), ("extra/images/b", "extra/masks/b")),
            (("images/a", "masks/a"), ("extra/images/b", "extra/masks/b")),
            (("images/a", "masks/a"), ("test/images/b",)),
            (("images/a", "masks/a"), ("sat/b", "map/b")),
            (("images/a", "masks/a_mask"), ("images/sub/b", "masks/sub/b_mask")),
        ],
        ids=["test without masks", "extra beside train", "extra", "test beside", "two pairs", "sub-folders"],
    )
    def test_what_is_left_out_is_named(self, taken, left, tmp_path, caplog):
        images(tmp_path, *(f"{name}.png" for name in taken + left))
        assert len(masked_folder(tmp_path)) == 1
        (said,) = caplog.messages
        assert f"left out: {len(left)} file" in said
        assert all(f"{name}.png: neither an image with a mask nor a mask of one" in said for name in left)

    def test_all_that_is_taken_needs_no_word(self, tmp_path, caplog):
        images(tmp_path, *(f"{s}/{k}/{s}.png" for s in ("train", "test") for k in ("images", "masks")))
        assert len(masked_folder(tmp_path)) == 2
        assert len(masked_folder(tmp_path / "test/images", tmp_path / "test/masks")) == 1
        assert not caplog.messages

    def test_sub_folders_of_two_folders_are_named(self, tmp_path, caplog):
        images(tmp_path, "p/a.png", "q/a_gt.png", "p/sub/b.png", "q/sub/b_gt.png")
        assert len(masked_folder(tmp_path / "p", tmp_path / "q")) == 1
        assert [("p: left out: 1" in m, "q: left out: 1" in m) for m in caplog.messages] == [
            (True, False),
            (False, True),
        ]

    def test_pairs_in_the_folder_and_in_its_splits(self, tmp_path):
        images(tmp_path, "images/a.png", "masks/a.png", "test/images/b.png", "test/masks/b.png")
        with pytest.raises(DataError, match=r"in 'images' and 'masks', and also in 'test'"):
            masked_folder(tmp_path)

    def test_an_image_in_two_splits(self, tmp_path):
        images(tmp_path, "images/a.png", "masks/a.png")
        csv = table(tmp_path / "tiles.csv", "file,split\na,train\na.png,test\n")
        with pytest.raises(DataError, match=r"tiles.csv.*'a.png' in split 'train' is also .* 'test'"):
            masked_folder(tmp_path, csv=csv)

    def test_a_table_does_not_go_with_splits_in_folders(self, tmp_path):
        images(tmp_path, *(f"{split}/{kind}/a.png" for split in ("train", "test") for kind in ("sat", "map")))
        csv = table(tmp_path / "tiles.csv", "file\na\n")
        with pytest.raises(DataError, match="they lie in the splits train, test"):
            masked_folder(tmp_path, csv=csv)


TRUTH = np.random.default_rng(3).random((12, 16)) < 0.3


class TestReadMask:
    @pytest.mark.parametrize(
        "values",
        [
            TRUTH.astype(np.uint8) * 255,
            TRUTH.astype(np.uint8),
            TRUTH.astype(np.uint16) * 65535,
            TRUTH.astype(np.uint16),
            TRUTH,
            np.repeat(TRUTH[..., None].astype(np.uint8) * 255, 3, axis=2),
            TRUTH[..., None] * np.array([255, 0, 0], np.uint8),
        ],
        ids=["0/255", "0/1", "16 bit", "16 bit 0/1", "1 bit", "RGB", "red on black"],
    )
    def test_encodings(self, values, tmp_path):
        got = read_mask(image(tmp_path / "m.png", values))
        assert got.dtype == torch.float32
        assert torch.equal(got, torch.from_numpy(TRUTH)[None].float())

    def test_jpeg_moves_values_a_little(self, tmp_path):
        blocks = np.kron(TRUTH, np.ones((6, 6))).astype(bool)
        path = image(tmp_path / "m.jpg", blocks.astype(np.uint8) * 255, quality=98)
        assert len(np.unique(np.asarray(Image.open(path)))) > 2
        assert torch.equal(read_mask(path)[0].bool(), torch.from_numpy(blocks))

    @pytest.mark.parametrize(("value", "mean"), [(0, 0.0), (1, 1.0), (255, 1.0)])
    def test_one_level(self, value, mean, tmp_path):
        path = image(tmp_path / "m.png", np.full((4, 4), value, np.uint8))
        assert float(read_mask(path).mean()) == mean

    @pytest.mark.parametrize("levels", [[0, 1, 2], [0, 128, 255], [0, 100], [3, 7]])
    def test_others_are_refused(self, levels, tmp_path):
        path = image(tmp_path / "m.png", np.array([levels], np.uint8))
        with pytest.raises(
            DataError, match=r"two levels .*levels of grey .*mask_threshold of .*, threshold= of"
        ):
            read_mask(path)

    def test_a_photograph_is_refused(self, tmp_path):
        path = image(tmp_path / "m.png", np.random.default_rng(0).integers(0, 255, (4, 4, 3), np.uint8))
        with pytest.raises(DataError, match="several colours"):
            read_mask(path)

    def test_a_threshold(self, tmp_path):
        path = image(tmp_path / "m.png", np.array([[0, 51, 102, 204]], np.uint8))
        assert read_mask(path, threshold=0.4).flatten().tolist() == [0, 0, 1, 1]
        assert read_mask(path, threshold=0.41).flatten().tolist() == [0, 0, 0, 1]
        with pytest.raises(ConfigError, match="threshold must be a number above 0 and at most 1"):
            read_mask(path, threshold=0)

    @pytest.mark.parametrize("quality", [60, 75])
    def test_jpeg_of_usual_quality_needs_a_threshold(self, quality, tmp_path):
        blocks = np.kron(TRUTH, np.ones((6, 6))).astype(bool)
        path = image(tmp_path / "m.jpg", blocks.astype(np.uint8) * 255, quality=quality)
        with pytest.raises(DataError, match=r"mask_threshold of the data kind 'folders'"):
            read_mask(path)
        assert torch.equal(read_mask(path, threshold=0.5)[0].bool(), torch.from_numpy(blocks))

    @pytest.mark.parametrize(
        "values",
        [TRUTH.astype(np.uint8), TRUTH.astype(np.uint16), TRUTH[..., None] * np.array([255, 0, 0], np.uint8)],
        ids=["0/1", "16 bit 0/1", "red on black"],
    )
    def test_a_threshold_does_not_empty_masks_that_have_two_levels(self, values, tmp_path):
        got = read_mask(image(tmp_path / "m.png", values), threshold=0.5)
        assert torch.equal(got[0].bool(), torch.from_numpy(TRUTH))

    def test_a_threshold_counts_for_values_near_black_and_white(self, tmp_path):
        path = image(tmp_path / "m.png", np.array([[0, 13, 242, 255]], np.uint8))
        assert read_mask(path).flatten().tolist() == [0, 0, 1, 1]
        assert read_mask(path, threshold=0.05).flatten().tolist() == [0, 1, 1, 1]
        assert read_mask(path, threshold=1).flatten().tolist() == [0, 0, 0, 1]

    def test_no_image(self, tmp_path):
        with pytest.raises(ImageError, match="is not an image"):
            read_mask(table(tmp_path / "m.png", "text"))


class TestNamesAndLinks:
    def test_linked_folders_count_for_every_reader(self, tmp_path: Path) -> None:
        images(tmp_path / "real", "cat/1.png", "cat/2.png")
        images(tmp_path / "set", "dog/1.png")
        (tmp_path / "set" / "cat").symlink_to(tmp_path / "real" / "cat")
        assert len(image_folder(tmp_path / "set")) == len(labelled_folder(tmp_path / "set")) == 3

    def test_what_is_in_no_class_is_named(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        images(tmp_path, "dog/1.png", "loose.png", "dog/deeper/2.png")
        (tmp_path / "cat").symlink_to(tmp_path / "nowhere")
        assert len(labelled_folder(tmp_path)) == 1
        for name in ("cat: broken link", "loose.png: in no folder of a class", "dog/deeper/2.png: in no"):
            assert name in caplog.text

    def test_images_below_images_are_named(self, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
        images(tmp_path, "1.png", "more/2.png")
        assert len(image_folder(tmp_path)) == 1
        assert "left out: 1 file (more/2.png: in a sub-folder)" in caplog.text

    def test_names_of_a_table_may_differ_in_normalisation_and_case(self, tmp_path: Path) -> None:
        composed, apart = (unicodedata.normalize(form, "Müller.png") for form in ("NFC", "NFD"))
        images(tmp_path, composed, "x.png")
        assert [p.name for p in image_folder(tmp_path, names=[apart, "X.PNG"])] == [composed, "x.png"]
        images(tmp_path, apart.upper())
        with pytest.raises(DataError, match="could be 2 files"):
            image_folder(tmp_path, names=[composed.lower()])

    def test_masks_go_with_images_of_the_other_normalisation(self, tmp_path: Path) -> None:
        composed, apart = (unicodedata.normalize(form, "Müller") for form in ("NFC", "NFD"))
        images(tmp_path, f"images/{composed}.png", f"masks/{apart}_mask.png")
        (item,) = masked_folder(tmp_path)
        assert (item.image.stem, item.mask.stem) == (composed, f"{apart}_mask")

    def test_two_folders_of_masks_are_refused(self, tmp_path: Path) -> None:
        images(tmp_path, "images/1.png", "masks/1.png", "Masks/1.png")
        if len(list(tmp_path.iterdir())) < 3:
            pytest.skip("this file system does not tell letter case")
        with pytest.raises(DataError, match=r"'Masks' and 'masks', which differ in letter case only"):
            masked_folder(tmp_path)


class TestFingerprint:
    def test_names_and_contents(self, tmp_path):
        for name, size in (("b", 3), ("sub/a", 5)):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_bytes(bytes(size))
        paths = [tmp_path / "sub/a", tmp_path / "b"]
        b, a = (hashlib.sha256(bytes(size)).hexdigest() for size in (3, 5))
        by_hand = hashlib.sha256(f"b\0{b}\nsub/a\0{a}\n".encode()).hexdigest()
        assert fingerprint(paths, tmp_path) == fingerprint(paths[::-1], tmp_path) == by_hand
        (tmp_path / "b").write_bytes(b"abc")  # the same size
        assert fingerprint(paths, tmp_path) != by_hand

    def test_many_files(self, tmp_path):
        paths = [tmp_path / f"{number:03d}" for number in range(100)]
        for path in paths:
            path.write_text(path.name)
        lines = (f"{path.name}\0{hashlib.sha256(path.name.encode()).hexdigest()}\n" for path in paths)
        assert fingerprint(paths, tmp_path) == hashlib.sha256("".join(lines).encode()).hexdigest()

    def test_a_packaged_photograph_stands_for_its_size_while_it_is_the_packaged_one(self, tmp_path):
        pytest.importorskip("skimage")
        content = photograph_path("skimage", "data/chelsea.png").read_bytes()
        (tmp_path / "chelsea.png").write_bytes(content)
        by_hand = hashlib.sha256(f"chelsea.png\0{len(content)}\n".encode()).hexdigest()
        assert fingerprint([tmp_path / "chelsea.png"], tmp_path) == by_hand
        (tmp_path / "chelsea.png").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        assert fingerprint([tmp_path / "chelsea.png"], tmp_path) != by_hand

    def test_errors(self, tmp_path):
        with pytest.raises(DataError, match="went missing"):
            fingerprint([tmp_path / "nothing"], tmp_path)
        with pytest.raises(DataError, match="is not below root"):
            fingerprint([tmp_path], tmp_path / "deeper")


@pytest.mark.shared
class TestRealFolders:
    def test_bsd100(self, shared_data):
        root = shared_data / "bsds500"
        listed = image_folder(root, names=root / "bsd100.txt")
        assert sorted(listed) == sorted(image_folder(root / "val" / "images"))
        assert len(listed) == 100

    def test_labels(self, shared_data):
        small = shared_data / "small_images"
        items = labelled_folder(small / "cifar10_jpg_subset")
        assert Counter(item.split for item in items) == {"train": 1500, "test": 500}
        assert all(item.path.parent.name == item.label for item in items)
        assert len(class_names(items)) == 10
        assert len(class_names(labelled_folder(small / "stl10_subset"))) == 26

    def test_masks(self, shared_data):
        tiles = masked_folder(shared_data / "delineation" / "massachusetts_roads")
        assert Counter(item.split for item in tiles) == {"train": 75, "test": 17}
        cracks = masked_folder(shared_data / "delineation" / "crackforest")
        assert Counter(item.split for item in cracks) == {None: 118}
        for item in (*tiles[:3], *cracks[:3]):
            mask = read_mask(item.mask)
            assert mask.unique().tolist() == [0, 1]
            assert 0 < mask.mean() < 0.3

    def test_shares_of_annotators_need_a_threshold(self, shared_data):
        items = masked_folder(shared_data / "bsds500")
        assert Counter(item.split for item in items) == {"train": 200, "val": 100, "test": 200}
        with pytest.raises(DataError, match="threshold= of read_mask"):
            read_mask(items[0].mask)
        assert 0 < read_mask(items[0].mask, threshold=0.5).mean() < 0.1
