"""The packaged sample: photographs of installed packages, distorted at known severities.

Its judge is the severity and no person: 0 where p0 is less distorted, 1 where p1 is. What a loss
scores on it is called severity agreement.

There are two families of sub-splits:

* ``gaussian_blur``, ``jpeg``, ...: the reference, distorted at two different severities. Every
  degradation grows with its severity in mean squared error, so pixel losses are nearly always right;
* ``gaussian_blur+moved``, ...: first the crop is taken 1 or 2 pixels aside, the same for both
  candidates, then it is distorted at two neighbouring severities. Nothing else differs, so the order
  of severity is as certain as before; but blurring also hides the misalignment, and a loss that
  compares position by position may find the more distorted candidate nearer.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from lossnets.datasets.contents import contents
from lossnets.datasets.similarity import SEVERITY, Triplet, TwoAFCSet
from lossnets.datasets.sources import MemoryImages
from lossnets.errors import DataError, require, unknown_name
from lossnets.images.degradations import DEGRADATIONS, SEVERITIES, degrade
from lossnets.images.files import read_image

PHOTOGRAPHS = (
    ("skimage", "data/astronaut.png"),
    ("skimage", "data/chelsea.png"),
    ("skimage", "data/coffee.png"),
    ("skimage", "data/hubble_deep_field.jpg"),
    ("skimage", "data/motorcycle_left.png"),
    ("skimage", "data/rocket.jpg"),
    ("sklearn", "datasets/images/china.jpg"),
    ("sklearn", "datasets/images/flower.jpg"),
)
"""Colour photographs inside the wheels: (package, file in it)."""

_PROJECT = {"skimage": "scikit-image", "sklearn": "scikit-learn"}


@dataclass(frozen=True)
class SampleSize:
    """How much is cut: the first `photographs`, `crops` of each, of `side` × `side` pixels."""

    photographs: int
    crops: int
    side: int


SAMPLE_SIZES = {"smoke": SampleSize(4, 1, 64), "small": SampleSize(8, 4, 96)}
"""`smoke`: 44 triplets of 64×64; `small`: 352 triplets of 96×96."""

MOVED = "+moved"
SAMPLE_SPLITS = (*DEGRADATIONS, *(f"{name}{MOVED}" for name in DEGRADATIONS if name != "shift"))
"""Sub-splits of the sample; a moved crop that is shifted once more has no known order."""

_MARGIN = 2  # pixels around a crop, for its moved copies
_MOVES = [(dy, dx) for dy in range(-_MARGIN, _MARGIN + 1) for dx in range(-_MARGIN, _MARGIN + 1) if dy or dx]


def read_sample(size: str = "small", *, seed: int = 0) -> TwoAFCSet:
    """Crops of photographs, each distorted twice by the same degradation at two different severities.

    Sub-splits are `SAMPLE_SPLITS`; this file's first lines say what they are. The set is the same for
    the same size and seed, and kept in memory once made.

    Raises:
        UnknownNameError: size is not one of `SAMPLE_SIZES`.
        MissingExtraError: scikit-image or scikit-learn is not installed.
        DataError: an installed package lacks a photograph.
    """
    if size not in SAMPLE_SIZES:
        raise unknown_name("size of the packaged sample", size, SAMPLE_SIZES)
    photographs = (photograph_path(*each) for each in PHOTOGRAPHS[: SAMPLE_SIZES[size].photographs])
    return _make(size, seed, tuple(contents(photographs)))


@functools.lru_cache(maxsize=4)
def _make(size: str, seed: int, _contents: tuple[str, ...]) -> TwoAFCSet:
    shape = SAMPLE_SIZES[size]
    images: dict[str, Tensor] = {}
    items: list[Triplet] = []
    for p, (package, file) in enumerate(PHOTOGRAPHS[: shape.photographs]):
        photograph = read_image(photograph_path(package, file))
        for c in range(shape.crops):
            rng = np.random.default_rng([seed, p, c])
            crop = _busy_crop(photograph, shape.side + 2 * _MARGIN, rng)
            items.extend(_distort(f"{Path(file).stem}-{c}", crop, images, rng))
    items.sort(key=lambda t: SAMPLE_SPLITS.index(t.split))  # stable: by photograph within a sub-split
    return TwoAFCSet(f"sample-{size}", tuple(items), MemoryImages(images, rounded=True), None, SEVERITY)


def photograph_path(package: str, file: str) -> Path:
    """Where a photograph of `PHOTOGRAPHS` lies, found without importing its package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        require(package, "bench", "the packaged sample")
        raise DataError(f"package {package!r} has no folder to find {file!r} in.")
    path = Path(next(iter(spec.submodule_search_locations))) / file
    if not path.is_file():
        raise DataError(
            f"the photograph {file!r} is not part of the installed {_PROJECT.get(package, package)}; "
            "install lossnets[bench] again."
        )
    return path


def _busy_crop(photograph: Tensor, side: int, rng: np.random.Generator, tries: int = 8) -> Tensor:
    """The crop with the most contrast of a few random ones: (3, side, side).

    On a flat crop (black sky) a shift or a blur changes nothing, and no loss could order severities.
    """
    height, width = photograph.shape[-2:]
    corners = [
        (int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))) for _ in range(tries)
    ]
    crops = [photograph[:, y : y + side, x : x + side] for y, x in corners]
    return max(crops, key=lambda crop: float(crop.std())).clone()


def _distort(ref: str, wide: Tensor, images: dict[str, Tensor], rng: np.random.Generator) -> list[Triplet]:
    """One triplet for each sub-split; ``wide`` is the reference with `_MARGIN` pixels around it."""
    images[ref] = _window(wide, 0, 0)
    triplets = []
    for split in SAMPLE_SPLITS:
        name = split.removesuffix(MOVED)
        if split == name:
            source, severities = images[ref], rng.choice(SEVERITIES, 2, replace=False)
        else:
            source = _window(wide, *_MOVES[int(rng.integers(len(_MOVES)))])
            severities = rng.permutation(int(rng.integers(1, SEVERITIES[-1])) + np.arange(2))
        keys = [f"{ref}-{split}-{severity}" for severity in severities]
        for key, severity in zip(keys, severities, strict=True):
            generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
            images[key] = degrade(source[None], name, int(severity), generator=generator)[0]
        triplets.append(Triplet(ref, keys[0], keys[1], float(severities[1] < severities[0]), split))
    return triplets


def _window(wide: Tensor, dy: int, dx: int) -> Tensor:
    """The inner part of (3, H, W), moved by at most `_MARGIN` pixels: true content up to the border."""
    height, width = (size - 2 * _MARGIN for size in wide.shape[-2:])
    return wide[:, _MARGIN + dy : _MARGIN + dy + height, _MARGIN + dx : _MARGIN + dx + width].clone()
