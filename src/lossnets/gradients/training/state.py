"""Checkpoints of a training without pickle: tensors in a safetensors file, all else as JSON in its header."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lossnets.errors import DataError, require
from lossnets.home import atomic_write
from lossnets.torchvision_compat import ensure_torchvision

ensure_torchvision()  # Lightning imports torchmetrics, which imports torchvision
_io: Any = require("lightning.fabric.plugins.io.checkpoint_io", "bench", "training of gradient networks")

FORMAT = "lossnets-pgn-training-1"


def write_state(path: Path, content: object) -> None:
    """Write nested dictionaries, lists and tuples of plain values and tensors, atomically.

    Raises:
        DataError: the file cannot be written, or there is something that it cannot hold.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps(_plain(content, tensors))
    whole = save(tensors, {"format": FORMAT, "content": text})
    with atomic_write(path, error=DataError) as file:
        file.write(whole)


def _plain(value: object, tensors: dict[str, Tensor]) -> object:
    if isinstance(value, Tensor):
        name = str(len(tensors))
        tensors[name] = value.detach().cpu().contiguous().clone()
        return {"tensor": name}
    if isinstance(value, dict):
        return {"dict": [[_plain(key, tensors), _plain(item, tensors)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {kind: [_plain(item, tensors) for item in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    raise DataError(f"a checkpoint holds {type(value).__name__}, which cannot be stored without pickle")


def read_state(path: Path) -> Any:
    """Read what `write_state` wrote, tensors on the CPU.

    Raises:
        DataError: it is missing, damaged, or no checkpoint of a training.
    """
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no dict
        if header.get("format") != FORMAT:
            raise ValueError("it is no checkpoint of a training of a gradient network")
        return _restored(json.loads(header["content"]), tensors)
    except (OSError, SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(
            f"{str(path)!r} is missing or damaged: {error}. Remove its folder to train again"
        ) from error


def _restored(value: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    ((kind, content),) = value.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "dict":
        return {_restored(key, tensors): _restored(item, tensors) for key, item in content}
    items = [_restored(item, tensors) for item in content]
    return tuple(items) if kind == "tuple" else items


class StateIO(_io.CheckpointIO):  # type: ignore[misc]
    """What Lightning uses in the place of torch.save and torch.load."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write atomically."""
        write_state(Path(path), checkpoint)

    def load_checkpoint(
        self,
        path: Any,
        map_location: Callable[..., Any] | None = None,  # noqa: ARG002
        weights_only: bool | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Read what `save_checkpoint` wrote."""
        content: dict[str, Any] = read_state(Path(path))
        return content

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a file, if it is there."""
        Path(path).unlink(missing_ok=True)
