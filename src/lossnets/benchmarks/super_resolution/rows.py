"""From numbers of each image to scores: means over the images of each test set, with their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lossnets.benchmarks.base import OVERALL, Score, ScoreKind
from lossnets.benchmarks.intervals import Estimate, Part, estimate, mean_of
from lossnets.benchmarks.super_resolution.examine import WholeImage
from lossnets.benchmarks.super_resolution.quality import REFERENCE, SCORES


def score_rows(
    columns: Mapping[str, NDArray[np.float64]],
    images: Sequence[WholeImage],
    *,
    resamples: int,
    seed: int,
    judge_note: str,
) -> tuple[Score, ...]:
    """Overall (mean of the test sets) first, then each set where there are several; the reference last."""
    splits = np.array([image.split for image in images])
    names = list(dict.fromkeys(splits.tolist()))
    where = {name: np.flatnonzero(splits == name) for name in names}
    groups = {OVERALL: list(where.values())}
    if len(names) > 1:
        groups |= {name: [index] for name, index in where.items()}
    labels = [f"{image.split}/{image.name}" for image in images]
    made = []
    for name, kind, note in _columns(judge_note):
        for split, indices in groups.items():
            parts = [Part(mean_of(columns[name][i]), [labels[k] for k in i]) for i in indices]
            found = estimate(parts, resamples=resamples, seed=seed)
            made.append(_row(name, kind, split, found, sum(map(len, indices)), note))
    return tuple(made)


def _columns(judge_note: str) -> list[tuple[str, ScoreKind, str]]:
    own = [(kind.name, kind, judge_note if kind.name == "lpips_judge" else "") for kind in SCORES]
    return own + [(f"{kind.name}@{REFERENCE}", kind, "") for kind in SCORES]


def _row(name: str, kind: ScoreKind, split: str, found: Estimate, n: int, note: str) -> Score:
    return Score(
        name=name,
        value=found.value,
        unit=kind.unit,
        higher_is_better=kind.higher_is_better,
        split=split,
        low=found.low,
        high=found.high,
        n=n,
        note="; ".join(filter(None, (found.note, note))),
    )
