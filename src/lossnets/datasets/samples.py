"""The packaged sample: photographs of installed packages, distorted at known severities.

Its judge is the severity and no person: 0 where p0 is less distorted, 1 where p1 is. What a loss
scores on it is called severity agreement.
"""

from __future__ import annotations

import functools
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

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
"""`smoke`: 24 triplets of 64×64; `small`: 192 triplets of 96×96."""


def read_sample(size: str = "small", *, seed: int = 0) -> TwoAFCSet:
    """Crops of photographs, each distorted twice by every degradation at two different severities.

    Sub-splits are the degradations. The set is the same for the same size and seed, and kept in
    memory once made.

    Raises:
        UnknownNameError: size is not one of `SAMPLE_SIZES`.
        MissingExtraError: scikit-image or scikit-learn is not installed.
        DataError: an installed package lacks a photograph.
    """
    if size not in SAMPLE_SIZES:
        raise unknown_name("size of the packaged sample", size, SAMPLE_SIZES)
    return _make(size, seed)


@functools.lru_cache(maxsize=4)
def _make(size: str, seed: int) -> TwoAFCSet:
    shape = SAMPLE_SIZES[size]
    images: dict[str, Tensor] = {}
    items: list[Triplet] = []
    for p, (package, file) in enumerate(PHOTOGRAPHS[: shape.photographs]):
        photograph = read_image(photograph_path(package, file))
        for c in range(shape.crops):
            rng = np.random.default_rng([seed, p, c])
            crop = _busy_crop(photograph, shape.side, rng)
            ref = f"{Path(file).stem}-{c}"
            images[ref] = crop
            items.extend(_distort(ref, crop, images, rng))
    order = list(DEGRADATIONS)
    items.sort(key=lambda t: order.index(t.split))  # stable: by photograph within a degradation
    return TwoAFCSet(f"sample-{size}", tuple(items), MemoryImages(images), None, SEVERITY)


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


def _distort(ref: str, crop: Tensor, images: dict[str, Tensor], rng: np.random.Generator) -> list[Triplet]:
    triplets = []
    for name in DEGRADATIONS:
        s0, s1 = (int(s) for s in rng.choice(SEVERITIES, 2, replace=False))
        keys = []
        for severity in (s0, s1):
            generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
            keys.append(f"{ref}-{name}-{severity}")
            images[keys[-1]] = degrade(crop[None], name, severity, generator=generator)[0]
        triplets.append(Triplet(ref, keys[0], keys[1], float(s1 < s0), name))
    return triplets
