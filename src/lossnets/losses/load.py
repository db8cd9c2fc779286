"""From a loss name to a loss, and the functional form that keeps what it has loaded."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lossnets.errors import ConfigError, unknown_name
from lossnets.images.contract import DataRange, check_data_range, check_layout
from lossnets.losses.base import ImageLoss
from lossnets.losses.cross_entropy import CrossEntropyLoss
from lossnets.losses.families import find_family
from lossnets.losses.heads import load_head
from lossnets.losses.lpips import LPIPS
from lossnets.losses.perceptual import PerceptualLoss
from lossnets.losses.pixel import PixelLoss
from lossnets.losses.spec import LossSpec, parse_loss
from lossnets.losses.structural import StructuralLoss
from lossnets.networks import blueprint, network_spec
from lossnets.networks.load import looks_like_file
from lossnets.networks.weights import verify_file
from lossnets.torch_state import standard_state

_OPTIONS = ("data_range", "reduction", "validate", "range_tolerance", "trainable", "double_backward")
DEFAULT_LOSS = "efficientnet_lite0/bn1,blocks.0,blocks.3,blocks.6:lpips"


@standard_state()
def load_loss(name: str | LossSpec, *, device: str | torch.device = "cpu", **options: Any) -> ImageLoss:
    """Build the loss that a loss name describes, weights included.

    Args:
        name: a loss name (see `lossnets.losses.spec`), or what `parse_loss` made of one.
        device: where it computes.
        options: ``data_range``, ``reduction``, ``validate``, ``range_tolerance``, ``trainable``,
            ``double_backward`` (not for gradient networks).

    Raises:
        UnknownNameError: an unknown network, tap, distance or option.
        WeightsError: the weights cannot be had, are damaged, or do not fit.

    >>> load_loss("pixel:mse", reduction="none")(torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)).tolist()
    [1.0, 1.0]
    """
    spec = parse_loss(name)
    for option in options:
        if option not in _OPTIONS:
            raise unknown_name("option of load_loss", option, _OPTIONS)
    family = find_family(spec.family)
    own = {"pixel": _pixel, "lpips": _lpips, "perceptual": _perceptual}
    build = family.build if family is not None else own[spec.family]
    return build(spec, options).to(device)


def _pixel(spec: LossSpec, options: dict[str, Any]) -> ImageLoss:
    if options.pop("trainable", "none") != "none":
        raise ConfigError(f"{spec} has nothing to train; leave out trainable")
    own = {"ssim": StructuralLoss, "bce": CrossEntropyLoss}.get(spec.network)
    return own(**options) if own else PixelLoss(spec.network, **options)


def _lpips(spec: LossSpec, options: dict[str, Any]) -> ImageLoss:
    dtype = getattr(torch, spec.dtype)
    return LPIPS(
        spec.network,
        spec.version,
        weights=spec.weights,
        channels=spec.channels,
        compute_dtype=dtype,
        **options,
    )


def _perceptual(spec: LossSpec, options: dict[str, Any]) -> ImageLoss:
    if "custom" in (spec.weights, spec.head):
        raise ConfigError(
            f"loss {spec} was built of tensors in Python; build it there, or save weights and head to files"
        )
    plan = blueprint(spec.network, spec.pooling)
    head = load_head(spec.head, [plan.resolve(tap) for tap, _ in spec.taps]) if spec.head else None
    loss = PerceptualLoss(
        spec.network,
        dict(spec.taps),
        distance=spec.distance,
        weights=spec.weights,
        channels=spec.channels,
        pooling=spec.pooling,
        normalize_input=spec.input == "normalised",
        compute_dtype=getattr(torch, spec.dtype),
        channel_weights=head,
        **options,
    )
    loss._spec = spec
    return loss


def source_files(spec: LossSpec) -> tuple[Path, ...]:
    """The files of the user's own that a loss is read from: weights, head, gradient network."""
    family = find_family(spec.family)
    if family is not None:
        return tuple(family.files(spec))
    weights = (spec.weights,) if looks_like_file(spec.weights) else ()
    return tuple(Path(name) for name in (*weights, spec.head) if name and name != "custom")


@lru_cache(maxsize=8)
def _kept(name: str, device: str, data_range: DataRange, files: tuple[str, ...]) -> ImageLoss:
    del files  # hashes: a file that is written again makes another loss of the same name
    return load_loss(name, device=device, data_range=data_range, reduction="none")


def perceptual_distance(
    input: Tensor,  # noqa: A002 - the name that torch.nn.functional uses
    target: Tensor,
    loss: str = DEFAULT_LOSS,
    *,
    data_range: DataRange = (0.0, 1.0),
) -> Tensor:
    """Compare two batches by a loss name: (N, C, H, W) x 2 -> (N,).

    The loss is loaded once and kept (the last 8, by name, device, range and the content of the files that it
    names); `clear_cache` lets go. A network that was registered is built anew each time.

    >>> perceptual_distance(torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4), "pixel:l1").tolist()
    [1.0]
    """
    check_layout(input, "input", channels=None)
    spec = parse_loss(loss)
    if spec.family == "perceptual" and network_spec(spec.network).library == "user":
        own: Tensor = load_loss(spec, device=input.device, data_range=data_range, reduction="none")(
            input, target
        )
        return own  # what a user's own code builds may be another network each time
    hashes = tuple(verify_file(path) for path in source_files(spec))
    kept = _kept(str(spec), str(input.device), check_data_range(data_range), hashes)
    distance: Tensor = kept(input, target)
    return distance


def clear_cache() -> None:
    """Forget the losses that `perceptual_distance` has loaded."""
    _kept.cache_clear()
