"""Data sets -> `Corpus`: the packaged digits, labelled folders, STL-10, SVHN."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from lossnets.benchmarks.autoencoding.data import Corpus, LabelledImages, split
from lossnets.benchmarks.autoencoding.images import ArrayImages, FileImages, Images
from lossnets.datasets.folders import Labelled, class_names, fingerprint, image_folder, labelled_folder
from lossnets.datasets.sample_digits import sample_digits
from lossnets.errors import ConfigError, DataError, require
from lossnets.file_hash import content_hash
from lossnets.home import text_bytes, user_path
from lossnets.torchvision_compat import ensure_torchvision

TEST_SHARE = 0.2
"""Of labelled images that come without a test split."""
_TEST_SEED = 0  # the same test images in every run


def read_digits() -> Corpus:
    """The packaged digits: 20 % of them, always the same, are the test set."""
    digits = sample_digits()
    everything = LabelledImages(ArrayImages(digits.images), digits.labels)
    train, test = split(range(len(digits)), TEST_SHARE, _TEST_SEED, "digits test")
    content = hashlib.sha256(digits.images.numpy().tobytes() + digits.labels.numpy().tobytes()).hexdigest()
    classes = tuple(str(digit) for digit in range(10))
    return Corpus(classes, everything.part(train), everything.part(test), None, None, content)


def read_folder(
    root: Path, csv: Path | None = None, autoencoder: Path | None = None, test_share: float = TEST_SHARE
) -> Corpus:
    """A folder of labelled images.

    Args:
        root: the folder, see `lossnets.datasets.folders.labelled_folder`.
        csv: the table; None: ``labels.csv`` in the folder, or a sub-folder for each class.
        autoencoder: folder of images that the autoencoder learns from; None: the training images.
        test_share: of images that are drawn as test set where the data have no splits.

    Raises:
        ConfigError: ``test_share`` is not between 0 and 1.
        DataError: something is missing or malformed, or a class of a given test split has no training
            image (where the test set is drawn, that may happen by chance and is counted in the facts).
    """
    if not 0 < test_share < 1:
        raise ConfigError(f"test_share must lie between 0 and 1; got {test_share!r}.")
    items = labelled_folder(root, csv=csv)
    groups = _groups(_checked_splits(items), test_share)
    classes = class_names(items)
    sets = {name: _labelled(group, root, classes) for name, group in groups.items() if group}
    unlabelled, prints = None, [fingerprint([item.path for item in items], root)]
    if autoencoder is not None:
        paths = image_folder(autoencoder)
        unlabelled = FileImages(paths, autoencoder)
        prints.append(fingerprint(paths, autoencoder))
    described = [*prints, *(f"{i.path.name} {i.label} {i.split}" for i in items), str(test_share)]
    content = hashlib.sha256(text_bytes("\n".join(described))).hexdigest()
    return Corpus(classes, sets["train"], sets["test"], unlabelled, sets.get("val"), content)


def _checked_splits(items: Sequence[Labelled]) -> Sequence[Labelled]:
    """The items, if all of them have one of the known splits, or none has any."""
    named = {item.split for item in items}
    unknown = sorted(str(name) for name in named - {"train", "val", "test", None})
    if unknown:
        raise DataError(
            f"splits must be 'train', 'val' (or 'valid', 'validation') and 'test'; got {_listed(unknown)}. "
            "Rename them, or leave the column out to have a test set drawn."
        )
    if None in named and len(named) > 1:
        without = [item.path.name for item in items if item.split is None]
        given = _listed(sorted(str(name) for name in named - {None}))
        raise DataError(
            f"splits must be given for all images or for none; got {given} and {len(without)} of "
            f"{len(items)} images without one ({_listed(without)}). Fill them in, or leave those rows out."
        )
    return items


def _listed(names: Sequence[str]) -> str:
    """The first names, quoted."""
    return ", ".join(map(repr, names[:8])) + (", ..." if len(names) > 8 else "")


def _check_learnable(train: Sequence[Labelled], test: Sequence[Labelled]) -> None:
    """Raise DataError where a given test split has classes that no training image shows."""
    known = {item.label for item in train}
    unseen = [item.label for item in test if item.label not in known]
    if unseen:
        classes = list(dict.fromkeys(unseen))
        raise DataError(
            f"classes of the test split must have training images; got none of {len(classes)} class(es) that "
            f"{len(unseen)} test image(s) show: {_listed(classes)}. Add training images of them, or leave "
            "those test images out."
        )


def _groups(items: Sequence[Labelled], test_share: float) -> dict[str, list[Labelled]]:
    """Training, validation and test items by their split, or a fixed draw where there is none."""
    named = {item.split for item in items}
    if "test" not in named:
        known = [k for k, item in enumerate(items) if item.split != "val"]
        rest, drawn = split(known, test_share, _TEST_SEED, "folder test")
        chosen = {"train": [items[k] for k in rest], "test": [items[k] for k in drawn]}
    else:
        chosen = {name: [item for item in items if item.split == name] for name in ("train", "test")}
    chosen["val"] = [item for item in items if item.split == "val"]
    if not chosen["train"] or not chosen["test"]:
        splits = ", ".join(sorted(str(name) for name in named))
        raise DataError(f"splits must be 'train', 'test' and perhaps 'val', or none at all; got: {splits}.")
    if "test" in named:
        _check_learnable(chosen["train"], chosen["test"])
    return chosen


def _labelled(items: Sequence[Labelled], root: Path, classes: Sequence[str]) -> LabelledImages:
    number = {name: k for k, name in enumerate(classes)}
    labels = torch.tensor([number[item.label] for item in items])
    return LabelledImages(FileImages([item.path for item in items], root), labels)


def read_stl10(root: Path | None = None) -> Corpus:
    """STL-10 through torchvision: autoencoder unlabeled, predictors train, test test; 96×96.

    Args:
        root: the folder that holds ``stl10_binary``, or that folder; None: found through the catalogue.

    Raises:
        DataError: files are missing or damaged.
    """
    place = _stl10_place(root)
    splits = ("unlabeled", "train", "test")
    unlabelled, train, test = (_torchvision("STL10", place, part) for part in splits)
    classes = getattr(train, "classes", None) or [str(k) for k in range(10)]
    return _corpus(stl10_fingerprint(place), unlabelled, train, test, classes)


def stl10_fingerprint(root: Path | None = None) -> str:
    """What `read_stl10` gives its corpus, without reading it; arguments and errors as there."""
    place, stl10 = _stl10_place(root), _torchvision_class("STL10")
    return _fingerprint(
        place, {f"stl10_binary/{name}": md5 for name, md5 in (*stl10.train_list, *stl10.test_list)}
    )


def _stl10_place(root: Path | None) -> Path:
    place = _place("stl10", root)
    return place.parent if place.name == "stl10_binary" else place


def read_svhn(root: Path | None = None) -> Corpus:
    """SVHN through torchvision: autoencoder extra, predictors train, test test; 32×32, padded to 64×64.

    Args:
        root: the folder that holds ``train_32x32.mat``; None: found through the catalogue.

    Raises:
        DataError: files are missing or damaged.
    """
    place = _place("svhn", root)
    extra, train, test = (_torchvision("SVHN", place, part) for part in ("extra", "train", "test"))
    return _corpus(svhn_fingerprint(place), extra, train, test, [str(k) for k in range(10)])


def svhn_fingerprint(root: Path | None = None) -> str:
    """What `read_svhn` gives its corpus, without reading it; arguments and errors as there."""
    listed = _torchvision_class("SVHN").split_list.values()
    return _fingerprint(_place("svhn", root), {name: md5 for _, name, md5 in listed})


def _place(name: str, root: Path | None) -> Path:
    if root is not None:
        return user_path(root, "root")
    from lossnets.datasets import places

    return Path(places.find(name))


def _fingerprint(root: Path, published: Mapping[str, str]) -> str:
    """sha256 over names and, of files that are as published (by their MD5), sizes; of others, contents."""
    files = [root / name for name in published]
    try:
        if all(content_hash(file, "md5") == md5 for file, md5 in zip(files, published.values(), strict=True)):
            lines = sorted(f"{name}\0{(root / name).stat().st_size}\n" for name in published)
            return hashlib.sha256("".join(lines).encode()).hexdigest()
    except OSError as error:
        raise DataError(f"file {error.filename!r} cannot be read ({error.strerror}).") from error
    return fingerprint(files, root)


def _torchvision_class(kind: str) -> Any:
    ensure_torchvision()
    return getattr(require("torchvision.datasets", "bench", kind), kind)


def _torchvision(kind: str, root: Path, part: str) -> Any:
    if kind == "SVHN":
        require("scipy.io", "bench", "reading SVHN")
    try:
        return _torchvision_class(kind)(root, split=part, download=False)
    except (RuntimeError, OSError, ValueError) as error:
        raise DataError(
            f"{kind} could not be read from {str(root)!r} ({error}). Its files must be complete and as "
            f"published; see: lossnets data info {kind.lower()}"
        ) from error


def _corpus(content: str, unlabelled: Any, train: Any, test: Any, classes: Sequence[str]) -> Corpus:
    sets = [LabelledImages(_images(part), torch.as_tensor(part.labels).long()) for part in (train, test)]
    return Corpus(tuple(classes), sets[0], sets[1], _images(unlabelled), None, content)


def _images(dataset: Any) -> Images:
    return ArrayImages(torch.from_numpy(dataset.data))
