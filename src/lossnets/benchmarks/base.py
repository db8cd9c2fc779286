"""What a benchmark is: data it needs, profiles it runs at, and scores that say what they mean."""

from __future__ import annotations

import abc
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import entry_points
from typing import Any, ClassVar, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lossnets.benchmarks.kept import KeepsData
from lossnets.errors import ConfigError, DataError, LossnetsError, unknown_name
from lossnets.torch_state import standard_state

PROFILES = ("paper", "small", "smoke")
"""Sizes of a run: as published; one CPU, minutes; seconds, for tests."""

OVERALL = "overall"
"""The split name of a benchmark's summary over its sub-splits (their mean)."""
POOLED = "pooled"
"""The split name of a score over all items at once, reported where there is more than one sub-split."""

Progress = Callable[[int, int], None]
"""Called with (items done, items in all)."""


@dataclass(frozen=True)
class Score:
    """One number of one loss on one split, with everything needed to read it.

    Attributes:
        name: what was measured, e.g. ``"2afc_score"``.
        value: the number; NaN where it is not defined, and then `note` says why.
        unit: e.g. ``"fraction"``, ``"rank correlation"``.
        higher_is_better: direction.
        split: sub-split of the data, or `OVERALL` (mean of the sub-splits), or `POOLED`.
        low: lower end of the 95 % bootstrap interval; NaN where there is none.
        high: upper end.
        n: items behind the number.
        note: reason for a NaN, items left out, and the like; empty where there is nothing to say.
    """

    name: str
    value: float
    unit: str
    higher_is_better: bool
    split: str
    low: float
    high: float
    n: int
    note: str = ""


@dataclass(frozen=True)
class ScoreKind:
    """What a benchmark measures, stated before anything has run.

    Attributes:
        name: as in `Score.name`.
        unit: as in `Score.unit`.
        higher_is_better: direction.
        meaning: one sentence for people, shown with the scores; empty where the name says it.
    """

    name: str
    unit: str
    higher_is_better: bool
    meaning: str = ""


@dataclass(frozen=True)
class Workload:
    """What a run at a profile amounts to, for estimates of time and disk.

    Attributes:
        step_images: images of a training step; 0 where nothing is trained.
        steps: training steps of a run, at most (early stopping may end it before).
        side: height and width in pixels of the images that the loss compares in a step.
        comparisons: images compared with an encoded target per image of a step, on average (3 for
            delineation's refinements, less than 1 where some steps have no loss); 1 for most.
        pairs: pairs of images compared outside of training: a similarity set's.
        model_bytes: parameters and buffers of what is trained.
    """

    step_images: int
    steps: int
    side: int
    comparisons: float = 1
    pairs: int = 0
    model_bytes: int = 0


@dataclass(frozen=True)
class Evaluation:
    """What one loss did on one benchmark.

    Attributes:
        scores: see `Score`; the first is the headline.
        items: one array or list per column, all of the same length: identity of the item, its
            split, the label, and the distances, so that every score can be computed again.
        facts: settings that the numbers depend on (resize, items, bootstrap, data fingerprint, ...).
    """

    scores: tuple[Score, ...]
    items: dict[str, NDArray[Any]] = field(default_factory=dict)
    facts: dict[str, str | int | float | None] = field(default_factory=dict)


@runtime_checkable
class DistanceBank(Protocol):
    """Several losses evaluated in one pass over the images: `lossnets.losses.LossBank`, or a stand-in."""

    @property
    def names(self) -> Sequence[str]:
        """The loss names, keys of `distances`."""

    def encode(self, images: Tensor) -> Any:
        """Images (N, 3, H, W) in [0, 1] -> something that `distances` takes as target."""

    def distances(self, images: Tensor, target: Any) -> Mapping[str, Tensor]:
        """Images (N, 3, H, W) and an encoded target -> loss name -> (N,)."""


