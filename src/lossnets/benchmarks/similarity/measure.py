"""Distances of a whole similarity set, for all losses of a bank in one pass over the images."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossnets.benchmarks.base import DistanceBank, Progress
from lossnets.datasets.similarity import JNDSet, OpinionSet, TwoAFCSet
from lossnets.datasets.sources import ImageSource
from lossnets.errors import DataError

SimilaritySet: TypeAlias = "TwoAFCSet | JNDSet | OpinionSet"
Pair: TypeAlias = tuple[str, str]
"""Keys of a reference and of an image that is compared with it."""

PIXELS_PER_BATCH = 2**19
MAX_BATCH = 64
MAX_PARTNERS = 8  # images compared with one encoding of a reference, which is held for that long


@dataclass(frozen=True)
class _Group:
    """A reference and a few images of its size that are compared with it."""

    ref: str
    others: tuple[str, ...]


def comparisons(data: SimilaritySet) -> list[tuple[Pair, ...]]:
    """The pairs that each item needs: two for a triplet (p0, then p1), else one."""
    if isinstance(data, TwoAFCSet):
        return [((t.ref, t.p0), (t.ref, t.p1)) for t in data.items]
    if isinstance(data, JNDSet):
        return [((p.p0, p.p1),) for p in data.items]
    return [((o.ref, o.distorted),) for o in data.items]


def measure(
    bank: DistanceBank,
    data: SimilaritySet,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> dict[str, NDArray[np.float64]]:
    """Distances of every item -> loss name -> (n, k), k = 2 for triplets (to p0, to p1), else 1.

    Each pair of images is measured once, however many items it occurs in. A reference is encoded
    once for up to `MAX_PARTNERS` images. Images of different sizes are batched by size.

    Args:
        bank: the losses.
        data: triplets, pairs or opinions.
        device: where images are put.
        batch_size: references at once; None: as many as fit `PIXELS_PER_BATCH`.
        progress: called with (pairs done, pairs in all).

    Raises:
        ImageError: an image cannot be read or is too small for a loss.
        DataError: the images of an item differ in size.
    """
    wanted = comparisons(data)
    names = list(bank.names)
    found: dict[str, dict[Pair, float]] = {name: {} for name in names}
    pairs = [pair for item in wanted for pair in item]
    for done, distances in measure_pairs(
        bank.encode,
        bank.distances,
        pairs,
        data.images,
        device=device,
        batch_size=batch_size,
        progress=progress,
    ):
        for name in names:
            found[name].update(zip(done, distances[name].double().tolist(), strict=True))
    return {name: np.array([[found[name][p] for p in item] for item in wanted]) for name in names}


def measure_pairs(
    encode: Callable[[Tensor], Any],
    compare: Callable[[Tensor, Any], Mapping[str, Tensor]],
    pairs: Sequence[Pair],
    images: ImageSource,
    *,
    device: str = "cpu",
    batch_size: int | None = None,
    progress: Progress | None = None,
) -> Iterator[tuple[list[Pair], dict[str, Tensor]]]:
    """Run through the unique pairs, batch by batch -> (pairs, {name: (pairs, ...) on the CPU}).

    Args:
        encode: images (N, 3, H, W) -> whatever `compare` takes as target.
        compare: images (N, 3, H, W), encoded references -> {name: (N, ...)}.
        pairs: (reference, other); repeated ones are measured once.
        images: where both are found.
        device: where images are put.
        batch_size: references at once; None: as many as fit `PIXELS_PER_BATCH`.
        progress: called with (pairs done, pairs in all).
    """
    groups = _group(pairs)
    total = sum(len(g.others) for g in groups)
    done = 0
    for batch in _batches(groups, images, batch_size):
        with torch.no_grad():
            encoded = encode(_stack(images, [g.ref for g in batch], device))
        for k in range(len(batch[0].others)):
            with torch.no_grad():  # not around the yield: it would leak into the caller's code
                found = compare(_stack(images, [g.others[k] for g in batch], device), encoded)
            yield (
                [(g.ref, g.others[k]) for g in batch],
                {name: value.detach().cpu() for name, value in found.items()},
            )
        done += sum(len(g.others) for g in batch)
        if progress is not None:
            progress(done, total)


def _group(pairs: Sequence[Pair]) -> list[_Group]:
    """Unique pairs by reference, in order of appearance, at most `MAX_PARTNERS` in a group."""
    partners: dict[str, dict[str, None]] = {}
    for ref, other in pairs:
        partners.setdefault(ref, {})[other] = None
    groups = []
    for ref, others in partners.items():
        keys = tuple(others)
        groups += [_Group(ref, keys[i : i + MAX_PARTNERS]) for i in range(0, len(keys), MAX_PARTNERS)]
    return groups


def _batches(groups: Sequence[_Group], images: ImageSource, batch_size: int | None) -> Iterator[list[_Group]]:
    """Groups gathered by image size and number of partners; images stay in the source's cache only."""
    waiting: dict[tuple[int, int, int], list[_Group]] = {}
    for group in groups:
        height, width = _common_size(group, images)
        key = (height, width, len(group.others))
        waiting.setdefault(key, []).append(group)
        if len(waiting[key]) >= (batch_size or images_per_batch(height, width)):
            yield waiting.pop(key)
    yield from waiting.values()


def images_per_batch(height: int, width: int) -> int:
    """Images of this size that fit `PIXELS_PER_BATCH`: from 1 to `MAX_BATCH`."""
    return max(1, min(MAX_BATCH, PIXELS_PER_BATCH // (height * width)))


def _common_size(group: _Group, images: ImageSource) -> tuple[int, int]:
    height, width = images.load(group.ref).shape[-2:]
    for other in group.others:
        h, w = images.load(other).shape[-2:]
        if (h, w) != (height, width):
            raise DataError(
                f"images that are compared must have one size; got {group.ref} {height}×{width} and "
                f"{other} {h}×{w}. Crop or resize them first (resize= keeps the aspect ratio)."
            )
    return height, width


def _stack(images: ImageSource, keys: Sequence[str], device: str) -> Tensor:
    return torch.stack([images.load(key) for key in keys]).to(device)
