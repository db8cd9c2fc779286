"""What the similarity benchmarks share: one pass over the data for all losses, scores with intervals."""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from lossnets.benchmarks.base import (
    OVERALL,
    POOLED,
    DistanceBank,
    Evaluation,
    Progress,
    RunsLosses,
    Score,
    ScoreKind,
    Workload,
    check_finite,
    check_profile,
)
from lossnets.benchmarks.intervals import Estimate, Part, Statistic, estimate
from lossnets.benchmarks.similarity.measure import comparisons, measure
from lossnets.datasets import JNDSet, OpinionSet, TwoAFCSet
from lossnets.errors import ConfigError, DataError, LossnetsError

Array = NDArray[np.float64]
Data = TypeVar("Data", TwoAFCSet, JNDSet, OpinionSet)


@dataclass(frozen=True)
class Size:
    """What a profile means here: items of each sub-split (None: all), bootstrap draws, image side.

    Attributes:
        per_split: None: all.
        resamples: of the bootstrap.
        resize: shorter side in pixels, where the benchmark was made with ``resize="profile"``.
    """

    per_split: int | None
    resamples: int
    resize: int | None


SIZES = {"paper": Size(None, 2000, None), "small": Size(500, 1000, 224), "smoke": Size(24, 200, 64)}


@dataclass(frozen=True)
class Measured:
    """A score to be made.

    Attributes:
        name: of the score.
        unit: of the score.
        statistic: for a choice of items.
        note: for every row.
        left_out: (n,), items that do not count, and why (one phrase); None: all count.
    """

    name: str
    unit: str
    statistic: Callable[[NDArray[np.intp]], Statistic]
    note: str = ""
    left_out: tuple[NDArray[np.bool_], str] | None = None


class SimilarityBenchmark(RunsLosses, Generic[Data]):
    """What the similarity benchmarks share; a subclass reads data and names its scores.

    Data are read once for each image size and kept. `evaluate_many` is the main entry.
    """

    name: ClassVar[str]
    data: ClassVar[str]
    scores: ClassVar[tuple[ScoreKind, ...]]
    profiles: ClassVar[tuple[str, ...]] = ("paper", "small", "smoke")
    published_pairs: ClassVar[tuple[int, int] | None] = None
    """(sub-splits, pairs of images) where the data set is one and the same for everybody."""

    def __init__(self, resize: int | str | None) -> None:
        if isinstance(resize, str) and resize != "profile":
            raise ConfigError(
                f"resize must be a side in pixels, null/None (as they are) or 'profile'; got {resize!r}."
            )
        self._resize = resize
        self._read: dict[Any, Data] = {}

    def forget(self) -> None:
        """See `KeepsData.forget`."""
        self._read = {}

    @abc.abstractmethod
    def read(self, resize: int | None, profile: str, seed: int) -> Data:
        """Read the whole data set; profile and seed matter to generated data only."""

    @abc.abstractmethod
    def measured(self, data: Data, distances: Array) -> list[Measured]:
        """The scores of one loss with distances (n, k), headline first."""

    @abc.abstractmethod
    def clusters(self, data: Data) -> list[str]:
        """The reference of each item, which the bootstrap draws."""

    @abc.abstractmethod
    def columns(self, data: Data, distances: Array) -> dict[str, NDArray[Any]]:
        """Per-item record: names, labels, distances."""

    def prepare(self) -> None:
        """Find, read and check the data (labels and file names; images are decoded when used).

        Raises:
            DataError: something is missing or malformed.
        """
        self.load(self.profiles[-1], seed=0)

    def load(self, profile: str, seed: int = 0) -> Data:
        """The items that a run at this profile and seed evaluates."""
        check_profile(self.name, profile, self.profiles)
        resize = self.resize_at(profile)
        key = self._cache_key(resize, profile, seed)
        if key not in self._read:
            self._read[key] = self.read(resize, profile, seed)
        return self._read[key].sample(SIZES[profile].per_split, seed)

    def resize_at(self, profile: str) -> int | None:
        """Shorter side in pixels that images are scaled to at this profile; None: as they are."""
        return SIZES[profile].resize if isinstance(self._resize, str) else self._resize

    def _cache_key(self, resize: int | None, profile: str, seed: int) -> object:  # noqa: ARG002
        return resize

    def workload(self, profile: str) -> Workload:
        """Pairs of a run; those published where the data are not here.

        Raises:
            DataError: the data are missing, and nothing is published about their number.
        """
        check_profile(self.name, profile, self.profiles)
        size = SIZES[profile]
        try:
            data = self.load(profile)
        except DataError:
            if self.published_pairs is None:
                raise
            splits, pairs = self.published_pairs
            sampled = pairs if size.per_split is None else min(pairs, splits * size.per_split)
            return Workload(0, 0, self.resize_at(profile) or 64, pairs=sampled)
        wanted = comparisons(data)
        pair = wanted[0][0]
        side = round(math.prod(data.images.load(pair[0]).shape[-2:]) ** 0.5)
        return Workload(0, 0, side, pairs=len({pair for item in wanted for pair in item}))

    def data_fingerprint(self, profile: str = "paper", seed: int = 0) -> str:
        """sha256 over items, labels, contents of image files and resize of the run's data."""
        if profile not in self.profiles:
            profile = self.profiles[0]
        return self.load(profile, seed).fingerprint()

    def evaluate_many(
        self,
        losses: Sequence[Any] | DistanceBank,
        *,
        seed: int = 0,
        profile: str = "small",
        device: str = "cpu",
        batch_size: int | None = None,
        progress: Progress | None = None,
    ) -> dict[str, Evaluation | LossnetsError]:
        """Evaluate several losses in one pass over the data.

        Args:
            losses: loss names, specs or losses; or a ready bank of them.
            seed: of the choice of items (`small`, `smoke`) and of the bootstrap.
            profile: see `profiles`.
            device: where the losses run; a ready bank has to be there already.
            batch_size: references at once; None: by image size.
            progress: called with (pairs done, pairs in all).

        Returns:
            By loss name, in the order given. A loss that fails (too small an image, a distance
            that is not finite) is answered with its error; the others are not affected. Only the
            pass of a ready bank cannot be split, and raises.

        Raises:
            DataError: the data are missing or malformed, or changed meanwhile (DataChangedError).
            ConfigError: the profile is unknown.
        """
        with self.steady():
            data = self.load(profile, seed)
            bank = losses if isinstance(losses, DistanceBank) else _bank(losses, device)
            try:
                distances = measure(bank, data, device=device, batch_size=batch_size, progress=progress)
            except LossnetsError as error:
                if isinstance(losses, DistanceBank):
                    raise
                if len(losses) == 1:
                    return dict.fromkeys(bank.names, error)
                return self._one_by_one(losses, seed, profile, device, batch_size)
            return {name: self.evaluation(name, data, d, seed, profile) for name, d in distances.items()}

    def _one_by_one(
        self, losses: Sequence[Any], seed: int, profile: str, device: str, batch_size: int | None
    ) -> dict[str, Evaluation | LossnetsError]:
        """After a failure of the common pass: find out whose it was."""
        out: dict[str, Evaluation | LossnetsError] = {}
        for loss in losses:
            out |= self.evaluate_many(
                [loss], seed=seed, profile=profile, device=device, batch_size=batch_size
            )
        return out

    def evaluation(
        self, loss: str, data: Data, distances: Array, seed: int, profile: str
    ) -> Evaluation | LossnetsError:
        """Scores, items and facts from distances (n, k); an error where a distance is not finite."""
        try:
            check_finite(loss, distances, [_label(item) for item in data.items])
        except LossnetsError as error:
            return error
        resamples = SIZES[profile].resamples
        splits = np.array([item.split for item in data.items])
        made: list[Score] = []
        for measured in self.measured(data, distances):
            made += _score_rows(measured, splits, self.clusters(data), resamples, seed)
        facts: dict[str, str | int | float | None] = {
            "kind": data.kind,
            "data": data.name,
            "items": len(data),
            "resize": data.resize,
            "bootstrap": resamples,
            "fingerprint": data.fingerprint(),
        }
        return Evaluation(tuple(made), self.columns(data, distances), facts)


