"""Families of losses that are made elsewhere in the package: ``FAMILY:NAME[:OPTION=VALUE]...``.

The folder of losses knows them by the name of their module only, which is imported when a loss name asks for
it: such a module may build on everything here.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lossnets.losses.base import ImageLoss
    from lossnets.losses.spec import LossSpec

_BUILT_IN = {"pgn": "lossnets.gradients.pretrained"}
"""Family -> module that registers it when it is imported."""
_REGISTRY: dict[str, Family] = {}


@dataclass(frozen=True)
class Family:
    """What a family does with its loss names.

    Attributes:
        parse: (what stands behind the family's name, split at colons; the whole loss name) -> the spec.
        build: (spec, options of `load_loss`) -> the loss.
        files: spec -> the files that the loss is read from.
    """

    parse: Callable[[Sequence[str], str], LossSpec]
    build: Callable[[LossSpec, dict[str, Any]], ImageLoss]
    files: Callable[[LossSpec], Sequence[Path]] = lambda spec: ()  # noqa: ARG005


def register_family(name: str, family: Family) -> None:
    """Make the loss names ``NAME:...`` known."""
    _REGISTRY[name] = family


def family_names() -> tuple[str, ...]:
    """Families that are made elsewhere."""
    return tuple(dict.fromkeys((*_BUILT_IN, *_REGISTRY)))


def find_family(name: str) -> Family | None:
    """The family of this name, or None; its module is imported where it has not been yet."""
    if name not in _REGISTRY and name in _BUILT_IN:
        importlib.import_module(_BUILT_IN[name])
    return _REGISTRY.get(name)
