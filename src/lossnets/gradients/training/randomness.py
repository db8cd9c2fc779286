"""Random numbers that depend on the seed and on what they are for, not on what happened before."""

from __future__ import annotations

import hashlib

import torch


def derived_seed(seed: int, *parts: int | str) -> int:
    """63 bits from the hash of a seed and of what it is for.

    >>> derived_seed(0, "crop", 3) == derived_seed(0, "crop", 3) != derived_seed(0, "crop", 4)
    True
    """
    text = repr((int(seed), *parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def generator(seed: int, *parts: int | str) -> torch.Generator:
    """A CPU generator for one purpose: the same numbers in every process and in a resumed training."""
    return torch.Generator().manual_seed(derived_seed(seed, *parts))


def uniform(seed: int, *parts: int | str) -> float:
    """One number in [0, 1) for one purpose."""
    return derived_seed(seed, *parts) / 2**63
