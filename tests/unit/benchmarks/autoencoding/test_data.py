"""Images, their padding, the parts of a run, the packaged digits, folders, STL-10 and SVHN as published."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from sklearn.datasets import load_digits

from lossnets.benchmarks.autoencoding.data import Corpus, parts
from lossnets.benchmarks.autoencoding.images import ArrayImages, FileImages, pad_to_size
from lossnets.benchmarks.autoencoding.profiles import SIZES
from lossnets.benchmarks.autoencoding.readers import read_digits, read_folder, read_stl10, read_svhn
from lossnets.datasets.sample_digits import sample_digits
from lossnets.errors import ConfigError, DataError
from lossnets.images import write_image
from lossnets.torchvision_compat import ensure_torchvision

from .standins import coloured, corpus, folder_of_images


def test_padding_continues_by_reflection_as_numpy_does() -> None:
    images = torch.rand(2, 3, 32, 33)
    found = pad_to_size(images, (64, 64))
    judge = np.pad(images.numpy(), ((0, 0), (0, 0), (16, 16), (15, 16)), mode="reflect")
    np.testing.assert_array_equal(found.numpy(), judge)
    assert torch.equal(found[:, :, 16:48, 15:48], images)
    assert pad_to_size(images[:, :, :, :32], (32, 32)) is not None


def test_images_that_fit_are_left_alone() -> None:
    images = torch.rand(1, 3, 64, 80)
    assert pad_to_size(images, (64, 80)) is images


def test_images_too_small_to_reflect_are_refused() -> None:
    assert pad_to_size(torch.rand(1, 3, 22, 22), (64, 64)).shape == (1, 3, 64, 64)
    with pytest.raises(DataError, match=r"21×64 pixels are too small .* at least 22"):
        pad_to_size(torch.rand(1, 3, 21, 64), (64, 64))


def test_a_part_numbers_its_images_anew() -> None:
    images = ArrayImages(torch.arange(10, dtype=torch.uint8).view(10, 1, 1, 1).expand(-1, 3, 64, 64))
    some = images.part([7, 2]).part([1, 0, 1])
    assert some.pixels([0, 1, 2])[:, 0, 0, 0].tolist() == [2, 7, 2]
    assert list(some.names) == ["000002", "000007", "000002"]
    torch.testing.assert_close(some.batch([1]).unique(), torch.tensor([7 / 255]))


def test_files_keep_their_values_and_must_have_one_size(tmp_path: Path) -> None:
    image = torch.randint(0, 256, (3, 32, 32), generator=torch.Generator().manual_seed(0)) / 255
    write_image(tmp_path / "a.png", image)
    write_image(tmp_path / "b.png", torch.zeros(3, 32, 40))
    images = FileImages([tmp_path / "a.png", tmp_path / "b.png"], tmp_path)
    assert images.size == (64, 64)
    torch.testing.assert_close(images.batch([0, 0])[1, :, 16:48, 16:48], image)
    with pytest.raises(DataError, match=r"'b.png' has 32×40 pixels, 'a.png' 32×32.*one size"):
        images.batch([1])


def test_parts_are_disjoint_seeded_and_of_the_published_share() -> None:
    whole = corpus(train=50, test=10)

    def names(seed: int) -> list[set[str]]:
        made = parts(whole, SIZES["paper"], seed)
        return [set(made.train.images.names), set(made.validation.images.names)]

    first, second = names(0), names(1)
    assert [len(part) for part in first] == [40, 10]
    assert not first[0] & first[1]
    assert first == names(0)
    assert first != second


def test_shared_images_share_their_validation_part() -> None:
    made = parts(corpus(train=50), SIZES["paper"], 3)
    assert list(made.autoencoder_train.names) == list(made.train.images.names)
    assert list(made.autoencoder_validation.names) == list(made.validation.images.names)


def test_labels_stay_with_their_images_and_test_images_with_all_seeds() -> None:
    smoke = SIZES["smoke"]
    whole = corpus(train=400, test=150, side=64)
    made = [parts(whole, smoke, seed) for seed in (0, 1)]
    assert len(made[0].test) == smoke.test_images
    assert list(made[0].test.images.names) == list(made[1].test.images.names)
    assert len(made[0].train) + len(made[0].validation) == smoke.labelled_images
    assert list(made[0].train.images.names) != list(made[1].train.images.names)
    for part in (made[0].train, made[0].validation, made[0].test):
        bright = part.images.batch(range(len(part))).mean((2, 3)).argmax(1)
        assert torch.equal(bright, part.labels)


def test_a_given_validation_split_and_unlabelled_images_are_used() -> None:
    whole = corpus(train=20)
    given = Corpus(
        whole.classes, whole.train, whole.test, coloured(30).images, coloured(6, seed=5), "x"
    ).check()
    made = parts(given, SIZES["paper"], 0)
    assert (len(made.train), len(made.validation)) == (20, 6)
    assert (len(made.autoencoder_train), len(made.autoencoder_validation)) == (24, 6)


def test_a_corpus_that_cannot_be_used_says_why() -> None:
    whole = corpus()
    with pytest.raises(DataError, match="at least 2 classes"):
        Corpus(("one",), whole.train, whole.test, None, None, "x").check()
    with pytest.raises(DataError, match="at least 5 training images are needed; got 3"):
        Corpus(whole.classes, coloured(3), whole.test, None, None, "x").check()
    with pytest.raises(DataError, match="test images become 96×96 pixels, training images 64×64"):
        Corpus(whole.classes, whole.train, coloured(4, side=96), None, None, "x").check()


def test_the_digits_are_scikit_learns_all_of_them() -> None:
    digits = sample_digits()
    theirs = load_digits()
    assert len(digits) == 1797
    assert digits.images.shape == (1797, 3, 64, 64)
    assert digits.images.dtype == torch.uint8
    assert digits.labels.tolist() == theirs.target.tolist()
    inner = digits.images[:, 0, 8:56, 8:56].float()
    assert int(digits.images.sum() - 3 * inner.sum()) == 0  # a black frame, and grey
    small = torch.nn.functional.avg_pool2d(inner[:, None], 6)[:, 0] / 255
    means = np.corrcoef(small.flatten().numpy(), (theirs.images / 16).ravel())[0, 1]
    assert means > 0.99  # averaged back down, each is the digit that it was


def test_the_digits_have_a_fixed_test_set() -> None:
    first, again = read_digits(), read_digits()
    assert (len(first.train), len(first.test)) == (1797 - 359, 359)
    assert list(first.test.images.names) == list(again.test.images.names)
    assert not set(first.train.images.names) & set(first.test.images.names)
    assert first.fingerprint == again.fingerprint
    assert len(set(first.test.labels.tolist())) == 10


def test_a_folder_without_splits_gets_a_fixed_test_set(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path, ("cat", "dog"), 10)
    found = read_folder(root)
    assert found.classes == ("cat", "dog")
    assert (len(found.train), len(found.test)) == (16, 4)
    names = [*found.train.images.names, *found.test.images.names]
    assert sorted(names) == sorted(f"{c}/{k}.png" for c in ("cat", "dog") for k in range(10))
    for part in (found.train, found.test):
        assert [found.classes[k] for k in part.labels] == [n.split("/")[0] for n in part.images.names]
    assert list(read_folder(root).test.images.names) == list(found.test.images.names)
    assert len(read_folder(root, test_share=0.5).test) == 10


def test_a_table_says_what_is_for_training_validation_and_test(tmp_path: Path) -> None:
    folder_of_images(tmp_path, ("a", "b"), 6)
    rows = ["file,class,split"]
    for name in ("a", "b"):
        rows += [
            f"{name}/{k}.png,{name},{('train', 'train', 'train', 'train', 'val', 'test')[k]}"
            for k in range(6)
        ]
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    found = read_folder(tmp_path)
    assert found.validation is not None
    assert [len(found.train), len(found.validation), len(found.test)] == [8, 2, 2]
    assert sorted(found.test.images.names) == ["a/5.png", "b/5.png"]


def test_the_fingerprint_changes_with_labels_splits_and_autoencoder(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path / "x", ("a", "b"), 5)
    other = folder_of_images(tmp_path / "y", ("a", "b"), 5)
    one = read_folder(root).fingerprint
    assert one == read_folder(other).fingerprint  # the place does not matter
    assert one != read_folder(root, test_share=0.5).fingerprint
    with_images = read_folder(root, autoencoder=other)
    assert with_images.fingerprint != one
    assert with_images.unlabelled is not None
    assert len(with_images.unlabelled) == 10
    (root / "labels.csv").write_text("file,class\n" + "\n".join(f"a/{k}.png,{k % 2}" for k in range(5)))
    assert read_folder(root).fingerprint != one


def test_folder_errors_say_what_to_do(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path / "x", ("a", "b"), 3)
    with pytest.raises(ConfigError, match="test_share must lie between 0 and 1; got 1"):
        read_folder(root, test_share=1)
    (root / "labels.csv").write_text("file,class,split\na/0.png,a,test\nb/1.png,b,test\n")
    with pytest.raises(DataError, match=r"'train', 'test' and perhaps 'val'.*got: test"):
        read_folder(root)
    with pytest.raises(DataError, match="does not exist"):
        read_folder(tmp_path / "nowhere")


def _table(root: Path, rows: dict[str, str]) -> None:
    lines = [f"{file},{file.split('/')[0]},{split}" for file, split in rows.items()]
    (root / "labels.csv").write_text("\n".join(["file,class,split", *lines]))


def test_splits_with_other_names_are_refused(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path, ("a", "b"), 6)
    files = [f"{name}/{k}.png" for name in "ab" for k in range(6)]
    _table(root, {file: "holdout" if "5" in file else "train" for file in files})
    with pytest.raises(DataError, match=r"'train', 'val' .*'test'; got 'holdout'\. Rename"):
        read_folder(root)
    names = ("train", "Train", "TRAIN", "valid", "Validation", "Test")
    _table(root, {file: names[int(file[2])] for file in files})
    found = read_folder(root)
    assert found.validation is not None
    assert [len(found.train), len(found.validation), len(found.test)] == [6, 4, 2]


def test_a_split_is_given_for_all_images_or_for_none(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path, ("a", "b"), 6)
    files = [f"{name}/{k}.png" for name in "ab" for k in range(6)]
    _table(root, {file: ("train", "train", "train", "train", "test", "")[int(file[2])] for file in files})
    with pytest.raises(DataError, match=r"got 'test', 'train' and 2 of 12 images without one \('5\.png', '5"):
        read_folder(root)
    _table(root, dict.fromkeys(files, ""))
    assert len(read_folder(root).test) == 2


def test_a_class_of_a_given_test_split_must_be_learnt(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path, ("a", "b", "c", "d"), 4)
    files = [f"{name}/{k}.png" for name in "abcd" for k in range(4)]
    _table(root, {file: "test" if file[0] in "cd" or file[2] == "3" else "train" for file in files})
    with pytest.raises(DataError, match=r"none of 2 class\(es\) that 8 test image\(s\) show: 'c', 'd'\."):
        read_folder(root)
    _table(root, {file: "train" if file[0] in "cd" or file[2] != "3" else "test" for file in files})
    assert len(read_folder(root).test) == 2  # the other way round nothing is unfair


def test_a_drawn_test_set_may_have_a_class_of_its_own(tmp_path: Path) -> None:
    root = folder_of_images(tmp_path, tuple(f"c{k:02d}" for k in range(10)), 1)
    found = read_folder(root, test_share=0.5)
    assert not set(found.train.labels.tolist()) & set(found.test.labels.tolist())


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def test_stl10_is_read_from_its_binary_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Columns first, labels from 1: as the authors of STL-10 publish it."""
    ensure_torchvision()
    from torchvision.datasets import STL10

    rng = np.random.default_rng(0)
    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    images = {}
    for part, count in (("train", 10), ("test", 4), ("unlabeled", 7)):
        images[part] = rng.integers(0, 256, (count, 3, 96, 96), dtype=np.uint8)
        images[part].transpose(0, 1, 3, 2).tofile(folder / f"{part}_X.bin")
        if part != "unlabeled":
            (np.arange(count, dtype=np.uint8) % 10 + 1).tofile(folder / f"{part}_y.bin")
    (folder / "class_names.txt").write_text("\n".join("abcdefghij"))
    for name in ("train_list", "test_list"):
        listed = [[file, _md5(folder / file)] for file, _ in getattr(STL10, name)]
        monkeypatch.setattr(STL10, name, listed)
    for root in (tmp_path, folder):
        found = read_stl10(root).check()
        assert found.unlabelled is not None
        assert [len(found.unlabelled), len(found.train), len(found.test)] == [7, 10, 4]
        assert found.train.images.size == (96, 96)
        np.testing.assert_array_equal(found.test.images.pixels([3, 0]).numpy(), images["test"][[3, 0]])
        assert found.train.labels.tolist() == list(range(10))
        assert found.classes == tuple("abcdefghij")
    (folder / "test_X.bin").write_bytes(b"cut")
    with pytest.raises(DataError, match=r"STL10 could not be read .*lossnets data info stl10"):
        read_stl10(tmp_path)


