"""Losses and rivals as callers name them, and which of them can take part."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor

from lossnets.errors import ConfigError
from lossnets.judging.rivals import Rival, check_images, make_rivals
from lossnets.losses import ImageLoss, load_loss


def resolve_losses(
    true: str | ImageLoss, pgn: str | ImageLoss | None, images: Tensor
) -> tuple[ImageLoss, ImageLoss | None]:
    """Load what came as a name, on the device of the images.

    Raises:
        ImageError: ``images`` are no images in [0, 1].
    """
    check_images(images, "images")
    loaded = load_loss(true, device=images.device) if isinstance(true, str) else true
    other = load_loss(pgn, device=images.device) if isinstance(pgn, str) else pgn
    return loaded, other


def resolve_rivals(
    true: ImageLoss,
    pgn: ImageLoss | None,
    images: Tensor,
    rivals: Iterable[str] | Sequence[Rival] | None,
    *,
    extra: Mapping[str, ImageLoss] | None = None,
    exactly: bool = False,
) -> list[Rival]:
    """Rivals by key or letter, or those given; None: all.

    Args:
        true: the loss that is imitated.
        pgn: what imitates it.
        images: see `make_rivals`.
        rivals: keys or letters, or rivals.
        extra: see `make_rivals`.
        exactly: do not add the true loss and MSE where they were not asked for.

    Raises:
        UnknownNameError: there is no such rival.
        ConfigError: names and rivals mixed, or the true loss or MSE missing.
    """
    wanted: list[Any] | None = None
    if rivals is not None:
        wanted = [rivals] if isinstance(rivals, str) else list(rivals)
    if wanted is None or all(isinstance(rival, str) for rival in wanted):
        found = make_rivals(true, pgn, images, only=wanted, extra=extra)
        if wanted is None or not exactly:
            return found
        return [r for r in found if r.key in wanted or r.record.letter in wanted]
    if not all(isinstance(rival, Rival) for rival in wanted):
        raise ConfigError("rivals must be keys or letters, or Rival objects of make_rivals, not both")
    if extra:
        raise ConfigError("extra goes with rivals by key; pass it to make_rivals with Rival objects")
    if not exactly and not {"true", "mse"} <= {rival.key for rival in wanted}:
        raise ConfigError("rivals must have 'true' and 'mse' among them, between which gaps are measured")
    return wanted


def fitting(rivals: Sequence[Rival], images: Tensor) -> tuple[list[Rival], dict[str, str]]:
    """Rivals that take images of this size, and why the others do not: {key: reason}."""
    side = min(images.shape[2:])
    small = {
        r.key: f"needs images of at least {r.record.smallest} pixels a side; these have {side}"
        for r in rivals
        if r.record.smallest > side
    }
    return [r for r in rivals if r.key not in small], small
