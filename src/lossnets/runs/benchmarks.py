"""The benchmarks of a plan: which registered benchmark, with which data and settings."""

from __future__ import annotations

import hashlib
import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from lossnets.benchmarks.base import Benchmark, benchmark_class, benchmark_names, load_benchmark
from lossnets.benchmarks.kept import KeepsData
from lossnets.errors import ConfigError, unknown_name
from lossnets.home import user_path
from lossnets.runs.identity import canonical_json


class DataName(NamedTuple):
    """What people call a data set, and the SHA-256 of what it is."""

    name: str
    fingerprint: str


@dataclass(frozen=True)
class BenchmarkChoice:
    """A registered benchmark and the arguments it is made with; hashable, small, picklable.

    Attributes:
        name: registered name.
        arguments: keyword arguments of its class as canonical JSON.
        module: where its class is defined; a worker process imports it to know the name.
        places: names of those arguments that say where data lie; they are not part of a run's
            identity, the data's fingerprint is.
    """

    name: str
    arguments: str = "{}"
    module: str = "lossnets.benchmarks"
    places: frozenset[str] = frozenset()

    @property
    def options(self) -> dict[str, Any]:
        """All keyword arguments, a new dictionary every time."""
        return dict(json.loads(self.arguments))

    @property
    def settings(self) -> dict[str, Any]:
        """The arguments that belong to a run's identity: all but the places of data."""
        return {key: value for key, value in self.options.items() if key not in self.places}

    @property
    def where(self) -> str:
        """Data and settings for people: ``csv=votes.csv resize=64``; paths below this folder are short."""
        return " ".join(f"{key}={_short(value)}" for key, value in self.options.items())

    @property
    def trains(self) -> bool:
        """Whether each loss is put through a training of its own."""
        return bool(getattr(benchmark_class(self.name), "trains", False))

    def check(self, profile: str, variants: Sequence[str]) -> None:
        """Raise ConfigError unless the benchmark has that profile and those variants."""
        cls = benchmark_class(self.name)
        if profile not in cls.profiles:  # type: ignore[attr-defined]
            allowed = ", ".join(cls.profiles)  # type: ignore[attr-defined]
            raise ConfigError(f"profile of {self.name!r} must be one of {allowed}; got {profile!r}")
        known = getattr(cls, "variants", ("baseline",))
        for variant in variants:
            if variant not in known:
                raise ConfigError(
                    f"variants of {self.name!r} must be among {', '.join(known)}; got {variant!r}"
                )
            if variant != "baseline" and "train" in _parameters(cls) and not self.options.get("train"):
                raise ConfigError(
                    f"variant {variant!r} of {self.name!r} needs something to learn from: give its data "
                    "the key 'train', a table like 'csv'"
                )

    def make(self) -> Benchmark:
        """The benchmark as it is before its data are looked for; a new object every time."""
        importlib.import_module(self.module)
        return load_benchmark(self.name, **self.options)

    def load(self) -> Benchmark:
        """The benchmark, prepared; one object per process and choice, so that images are read once.

        It reads them again when they have become others (`lossnets.benchmarks.kept.KeepsData`).

        Raises:
            DataError: its data are missing or malformed.
            ConfigError: an argument is not allowed.
        """
        return _load(self)

    def describe_data(self, profile: str, seed: int, variant: str = "baseline") -> DataName:
        """Name of the data that a run at this profile and seed sees, fingerprint of the whole set.

        The fingerprint of a trained variant covers what it learns from, too.

        Raises:
            DataError: they are missing or malformed.
        """
        benchmark: Any = self.load()
        fingerprint = (
            benchmark.refresh() if isinstance(benchmark, KeepsData) else benchmark.data_fingerprint()
        )
        name = getattr(benchmark, "data_name", benchmark.data)
        if hasattr(benchmark, "load"):  # a data set of the user's has a name of its own
            name = benchmark.load(profile, seed).name
        if hasattr(benchmark, "protocol"):
            both = f"{fingerprint} {canonical_json(benchmark.protocol(profile))}"
            fingerprint = hashlib.sha256(both.encode()).hexdigest()
        if variant != "baseline" and hasattr(benchmark, "training_set"):
            both = f"{fingerprint} {benchmark.training_set(profile, seed).fingerprint()}"
            fingerprint = hashlib.sha256(both.encode()).hexdigest()
        return DataName(str(name), fingerprint)

    def __str__(self) -> str:
        return f"{self.name}({', '.join(f'{key}={value}' for key, value in self.options.items())})"


