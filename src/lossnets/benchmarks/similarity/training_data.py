"""What the training variants see: cached channel distances (head only), or images (whole network)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lossnets.benchmarks.base import Progress
from lossnets.benchmarks.similarity.measure import Pair, comparisons, measure_pairs
from lossnets.benchmarks.similarity.trained import ChannelDistances
from lossnets.benchmarks.tensors import read_tensors, write_tensors
from lossnets.datasets.similarity import TwoAFCSet
from lossnets.errors import DataError

CACHE_FILE = "channel_distances.safetensors"
Batch = tuple[Mapping[str, Tensor], Mapping[str, Tensor], Tensor]
"""Channel distances to p0 and to p1, {tap: (N, C)} each, and judge (N,)."""


@dataclass(frozen=True)
class ChannelCache:
    """Channel distances of every pair of images in use: one row per pair.

    Attributes:
        shares: tap -> (pairs, C).
        row0: row of (ref, p0) for each triplet.
        row1: row of (ref, p1) for each triplet.
    """

    shares: dict[str, Tensor]
    row0: Tensor
    row1: Tensor


def cache_channel_distances(
    channels: ChannelDistances,
    data: TwoAFCSet,
    *,
    device: str = "cpu",
    folder: Path | None = None,
    identity: str = "",
    progress: Progress | None = None,
) -> ChannelCache:
    """Measure each unordered pair of images once, whatever the number of triplets it occurs in.

    That is allowed because `per_channel` is symmetric. Twenty thousand triplets on a hundred images
    need at most 4950 pairs instead of 40,000.

    Args:
        channels: frozen network and distance.
        data: triplets.
        device: where the network is.
        folder: where the result is kept and found again after an interruption; None: nowhere.
        identity: what the numbers depend on besides the data (weights, loss name).
        progress: called with (pairs done, pairs in all).
    """
    wanted = [tuple(_unordered(pair) for pair in item) for item in comparisons(data)]
    pairs: list[Pair] = list(dict.fromkeys(p for item in wanted for p in item))
    key = hashlib.sha256(json.dumps([identity, data.fingerprint(), pairs]).encode()).hexdigest()
    shares = _found(folder, key)
    if shares is None:
        shares = _measure(channels, pairs, data, device, progress)
        if folder is not None:
            write_tensors(folder / CACHE_FILE, shares, {"key": key})
    row = {pair: i for i, pair in enumerate(pairs)}
    rows = torch.tensor([[row[p] for p in item] for item in wanted])
    return ChannelCache(shares, rows[:, 0].contiguous(), rows[:, 1].contiguous())


def _unordered(pair: Pair) -> Pair:
    return pair if pair[0] <= pair[1] else (pair[1], pair[0])


def _found(folder: Path | None, key: str) -> dict[str, Tensor] | None:
    path = folder / CACHE_FILE if folder is not None else None
    if path is None or not path.is_file():
        return None
    try:
        shares, metadata = read_tensors(path)
    except DataError:
        return None  # it can be made again
    return shares if metadata.get("key") == key else None


def _measure(
    channels: ChannelDistances, pairs: Sequence[Pair], data: TwoAFCSet, device: str, progress: Progress | None
) -> dict[str, Tensor]:
    order = {pair: i for i, pair in enumerate(pairs)}
    shares: dict[str, Tensor] = {}
    for done, found in measure_pairs(
        channels.encode, channels, pairs, data.images, device=device, progress=progress
    ):
        where = torch.tensor([order[pair] for pair in done])
        for tap, values in found.items():
            if not bool(torch.isfinite(values).all()):
                raise DataError(f"features at {tap!r} are not finite for one of the images {done[:3]} ...")
            shares.setdefault(tap, torch.empty(len(pairs), values.shape[1]))[where] = values.float()
    return shares


class EpochBatches(Sampler[list[int]]):
    """Batches of indices in an order that depends on seed and epoch only, so that resuming repeats it.

    Args:
        n: number of items.
        batch_size: items in a batch; the last one may be smaller.
        seed: of the order.
        first_epoch: epochs done before this process.
    """

    def __init__(self, n: int, batch_size: int, seed: int, first_epoch: int = 0) -> None:
        self._n, self._batch_size, self._seed = n, batch_size, seed
        self._first, self._epoch = first_epoch, first_epoch

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch, counting from 0 in each process."""
        self._epoch = self._first + epoch

    def __len__(self) -> int:
        return -(-self._n // self._batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self._seed, self._epoch]).permutation(self._n).tolist()
        for start in range(0, self._n, self._batch_size):
            yield order[start : start + self._batch_size]


class CachedTriplets(Dataset[Batch]):
    """Triplets as cached channel distances; indexed with a list, it returns a whole `Batch`."""

    def __init__(self, cache: ChannelCache, data: TwoAFCSet) -> None:
        self._cache = cache
        self._judge = torch.tensor([t.judge for t in data.items])

    def __len__(self) -> int:
        return len(self._judge)

    def __getitem__(self, index: list[int]) -> Batch:
        rows0, rows1 = self._cache.row0[index], self._cache.row1[index]
        shares = self._cache.shares
        return (
            {tap: s[rows0] for tap, s in shares.items()},
            {tap: s[rows1] for tap, s in shares.items()},
            self._judge[index],
        )


class ImageTriplets(Dataset[tuple[Tensor, Tensor]]):
    """Triplets as images; indexed with a list of N, it returns (3, N, 3, H, W) and judge (N,)."""

    def __init__(self, data: TwoAFCSet) -> None:
        self._data = data

    def __len__(self) -> int:
        return len(self._data)

    def __getitem__(self, index: list[int]) -> tuple[Tensor, Tensor]:
        items = [self._data.items[i] for i in index]
        keys = [[t.ref for t in items], [t.p0 for t in items], [t.p1 for t in items]]
        images = [[self._data.images.load(key) for key in row] for row in keys]
        sizes = {tuple(image.shape) for row in images for image in row}
        if len(sizes) > 1:
            raise DataError(
                f"training of a network needs images of one size; got {sorted(sizes)[:3]}. "
                "Crop or resize them first (resize= keeps the aspect ratio)."
            )
        return torch.stack([torch.stack(row) for row in images]), torch.tensor([t.judge for t in items])
