"""The true loss cut after its first taps, and losses as text that can be pasted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from lossnets.distances import Distance
from lossnets.errors import ConfigError, LossnetsError
from lossnets.losses import ImageLoss, PerceptualLoss, parse_loss


def cut_losses(loss: ImageLoss, counts: Sequence[int] | None = None) -> Iterator[tuple[int, ImageLoss]]:
    """(k, the loss with its first k taps only, in the order of computation): the network ends at the last.

    Args:
        loss: a perceptual loss; others have no taps and give nothing.
        counts: numbers of taps; None: 1 to all but one.

    Raises:
        ConfigError: a count that the loss does not have.
    """
    taps = tuple(loss.tap_weights) if isinstance(loss, PerceptualLoss) else ()
    for count in range(1, len(taps)) if counts is None else counts:
        if not 1 <= count < len(taps):
            raise ConfigError(
                f"cuts must be numbers of taps from 1 to {len(taps) - 1} for {loss.name}, which has "
                f"{len(taps)}; got {count}. Leave cuts out for all of them, or pass cuts=() for none"
            )
        assert isinstance(loss, PerceptualLoss)  # noqa: S101 - only they have taps
        yield count, cut_loss(loss, count)


def cut_loss(loss: PerceptualLoss, count: int) -> PerceptualLoss:
    """The first ``count`` taps of a loss, with their weights and channel weights; it shares the network's."""
    taps = dict(list(loss.tap_weights.items())[:count])
    head = {tap: weights.detach() for tap, weights in loss.channel_weights.items() if tap in taps}
    cut = PerceptualLoss(
        loss.network.select(list(taps)), taps, distance=loss._function, data_range=loss.data_range,
        reduction=loss.reduction, channels=loss.spec.channels, compute_dtype=getattr(torch, loss.spec.dtype),
        channel_weights=head or None, double_backward=loss.double_backward, validate=loss.validate,
        range_tolerance=loss.range_tolerance,
    )  # fmt: skip
    if loss.spec.family == "perceptual":  # the name says what its network does not know: raw input, head file
        cut._spec = replace(loss.spec, taps=tuple(taps.items()))
    return cut


def pasteable(loss: ImageLoss) -> str:
    """The loss name where ``load_loss`` can make the loss from it, else ""."""
    if "custom" in (loss.spec.weights, loss.spec.head, loss.spec.network) or loss.spec.function:
        return ""
    try:
        return str(parse_loss(loss.name))
    except LossnetsError:
        return ""


def as_python(loss: ImageLoss) -> str:
    """A Python expression for the loss: ``PerceptualLoss(...)`` where it is one, else ``load_loss(...)``.

    What was built of tensors has none and is called ``your_loss``.

    >>> as_python(PerceptualLoss("squeezenet1_1", {"features.1": 0.5}, weights="random-0"))
    "PerceptualLoss('squeezenet1_1', {'features.1': 0.5}, weights='random-0')"
    """
    name = pasteable(loss)
    if name and loss.spec.family == "perceptual" and not loss.spec.head:
        return _perceptual(loss)
    if name and loss.spec.family == "pgn" and loss.spec.dtype == "float32":
        return f"PGNLoss.from_pretrained({loss.spec.network!r})"
    return f"load_loss({name!r})" if name else "your_loss"


def _perceptual(loss: ImageLoss) -> str:
    spec = loss.spec
    taps = ", ".join(f"{tap!r}: {weight!r}" for tap, weight in spec.taps)
    parts = [repr(spec.network), f"{{{taps}}}"]
    if spec.distance != Distance():
        parts.append(f"distance={str(spec.distance)!r}")
    for name, default in (("weights", "default"), ("pooling", "max"), ("channels", "rgb")):
        if getattr(spec, name) != default:
            parts.append(f"{name}={getattr(spec, name)!r}")
    if spec.input == "raw":
        parts.append("normalize_input=False")
    if spec.dtype != "float32":
        parts.append(f"compute_dtype=torch.{spec.dtype}")
    return f"PerceptualLoss({', '.join(parts)})"
