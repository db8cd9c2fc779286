"""Many losses at once: those that share a network share its forward pass."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lossnets.errors import ConfigError, EncodingError
from lossnets.images.contract import DataRange, check_layout
from lossnets.losses.base import ImageLoss
from lossnets.losses.encoded import Embedding, EncodedTarget
from lossnets.losses.load import load_loss
from lossnets.losses.perceptual import PerceptualLoss
from lossnets.losses.spec import LossSpec
from lossnets.networks import LossNetwork
from lossnets.torch_state import exact_products


@dataclass(frozen=True, eq=False)
class EncodedBank:
    """What a bank keeps of a target batch; made by ``bank.encode(target)``, taken in its place.

    Attributes:
        made_by: loss name -> what its loss was when it was encoded; no other bank accepts it.
        shape: (N, C, H, W) of the target.
        alone: loss name -> its own encoded target, for losses that share no network.
        shared: loss name -> embedding of each tap.
    """

    made_by: dict[str, tuple[str, str]]
    shape: tuple[int, ...]
    alone: dict[str, EncodedTarget]
    shared: dict[str, tuple[Embedding, ...]]


class LossBank:
    """Distances of many losses, with one forward pass for all that see the same network and input.

    The distances are those that each loss gives on its own.

    Args:
        losses: loss names, specs or built losses; no two of the same name.
        device: where it computes.
        data_range: (low, high) of the images, for losses given by name.

    >>> bank = LossBank(["pixel:mse", "pixel:l1"])
    >>> found = bank.distances(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.5))
    >>> {name: value.tolist() for name, value in found.items()}
    {'pixel:mse': [0.25], 'pixel:l1': [0.5]}
    """

    def __init__(
        self,
        losses: Sequence[str | LossSpec | ImageLoss],
        device: str | torch.device = "cpu",
        data_range: DataRange = (0.0, 1.0),
    ) -> None:
        if isinstance(losses, str):
            raise ConfigError(f"losses must be a list of losses; got text: [{losses!r}] is a list of one")
        if not losses:
            raise ConfigError("losses must have at least one loss; got none")
        self.losses: dict[str, ImageLoss] = {}
        for given in losses:
            loss = given if isinstance(given, ImageLoss) else load_loss(given, data_range=data_range)
            if loss.name in self.losses:
                raise ConfigError(f"losses has {loss.name!r} twice")
            self.losses[loss.name] = loss.to(device)
        self._regroup(self._now())

    @property
    def names(self) -> list[str]:
        """Loss names, in the order given."""
        return list(self.losses)

    @property
    def signatures(self) -> dict[str, str]:
        """Signature of each loss."""
        return {name: loss.signature() for name, loss in self.losses.items()}

    def _now(self) -> dict[str, tuple[str, str]]:
        """Signature and state of each loss as it is at this moment."""
        return {name: (loss._signature(exact=False), loss._state()) for name, loss in self.losses.items()}

    def _regroup(self, now: dict[str, tuple[str, str]]) -> None:
        self._grouped = now
        self._alone, self._groups = _group(list(self.losses.values()))

    def _look(self) -> dict[str, tuple[str, str]]:
        """What the losses are; those that were changed since the last call are grouped anew."""
        now = self._now()
        if now != self._grouped:
            self._regroup(now)
        return now

    @torch.no_grad()
    @exact_products()
    def encode(self, target: Tensor) -> EncodedBank:
        """Compute the targets' side once: (N, C, H, W) -> what `distances` takes in their place."""
        check_layout(target, "target", channels=None)
        now = self._look()
        alone = {loss.name: loss.encode(target) for loss in self._alone}
        shared: dict[str, tuple[Embedding, ...]] = {}
        for network, members in self._groups:
            shared |= self._encode_group(network, members, target)
        return EncodedBank(now, tuple(target.shape), alone, shared)

    @torch.no_grad()
    @exact_products()
    def distances(self, images: Tensor, target: Tensor | EncodedBank) -> dict[str, Tensor]:
        """Distances of each image: (N, C, H, W), targets -> {loss name: (N,) float32}; no gradient.

        Raises:
            ImageError: images or target break the contract, or differ in shape.
            EncodingError: the encoded target is of another bank, or of images of another shape.
        """
        encoded = self._encoded(images, target)
        found = {loss.name: self._compare_alone(loss, images, encoded) for loss in self._alone}
        for network, members in self._groups:
            found |= self._compare_group(network, members, images, encoded.shared)
        return {name: found[name] for name in self.losses}

    def _compare_alone(self, loss: ImageLoss, images: Tensor, encoded: EncodedBank) -> Tensor:
        prepared = loss._prepare(images, "images")
        target = loss._target(encoded.alone[loss.name], images)
        with torch.autocast(prepared.device.type, enabled=False):
            first, *rest = (value for _, value in loss._distances(prepared, target))
        return loss._unfold(sum(rest, first), images.shape[0])

    def _encoded(self, images: Tensor, target: Tensor | EncodedBank) -> EncodedBank:
        first = next(iter(self.losses.values()))
        check_layout(images, "images", channels=None)
        if not isinstance(target, EncodedBank):
            return self.encode(first._alike(images, target))
        if tuple(images.shape) != target.shape:
            raise EncodingError(
                f"the encoded target is of images {target.shape}; got {tuple(images.shape)}. "
                "Encode the matching batch"
            )
        if target.made_by != self._look():
            raise EncodingError(
                "the encoded target was made by another bank of losses; encode it with this one"
            )
        return target

    def _encode_group(
        self, network: LossNetwork, members: list[PerceptualLoss], target: Tensor
    ) -> dict[str, tuple[Embedding, ...]]:
        kept: dict[str, list[Embedding]] = {loss.name: [] for loss in members}
        images = _prepare_for_all(members, target, "target")
        with torch.autocast(images.device.type, enabled=False):
            maps = network.features(images.to(network.mean.dtype))
            for tap, features in zip(network.taps, maps, strict=True):
                shared: dict[object, Embedding] = {}
                for loss in members:
                    if tap.name in loss.tap_weights:
                        key = loss.spec.distance
                        shared[key] = shared.get(key) or key.embed(features)
                        kept[loss.name].append(shared[key])
        return {name: tuple(embeddings) for name, embeddings in kept.items()}

    def _compare_group(
        self,
        network: LossNetwork,
        members: list[PerceptualLoss],
        images: Tensor,
        encoded: dict[str, tuple[Embedding, ...]],
    ) -> dict[str, Tensor]:
        prepared = _prepare_for_all(members, images, "images")
        totals: dict[str, Tensor] = {}
        embeddings = {name: iter(encoded[name]) for name in (loss.name for loss in members)}
        with torch.autocast(prepared.device.type, enabled=False):
            maps = network.features(prepared.to(network.mean.dtype))
            for tap, features in zip(network.taps, maps, strict=True):
                for loss in members:
                    weight = loss.tap_weights.get(tap.name)
                    if weight is None:
                        continue
                    head = loss.channel_weights.get(tap.name)
                    value = loss.spec.distance.between(features, next(embeddings[loss.name]), head)
                    value = value if weight == 1.0 else weight * value
                    totals[loss.name] = totals[loss.name] + value if loss.name in totals else value
        return {name: members[0]._unfold(value, images.shape[0]) for name, value in totals.items()}


