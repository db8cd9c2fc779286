"""What a run learns from and is tested on: training sets, their validation parts, the test set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lossnets.benchmarks.autoencoding.images import Images
from lossnets.benchmarks.autoencoding.profiles import VALIDATION_SHARE, Size
from lossnets.benchmarks.engine import generator
from lossnets.errors import DataError


@dataclass(frozen=True)
class LabelledImages:
    """Images with classes.

    Attributes:
        images: N of them.
        labels: (N,) int64, numbers of classes.
    """

    images: Images
    labels: Tensor

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def part(self, indices: Sequence[int]) -> LabelledImages:
        """These images only."""
        return LabelledImages(self.images.part(indices), self.labels[list(indices)])


@dataclass(frozen=True)
class Corpus:
    """A data set as it comes.

    Attributes:
        classes: names of the classes.
        train: of the predictors.
        test: of the predictors.
        unlabelled: training images of the autoencoder; None: those of the predictors.
        validation: of the predictors, where the data set has such a split.
        fingerprint: sha256 over what it consists of.
    """

    classes: tuple[str, ...]
    train: LabelledImages
    test: LabelledImages
    unlabelled: Images | None
    validation: LabelledImages | None
    fingerprint: str

    def check(self) -> Corpus:
        """The corpus itself, if a run can be made of it.

        Raises:
            DataError: fewer than 2 classes, too few images, or images of several sizes.
        """
        if len(self.classes) < 2:
            raise DataError(f"at least 2 classes are needed to tell apart; got {list(self.classes)}.")
        for what, images, least in (
            ("training", self.train.images, 5),
            ("test", self.test.images, 1),
            ("autoencoder", self.unlabelled, 5),
            ("validation", self.validation.images if self.validation else None, 1),
        ):
            if images is None:
                continue
            if len(images) < least:
                raise DataError(f"at least {least} {what} images are needed; got {len(images)}.")
            if images.size != self.train.images.size:
                raise DataError(
                    f"{what} images become {images.size[0]}×{images.size[1]} pixels, training images "
                    f"{self.train.images.size[0]}×{self.train.images.size[1]}; one size is needed for all."
                )
        return self


@dataclass(frozen=True)
class Parts:
    """What one run uses; no image is in two of `train`, `validation` and `test`.

    Attributes:
        autoencoder_train: images that the autoencoder learns from.
        autoencoder_validation: images that its best epoch is chosen by.
        train: images that the predictors learn from.
        validation: images that their best epochs and the best of them are chosen by.
        test: images that are scored.
    """

    autoencoder_train: Images
    autoencoder_validation: Images
    train: LabelledImages
    validation: LabelledImages
    test: LabelledImages


def parts(corpus: Corpus, size: Size, seed: int) -> Parts:
    """Draw the parts of a run: 20 % of each training set become its validation part.

    Draws of training images depend on the seed; where test images have to be drawn, all seeds get
    the same. Where autoencoder and predictors learn from the same images, they have the same
    validation part, so that no predictor is chosen by images that the encoder was fitted to.
    """
    test = corpus.test.part(_drawn(len(corpus.test), size.test_images, 0, "test"))
    drawn = _drawn(len(corpus.train), size.labelled_images, seed, "labelled")
    if corpus.validation is None:
        learn, check = split(drawn, VALIDATION_SHARE, seed, "labelled validation")
        train, validation = corpus.train.part(learn), corpus.train.part(check)
    else:
        train, validation = corpus.train.part(drawn), corpus.validation
    if corpus.unlabelled is None:
        return Parts(train.images, validation.images, train, validation, test)
    drawn = _drawn(len(corpus.unlabelled), size.autoencoder_images, seed, "autoencoder")
    learn, check = split(drawn, VALIDATION_SHARE, seed, "autoencoder validation")
    return Parts(corpus.unlabelled.part(learn), corpus.unlabelled.part(check), train, validation, test)


def _drawn(count: int, limit: int | None, seed: int, purpose: str) -> list[int]:
    """At most ``limit`` of ``count`` numbers, in rising order."""
    if limit is None or count <= limit:
        return list(range(count))
    return sorted(torch.randperm(count, generator=generator(seed, purpose, count))[:limit].tolist())


def split(indices: Sequence[int], share: float, seed: int, purpose: str) -> tuple[list[int], list[int]]:
    """Divide numbers at random: (the rest, ``share`` of them, at least one), both in rising order.

    >>> rest, some = split(range(10), 0.2, 0, "test")
    >>> len(rest), len(some), sorted(rest + some) == list(range(10))
    (8, 2, True)
    """
    count = max(1, round(share * len(indices)))
    chosen = set(torch.randperm(len(indices), generator=generator(seed, purpose))[:count].tolist())
    rest = [index for k, index in enumerate(indices) if k not in chosen]
    return rest, [index for k, index in enumerate(indices) if k in chosen]
