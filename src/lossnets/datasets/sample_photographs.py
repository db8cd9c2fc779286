"""The photographs of installed packages, parted into those to learn from and those to test on.

They are what `lossnets.datasets.samples` distorts, whole and undistorted. Few and all different, they
show that super-resolution runs and what it costs; which loss is good, larger data tell.
"""

from __future__ import annotations

from pathlib import Path

from lossnets.datasets.samples import PHOTOGRAPHS, photograph_path

VALIDATION = ("china",)
HELD_OUT = ("chelsea", "coffee", "flower")
"""Names of the photographs by which the best epoch is chosen, and of those that are tested on."""


def training_photographs() -> tuple[Path, ...]:
    """Files of the photographs to learn from.

    Raises:
        MissingExtraError: scikit-image or scikit-learn is not installed.
        DataError: an installed package lacks a photograph.

    >>> [path.stem for path in training_photographs()]
    ['astronaut', 'hubble_deep_field', 'motorcycle_left', 'rocket']
    """
    return tuple(photograph_path(*p) for p in PHOTOGRAPHS if Path(p[1]).stem not in VALIDATION + HELD_OUT)


def validation_photographs() -> tuple[Path, ...]:
    """Files of the photographs of `VALIDATION`; errors as in `training_photographs`."""
    return tuple(photograph_path(*p) for p in PHOTOGRAPHS if Path(p[1]).stem in VALIDATION)


def held_out_photographs() -> tuple[Path, ...]:
    """Files of the photographs of `HELD_OUT`; errors as in `training_photographs`."""
    return tuple(photograph_path(*p) for p in PHOTOGRAPHS if Path(p[1]).stem in HELD_OUT)


def all_photographs() -> tuple[Path, ...]:
    """Files of all photographs; errors as in `training_photographs`."""
    return tuple(photograph_path(*p) for p in PHOTOGRAPHS)
