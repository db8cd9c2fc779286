"""Trained gradient networks by name or file, and the loss names ``pgn:NAME``.

>>> str(parse_pgn(["./my.safetensors", "dtype=bfloat16"], "pgn:./my.safetensors:dtype=bfloat16"))
'pgn:./my.safetensors:dtype=bfloat16'
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import torch

from lossnets.errors import ConfigError, WeightsError, unknown_name
from lossnets.gradients.card import Card, check_imitates
from lossnets.gradients.checkpoint import load_pgn, read_card
from lossnets.gradients.loss import PGNLoss
from lossnets.gradients.network import GradientNetwork
from lossnets.gradients.released import RELEASED, load_released, released_card
from lossnets.home import home, user_path
from lossnets.losses.base import ImageLoss
from lossnets.losses.families import Family, register_family
from lossnets.losses.spec import LossSpec

DEFAULT_PGN = "efficientnet_lite0"
"""The network that comes with the package; it imitates the packaged default loss."""
SHIPPED = Path(__file__).parent / "pretrained_files"
_SUFFIX = ".safetensors"
_OPTIONS = {"dtype": ("float32", "bfloat16"), "channels": ("rgb", "gray", "per-channel")}

Loss = TypeVar("Loss", bound=PGNLoss)


def list_pretrained() -> list[str]:
    """Names of networks that are on this machine: those of the package, then of ``LOSSNETS_HOME/pgn``."""
    shipped, own = (sorted(p.stem for p in folder.glob(f"*{_SUFFIX}")) for folder in (SHIPPED, own_folder()))
    return list(dict.fromkeys([*shipped, *own]))


def own_folder() -> Path:
    """Where a checkpoint NAME.safetensors is found as ``pgn:NAME``; not created here."""
    return home() / "pgn"


def is_file_name(name: str) -> bool:
    """Whether a name means a path: it has a folder, or the ending of a checkpoint.

    >>> is_file_name("efficientnet_lite0"), is_file_name("mine.safetensors"), is_file_name("./mine")
    (False, True, True)
    """
    return "/" in name or os.sep in name or name.endswith((_SUFFIX, *RELEASED))


def resolve(name: str | os.PathLike[str] | None = None) -> Path:
    """The file of a gradient network, by name or path; without one, that of the package's.

    Raises:
        UnknownNameError: no network has the name.
        ConfigError: it is neither name nor path.
        WeightsError: it is a path, and there is no such file.
    """
    if name is not None and not isinstance(name, (str, os.PathLike)):
        raise ConfigError(f"a gradient network goes by its name or path; got {type(name).__name__}")
    if name == "":
        raise _unknown("")
    if isinstance(name, os.PathLike) or (name is not None and is_file_name(name)):
        path = user_path(name, "name")
        if not path.is_file():
            raise WeightsError(
                f"checkpoint {path} does not exist. Networks that are known by name: "
                f"{', '.join(list_pretrained()) or 'none'}"
            )
        return path
    name = name or DEFAULT_PGN
    for folder in (SHIPPED, own_folder()):
        path = folder / f"{name}{_SUFFIX}"
        if path.is_file():
            return path
    raise _unknown(name)


def _unknown(name: str) -> ConfigError:
    error = unknown_name("gradient network", name, list_pretrained())
    return type(error)(f"{error}. A checkpoint of your own goes by its path, or into {own_folder()}")


def pretrained_card(name: str | os.PathLike[str] | None = None) -> Card:
    """What a checkpoint says of its network: what it imitates, its data, training and true figures.

    Raises:
        UnknownNameError: no network has the name.
        WeightsError: the file is missing, damaged, or no checkpoint.
    """
    path = resolve(name)
    return released_card(path) if path.suffix in RELEASED else read_card(path)


def load_network_and_card(name: str | os.PathLike[str] | None = None) -> tuple[GradientNetwork, Card]:
    """A trained network, by name or path, and its card; errors as those of `load_pgn` and `resolve`."""
    path = resolve(name)
    if path.suffix in RELEASED:
        network = load_released(path)
        return network, released_card(path, network.architecture)
    return load_pgn(path)


def load_pgn_loss(
    cls: type[Loss],
    name: str | os.PathLike[str] | None = None,
    *,
    loss: str | ImageLoss | None = None,
    **options: Any,
) -> Loss:
    """See `PGNLoss.from_pretrained`.

    Raises:
        UnknownNameError: no network has the name.
        WeightsError: the file is missing, damaged, no checkpoint, or imitates another loss than ``loss``.
    """
    network, card = load_network_and_card(name)
    if loss is not None:
        check_imitates(card, loss)
    called = DEFAULT_PGN if name is None else os.fspath(name)
    return cls(network, name=called, imitates=card.loss_signature or card.loss, **options)


def parse_pgn(rest: Sequence[str], name: str) -> LossSpec:
    """The spec of ``pgn:NAME[:dtype=bfloat16]``; a path is percent-quoted, and its file is not looked for.

    Raises:
        UnknownNameError: no network has the name, or an option or value is unknown.
        ConfigError: the text has not the form of such a name.
    """
    called = unquote(rest[0]) if rest else ""
    if not called:
        raise ConfigError(f"loss name {name!r} must be pgn:NAME; NAME is one of {_known()}, or a path")
    if not is_file_name(called) and called not in ("custom", *list_pretrained()):
        raise _unknown(called)
    given: dict[str, str] = {}
    for option in rest[1:]:
        key, _, value = option.partition("=")
        if key not in _OPTIONS:
            raise unknown_name("option of pgn losses", key, _OPTIONS)
        if key in given:
            raise ConfigError(f"loss name {name!r} gives {key} twice")
        if value not in _OPTIONS[key]:
            raise unknown_name(f"value of {key}", value, _OPTIONS[key])
        given[key] = value
    return LossSpec("pgn", called, **given)  # type: ignore[arg-type]


def _known() -> str:
    return ", ".join(list_pretrained()) or "those in LOSSNETS_HOME/pgn"


def build_pgn(spec: LossSpec, options: dict[str, Any]) -> PGNLoss:
    """The loss of a spec of `parse_pgn`.

    Raises:
        ConfigError: it was built in Python and is in no file, or something is to be trained.
    """
    if spec.network == "custom":
        raise ConfigError(
            f"loss {spec} was built in Python; build it there, or save the network: "
            "lossnets.gradients.save_pgn"
        )
    if options.pop("trainable", "none") != "none":
        raise ConfigError(f"{spec} has nothing to train; leave out trainable")
    chosen = {"channels": spec.channels, "compute_dtype": getattr(torch, spec.dtype)}
    return load_pgn_loss(PGNLoss, spec.network, **chosen, **options)


register_family("pgn", Family(parse_pgn, build_pgn, lambda spec: (resolve(spec.network),)))
