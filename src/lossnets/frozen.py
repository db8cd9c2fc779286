"""What every frozen network shares: it follows its host with its numbers unchanged, and knows what it holds.

A host model is moved, cast to half precision, emptied and filled again. A frozen loss inside it follows to
the device and keeps its values: its number is promised to be that of float32. Whoever changes the weights all
the same is found out by `ContentWatch`.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lossnets.content import Content, content_of

Move = Callable[[Tensor], Tensor]
"""What `torch.nn.Module._apply` is given: makes another tensor of a tensor."""

_TENSORS = ("_parameters", "_buffers")
_TABLES = (*_TENSORS, "_modules", "_forward_hooks", "_forward_pre_hooks")
_COLUMNS = 509  # a prime: rows of weights that change places change the sums
_PROBE = 64


class Follower:
    """Applies a move of the host to frozen tensors, so that their values and their precision stay.

    - A move to a device is followed; one to the meta device is not, since it would lose the values.
    - A cast to float64 is followed; one to half precision or back is not.
    - A move that makes tensors without values (``to_empty``) only moves them.

    Args:
        move: what the host applies to its own tensors.
        device: where the frozen tensors are.
        dtype: what floating-point tensors return to from float64.
    """

    def __init__(self, move: Move, device: torch.device, dtype: torch.dtype) -> None:
        self.move = move
        self.dtype = dtype
        probe = torch.frombuffer(bytearray(os.urandom(_PROBE)), dtype=torch.uint8).to(device, torch.float32)
        wanted = probe.cpu().clone()
        address = probe.data_ptr()
        moved = move(probe)
        self.in_place = moved is probe and moved.data_ptr() != address  # share_memory
        self.stays = moved.is_meta
        self.device = device if self.stays else moved.device
        # Values that no memory holds by chance: a move that loses them loses those of the weights, too.
        self.keeps = not self.stays and bool((moved.detach().cpu() == wanted.to(moved.dtype)).all())

    def __call__(self, tensor: Tensor) -> Tensor:
        """The tensor where the host went, with the values that it had."""
        return self._followed(tensor, self.dtype)

    def exact(self, tensor: Tensor) -> Tensor:
        """The same for a float32 constant beside layers that compute in another type."""
        return self._followed(tensor, torch.float32)

    def _followed(self, tensor: Tensor, own: torch.dtype) -> Tensor:
        if self.stays:
            return tensor
        if not self.keeps:
            return tensor.to(self.device)
        moved = self.move(tensor)
        if moved.dtype == tensor.dtype or moved.dtype == torch.float64:
            return moved
        returning = tensor.dtype == torch.float64
        return tensor.to(moved.device, own if returning else tensor.dtype)

    def moved(self, module: nn.Module) -> Callable[[], None] | None:
        """Move parameters and buffers of a frozen module: what puts them in place; None if none differs."""
        changes: list[tuple[Any, str, Tensor]] = []
        for part in module.modules():
            for table in (part._parameters, part._buffers):
                for name, tensor in table.items():
                    new = None if tensor is None else self(tensor.detach())
                    if tensor is None or new is None or _same_memory(new, tensor):
                        continue
                    if isinstance(tensor, nn.Parameter):
                        new = nn.Parameter(new, requires_grad=False)
                    changes.append((table, name, new))

        def put() -> None:
            for table, name, new in changes:
                table[name] = new

        return put if changes else None


def _same_memory(a: Tensor, b: Tensor) -> bool:
    return a.data_ptr() == b.data_ptr() and a.dtype == b.dtype and a.stride() == b.stride()


class ContentWatch:
    """The content of a frozen module, hashed once and again only after a change.

    A look costs a small part of a pass through the network. It sees each tensor's place in memory, its
    version counter and sums over its bytes (``.data`` and NumPy bypass the counter), and each module's
    attributes, hooks and children. Old memory is held until the next look, so that no address is given
    twice.

    Args:
        module: what is watched.
        constants: gives tensors that belong to it.

    Attributes:
        open: whether hooks run in it, whose code may read what no look sees.
    """

    def __init__(self, module: nn.Module, constants: Callable[[], tuple[Tensor, ...]] = tuple) -> None:
        self._module = module
        self._constants = constants
        self._content: Content | None = None
        self._look()

    def _look(self) -> None:
        parts = [vars(part) for part in self._module.modules()]
        self._parts = [(own, *_holdings(own), [own[table] for table in _TABLES]) for own in parts]
        tensors = [t for own in parts for table in _TENSORS for t in own[table].values() if t is not None]
        self._extra = self._constants()
        seen = [tensor for tensor in (*tensors, *self._extra) if not tensor.is_meta]
        self._tensors = [_Sight(tensor) for tensor in seen]
        self._norms = _norms(seen)
        self.open = any(own["_forward_hooks"] or own["_forward_pre_hooks"] for own in parts)

    def unchanged(self) -> bool:
        """Whether nothing has changed since the last look, as far as a look can tell."""
        try:
            for own, attributes, held, tables in self._parts:
                if (
                    list(own.values()) != attributes
                    or [x for table in tables for x in table.values()] != held
                ):
                    return False
        except Exception:  # an attribute that is another one now, and does not compare
            return False
        same = all(a is b for a, b in zip(self._constants(), self._extra, strict=True))
        same = same and all(sight.unchanged() for sight in self._tensors)
        return same and _norms([sight.tensor for sight in self._tensors]) == self._norms

    def content(self, *, exact: bool = False) -> Content:
        """What the module holds now.

        Args:
            exact: hash every value again, also where a look finds no change.
        """
        if self._content is None or exact or not self.unchanged():
            numbers = [tensor.flatten().tolist() for tensor in self._constants()]
            self._content = content_of((self._module, numbers))
            self._look()
        return self._content


def _holdings(own: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """A module's attributes, and its tensors, children and hooks: compared by identity, then by value."""
    return list(own.values()), [item for table in _TABLES for item in own[table].values()]


class _Sight:
    """Where a tensor lies, its version, and sums over all of its bytes."""

    __slots__ = ("address", "memory", "sums", "tensor", "version", "words")

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor
        self.memory = tensor.untyped_storage()  # held, so that the address below stays readable
        self.address = tensor.data_ptr()
        self.version = 0 if tensor.is_inference() else tensor._version
        size = tensor.numel() * tensor.element_size() if tensor.device.type == "cpu" else 0
        place: Any = (ctypes.c_char * size).from_address(self.address) if size else b""
        self.words: Any = np.frombuffer(place, np.uint8 if size % 8 else np.uint64)
        self.sums = self._sums()

    def _sums(self) -> bytes:
        """The bytes themselves of small tensors; of others sums over every 509th word, and the last words."""
        whole = len(self.words) // _COLUMNS * _COLUMNS
        rest: bytes = self.words[whole:].tobytes()
        if whole < 4 * _COLUMNS:
            all_of_it: bytes = self.words.tobytes()
            return all_of_it
        columns: bytes = self.words[:whole].reshape(-1, _COLUMNS).sum(0, dtype=np.uint64).tobytes()
        return columns + rest

    def unchanged(self) -> bool:
        tensor = self.tensor
        if tensor.data_ptr() != self.address:
            return False
        version = 0 if tensor.is_inference() else tensor._version
        return version == self.version and self._sums() == self.sums


def _norms(tensors: list[Tensor]) -> list[float]:
    """One number for each tensor that is not in the memory of this processor."""
    away = [t for t in tensors if t.device.type not in ("cpu", "meta") and t.is_floating_point()]
    return torch.stack(torch._foreach_norm(away)).tolist() if away else []