def test_svhn_is_read_from_its_mat_files_and_padded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """(32, 32, 3, N), and 10 stands for the digit 0: as the authors of SVHN publish it."""
    ensure_torchvision()
    from torchvision.datasets import SVHN

    rng = np.random.default_rng(0)
    images, listed = {}, {}
    for part, (url, file, _) in SVHN.split_list.items():
        images[part] = rng.integers(0, 256, (32, 32, 3, 11), dtype=np.uint8)
        savemat(tmp_path / file, {"X": images[part], "y": np.arange(11)[:, None] % 10 + 1})
        listed[part] = [url, file, _md5(tmp_path / file)]
    monkeypatch.setattr(SVHN, "split_list", listed)
    found = read_svhn(tmp_path).check()
    assert found.train.labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1]
    assert found.unlabelled is not None
    np.testing.assert_array_equal(
        found.unlabelled.pixels([2])[0].numpy(), images["extra"][:, :, :, 2].transpose(2, 0, 1)
    )
    batch = found.test.images.batch([5])
    judge = np.pad(
        images["test"][:, :, :, 5].transpose(2, 0, 1), ((0, 0), (16, 16), (16, 16)), mode="reflect"
    )
    np.testing.assert_allclose(batch[0].numpy(), judge / np.float32(255), atol=1e-7)


def test_data_sets_that_are_not_there_say_how_to_get_them() -> None:
    for read in (read_stl10, read_svhn):
        with pytest.raises(DataError, match="lossnets data"):
            read()
    with pytest.raises(DataError, match="SVHN could not be read"):
        read_svhn(Path("nowhere"))


@pytest.mark.shared
def test_real_folders_are_read(shared_data: Path) -> None:
    cifar = read_folder(shared_data / "small_images" / "cifar10_jpg_subset").check()
    assert (len(cifar.classes), len(cifar.train), len(cifar.test)) == (10, 1500, 500)
    assert cifar.train.images.size == (64, 64)
    stl = read_folder(shared_data / "small_images" / "stl10_subset").check()
    assert (len(stl.classes), len(stl.train) + len(stl.test)) == (26, 246)
    assert stl.test.images.batch([0]).shape == (1, 3, 96, 96)
