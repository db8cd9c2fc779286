"""State dicts: read from a file without running its code, fitted to a network, told apart by content."""

from __future__ import annotations

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from lossnets.errors import ConfigError, WeightsError

_WRAPPERS = ("state_dict", "model")
_TEXTS = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself (run `git lfs pull` there)",
    b"<!doctype": "is a web page, not a weights file",
    b"<html": "is a web page, not a weights file",
}
_LPIPS_HEAD = re.compile(r"lins?\.?\d\.model\.\d\.weight")
Shapes = Mapping[str, Tensor | torch.Size | tuple[int, ...]]


def file_problem(path: Path) -> str | None:
    """What a look at the file's frame says is wrong, as the rest of a sentence ("it ..."); else None.

    Finds missing, empty, truncated and foreign files without reading the tensors. Old ``.pth`` files
    (before torch 1.6) have no frame to look at: only their hash, or reading them, tells.
    """
    if not path.is_file():
        return "is a folder, not a file" if path.is_dir() else "does not exist"
    try:
        with path.open("rb") as file:
            start = file.read(64)
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not start:
        return "is empty"
    for text, problem in _TEXTS.items():
        if start.lower().startswith(text):
            return problem
    kind = _kind(path, start)
    if kind == "safetensors":
        return _safetensors_problem(path)
    if kind == "zip" and not zipfile.is_zipfile(path):
        return "is truncated: the table of contents at its end is missing"
    if kind is None:
        return f"is neither a safetensors nor a torch file (it begins with {start[:8]!r})"
    return None


def _kind(path: Path, start: bytes) -> str | None:
    """What the content is, whatever the name says: ``safetensors``, ``zip``, ``pickle`` or None."""
    if start.startswith(b"PK\x03\x04"):
        return "zip"
    if path.suffix == ".safetensors" or start[8:9] == b"{":
        return "safetensors"
    return "pickle" if start.startswith(b"\x80") else None


def _safetensors_problem(path: Path) -> str | None:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            return f"is truncated or not a safetensors file: {size} bytes, less than its header announces"
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
            expected = 8 + length + max(ends, default=0)
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            return "is not a safetensors file, or is damaged: its header cannot be read"
    if size < expected:
        return f"is truncated: {size} of {expected} bytes"
    return None


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, Tensor]:
    """Read the tensors of a safetensors or torch file, by name, on the CPU, without running its code.

    Training checkpoints are unwrapped (``{"state_dict": ...}`` or ``{"model": ...}``).

    Raises:
        WeightsError: the file is missing, truncated, damaged, of another format, a pickled module,
            or holds something else than named tensors.
    """
    path = Path(path)
    problem = file_problem(path)
    if problem is not None:
        raise WeightsError(f"weights file {path} cannot be read: it {problem}. {_FORMATS}")
    with path.open("rb") as file:
        kind = _kind(path, file.read(64))
    content = _read_safetensors(path) if kind == "safetensors" else _read_torch(path, kind == "zip")
    return _named_tensors(content, path)


_FORMATS = "Allowed are .safetensors files, and .pth, .pt and .bin files with a state dict"


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        return load_file(path)
    except Exception as error:
        raise WeightsError(f"weights file {path} cannot be read: {_first_line(error)}. {_FORMATS}") from error


def _read_torch(path: Path, zipped: bool) -> Any:
    if zipped and _is_torchscript(path):
        raise WeightsError(f"weights file {path} is a TorchScript program and is refused. {_way_out(path)}")
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=zipped)
    except Exception as error:  # a damaged file raises whatever its bytes lead to
        if "Weights only load failed" in str(error) and "nsupported" in str(error):
            what = (
                "holds pickled Python objects, not only tensors, and is refused: reading them runs their code"
            )
            raise WeightsError(f"weights file {path} {what}. {_way_out(path)}") from error
        raise WeightsError(
            f"weights file {path} is truncated or damaged ({_first_line(error)}). Get it again"
        ) from error


def _is_torchscript(path: Path) -> bool:
    with zipfile.ZipFile(path) as archive:
        return any(name.endswith("constants.pkl") for name in archive.namelist())


def _way_out(path: Path) -> str:
    return (
        "If you trust it, save its state dict where the module's code is installed: "
        f"safetensors.torch.save_file(torch.load({path.name!r}, weights_only=False).state_dict(), "
        "'weights.safetensors')"
    )


