"""From counted pixels to scores with intervals: totals over the test images, which the bootstrap draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossnets.benchmarks.base import OVERALL, Score, ScoreKind
from lossnets.benchmarks.delineation.metrics import NAMES, Array, delineation_scores
from lossnets.benchmarks.intervals import Part, Statistic, estimate

EVERYTHING = "everything"
"""The reference that calls every pixel a road; one that calls none so has quality and F1 0."""
REFERENCE_NAMES = ("quality", "f1", "correctness")

_MEANING = {
    "quality": "Road pixels found, as a share of those that are true or predicted: TP/(TP+FP+FN)",
    "completeness": "Share of the true road pixels that were found: TP/(TP+FN)",
    "correctness": "Share of the predicted road pixels that are true: TP/(TP+FP)",
    "f1": "Harmonic mean of completeness and correctness",
}
_VARIANTS = {
    "": ", at threshold 0.3.",
    "_relaxed": ", within 2 pixels, at threshold 0.3.",
    "_tuned": ", at the threshold that is best on validation.",
    "_relaxed_tuned": ", within 2 pixels, at the threshold that is best on validation.",
}
KINDS = (
    *(
        ScoreKind(f"{name}{variant}", "fraction", True, _MEANING[name] + text)
        for variant, text in _VARIANTS.items()
        for name in NAMES
    ),
    ScoreKind("bce", "nats per pixel", False, "Cross-entropy of the last refinement on the test images."),
)
"""What delineation measures, the headline (quality at 0.3, strict) first."""


@dataclass(frozen=True)
class Measured:
    """What was counted on n test images.

    Attributes:
        names: of the images.
        groups: where each was cut from; the bootstrap draws these.
        fixed: (n, 5) pixels at threshold 0.3, as in `metrics.COUNTS`.
        tuned: (n, 5) pixels at the threshold that is best on validation.
        everything: (n, 5) pixels where every pixel is called a road.
        bce: (n,) mean cross-entropy.
        pixels: (n,) their number.
    """

    names: tuple[str, ...]
    groups: tuple[str, ...]
    fixed: Array
    tuned: Array
    everything: Array
    bce: Array
    pixels: Array


def score_rows(found: Measured, *, resamples: int, seed: int) -> tuple[Score, ...]:
    """All scores of the totals over images, and those of the reference that calls everything a road."""
    statistics: dict[str, Statistic] = {}
    for kind in KINDS[:-1]:
        name, _, variant = kind.name.partition("_")
        counts = found.tuned if "tuned" in variant else found.fixed
        statistics[kind.name] = partial(_of_totals, name, counts, "relaxed" in variant)
    statistics["bce"] = partial(_weighted_mean, found.bce, found.pixels)
    for kind in KINDS:
        name, _, variant = kind.name.partition("_")
        if name in REFERENCE_NAMES and variant in ("", "relaxed"):
            statistics[f"{kind.name}@{EVERYTHING}"] = partial(
                _of_totals, name, found.everything, variant == "relaxed"
            )
    kinds = {kind.name: kind for kind in KINDS}
    return tuple(
        _row(kinds[name.partition("@")[0]], name, found, statistic, resamples, seed)
        for name, statistic in statistics.items()
    )


def _row(
    kind: ScoreKind, name: str, found: Measured, statistic: Statistic, resamples: int, seed: int
) -> Score:
    made = estimate([Part(statistic, found.groups)], resamples=resamples, seed=seed)
    interval = (made.low, made.high)
    n = len(found.names)
    return Score(name, made.value, kind.unit, kind.higher_is_better, OVERALL, *interval, n=n, note=made.note)


def _of_totals(name: str, counts: Array, relaxed: bool, weights: Array | None) -> Array:
    """One score of the images' summed counts: (n, 5), weights (B, n) -> (B,)."""
    totals = counts.sum(0, keepdims=True) if weights is None else weights @ counts
    return delineation_scores(totals, relaxed=relaxed)[name]


def _weighted_mean(values: Array, sizes: Array, weights: Array | None) -> Array:
    """Mean over pixels of what is known as means of images: (n,), (n,), (B, n) -> (B,)."""
    drawn = np.ones((1, len(values))) if weights is None else weights
    mean: Array = (drawn @ (values * sizes)) / (drawn @ sizes)
    return mean


def item_columns(found: Measured) -> dict[str, NDArray[Any]]:
    """One row for each test image: its own scores, and the counts that all totals are made of."""
    columns: dict[str, NDArray[Any]] = {
        "image": np.array(found.names),
        "split": np.full(len(found.names), OVERALL),
    }
    for variant in _VARIANTS:
        counts = found.tuned if "tuned" in variant else found.fixed
        for name, values in delineation_scores(counts, relaxed="relaxed" in variant).items():
            columns[f"{name}{variant}"] = values
    columns["bce"] = found.bce
    columns["pixels"] = found.pixels
    return columns | _counts(found)


def _counts(found: Measured) -> dict[str, NDArray[Any]]:
    """TP, FP and FN at each of the two thresholds."""
    out: dict[str, NDArray[Any]] = {}
    for ending, counts in (("", found.fixed), ("_tuned", found.tuned)):
        predicted, true, both = counts[:, 0], counts[:, 1], counts[:, 2]
        out |= {f"tp{ending}": both, f"fp{ending}": predicted - both, f"fn{ending}": true - both}
    return out


def stacked(rows: Sequence[Sequence[int]]) -> Array:
    """Counts of images as (n, 5)."""
    return np.array(rows, dtype=np.float64)
