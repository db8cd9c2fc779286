"""Lightning's checkpoints without pickle: tensors in a safetensors file, all else as JSON in its header."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossnets.benchmarks.tensors import read_tensors, write_tensors
from lossnets.errors import DataError, require
from lossnets.torchvision_compat import ensure_torchvision

ensure_torchvision()  # Lightning imports torchmetrics, which imports torchvision
_io: Any = require("lightning.fabric.plugins.io.checkpoint_io", "bench", "the training benchmarks")

FORMAT = "lossnets-checkpoint-1"


def flatten(content: object) -> tuple[str, dict[str, Tensor]]:
    """Nested dictionaries, lists and tuples of plain values and tensors -> (JSON, {number: tensor}).

    Raises:
        DataError: there is something that neither JSON nor safetensors can hold.
    """
    tensors: dict[str, Tensor] = {}

    def plain(value: object) -> object:
        if isinstance(value, Tensor):
            tensors[str(len(tensors))] = value
            return {"tensor": str(len(tensors) - 1)}
        if isinstance(value, dict):
            return {"dict": [[plain(key), plain(item)] for key, item in value.items()]}
        if isinstance(value, (list, tuple)):
            return {type(value).__name__: [plain(item) for item in value]}
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, os.PathLike):
            return os.fspath(value)
        raise DataError(f"a checkpoint holds {type(value).__name__}, which cannot be stored without pickle.")

    return json.dumps(plain(content)), tensors


def unflatten(text: str, tensors: dict[str, Tensor]) -> Any:
    """The inverse of `flatten`."""

    def restored(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        ((kind, content),) = value.items()
        if kind == "tensor":
            return tensors[content]
        if kind == "dict":
            return {restored(key): restored(item) for key, item in content}
        items = [restored(item) for item in content]
        return tuple(items) if kind == "tuple" else items

    return restored(json.loads(text))


class SafetensorsIO(_io.CheckpointIO):  # type: ignore[misc]
    """What Lightning uses in the place of torch.save and torch.load.

    Args:
        identity: what is trained, on what, how; a checkpoint of another training is refused.
    """

    def __init__(self, identity: str) -> None:
        self._identity = identity

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:  # noqa: ARG002
        """Write atomically.

        Raises:
            DataError: the file cannot be written.
        """
        text, tensors = flatten(checkpoint)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        write_tensors(target, tensors, {"format": FORMAT, "identity": self._identity, "content": text})

    def load_checkpoint(
        self,
        path: Any,
        map_location: Callable[..., Any] | None = None,  # noqa: ARG002
        weights_only: bool | None = None,  # noqa: ARG002
    ) -> dict[str, Any]:
        """Read what `save_checkpoint` wrote.

        Raises:
            DataError: missing, damaged, or of another training.
        """
        return read_checkpoint(Path(path), self._identity)

    def remove_checkpoint(self, path: Any) -> None:
        """Remove a file, if it is there."""
        Path(path).unlink(missing_ok=True)


def read_checkpoint(path: Path, identity: str | None = None) -> dict[str, Any]:
    """Everything that a checkpoint holds, tensors on the CPU.

    Raises:
        DataError: missing, damaged, no checkpoint of ours, or of another training.
    """
    tensors, header = read_tensors(path)
    if header.get("format") != FORMAT:
        raise DataError(f"{str(path)!r} is no checkpoint of a training benchmark. Choose another folder.")
    if identity is not None and header.get("identity") != identity:
        raise DataError(
            f"{str(path)!r} belongs to another training (other loss, data, seed or settings). Choose another "
            "folder, or remove the file to start again."
        )
    try:
        content: dict[str, Any] = unflatten(header["content"], tensors)
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{str(path)!r} is damaged: {error}. Remove it to start again.") from error
    return content


def model_weights(path: Path, identity: str | None = None) -> dict[str, Tensor]:
    """The trained model's weights in a checkpoint, under the model's own names."""
    state = read_checkpoint(path, identity)["state_dict"]
    prefix = "model."
    return {key[len(prefix) :]: torch.as_tensor(value) for key, value in state.items()}