def _first_line(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")[:200]


def _named_tensors(content: Any, path: Path) -> dict[str, Tensor]:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise WeightsError(f"weights file {path} must hold named tensors, got {type(content).__name__}")
    others = [f"{k!r} ({type(v).__name__})" for k, v in content.items() if not isinstance(v, Tensor)]
    if others:
        raise WeightsError(
            f"weights file {path} must hold named tensors only, got also {_some(others)}. Save the state "
            f"dict alone, or under one of the keys {', '.join(_WRAPPERS)}"
        )
    if not content:
        raise WeightsError(f"weights file {path} holds no tensors")
    # both readers hand out windows onto the file: a file changed in place would change the network
    return {str(name): tensor.detach().clone() for name, tensor in content.items()}


def state_sha256(state: Mapping[str, Tensor]) -> str:
    """Hash of names, types, shapes and values, in 64 hexadecimal digits; the same for every file format.

    >>> state_sha256({"a": torch.zeros(2), "b": torch.ones(1)})[:12]
    'bf4af8f87f3f'
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def match_state(
    state: Mapping[str, Tensor], expected: Shapes, *, part: str | None = None
) -> dict[str, Tensor]:
    """Fit a state dict to a network, strictly: the same names and shapes, or an error that says which differ.

    Accepted are all parameters of the network, or all of one child: ``features`` unless ``part`` says
    otherwise, with or without its prefix (a file of ``vgg16().features`` fits ``vgg16``). The prefix
    ``module.`` of DataParallel is dropped, half precision becomes float32, and counters that old
    files lack (``num_batches_tracked``) are set to zero.

    Args:
        state: tensors by name.
        expected: the network's state dict (the meta device will do), or its shapes by name.
        part: name of the only child that the state may cover instead of the whole network.

    Returns:
        Tensors by the network's names; the whole network's, or those of the one child only.

    Raises:
        WeightsError: names or shapes differ; the message lists them and says what the file looks like.
        ConfigError: ``part`` is not a child of the network with parameters.
    """
    given = _without_prefix(state, "module.")
    child = "features" if part is None else part
    inside = {name: shape for name, shape in expected.items() if name.startswith(f"{child}.")}
    if part is not None and not inside:
        children = ", ".join(dict.fromkeys(name.partition(".")[0] for name in expected))
        raise ConfigError(f"part must be a child of the network ({children}), got {part!r}")
    within = {name if name.startswith(f"{child}.") else f"{child}.{name}": t for name, t in given.items()}
    for candidate, wanted in ((given, expected), (within, inside)):
        if wanted and not any(_differences(candidate, wanted)):
            return _completed(candidate, wanted)
    nearer = (within, inside) if _overlap(within, inside) > _overlap(given, expected) else (given, expected)
    raise WeightsError(_does_not_fit(*nearer, given))


def _without_prefix(state: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    if state and all(name.startswith(prefix) for name in state):
        return {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return dict(state)


def _shape(value: Tensor | torch.Size | tuple[int, ...]) -> tuple[int, ...]:
    return tuple(value.shape if isinstance(value, Tensor) else value)


def _kind_of(value: Tensor | torch.Size | tuple[int, ...]) -> str:
    dtype = f" {str(value.dtype).removeprefix('torch.')}" if isinstance(value, Tensor) else ""
    return f"{_shape(value)}{dtype}"


def _same_kind(value: Tensor, expected: Tensor | torch.Size | tuple[int, ...]) -> bool:
    """Same shape, and no integers (a quantised file) where the network has fractions."""
    if isinstance(expected, Tensor) and value.is_floating_point() != expected.is_floating_point():
        return False
    return _shape(value) == _shape(expected)


def _differences(state: Mapping[str, Tensor], expected: Shapes) -> tuple[list[str], list[str], list[str]]:
    """Names that are missing, names that are too many, and shapes that differ."""
    missing = [n for n in expected if n not in state and not n.endswith("num_batches_tracked")]
    unexpected = [n for n in state if n not in expected]
    shapes = [
        f"{n} {_kind_of(state[n])} instead of {_kind_of(value)}"
        for n, value in expected.items()
        if n in state and not _same_kind(state[n], value)
    ]
    return missing, unexpected, shapes


def _completed(state: Mapping[str, Tensor], expected: Shapes) -> dict[str, Tensor]:
    full = {
        name: t.float() if t.is_floating_point() and t.element_size() < 4 else t for name, t in state.items()
    }
    return {name: full[name] if name in full else torch.zeros((), dtype=torch.int64) for name in expected}


def _overlap(state: Mapping[str, Tensor], expected: Shapes) -> int:
    return len(state.keys() & expected.keys())


def _does_not_fit(state: Mapping[str, Tensor], expected: Shapes, given: Mapping[str, Tensor]) -> str:
    parts = [
        f"{label} {_some(names)}"
        for label, names in zip(
            ("missing", "unexpected", "mis-shaped"), _differences(state, expected), strict=True
        )
        if names
    ]
    return f"the weights do not fit the network: {'; '.join(parts)}.{_looks_like(given)}"


def _looks_like(given: Mapping[str, Tensor]) -> str:
    if not given:
        return " The state dict is empty."
    if all(_LPIPS_HEAD.fullmatch(name) for name in given):
        return " This is an LPIPS head (channel weights), not the weights of a network: use LPIPS for it."
    if any(_LPIPS_HEAD.fullmatch(name) for name in given):
        return " This is a whole lpips.LPIPS module; the weights of its network alone are needed."
    return ""


def _some(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(names[:5]) + more
