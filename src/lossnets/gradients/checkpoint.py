"""Checkpoints of gradient networks: one safetensors file, its card as JSON inside and, readable, beside it.

Nothing of a checkpoint is ever run: no pickle is read here (released ``.pth`` files: `released`).
"""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save as serialise
from torch import Tensor

from lossnets.errors import ConfigError, LossnetsError, WeightsError
from lossnets.gradients.architecture import Architecture
from lossnets.gradients.card import Card, check_imitates, versions
from lossnets.gradients.network import GradientNetwork, build_network
from lossnets.home import atomic_write, printable
from lossnets.losses.base import ImageLoss
from lossnets.networks.state_dicts import file_problem, state_sha256
from lossnets.torch_state import standard_state

__all__ = ["Card", "check_imitates", "load_pgn", "read_card", "save_pgn", "versions"]

_CARD, _HASH = "lossnets-pgn", "tensors-sha256"
_SHOWN = 5


def save_pgn(
    path: str | os.PathLike[str], network: GradientNetwork, card: Card, *, dtype: torch.dtype | None = None
) -> Path:
    """Write a checkpoint, whole or not at all, and a readable copy of its card as ``FILE.json`` beside it.

    Figures of the card that are NaN or infinite are written as null.

    Args:
        path: ends in ``.safetensors``.
        network: whose tensors are kept.
        card: its record; its architecture must be that of the network.
        dtype: ``torch.float16`` or ``torch.bfloat16`` halve the file (it is read back in float32).

    Raises:
        ConfigError: the name does not end in .safetensors, or the card describes another architecture.
        WeightsError: a tensor is not finite, or the file cannot be written.
    """
    path = Path(path)
    if path.suffix != ".safetensors":
        raise ConfigError(f"a checkpoint's name must end in .safetensors; got {path.name!r}")
    if card.architecture != network.architecture:
        raise ConfigError(
            f"the card describes another architecture than the network has: {card.architecture} and "
            f"{network.architecture}"
        )
    tensors = {key: _stored(value, dtype) for key, value in network.state_dict().items()}
    _check_finite(tensors, "the gradient network is not saved")
    record = _plain(card.as_dict())
    text = printable(json.dumps(record, ensure_ascii=False, allow_nan=False))
    content = serialise(tensors, metadata={_CARD: text, _HASH: state_sha256(tensors)})
    with atomic_write(path, error=WeightsError) as file:
        file.write(content)
    with atomic_write(_beside(path), "w", error=WeightsError) as file:
        json.dump(record, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")
    return path


def _plain(value: Any) -> Any:
    """JSON values: figures that are not defined (NaN) become null; whatever else is unknown, its text.

    A training that has ended must not be lost to an entry of its record.
    """
    if isinstance(value, dict):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(entry) for entry in value]
    if hasattr(value, "item") and getattr(value, "size", None) is not None:  # a number of numpy's or torch's
        value = value.item() if getattr(value, "ndim", 1) == 0 else str(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, (str, int, float)) else str(value)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _stored(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    tensor = tensor.detach().cpu()
    if dtype is not None and tensor.is_floating_point():
        tensor = tensor.to(dtype)
    return tensor.contiguous().clone()  # safetensors refuses tensors that share memory


@standard_state()
def load_pgn(
    path: str | os.PathLike[str], *, loss: str | ImageLoss | None = None
) -> tuple[GradientNetwork, Card]:
    """Read a checkpoint: the network, on the CPU, in float32, in eval mode; and its card.

    Args:
        path: the file.
        loss: what it has to imitate; a checkpoint of another loss is refused.

    Raises:
        WeightsError: the file is missing, truncated, damaged, a pickle, no checkpoint of a gradient
            network, of an unknown format, or imitates another loss; or its tensors do not fit, or are not
            finite.
    """
    path = Path(path)
    metadata, tensors = _read(path)
    card = _card(path, metadata)
    if metadata.get(_HASH) != state_sha256(tensors):
        raise _refused(path, "its tensors are not those that were saved (their sha256 differs)")
    if loss is not None:
        check_imitates(card, loss)
    network = _built(path, card.architecture)
    _fill(path, network, tensors)
    return network.eval(), card


def read_card(path: str | os.PathLike[str]) -> Card:
    """The card of a checkpoint, without reading its tensors.

    Raises:
        WeightsError: as `load_pgn`, except for what only the tensors tell.
    """
    path = Path(path)
    _check_frame(path)
    try:
        with safe_open(path, framework="pt") as file:
            return _card(path, file.metadata() or {})
    except LossnetsError:
        raise
    except Exception as error:
        raise _refused(path, f"it cannot be read: {error}") from error


def _refused(path: Path, why: str) -> WeightsError:
    return WeightsError(f"checkpoint {path} is refused: {why}")


def _check_frame(path: Path) -> None:
    problem = file_problem(path)
    if problem is not None:
        raise _refused(path, f"it {problem}")
    with path.open("rb") as file:
        start = file.read(16)
    if start.startswith((b"PK\x03\x04", b"\x80")) and start[8:9] != b"{":  # else the length of a header
        raise _refused(
            path, "it is a torch file (a pickle), and checkpoints are safetensors files. A released .pth of "
            "the published code is read by lossnets.gradients.load_released"
        )  # fmt: skip


def _read(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    _check_frame(path)
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return dict(file.metadata() or {}), {name: file.get_tensor(name).clone() for name in names}
    except Exception as error:  # a damaged file raises whatever its bytes lead to
        raise _refused(path, f"it is damaged: {str(error).splitlines()[0]}. Get it again") from error


def _card(path: Path, metadata: dict[str, str]) -> Card:
    if _CARD not in metadata:
        raise _refused(
            path, "it is a safetensors file, but not of a gradient network: it has no card "
            f"(entry {_CARD!r} of its metadata). Those are written by `lossnets pgn train`"
        )  # fmt: skip
    try:
        return Card.from_dict(json.loads(metadata[_CARD]))
    except json.JSONDecodeError as error:
        raise _refused(path, f"its card is damaged, it is no JSON ({error})") from error
    except LossnetsError as error:
        raise _refused(path, str(error)) from error


def _built(path: Path, architecture: Architecture) -> GradientNetwork:
    try:
        with torch.random.fork_rng(devices=[]):  # what is drawn here is overwritten
            return build_network(architecture)
    except (LossnetsError, TypeError, ValueError) as error:
        raise _refused(path, f"its architecture cannot be built here: {error}") from error


def _fill(path: Path, network: GradientNetwork, tensors: dict[str, Tensor]) -> None:
    """Put the tensors of a file in place, after every check."""
    wanted = network.state_dict()
    differences = {
        "missing": [key for key in wanted if key not in tensors],
        "unexpected": [key for key in tensors if key not in wanted],
        "mis-shaped": [
            f"{key} {tuple(tensors[key].shape)} {tensors[key].dtype} instead of {tuple(value.shape)} "
            f"{value.dtype}"
            for key, value in wanted.items()
            if key in tensors and not _fits(tensors[key], value)
        ],
    }
    told = [f"{kind}: {_some(keys)}" for kind, keys in differences.items() if keys]
    if told:
        raise _refused(path, f"its tensors do not fit the architecture of its card. {'; '.join(told)}")
    _check_finite(tensors, f"checkpoint {path} is refused")
    network.load_state_dict({key: tensors[key].to(value.dtype) for key, value in wanted.items()})


def _fits(tensor: Tensor, wanted: Tensor) -> bool:
    return tensor.shape == wanted.shape and tensor.is_floating_point() == wanted.is_floating_point()


def _some(keys: list[str]) -> str:
    return ", ".join(keys[:_SHOWN]) + (f" and {len(keys) - _SHOWN} more" if len(keys) > _SHOWN else "")


def _check_finite(tensors: dict[str, Tensor], what: str) -> None:
    bad = [key for key, value in tensors.items() if not bool(torch.isfinite(value).all())]
    if bad:
        raise WeightsError(f"{what}: NaN or infinite numbers in {_some(bad)}: its training has diverged")