class Benchmark(Protocol):
    """A way of asking how good a loss is. Instances are made with their data's whereabouts as options.

    A class may also state ``variants``, where it can train losses (``evaluate_variant``), and
    ``trains = True``, where each loss is put through a training of its own (`TrainingBenchmark`):
    then ``evaluate_many`` also takes ``folder``, for checkpoints, logs and pictures of the run.

    Attributes:
        name: key in plans and results.
        data: the card of its data set (`lossnets.datasets.card`).
        scores: what it measures.
        profiles: those of `PROFILES` that it runs at.
        needs: data sets of the catalogue that it looks for where their place is not among its options;
            a class without any need not state it.
    """

    name: ClassVar[str]
    data: ClassVar[str]
    scores: ClassVar[tuple[ScoreKind, ...]]
    profiles: ClassVar[tuple[str, ...]]

    def workload(self, profile: str) -> Workload:
        """Resources of one run; `prepare` has been called, or the numbers are the profile's."""

    def prepare(self) -> None:
        """Find and check the data.

        Raises:
            DataError: something is missing or malformed; the message says how to get it.
        """

    def data_fingerprint(self) -> str:
        """sha256 over what the data are (names, labels, contents), equal on every machine."""

    def evaluate_many(
        self,
        losses: Sequence[Any] | DistanceBank,
        *,
        seed: int = 0,
        profile: str = "small",
        device: str = "cpu",
        progress: Progress | None = None,
    ) -> dict[str, Evaluation | LossnetsError]:
        """Evaluate several losses in one pass; a loss that fails is answered with its error."""

    def run_many(
        self, losses: Sequence[Any] | DistanceBank, seed: int = 0, profile: str = "small"
    ) -> dict[str, list[Score]]:
        """Like `evaluate_many`, scores only; the first error is raised."""

    def run(self, loss: Any, seed: int = 0, profile: str = "small") -> list[Score]:
        """Scores of one loss."""


