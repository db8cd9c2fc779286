"""The card of a gradient network's checkpoint: what it imitates, is made of, was trained on, and achieves."""

from __future__ import annotations

import platform
import re
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import torch

from lossnets.errors import ConfigError, WeightsError
from lossnets.gradients.architecture import Architecture
from lossnets.losses.base import ImageLoss
from lossnets.version import __version__

FORMAT = 1
_KINDS: dict[str, type] = {"name": str, "loss": str, "loss_signature": str, "format": int}


def versions() -> dict[str, str]:
    """Versions of what computes here: lossnets, torch, Python."""
    return {"lossnets": __version__, "torch": torch.__version__, "python": platform.python_version()}


@dataclass(frozen=True)
class Card:
    """What a checkpoint says about its network.

    Attributes:
        name: of the network; its loss name is ``pgn:NAME`` where it is found by name.
        loss: loss name of what it imitates.
        loss_signature: signature of that loss; the same signature means the same number.
        architecture: what the network is made of.
        data: what it was trained on: folder name, number of images, crop side, sha256 of the sorted
            hashes of the files, sources.
        training: how: record of the settings, steps, samples, seconds, machine, seed.
        fidelity: figures of predicted against true gradients on images that were held out.
        effect: figures of what it does to a fit on images that were held out.
        versions: of lossnets, torch and Python that trained it.
        format: of the checkpoint.
    """

    name: str
    loss: str
    loss_signature: str
    architecture: Architecture
    data: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    fidelity: dict[str, Any] = field(default_factory=dict)
    effect: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=versions)
    format: int = FORMAT

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "architecture": self.architecture.as_dict()}

    @classmethod
    def from_dict(cls, record: Any) -> Card:
        """Read what `as_dict` wrote.

        Raises:
            WeightsError: it is of a format that is not known here, or entries are missing, unknown or
                of the wrong kind.
            ConfigError: the architecture is none.
        """
        if not isinstance(record, dict):
            raise WeightsError(f"its card must be a record of entries; got {type(record).__name__}")
        if record.get("format") != FORMAT:
            raise WeightsError(
                f"its format is {record.get('format')!r}; this version of lossnets ({__version__}) reads "
                f"format {FORMAT}. Install a lossnets that knows it, or train again"
            )
        kinds = {f.name: _KINDS.get(f.name, dict) for f in fields(cls)}
        problems = [f"{name} is missing" for name in kinds if name not in record]
        problems += [f"{name} is unknown" for name in record if name not in kinds]
        problems += [
            f"{name} must be {kind.__name__}, got {type(record[name]).__name__}"
            for name, kind in kinds.items()
            if name in record and not isinstance(record[name], kind)
        ]
        if problems:
            raise WeightsError(f"its card is damaged: {'; '.join(problems)}. Get the file again")
        return cls(**{**record, "architecture": Architecture.from_dict(record["architecture"])})


def check_imitates(card: Card, loss: str | ImageLoss) -> None:
    """Refuse a checkpoint that imitates another loss than this one.

    Where the weights lie and in which precision they compute does not make another loss; everything else of
    the signature does: network, taps, distance, options, weights by hash, input normalisation. Of a card
    without a signature (a released file's) the loss name is compared.

    Raises:
        WeightsError: it imitates another loss; the message names what differs.
        UnknownNameError: there is no such loss.
        ConfigError: it is neither a loss nor a name.
    """
    if isinstance(loss, str):
        from lossnets.losses.load import load_loss

        loss = load_loss(loss)
    elif not callable(getattr(loss, "signature", None)):
        raise ConfigError(f"loss must be a loss or its name; got {type(loss).__name__}")
    ours, theirs = _parts(loss.signature()), _parts(card.loss_signature or card.loss)
    if not card.loss_signature:
        ours = {"loss": ours["loss"]}
    differ = [key for key in dict.fromkeys([*theirs, *ours]) if ours.get(key) != theirs.get(key)]
    if differ:
        lines = [
            f"  {key}: it imitates {theirs.get(key, 'nothing')}, asked for {ours.get(key, 'nothing')}"
            for key in differ
        ]
        raise WeightsError(
            f"the gradient network {card.name!r} imitates another loss ({card.loss}) than the one asked for "
            f"({loss.name}). They differ in:\n" + "\n".join(lines) + "\nTake a network that was trained for "
            "this loss, or train one: lossnets pgn train --loss NAME"
        )


def _parts(signature: str) -> dict[str, str]:
    """What a signature says, entry by entry, without where the weights lie and the precision."""
    name, *rest = signature.split("|")
    options = [part for part in name.split(":") if not part.startswith(("weights=", "dtype="))]
    parts = {"loss": ":".join(options)}
    for entry in rest:
        key, _, value = entry.partition(":")
        digest = re.search(r"sha256:([0-9a-f]+)", value)
        parts[key] = digest[1] if digest and key == "weights" else value
    parts.pop("computed", None)
    return parts