def _bank(losses: Sequence[Any], device: str) -> DistanceBank:
    from lossnets.losses import LossBank

    bank: DistanceBank = LossBank(losses, device=device)
    return bank


def fields(items: Iterable[Any], *names: str) -> dict[str, NDArray[Any]]:
    """Columns of these attributes, one row per item."""
    items = list(items)
    return {name: np.array([getattr(item, name) for item in items]) for name in names}


def _label(item: Any) -> str:
    return " | ".join(v for k, v in vars(item).items() if isinstance(v, str) and k != "split")


def _score_rows(
    measured: Measured, splits: NDArray[Any], clusters: Sequence[str], resamples: int, seed: int
) -> list[Score]:
    """Overall first; with more than one sub-split also pooled and each of them."""
    names = list(dict.fromkeys(splits.tolist()))
    where = {name: np.flatnonzero(splits == name) for name in names}
    every = np.arange(len(splits))
    rows = {OVERALL: (list(where.values()), every)}
    if len(names) > 1:
        rows |= {POOLED: ([every], every)} | {name: ([index], index) for name, index in where.items()}
    return [
        _row(measured, split, _estimate(measured, parts, clusters, resamples, seed), index)
        for split, (parts, index) in rows.items()
    ]


def _estimate(
    measured: Measured, parts: list[NDArray[np.intp]], clusters: Sequence[str], resamples: int, seed: int
) -> Estimate:
    made = [Part(measured.statistic(index), [clusters[i] for i in index]) for index in parts]
    return estimate(made, resamples=resamples, seed=seed)


def _row(measured: Measured, split: str, made: Estimate, index: NDArray[np.intp]) -> Score:
    n, notes = len(index), [made.note, measured.note]
    if measured.left_out is not None:
        out = int(measured.left_out[0][index].sum())
        n -= out
        notes.append(f"{out} of {len(index)} items left out: {measured.left_out[1]}" if out else "")
    note = "; ".join(filter(None, notes))
    return Score(measured.name, made.value, measured.unit, True, split, made.low, made.high, n, note)
