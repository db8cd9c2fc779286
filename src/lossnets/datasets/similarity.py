"""Similarity judgements as uniform objects: triplets (2AFC), same-or-not pairs (JND), opinion scores."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from lossnets.datasets.sources import ImageSource
from lossnets.errors import DataError, unknown_name

if TYPE_CHECKING:
    from typing_extensions import Self

HUMAN = "human judgement"
SEVERITY = "severity agreement"
"""`kind` of sets whose judge is a known severity of distortion and no person."""


@dataclass(frozen=True)
class Triplet:
    """A reference, two candidates, and judge = fraction in [0, 1] of people who found p1 closer."""

    ref: str
    p0: str
    p1: str
    judge: float
    split: str


@dataclass(frozen=True)
class SamePair:
    """Two images and same = fraction in [0, 1] of people who took them for the same."""

    p0: str
    p1: str
    same: float
    split: str


@dataclass(frozen=True)
class Opinion:
    """A reference, a distorted version of it, and the (mean) opinion score of the latter."""

    ref: str
    distorted: str
    score: float
    split: str


Item = TypeVar("Item", Triplet, SamePair, Opinion)


@dataclass(frozen=True)
class _Set(Generic[Item]):
    """What the three kinds of set share.

    Attributes:
        name: of the data set, for results.
        items: sorted or in file order; the same on every machine.
        images: where `items` find their images.
        resize: shorter side in pixels that images are scaled to; None: as they are.
        kind: `HUMAN` or `SEVERITY`.
    """

    name: str
    items: tuple[Item, ...]
    images: ImageSource
    resize: int | None = None
    kind: str = HUMAN

    def __post_init__(self) -> None:
        if not self.items:
            raise DataError(f"data set {self.name!r} is empty: no item is left to evaluate.")

    def __len__(self) -> int:
        return len(self.items)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the sub-splits, in order of appearance."""
        return tuple(dict.fromkeys(item.split for item in self.items))

    def subset(self, indices: Iterable[int]) -> Self:
        """The set with only these items, in this order."""
        return replace(self, items=tuple(self.items[i] for i in indices))

    def select(self, splits: Sequence[str]) -> Self:
        """The set with only these sub-splits.

        Raises:
            UnknownNameError: the set has no such sub-split.
        """
        for split in splits:
            if split not in self.splits:
                raise unknown_name(f"split of {self.name!r}", split, self.splits)
        return self.subset(i for i, item in enumerate(self.items) if item.split in splits)

    def sample(self, per_split: int | None, seed: int) -> Self:
        """At most ``per_split`` items of each sub-split, drawn without replacement, order kept."""
        if per_split is None:
            return self
        chosen: list[int] = []
        rng = np.random.default_rng(seed)
        for split in self.splits:
            where = np.array([i for i, item in enumerate(self.items) if item.split == split])
            take = min(per_split, len(where))
            chosen.extend(sorted(rng.choice(where, take, replace=False).tolist()))
        return self.subset(chosen)

    def keys(self) -> set[str]:
        """Keys of all images in use."""
        return {v for item in self.items for k, v in asdict(item).items() if k != "split" and _is_key(v)}

    def fingerprint(self) -> str:
        """sha256 of name, kind, resize, items, labels and image identities; no absolute path enters."""
        content = {
            "name": self.name,
            "kind": self.kind,
            "resize": self.resize,
            "items": [list(asdict(item).values()) for item in self.items],
            "images": self.images.identity(self.keys()),
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _is_key(value: object) -> bool:
    return isinstance(value, str)


@dataclass(frozen=True)
class TwoAFCSet(_Set[Triplet]):
    """Triplets with the share of judges who found the second candidate (p1) closer."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_values(self.name, self.items, lambda t: t.judge, "judge", unit_interval=True)


@dataclass(frozen=True)
class JNDSet(_Set[SamePair]):
    """Pairs with the share of people who took the two images for the same."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_values(self.name, self.items, lambda p: p.same, "same", unit_interval=True)


@dataclass(frozen=True)
class OpinionSet(_Set[Opinion]):
    """References and distorted versions with opinion scores.

    Attributes:
        higher_is_better: True for a mean opinion score (MOS), False for a difference score (DMOS).
    """

    higher_is_better: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_values(self.name, self.items, lambda o: o.score, "score", unit_interval=False)

    def fingerprint(self) -> str:
        """See `_Set.fingerprint`; the direction of the score enters too."""
        return hashlib.sha256(f"{super().fingerprint()} {self.higher_is_better}".encode()).hexdigest()


def _check_values(
    name: str, items: tuple[Item, ...], value: Callable[[Item], float], what: str, *, unit_interval: bool
) -> None:
    for i, item in enumerate(items):
        number = value(item)
        if not math.isfinite(number) or (unit_interval and not 0 <= number <= 1):
            allowed = "in [0, 1]" if unit_interval else "a finite number"
            raise DataError(f"{what} of item {i} of {name!r} must be {allowed}; got {number}.")
