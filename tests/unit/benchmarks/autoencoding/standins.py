"""Small image sets and sizes for the tests of autoencoding."""

from __future__ import annotations

from pathlib import Path

import torch

from lossnets.benchmarks.autoencoding.data import Corpus, LabelledImages
from lossnets.benchmarks.autoencoding.images import ArrayImages
from lossnets.benchmarks.autoencoding.profiles import Size
from lossnets.images import write_image

TINY = Size(None, None, None, 1, 8, 1, 3, 3, 50, 16)


def coloured(count: int, side: int = 64, classes: int = 2, seed: int = 0) -> LabelledImages:
    """Generated images whose mean colour gives the class away: class k is bright in channel k."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % classes
    images = torch.rand(count, 3, side, side, generator=generator) * 0.3
    for k, label in enumerate(labels.tolist()):
        images[k, label] += 0.6
    return LabelledImages(ArrayImages((images * 255).round().to(torch.uint8)), labels)


def corpus(train: int = 20, test: int = 10, side: int = 64) -> Corpus:
    """A corpus of `coloured` images, autoencoder and predictors on the same."""
    return Corpus(
        ("red", "green"), coloured(train, side), coloured(test, side, seed=1), None, None, "generated"
    )


def folder_of_images(root: Path, classes: tuple[str, ...], per_class: int, side: int = 32) -> Path:
    """Write ROOT/CLASS/N.png: noise, seeded by the place."""
    for c, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        for k in range(per_class):
            generator = torch.Generator().manual_seed(100 * c + k)
            write_image(root / name / f"{k}.png", torch.rand(3, side, side, generator=generator))
    return root