def _prepare_for_all(members: list[PerceptualLoss], images: Tensor, name: str) -> Tensor:
    """Images as the losses of a group see them, once each of their networks takes the size."""
    first, *others = members
    prepared = first._prepare(images, name)
    for loss in others:
        loss.network.check_size(images.shape[2], images.shape[3])
    return prepared


def _group(
    losses: list[ImageLoss],
) -> tuple[list[ImageLoss], list[tuple[LossNetwork, list[PerceptualLoss]]]]:
    """Losses on their own; and those of one network and input, with a network that has all their taps."""
    groups: dict[tuple[object, ...], list[PerceptualLoss]] = defaultdict(list)
    alone: list[ImageLoss] = []
    for loss in losses:
        shares = isinstance(loss, PerceptualLoss) and not loss.spec.function and loss.trainable != "all"
        if isinstance(loss, PerceptualLoss) and shares and not loss.network.changed():
            groups[_key(loss)].append(loss)
        else:
            alone.append(loss)
    found: list[tuple[LossNetwork, list[PerceptualLoss]]] = []
    for members in groups.values():
        taps = list(dict.fromkeys(tap.name for loss in members for tap in loss.network.taps))
        order = [tap.name for tap in members[0].network.blueprint.taps.values()]
        deepest = max(members, key=lambda loss: max(order.index(tap.name) for tap in loss.network.taps))
        found.append((deepest.network.select(taps), members))
    return alone, found


def _key(loss: PerceptualLoss) -> tuple[object, ...]:
    """What decides the features: network, weights, input normalisation, type, colours."""
    network = loss.network
    mean, std = (tuple(b.flatten().tolist()) for b in (network.mean, network.std))
    settings = (network.dtype, loss.spec.channels, loss.data_range)
    # The blueprint as an object: two modules of a user's may have the same name and tensors.
    return (network.blueprint, network.weights_sha256, mean, std, *settings)
