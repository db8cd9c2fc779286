"""The plan of a sweep: a YAML file that says which losses meet which benchmarks, data and seeds.

Relative paths in a plan start at the folder of the plan file: those of data (``csv: votes.csv``), of
the store, and those inside loss names (``vgg16/relu3_3:weights=vgg16.safetensors``, ``:head=...``).
A loss keeps its name as it is written there, and its run's identity has that name and the hash of
the file, not the place: a plan and its files in a folder that is copied to another machine are the
same runs. Write relative paths for that; an absolute one is part of the name. A file that is missing
is an error before anything runs.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from lossnets.errors import ConfigError, LossnetsError
from lossnets.home import user_path
from lossnets.runs.benchmarks import BenchmarkChoice, choose_benchmark
from lossnets.runs.losses import check_files, expand, located
from lossnets.runs.yamlfile import YamlFile

DEFAULT_STORE = "results.sqlite"


def _listed(value: object) -> object:
    return value if isinstance(value, list) or value is None else [value]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


Variant = Literal["baseline", "lin", "tune", "scratch"]
Profile = Literal["paper", "small", "smoke"]
Seeds = Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1), BeforeValidator(_listed)]
Variants = Annotated[list[Variant], Field(min_length=1), BeforeValidator(_listed)]


class BenchmarkEntry(_Strict):
    """One item of ``benchmarks``: a benchmark, its data and its settings.

    Losses, seeds, profile and variants are those of the plan unless they are given here.
    """

    benchmark: str
    data: str | dict[str, Any] | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    losses: Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)] | None = None
    seeds: Seeds | None = None
    profile: Profile | None = None
    variants: Variants | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: object) -> object:
        return {"benchmark": value} if isinstance(value, str) else value


def _only_baseline() -> list[Variant]:
    return ["baseline"]


class PlanFile(_Strict):
    """The keys of a plan file, as they are written."""

    name: Annotated[str, Field(min_length=1)]
    losses: Annotated[list[str], Field(min_length=1), BeforeValidator(_listed)]
    benchmarks: Annotated[list[BenchmarkEntry], Field(min_length=1), BeforeValidator(_listed)]
    seeds: Seeds = Field(default_factory=lambda: [0])
    profile: Profile = "small"
    variants: Variants = Field(default_factory=_only_baseline)
    store: str | None = None


@dataclass(frozen=True)
class PlannedRun:
    """One run before its loss is loaded and its data are read."""

    loss: str
    benchmark: BenchmarkChoice
    profile: str
    variant: str
    seed: int

    def __str__(self) -> str:
        where = f"{self.benchmark}"
        return f"{self.loss} on {where} ({self.profile}, {self.variant}, seed {self.seed})"


@dataclass(frozen=True)
class PlanEntry:
    """One benchmark of a plan, with what is run on it.

    Attributes:
        benchmark: with the whereabouts of its data.
        losses: canonical loss names, shorthands expanded.
        seeds: of the runs.
        profile: ``paper``, ``small`` or ``smoke``.
        variants: of the similarity benchmark; ``baseline`` elsewhere.
    """

    benchmark: BenchmarkChoice
    losses: tuple[str, ...]
    seeds: tuple[int, ...]
    profile: str
    variants: tuple[str, ...]

    def runs(self) -> list[PlannedRun]:
        """All runs of this benchmark: variants x seeds x losses."""
        return [
            PlannedRun(loss, self.benchmark, self.profile, variant, seed)
            for variant in self.variants
            for seed in self.seeds
            for loss in self.losses
        ]


@dataclass(frozen=True)
class Plan:
    """A checked plan: every loss and benchmark is known, nothing stands twice.

    Attributes:
        name: of the sweep, for people.
        entries: benchmarks with what is run on each.
        store: path or URL of the results store, None where the plan names none.
        folder: where relative paths inside loss names start.
    """

    name: str
    entries: tuple[PlanEntry, ...]
    store: str | None = None
    folder: str = "."

    @property
    def benchmarks(self) -> tuple[BenchmarkChoice, ...]:
        """Benchmarks, in the plan's order."""
        return tuple(entry.benchmark for entry in self.entries)

    @property
    def losses(self) -> tuple[str, ...]:
        """All losses, in order of first appearance."""
        return tuple(dict.fromkeys(loss for entry in self.entries for loss in entry.losses))

    def runs(self) -> list[PlannedRun]:
        """All runs, benchmark by benchmark."""
        return [run for entry in self.entries for run in entry.runs()]


def read_plan(path: str | Path) -> Plan:
    """Read and check a plan file; relative paths in it start at its folder.

    Raises:
        ConfigError: the file cannot be read, a key or value is not allowed, a loss or a benchmark
            is unknown, or something stands twice. The message names file, line and key.
    """
    file = Path(path)
    return _checked(YamlFile.read(file), file.absolute().parent)


