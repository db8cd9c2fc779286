"""Similarity by pairs: which images people cannot tell apart, and opinion scores.

Triplets (2AFC) are in `triplets`; this file has same-or-not pairs (JND) and opinion scores.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossnets.benchmarks.base import ScoreKind, register_benchmark
from lossnets.benchmarks.intervals import Statistic
from lossnets.benchmarks.similarity import scores as scoring
from lossnets.benchmarks.similarity.base import Array, Measured, SimilarityBenchmark, fields
from lossnets.datasets import JNDSet, OpinionSet, read_bapps_jnd, read_opinions_csv
from lossnets.datasets.places import find


@register_benchmark
class BappsJND(SimilarityBenchmark[JNDSet]):
    """BAPPS JND: are the pairs that people cannot tell apart those with the smallest distances?

    Args:
        root: see `lossnets.datasets.read_bapps_jnd`; None: where `lossnets data fetch bapps` puts it.
        splits: sub-splits; None: all that are there.
        resize: shorter side in pixels; published scores are at 64.
    """

    name = "similarity-bapps-jnd"
    needs = ("bapps",)
    data = "bapps"
    published_pairs = (2, 9_600)
    scores = (
        ScoreKind(
            "jnd_map",
            "fraction",
            True,
            "Average precision of small distances in finding the pairs that people took for the same.",
        ),
    )

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        splits: Sequence[str] | None = None,
        resize: int | None = 64,
    ) -> None:
        super().__init__(resize)
        self._root, self._splits = root, splits

    def read(self, resize: int | None, profile: str, seed: int) -> JNDSet:  # noqa: ARG002
        """See `SimilarityBenchmark.read`."""
        return read_bapps_jnd(self._root or find("bapps"), splits=self._splits, resize=resize)

    def measured(self, data: JNDSet, distances: Array) -> list[Measured]:
        """Average precision; the overall row is the mean over sub-splits, hence mAP."""
        same, d = np.array([p.same for p in data.items]), distances[:, 0]

        def statistic(index: NDArray[np.intp]) -> Statistic:
            return partial(scoring.jnd_ap, d[index], same[index])

        return [Measured("jnd_map", "fraction", statistic)]

    def clusters(self, data: JNDSet) -> list[str]:
        """See `SimilarityBenchmark.clusters`."""
        return [p.p0 for p in data.items]

    def columns(self, data: JNDSet, distances: Array) -> dict[str, NDArray[Any]]:
        """See `SimilarityBenchmark.columns`."""
        return {
            **fields(data.items, "p0", "p1", "split"),
            "same": np.array([p.same for p in data.items]),
            "d": distances[:, 0],
        }


@register_benchmark
class Opinions(SimilarityBenchmark[OpinionSet]):
    """A CSV of opinion scores: does the distance rank distorted images as people do?

    Correlations are positive for a good distance, whichever way the opinion score points.

    Args:
        csv: the table.
        higher_is_better: True for MOS, False for DMOS.
        images: folder that image names are relative to; None: see `read_opinions_csv`.
        resize: as in `Triplets`.
        set_name: of the data in results; None: the table's file name.

    The other options are arguments of `lossnets.datasets.read_opinions_csv`.
    """

    name = "similarity-opinions"
    data = "opinions-csv"
    scores = tuple(
        ScoreKind(
            name,
            "correlation",
            True,
            "Correlation of the distance with people's opinion scores, positive where they agree.",
        )
        for name in scoring.CORRELATIONS
    )

    def __init__(
        self,
        csv: str | Path,
        *,
        higher_is_better: bool,
        images: str | Path | None = None,
        ref: str = "ref",
        distorted: str = "dist",
        score: str = "mos",
        split: str | None = None,
        drop: str | None = None,
        resize: int | str | None = "profile",
        set_name: str | None = None,
    ) -> None:
        super().__init__(resize)
        columns: dict[str, Any] = {
            "ref": ref,
            "distorted": distorted,
            "score": score,
            "split": split,
            "drop": drop,
        }
        self._reader = partial(
            read_opinions_csv, csv, images, higher_is_better=higher_is_better, name=set_name, **columns
        )

    def read(self, resize: int | None, profile: str, seed: int) -> OpinionSet:  # noqa: ARG002
        """See `SimilarityBenchmark.read`."""
        return self._reader(resize=resize)

    def measured(self, data: OpinionSet, distances: Array) -> list[Measured]:
        """Spearman, Kendall, Pearson, signed so that higher is better."""
        opinion = np.array([o.score for o in data.items])
        toward = scoring.agreement(distances[:, 0], higher_is_better=data.higher_is_better)

        def statistic(of: Callable[..., Array], index: NDArray[np.intp]) -> Statistic:
            return partial(of, toward[index], opinion[index])

        return [
            Measured(name, "correlation", partial(statistic, of)) for name, of in scoring.CORRELATIONS.items()
        ]

    def clusters(self, data: OpinionSet) -> list[str]:
        """See `SimilarityBenchmark.clusters`."""
        return [o.ref for o in data.items]

    def columns(self, data: OpinionSet, distances: Array) -> dict[str, NDArray[Any]]:
        """See `SimilarityBenchmark.columns`."""
        return {
            **fields(data.items, "ref", "distorted", "split"),
            "score": np.array([o.score for o in data.items]),
            "d": distances[:, 0],
        }
