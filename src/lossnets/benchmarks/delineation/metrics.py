"""Completeness, correctness, quality and F1 of a delineation, strict and with a tolerance.

Strict, by pixels: completeness TP/(TP+FN), correctness TP/(TP+FP), quality TP/(TP+FP+FN), F1 the
harmonic mean of the first two (Mosinska et al. 2018, section 4.2).

Relaxed: completeness is the share of true pixels with a predicted one within 2 pixels (Euclidean,
between centres), correctness the share of predicted pixels with a true one as near (Mnih 2013,
section 2.3). Quality and F1 follow from these two, c and r, by the formulas that hold for the strict
ones: quality cr/(c + r − cr) (Wiedemann 2003), F1 2cr/(c + r).

0/0, where there is nothing to find (completeness) or nothing was predicted (correctness), is 1 if both
are so, as nothing is wrong then, and 0 otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from lossnets.errors import ConfigError, DataError, require

Array = NDArray[np.float64]
Map = NDArray[np.bool_]

NAMES = ("quality", "completeness", "correctness", "f1")
"""The headline first."""
COUNTS = ("predicted", "true", "both", "predicted_near", "true_near")
"""Pixels of an image: predicted; true; both; predicted within the buffer of a true one; true within the
buffer of a predicted one."""
BUFFER = 2.0
THRESHOLD = 0.3
THRESHOLDS = tuple(i / 20 for i in range(1, 20))
"""Where the best threshold on validation is looked for."""


def count(predicted: Map, true: Map, buffer: float = BUFFER) -> tuple[int, int, int, int, int]:
    """Count the pixels of one image: (H, W), (H, W) -> as in `COUNTS`.

    Raises:
        DataError: the two differ in size.
    """
    if predicted.shape != true.shape or predicted.ndim != 2:
        raise DataError(f"prediction and label must be (H, W) alike; got {predicted.shape} and {true.shape}.")
    return (
        int(predicted.sum()),
        int(true.sum()),
        int((predicted & true).sum()),
        int((predicted & near(true, buffer)).sum()),
        int((true & near(predicted, buffer)).sum()),
    )


def near(mask: Map, buffer: float) -> Map:
    """Where a pixel of the mask is at most ``buffer`` pixels away, itself included: (H, W) -> (H, W)."""
    if not mask.any():
        return np.zeros_like(mask)
    ndimage = require("scipy.ndimage", "bench", "the delineation benchmark")
    found: Map = ndimage.distance_transform_edt(~mask) <= buffer
    return found


def delineation_scores(counts: Array, *, relaxed: bool = False) -> dict[str, Array]:
    """Scores from counts of images or of totals: (..., 5) as in `COUNTS` -> name -> (...), in [0, 1]."""
    predicted, true, both, predicted_near, true_near = np.moveaxis(np.asarray(counts, np.float64), -1, 0)
    nothing = (predicted == 0) & (true == 0)
    c = _share(true_near if relaxed else both, true, nothing)
    r = _share(predicted_near if relaxed else both, predicted, nothing)
    return {
        "quality": _share(c * r, c + r - c * r, nothing),
        "completeness": c,
        "correctness": r,
        "f1": _share(2 * c * r, c + r, nothing),
    }


def _share(part: Array, whole: Array, nothing: NDArray[np.bool_]) -> Array:
    """A ratio; 0/0 is 1 where there is nothing at all, and else 0."""
    some = whole > 0
    return np.where(some, part / np.where(some, whole, 1.0), nothing.astype(np.float64))


def best_threshold(
    pairs: Iterable[tuple[NDArray[np.float32], Map]], thresholds: Sequence[float] = THRESHOLDS
) -> float:
    """The threshold with the best strict quality over all pixels of these images; the lowest of equals.

    Args:
        pairs: probabilities (H, W) and label (H, W) of each image.
        thresholds: to choose from.

    Raises:
        ConfigError: there is no threshold, or no image.
    """
    totals = np.zeros((len(thresholds), len(COUNTS)))
    images = 0
    for images, (probability, true) in enumerate(pairs, start=1):  # noqa: B007 - counts them
        for row, threshold in zip(totals, thresholds, strict=True):
            predicted = probability >= threshold
            row[:3] += predicted.sum(), true.sum(), (predicted & true).sum()
    if not images or not len(thresholds):
        raise ConfigError("best_threshold needs at least one image and one threshold.")
    return float(thresholds[int(np.argmax(delineation_scores(totals)["quality"]))])
