"""Which scenes are for training, validation and testing: as the data say, or drawn once and for all runs."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from lossnets.benchmarks.engine import generator
from lossnets.errors import ConfigError, DataError

TRAIN, VALIDATION, TEST = SPLITS = ("train", "val", "test")


def assign_splits(
    given: Sequence[str | None],
    groups: Sequence[str],
    *,
    validation: float = 0.2,
    test: float = 0.2,
    seed: int = 0,
) -> tuple[str, ...]:
    """The split of each scene: as given; where there is none, drawn with the seed, whole groups together.

    Args:
        given: "train", "val" or "test" of each scene, or None for all of them. Without any "val",
            scenes for validation are drawn from the training scenes.
        groups: scenes of one group, e.g. tiles of one photograph, go into one split.
        validation: share of the groups (of those for training, where a split is given).
        test: share of the groups, where no split is given.
        seed: of the drawing; no run's seed, so that all runs see the same split.

    Raises:
        ConfigError: a share is out of range.
        DataError: a split is unknown, missing or too small.
    """
    if not (0 < validation < 1 and 0 < test < 1 and validation + test < 1):
        raise ConfigError(
            "validation and test must be shares between 0 and 1 that leave some for training; got "
            f"{validation}, {test}."
        )
    found = set(given)
    if unknown := found - {None, *SPLITS}:
        raise DataError(f"splits must be among {', '.join(SPLITS)}; got {sorted(map(str, unknown))}.")
    if None in found and len(found) > 1:
        raise DataError(
            f"{given.count(None)} of {len(given)} scenes have no split; give one to all or to none."
        )
    splits: list[str] = [split or TRAIN for split in given]
    if TEST not in splits:
        if found != {None}:
            raise DataError("split 'test' is empty; scores are computed on it. Give it at least one scene.")
        _move(splits, groups, TEST, test, seed)
        _move(splits, groups, VALIDATION, validation / (1 - test), seed)
    elif VALIDATION not in splits:
        _move(splits, groups, VALIDATION, validation, seed)
    if TRAIN not in splits:
        raise DataError("split 'train' is empty; give it at least one scene.")
    return tuple(splits)


def _move(splits: list[str], groups: Sequence[str], to: str, share: float, seed: int) -> None:
    """Move a share of the training groups, at least one, to another split."""
    names = sorted({group for group, split in zip(groups, splits, strict=True) if split == TRAIN})
    if len(names) < 2:
        raise DataError(
            f"split {to!r} is to be drawn from {len(names)} training scene(s) or groups of them; at least 2 "
            "are needed. Add scenes, or give each one a split."
        )
    take = min(max(1, round(share * len(names))), len(names) - 1)
    order = torch.randperm(len(names), generator=generator(seed, "split", to)).tolist()
    chosen = {names[i] for i in order[:take]}
    for i, group in enumerate(groups):
        if group in chosen and splits[i] == TRAIN:
            splits[i] = to