def parse_plan(text: str, *, folder: str | Path = ".", name: str = "plan") -> Plan:
    """Check a plan given as YAML text; relative paths in it start at ``folder``.

    Raises:
        ConfigError: as `read_plan`.
    """
    return _checked(YamlFile(text, name), Path(folder).absolute())


def _checked(source: YamlFile, folder: Path) -> Plan:
    try:
        plan = PlanFile.model_validate(source.values)
    except ValidationError as error:
        raise ConfigError(_explain(error.errors()[0], source)) from None
    return Plan(
        name=plan.name,
        entries=_entries(plan, source, folder),
        store=_store(plan.store, folder),
        folder=str(folder),
    )


def _losses(patterns: list[str], source: YamlFile, folder: Path, path: list[str | int]) -> tuple[str, ...]:
    came_from: dict[str, str] = {}
    found: list[str] = []
    for index, pattern in enumerate(patterns):
        place = _place(source, [*path, "losses", index])
        try:
            names = expand(pattern)
            for name in names:
                check_files(name, folder)
        except LossnetsError as error:
            raise type(error)(f"{place}: {error}") from error
        for name in names:
            same = os.path.normpath(located(name, folder))  # ./a and a are one file
            if same in came_from:
                raise ConfigError(
                    f"{place}: {pattern!r} names the loss {name!r} again (first by {came_from[same]!r}); "
                    "remove one of them"
                )
            came_from[same] = pattern
            found.append(name)
    return tuple(found)


def _entries(plan: PlanFile, source: YamlFile, folder: Path) -> tuple[PlanEntry, ...]:
    losses = _losses(plan.losses, source, folder, [])
    _refuse_twice(["seeds"], plan.seeds, source)
    _refuse_twice(["variants"], plan.variants, source)
    entries: list[PlanEntry] = []
    for index, entry in enumerate(plan.benchmarks):
        path: list[str | int] = ["benchmarks", index]
        made = _entry(plan, entry, losses, source, folder, path)
        if any((made.benchmark, made.profile) == (other.benchmark, other.profile) for other in entries):
            raise ConfigError(f"{_place(source, path)}: {made.benchmark} stands twice; remove one of them")
        entries.append(made)
    return tuple(entries)


def _entry(
    plan: PlanFile,
    entry: BenchmarkEntry,
    losses: tuple[str, ...],
    source: YamlFile,
    folder: Path,
    path: list[str | int],
) -> PlanEntry:
    profile, seeds = entry.profile or plan.profile, entry.seeds or plan.seeds
    variants = entry.variants or plan.variants
    _refuse_twice([*path, "seeds"], entry.seeds or [], source)
    _refuse_twice([*path, "variants"], entry.variants or [], source)
    try:
        choice = choose_benchmark(entry.benchmark, entry.data, entry.options, folder)
        choice.check(profile, variants)
    except LossnetsError as error:
        raise type(error)(f"{_place(source, path)}: {error}") from error
    own = losses if entry.losses is None else _losses(entry.losses, source, folder, path)
    return PlanEntry(choice, own, tuple(seeds), profile, tuple(variants))


def _store(store: str | None, folder: Path) -> str | None:
    if store is None or "://" in store:
        return store
    return str(folder / user_path(store, "store"))


def _refuse_twice(path: list[str | int], values: Sequence[Any], source: YamlFile) -> None:
    for index, value in enumerate(values):
        if value in values[:index]:
            raise ConfigError(f"{_place(source, [*path, index])}: {value!r} stands twice; remove one of them")


def _place(source: YamlFile, path: list[str | int]) -> str:
    return f"{source.name}, line {source.line(path)}, {_dotted(path)}"


def _dotted(path: list[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def _explain(error: ErrorDetails, source: YamlFile) -> str:
    """One pydantic error in the project's words: where, which key, what is allowed, what came."""
    path = _known_part(list(error["loc"]), source.values)
    key = str(error["loc"][-1])
    if error["type"] == "extra_forbidden":
        allowed = list((BenchmarkEntry if path[0] == "benchmarks" else PlanFile).model_fields)
        near = difflib.get_close_matches(key, allowed, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return f"{_place(source, path)}: key {key!r} is not known.{hint} Allowed: {', '.join(allowed)}"
    if error["type"] == "missing":
        allowed = list((BenchmarkEntry if path else PlanFile).model_fields)
        place = _place(source, path) if path else source.name
        return f"{place}: key {key!r} is missing. Keys: {', '.join(allowed)}"
    what = error["msg"].replace("Input should be", "must be").replace("List should have", "must have")
    return f"{_place(source, path)}: {what}; got {error['input']!r}"


def _known_part(loc: list[str | int], values: object) -> list[str | int]:
    """The part of a pydantic location that exists in the file (it also names branches of unions)."""
    path: list[str | int] = []
    for part in loc:
        if isinstance(values, list) and isinstance(part, int):
            values = dict(enumerate(values))
        if not isinstance(values, Mapping) or part not in values:
            break
        values = values[part]
        path.append(part)
    return path
