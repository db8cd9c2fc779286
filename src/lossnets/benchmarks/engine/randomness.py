"""Random numbers that depend on what they are for, and on nothing that happened before."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)


def derived_seed(seed: int, *parts: int | str) -> int:
    """63 bits from the hash of a seed and of what it is for.

    >>> derived_seed(0, "crop", 3) == derived_seed(0, "crop", 3) != derived_seed(0, "crop", 4)
    True
    """
    text = repr((int(seed), *parts)).encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "big") >> 1


def generator(seed: int, *parts: int | str) -> torch.Generator:
    """A CPU generator for one purpose: the same numbers in every process, worker and resumed run.

    Args:
        seed: of the run.
        parts: what the numbers are for, e.g. ``("crop", epoch, index)``.
    """
    return torch.Generator().manual_seed(derived_seed(seed, *parts))


def seeded_model(build: Callable[[], Model], seed: int) -> Model:
    """Build a model whose initial weights depend on the seed only; the global state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derived_seed(seed, "initial weights"))
        return build()
