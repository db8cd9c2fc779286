"""Benchmark: which of two images is nearer to a reference? BAPPS 2AFC, CSV triplets, packaged sample."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from lossnets.benchmarks.base import Evaluation, Progress, ScoreKind, register_benchmark
from lossnets.benchmarks.intervals import Statistic
from lossnets.benchmarks.similarity import scores as scoring
from lossnets.benchmarks.similarity.base import Array, Measured, SimilarityBenchmark, fields
from lossnets.datasets import TwoAFCSet, read_bapps_2afc, read_sample, read_triplets_csv
from lossnets.datasets.places import find
from lossnets.errors import ConfigError, LossnetsError, unknown_name


class _TwoAFC(SimilarityBenchmark[TwoAFCSet]):
    scores: ClassVar[tuple[ScoreKind, ...]] = (
        ScoreKind(
            "2afc_score",
            "fraction",
            True,
            "Mean share of people who chose the image that the loss finds nearer; 0.5 is chance.",
        ),
        ScoreKind(
            "2afc_accuracy",
            "fraction",
            True,
            "Share of triplets in which the loss chooses as most people did; 0.5 is chance.",
        ),
    )
    variants: ClassVar[tuple[str, ...]] = ("baseline", "lin", "tune", "scratch")

    def measured(self, data: TwoAFCSet, distances: Array) -> list[Measured]:
        judge = np.array([t.judge for t in data.items])
        d0, d1 = distances[:, 0], distances[:, 1]
        score = _mean_of(scoring.two_afc_items(d0, d1, judge))
        accuracy = _mean_of(scoring.majority_items(d0, d1, judge))
        even = (judge == 0.5, "votes split evenly, no majority")
        return [
            Measured("2afc_score", "fraction", score),
            Measured("2afc_accuracy", "fraction", accuracy, left_out=even),
        ]

    def clusters(self, data: TwoAFCSet) -> list[str]:
        return [t.ref for t in data.items]

    def columns(self, data: TwoAFCSet, distances: Array) -> dict[str, NDArray[Any]]:
        return {
            **fields(data.items, "ref", "p0", "p1", "split"),
            "judge": np.array([t.judge for t in data.items]),
            "d0": distances[:, 0],
            "d1": distances[:, 1],
        }

    def training_set(self, profile: str, seed: int) -> TwoAFCSet:  # noqa: ARG002
        """The triplets that variants are trained on, all of them.

        Raises:
            ConfigError: the benchmark was made without.
        """
        raise ConfigError(f"benchmark {self.name!r} has no training data; only the baseline can be run.")

    def evaluate_variant(
        self,
        losses: Sequence[Any],
        *,
        variant: str,
        seed: int = 0,
        profile: str = "small",
        device: str = "cpu",
        progress: Progress | None = None,
        folder: str | Path | None = None,
    ) -> dict[str, Evaluation | LossnetsError]:
        """Train a variant of each loss (or go on with it, or take it as trained), then evaluate it.

        Args:
            losses: loss names, specs or losses.
            variant: one of `variants`.
            seed: of training, of the choice of items, and of the bootstrap.
            profile: see `profiles`.
            device: where.
            progress: called with (epochs done, epochs in all) of the loss in training.
            folder: where trained heads are kept; None: ``trained`` in the home of lossnets.
        """
        from lossnets.benchmarks.similarity.variants import evaluate_variant

        if variant not in self.variants:
            raise unknown_name(f"variant of {self.name!r}", variant, self.variants)
        if variant == "baseline":
            return self.evaluate_many(losses, seed=seed, profile=profile, device=device)
        with self.steady():
            return evaluate_variant(
                self, losses, variant=variant, seed=seed, profile=profile, device=device, progress=progress,
                folder=folder,
            )  # fmt: skip


def _mean_of(values: Array) -> Callable[[NDArray[np.intp]], Statistic]:
    return lambda index: partial(scoring.weighted_mean, values[index])


@register_benchmark
class Bapps2AFC(_TwoAFC):
    """BAPPS 2AFC (Zhang et al. 2018): which of two distorted patches do people find closer?

    Args:
        root: see `lossnets.datasets.read_bapps_2afc`; None: where `lossnets data fetch bapps` puts it.
        splits: sub-splits; None: all that are there.
        phase: "val" or "train".
        resize: shorter side in pixels; published scores are at 64.
    """

    name = "similarity-bapps-2afc"
    needs = ("bapps",)
    data = "bapps"
    published_pairs = (6, 2 * 36_344)

    def __init__(
        self,
        root: str | Path | None = None,
        *,
        splits: Sequence[str] | None = None,
        phase: str = "val",
        resize: int | None = 64,
    ) -> None:
        super().__init__(resize)
        self._root, self._phase, self._splits = root, phase, splits

    def read(self, resize: int | None, profile: str, seed: int) -> TwoAFCSet:  # noqa: ARG002
        """See `SimilarityBenchmark.read`."""
        root = self._root or find("bapps")
        return read_bapps_2afc(root, phase=self._phase, splits=self._splits, resize=resize)

    def training_set(self, profile: str, seed: int) -> TwoAFCSet:  # noqa: ARG002
        """The train phase below the same root, all of its sub-splits."""
        return read_bapps_2afc(self._root or find("bapps"), phase="train", resize=self.resize_at(profile))


@register_benchmark
class Triplets(_TwoAFC):
    """A CSV of triplets with votes: which of two images do people find closer to the reference?

    Args:
        csv: the table.
        images: folder that image names are relative to; None: see `read_triplets_csv`.
        resize: shorter side in pixels; "profile": as they are at `paper`, 224 at `small`, 64 at
            `smoke`; None: as they are.
        set_name: of the data in results; None: the table's file name.
        train: a table of the same columns and images, which the trained variants learn from.

    The other options are arguments of `lossnets.datasets.read_triplets_csv`.
    """

    name = "similarity-triplets"
    data = "triplets-csv"

    def __init__(
        self,
        csv: str | Path,
        *,
        images: str | Path | None = None,
        ref: str = "ref",
        a: str = "a",
        b: str = "b",
        votes_a: str = "votes_a",
        votes_b: str = "votes_b",
        judge: str | None = None,
        split: str | None = None,
        drop: str | None = None,
        resize: int | str | None = "profile",
        set_name: str | None = None,
        train: str | Path | None = None,
    ) -> None:
        super().__init__(resize)
        columns: dict[str, Any] = {"ref": ref, "a": a, "b": b, "votes_a": votes_a, "votes_b": votes_b}
        reader = partial(read_triplets_csv, images_dir=images, **columns, judge=judge, split=split, drop=drop)
        self._reader = partial(reader, csv, name=set_name)
        self._training = partial(reader, train) if train is not None else None

    def read(self, resize: int | None, profile: str, seed: int) -> TwoAFCSet:  # noqa: ARG002
        """See `SimilarityBenchmark.read`."""
        return self._reader(resize=resize)

    def training_set(self, profile: str, seed: int) -> TwoAFCSet:
        """The triplets of the table ``train``."""
        if self._training is None:
            return super().training_set(profile, seed)
        return self._training(resize=self.resize_at(profile))


@register_benchmark
class SeverityAgreement(_TwoAFC):
    """The packaged sample: does the distance grow with the known severity of a distortion?

    No person judged anything here, and the score is never one of human judgement.
    """

    name = "similarity-sample"
    data = "sample"
    scores = (
        ScoreKind(
            "severity_agreement",
            "fraction",
            True,
            "How often the weaker of two distortions is the nearer one (chance: 0.5). No human judgement.",
        ),
    )
    variants = ("baseline",)
    profiles = ("small", "smoke")

    def __init__(self) -> None:
        super().__init__(None)

    def read(self, resize: int | None, profile: str, seed: int) -> TwoAFCSet:  # noqa: ARG002
        """See `SimilarityBenchmark.read`."""
        return read_sample(profile, seed=seed)

    def _cache_key(self, resize: int | None, profile: str, seed: int) -> object:  # noqa: ARG002
        return profile, seed

    def measured(self, data: TwoAFCSet, distances: Array) -> list[Measured]:
        """One score: the share of pairs whose severities are in the order of their distances."""
        judge = np.array([t.judge for t in data.items])
        items = scoring.two_afc_items(distances[:, 0], distances[:, 1], judge)
        return [Measured("severity_agreement", "fraction", _mean_of(items), "not human judgement")]
