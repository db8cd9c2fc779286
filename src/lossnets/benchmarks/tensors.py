"""Tensors in a file: safetensors, written atomically, with text beside them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lossnets.errors import DataError
from lossnets.home import atomic_write


def write_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write a safetensors file atomically.

    Raises:
        DataError: it cannot be written.
    """
    content = save({k: t.detach().cpu().contiguous().clone() for k, t in tensors.items()}, dict(metadata))
    with atomic_write(path, error=DataError) as file:
        file.write(content)


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Read a safetensors file -> (tensors, metadata).

    Raises:
        DataError: it is missing or damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118
    except (OSError, SafetensorError) as error:
        raise DataError(f"{str(path)!r} is missing or damaged: {error}") from error
