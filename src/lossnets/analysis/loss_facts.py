"""What is known of a loss from its name: network, tap, depth, size, accuracy. Nothing is loaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from pathlib import PurePath
from urllib.parse import unquote

from lossnets.errors import LossnetsError
from lossnets.gradients.pretrained import pretrained_card
from lossnets.losses.spec import LossSpec, parse_loss
from lossnets.losses.versions import split_name
from lossnets.networks import Tap, blueprint


@dataclass(frozen=True)
class LossFacts:
    """A loss by its attributes; None where the name or the libraries do not tell.

    Attributes:
        loss: loss name.
        family: ``perceptual``, ``pixel``, ``lpips``, ``pgn``, or whatever stands before the colon.
        architecture: name of the loss network; behind it ``(random)`` for random weights, and the name of a
            file of weights that is not named like the network: other weights are another choice. So are
            results of an earlier definition of the distance: ``(numerics 1)``.
        tap: name of the tap; several with commas.
        taps: how many.
        position: 1 to `points`, early to late, where the loss has one tap that is a point of the study.
        points: points that the network has.
        design: everything else of the loss but its weights (distance, input, ...): losses of one
            design differ in network and tap only.
        depth: fraction in (0, 1] of the network's convolution and linear layers up to the (last) tap.
        stride: input pixels per position of the (last) tap.
        channels: of the (last) tap.
        receptive_field: side in pixels of what a position of the (last) tap sees.
        top1: ImageNet-1k top-1 accuracy of the published weights in per cent; None with other weights,
            whose accuracy nobody stated.
        parameters: of the whole network.
        gmacs: 10^9 multiply-accumulates of the whole network for one image of its usual size.
        batch_norm: whether the network normalises over the batch.
        weights: of the network: ``default`` (the published ones), ``random-0``, or a file or name; empty
            where there is no network.
        imitates: of a gradient network: loss name of what it imitates, where its file is here.
    """

    loss: str
    family: str
    architecture: str | None = None
    tap: str | None = None
    taps: int = 0
    position: int | None = None
    points: int | None = None
    design: str = ""
    depth: float | None = None
    stride: int | None = None
    channels: int | None = None
    receptive_field: int | None = None
    top1: float | None = None
    parameters: int | None = None
    gmacs: float | None = None
    batch_norm: bool | None = None
    weights: str = ""
    imitates: str | None = None

    @property
    def contender(self) -> str:
        """What stands for the same choice in every setting: ``vgg16/relu3_3``, or the whole loss name.

        Benchmarks have distances of their own (the study compares unit-normalised features in one and
        plain ones in the others), so across benchmarks a choice is a network and a tap.
        """
        return self.loss if self.architecture is None else f"{self.architecture}/{self.tap}"


FACTS = tuple(field.name for field in fields(LossFacts))


def loss_facts(loss: str) -> LossFacts:
    """Attributes of a loss by its name; of a network that is not known here, what the text says.

    >>> facts = loss_facts("vgg16/relu3_3:unit-spatial-sum:weights=random-0")
    >>> facts.architecture, facts.tap, facts.position, facts.design, facts.batch_norm
    ('vgg16 (random)', 'relu3_3', 3, 'unit-spatial-sum', False)
    """
    name, version = split_name(loss)
    if version:
        facts = loss_facts(name)
        architecture = None if facts.architecture is None else facts.architecture + version
        return replace(facts, loss=loss, architecture=architecture, design=facts.design + version)
    try:
        facts = _known(loss)
    except LossnetsError:
        return _of_text(loss)
    return _of_gradient_network(facts) if facts.family == "pgn" else facts


@lru_cache(maxsize=4096)
def _known(loss: str) -> LossFacts:
    """What a name alone says."""
    spec = parse_loss(loss)
    return _of_perceptual(loss, spec) if spec.family == "perceptual" else _of_family(loss)


def _of_family(loss: str) -> LossFacts:
    family, _, rest = loss.partition(":")
    return LossFacts(loss, family, design=rest)


def _of_gradient_network(facts: LossFacts) -> LossFacts:
    """With what its file says now."""
    try:
        imitates = pretrained_card(parse_loss(facts.loss).network).loss
    except LossnetsError:  # results of whoever has the file
        imitates = None
    return replace(facts, imitates=imitates)


def imitated_loss(signature: str) -> str:
    """Loss name of what a gradient network imitates, by its signature; empty for other losses.

    >>> imitated_loss("pgn:mine|architecture:0f|weights:sha256:1a|imitates:(pixel:mse;numerics:1)|numerics:1")
    'pixel:mse'
    """
    found = re.search(r"\|imitates:\(([^;)|]+)", signature)
    return found[1] if found else ""


def _of_text(loss: str) -> LossFacts:
    stem, *options = loss.split(":")
    network, slash, tap = stem.rpartition("/")
    if not slash:
        return _of_family(loss)
    return LossFacts(
        loss,
        "perceptual",
        architecture=_architecture(network, options),
        tap=tap,
        taps=tap.count(",") + 1,
        design=_design(options),
        weights=_weights(options),
    )


def _of_perceptual(loss: str, spec: LossSpec) -> LossFacts:
    plan = blueprint(spec.network)
    records = [plan.resolve(name) for name, _ in spec.taps]
    last = max(records, key=lambda tap: tap.depth)
    points = plan.spec.points  # a blueprint's are canonical names
    stem, *options = loss.split(":")
    return LossFacts(
        loss,
        "perceptual",
        architecture=_architecture(spec.network, options),
        tap=stem.rpartition("/")[2],
        taps=len(records),
        position=_position(records, points),
        points=len(points) or None,
        design=_design(options),
        depth=last.depth,
        stride=last.stride,
        channels=last.channels,
        receptive_field=last.receptive_field,
        top1=plan.spec.top1 if spec.weights == "default" else None,
        parameters=plan.spec.parameters,
        gmacs=plan.spec.gmacs,
        batch_norm=any(name.endswith("running_mean") for name in plan.expected),
        weights=spec.weights,
    )


def _position(records: list[Tap], points: Sequence[str]) -> int | None:
    if len(records) != 1 or records[0].name not in points:
        return None
    return points.index(records[0].name) + 1


def _architecture(network: str, options: list[str]) -> str:
    weights = unquote(_weights(options))
    if weights == "default":
        return network
    if is_random(weights):
        return f"{network} (random)"
    stem = PurePath(weights).stem
    return network if stem == network else f"{network} ({stem})"


def is_random(weights: str) -> bool:
    """Whether weights are made from a seed; a file may be called ``random_crops.pth``.

    >>> is_random("random-3"), is_random("random_crops.pth")
    (True, False)
    """
    return re.fullmatch(r"random(-\d+)?", weights) is not None


def _weights(options: list[str]) -> str:
    named = (option.partition("=")[2] for option in options if option.startswith("weights="))
    return next(named, "default")


def _design(options: list[str]) -> str:
    return ":".join(option for option in options if not option.startswith("weights="))