@lru_cache(maxsize=2)
def _load(choice: BenchmarkChoice) -> Benchmark:
    benchmark = choice.make()
    if isinstance(benchmark, KeepsData):
        benchmark.refresh()  # what it lists and hashes now, it has not to read again
    benchmark.prepare()
    return benchmark


def choose_benchmark(
    name: str, data: str | Mapping[str, Any] | None, options: Mapping[str, Any], folder: Path
) -> BenchmarkChoice:
    """From a plan's words to a registered benchmark; nothing is read yet.

    Args:
        name: a registered benchmark, or a family (``similarity``) whose member ``data`` names.
        data: kind of the data, or a mapping with ``kind`` and the arguments that say where it is.
        options: further arguments.
        folder: relative paths among the arguments start here.

    Raises:
        ConfigError: an argument is missing, unknown or stands twice.
        UnknownNameError: the benchmark or the kind of data is not known.
    """
    given = {"kind": data} if isinstance(data, str) else dict(data or {})
    registered = _registered(name, given.pop("kind", None))
    twice = sorted(set(given) & set(options))
    if twice:
        raise ConfigError(f"{twice[0]!r} stands in data and in options; remove one of them")
    parameters = _parameters(benchmark_class(registered))
    places = {key for key, parameter in parameters.items() if "Path" in str(parameter.annotation)}
    arguments = {**given, **options}
    for key, value in arguments.items():
        if key not in parameters:
            raise unknown_name(f"setting of benchmark {registered!r}", key, parameters)
        if key in places:
            arguments[key] = _placed(key, value, folder)
    missing = [k for k, p in parameters.items() if p.default is p.empty and k not in arguments]
    if missing:
        raise ConfigError(
            f"benchmark {registered!r} needs {', '.join(missing)}; got {sorted(arguments) or 'nothing'}"
        )
    module = benchmark_class(registered).__module__
    return BenchmarkChoice(registered, canonical_json(arguments), module, frozenset(places & set(arguments)))


def _parameters(cls: type) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(cls).parameters


def _registered(name: str, kind: object) -> str:
    known = benchmark_names()
    family = [entry for entry in known if entry.startswith(f"{name}-")]
    if kind is None and name in known:
        return name
    if name not in known and not family:
        families = {entry.split("-")[0] for entry in known}
        raise unknown_name("benchmark", name, [*known, *sorted(families - set(known))])
    kinds = [entry.removeprefix(f"{name}-") for entry in family]
    if not isinstance(kind, str):
        raise ConfigError(f"benchmark {name!r} needs data, one of the kinds {', '.join(kinds)}; got {kind!r}")
    if kind not in kinds:
        raise unknown_name(f"kind of data of benchmark {name!r}", kind, kinds)
    return f"{name}-{kind}"


def _short(value: object) -> str:
    if isinstance(value, str) and Path(value).is_absolute() and Path(value).is_relative_to(Path.cwd()):
        return str(Path(value).relative_to(Path.cwd()))
    return value if isinstance(value, str) else canonical_json(value)


def _placed(key: str, value: object, folder: Path) -> object:
    if isinstance(value, list):
        return [_placed(key, item, folder) for item in value]
    if isinstance(value, dict):  # several places by name: test sets
        return {str(name): _placed(f"{key}.{name}", item, folder) for name, item in value.items()}
    if value is None:
        return None
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{key!r} must be a path; got {value!r}")
    return str(folder / user_path(value, key))