class RunsLosses(KeepsData):
    """`Benchmark.run_many` and `Benchmark.run`, which follow from ``evaluate_many``.

    What a subclass computes, it computes in `standard_state`: networks that it trains, constants and images
    do not depend on what the process has set.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("evaluate", "evaluate_many", "evaluate_variant", "prepare"):
            method = vars(cls).get(name)
            if method is not None and not getattr(method, "__isabstractmethod__", False):
                setattr(cls, name, standard_state()(method))

    @abc.abstractmethod
    def evaluate_many(
        self, losses: Sequence[Any] | DistanceBank, *, seed: int = 0, profile: str = "small"
    ) -> dict[str, Evaluation | LossnetsError]:
        """See `Benchmark.evaluate_many`."""

    def run_many(
        self, losses: Sequence[Any] | DistanceBank, seed: int = 0, profile: str = "small"
    ) -> dict[str, list[Score]]:
        """Scores of several losses by name; the first error is raised."""
        out = {}
        for name, evaluation in self.evaluate_many(losses, seed=seed, profile=profile).items():
            if isinstance(evaluation, LossnetsError):
                raise evaluation
            out[name] = list(evaluation.scores)
        return out

    def run(self, loss: Any, seed: int = 0, profile: str = "small") -> list[Score]:
        """Scores of one loss, the headline first; errors as in `Benchmark.evaluate_many`."""
        return next(iter(self.run_many([loss], seed, profile).values()))


BenchmarkClass = TypeVar("BenchmarkClass", bound=type)
_REGISTRY: dict[str, type] = {}
ENTRY_POINTS = "lossnets.benchmarks"
"""Group of entry points by which an installed package adds benchmarks of its own."""


@lru_cache(maxsize=1)
def _discover() -> None:
    """Import every module beside this one, and those that installed packages announce.

    So a benchmark is one file: put it here (or name it in ``[project.entry-points."lossnets.benchmarks"]``
    of another package), and it registers itself.
    """
    package = importlib.import_module("lossnets.benchmarks")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"lossnets.benchmarks.{module.name}")
    for entry in entry_points(group=ENTRY_POINTS):
        entry.load()


def register_benchmark(cls: BenchmarkClass) -> BenchmarkClass:
    """Class decorator: make a benchmark known under its ``name``.

    Raises:
        ConfigError: facts are missing or wrong, or another class has the name.
    """
    for fact in ("name", "data", "scores", "profiles"):
        if not getattr(cls, fact, None):
            raise ConfigError(f"benchmark class {cls.__name__} must state {fact!r} as a class attribute.")
    if not all(isinstance(kind, ScoreKind) for kind in cls.scores):  # type: ignore[attr-defined]
        raise ConfigError(f"{cls.__name__}.scores must be ScoreKinds (name, unit, direction, meaning).")
    unknown = set(cls.profiles) - set(PROFILES)  # type: ignore[attr-defined]
    if unknown:
        raise ConfigError(f"{cls.__name__}.profiles may hold {PROFILES}, got {sorted(unknown)}.")
    name: str = cls.name  # type: ignore[attr-defined]
    taken = _REGISTRY.get(name)
    if taken is not None and (taken.__module__, taken.__qualname__) != (cls.__module__, cls.__qualname__):
        raise ConfigError(f"benchmark name {name!r} is taken by {taken.__qualname__}; choose another name.")
    _REGISTRY[name] = cls
    return cls


def benchmark_names() -> list[str]:
    """Names of all registered benchmarks, sorted."""
    _discover()
    return sorted(_REGISTRY)


def benchmark_class(name: str) -> type:
    """The class registered under a name.

    Raises:
        UnknownNameError: no benchmark has the name.
    """
    if name not in _REGISTRY and name not in benchmark_names():
        raise unknown_name("benchmark", name, benchmark_names())
    return _REGISTRY[name]


def meaning(benchmark: str, score: str) -> str:
    """One sentence on what a score says; empty where the benchmark is not known or states none."""
    if benchmark not in _REGISTRY:
        _discover()
    kinds: Sequence[ScoreKind] = getattr(_REGISTRY.get(benchmark), "scores", ())
    return next((kind.meaning for kind in kinds if kind.name == score), "")


def load_benchmark(name: str, **options: Any) -> Benchmark:
    """Make a benchmark from its name and options (the keyword arguments of its class).

    Raises:
        UnknownNameError: no benchmark has the name.
        ConfigError: an option is unknown or a required one is missing.
    """
    cls = benchmark_class(name)
    parameters = inspect.signature(cls).parameters
    for option in options:
        if option not in parameters:
            raise unknown_name(f"option of benchmark {name!r}", option, parameters)
    missing = [k for k, p in parameters.items() if p.default is p.empty and k not in options]
    if missing:
        raise ConfigError(
            f"benchmark {name!r} needs the option(s) {missing}; got {sorted(options) or 'none'}."
        )
    made: Benchmark = cls(**options)
    return made


def check_profile(benchmark: str, profile: str, allowed: Sequence[str]) -> None:
    """Raise ConfigError unless the benchmark runs at this profile."""
    if profile not in allowed:
        raise ConfigError(f"profile of {benchmark!r} must be one of {', '.join(allowed)}; got {profile!r}.")


def check_finite(loss: str, distances: NDArray[np.float64], labels: Sequence[str]) -> None:
    """Raise DataError naming the loss and the first items where a distance is NaN or infinite.

    Args:
        loss: loss name.
        distances: (n,) or (n, k), one row per item.
        labels: n item names.
    """
    bad = ~np.isfinite(distances.reshape(len(labels), -1)).all(axis=1)
    if bad.any():
        where = np.flatnonzero(bad)
        some = ", ".join(labels[i] for i in where[:3]) + (", ..." if len(where) > 3 else "")
        raise DataError(
            f"loss {loss!r} gave a distance that is not finite for {len(where)} of {len(labels)} items "
            f"({some}); scores are computed from finite distances only. Look at these images, or "
            "evaluate the loss in float32."
        )
