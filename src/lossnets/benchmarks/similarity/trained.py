"""A distance with trained channel weights: network + distance + one weight per channel of each tap."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.benchmarks.tensors import read_tensors, write_tensors
from lossnets.errors import ConfigError, DataError
from lossnets.home import atomic_write, make_folder

HEAD_FILE, TRUNK_FILE, CARD_FILE = "head.safetensors", "trunk.safetensors", "head.json"
_FORMAT = "lossnets-head-1"

Features = Mapping[str, Tensor]


class ChannelDistances(nn.Module):
    """Each channel's share of the distance between two images, at each tap: -> {tap: (N, C)}.

    Args:
        network: images (N, 3, H, W) in [0, 1] -> {tap: (N, C, H', W')}, e.g. a `LossNetwork`.
        distance: has ``per_channel(a, b)``: two feature maps -> (N, C).
        tap_weights: factors of the taps, as in the loss name; None: ones.
    """

    def __init__(
        self, network: nn.Module, distance: Any, tap_weights: Mapping[str, float] | None = None
    ) -> None:
        super().__init__()
        self.network = network
        self.distance = distance
        self.tap_weights = dict(tap_weights or {})

    def encode(self, images: Tensor) -> Features:
        """Images (N, 3, H, W) in [0, 1] -> features."""
        features: Features = self.network(images)
        return features

    def between(self, a: Features, b: Features) -> dict[str, Tensor]:
        """Features of two batches of images -> {tap: (N, C)}."""
        return {tap: self.tap_weights.get(tap, 1.0) * self.distance.per_channel(a[tap], b[tap]) for tap in a}

    def forward(self, images: Tensor, target: Features) -> dict[str, Tensor]:
        """Images and encoded targets -> {tap: (N, C)}."""
        return self.between(self.encode(images), target)


@dataclass(frozen=True)
class HeadCard:
    """Where a head comes from; the JSON file beside it.

    Attributes:
        loss: name of the loss that it was trained on.
        variant: ``lin``, ``tune`` or ``scratch``.
        taps: tap -> number of channels.
        distance: how features are compared.
        network_sha256: hash of the weights that training began with.
        data: name, kind, items and fingerprint of the training data.
        settings: of the training, seed included.
        versions: of lossnets and torch.
        scores: of the trained distance; empty until it was evaluated.
        numerics: version of the distance's definition (`Distance.numerics`); cards from before it was kept
            are of version 1.
    """

    loss: str
    variant: str
    taps: dict[str, int]
    distance: str
    network_sha256: str
    data: dict[str, Any]
    settings: dict[str, Any]
    versions: dict[str, str]
    scores: tuple[dict[str, Any], ...] = ()
    numerics: int = 1


class TrainedDistance:
    """A bank (see `lossnets.benchmarks.DistanceBank`) of one loss with trained channel weights.

    Args:
        name: what it is called in results, e.g. ``"vgg16/relu3_3 (lin)"``.
        channels: network and distance; its network is frozen here.
        weights: tap -> (C,), non-negative.
        card: where the weights come from.
    """

    def __init__(
        self, name: str, channels: ChannelDistances, weights: Mapping[str, Tensor], card: HeadCard
    ) -> None:
        self.names: Sequence[str] = [name]
        self.channels = channels.eval().requires_grad_(False)
        self.weights = {tap: w.detach().clone().float().cpu() for tap, w in weights.items()}
        self.card = card
        for tap, w in self.weights.items():
            if w.ndim != 1 or not bool(torch.isfinite(w).all()) or bool((w < 0).any()):
                raise ConfigError(f"channel weights of {tap!r} must be (C,), finite and 0 or more.")

    def encode(self, images: Tensor) -> Features:
        """Images (N, 3, H, W) in [0, 1] -> features of each tap."""
        return self.channels.encode(images)

    def distances(self, images: Tensor, target: Features) -> dict[str, Tensor]:
        """Images and encoded targets -> {name: (N,)}."""
        shares = self.channels(images, target)
        total = sum(shares[tap] @ w.to(shares[tap]) for tap, w in self.weights.items())
        assert isinstance(total, Tensor)  # noqa: S101  # for mypy: there is at least one tap
        return {self.names[0]: total}

    def save(self, folder: str | Path) -> Path:
        """Write head (safetensors), card (JSON) and, if it was trained, the network; -> head file.

        Raises:
            LossnetsError: the folder cannot be written.
        """
        folder = make_folder(Path(folder))
        if self.card.variant != "lin":
            write_tensors(folder / TRUNK_FILE, self.channels.network.state_dict(), {"loss": self.card.loss})
        write_tensors(folder / HEAD_FILE, self.weights, {"format": _FORMAT, "loss": self.card.loss})
        with atomic_write(folder / CARD_FILE, "w", error=DataError) as file:
            json.dump({"format": _FORMAT, **asdict(self.card)}, file, indent=2, ensure_ascii=False)
            file.write("\n")
        return folder / HEAD_FILE


def read_head(folder: str | Path) -> tuple[dict[str, Tensor], HeadCard]:
    """Read what `TrainedDistance.save` wrote -> ({tap: (C,)}, card).

    Raises:
        DataError: a file is missing, damaged, or the two do not belong together.
    """
    folder = Path(folder)
    weights, _ = read_tensors(folder / HEAD_FILE)
    try:
        content = json.loads((folder / CARD_FILE).read_text(encoding="utf-8"))
        if content.pop("format") != _FORMAT:
            raise ValueError(f"format is not {_FORMAT}")
        content["scores"] = tuple(content["scores"])
        card = HeadCard(**content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{str(folder / CARD_FILE)!r} is not the card of a trained head: {error}. Train it again."
        ) from error
    if {tap: len(w) for tap, w in weights.items()} != card.taps:
        raise DataError(f"head and card in {str(folder)!r} do not belong together. Train it again.")
    return weights, card
