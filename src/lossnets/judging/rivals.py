"""Ways of getting a gradient for images: the true loss, the gradient network, MSE, and plain cheap ones.

A gradient network is worth having only where it beats what costs as little and needs no training, so the
plain rivals are part of every judgement: the true loss cut after its first taps, at half resolution, on a
random crop, on every k-th step only, and mean absolute error.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lossnets.errors import ConfigError, ImageError, unknown_name
from lossnets.judging.cuts import as_python, cut_losses, pasteable
from lossnets.judging.fields import Field, alternating, cropped, halved, loss_field, mixed
from lossnets.judging.records import RivalRecord
from lossnets.losses import ImageLoss, load_loss

SMALL = 0.1
"""Length of MSE's gradient beside the PGN's in "PGN + small MSE", beside the true one in "every k-th step".

In the latter Adam scales all steps alike, so that MSE at full length drowns the true gradient: a rival
that is weaker than it need be.
"""
EVERY = (2, 4)
"""Periods of "every k-th step the true loss, MSE between"."""
_BLUR = 4


@dataclass(frozen=True, eq=False)
class Rival:
    """A way of getting the gradient of each image: ``rival.aim(targets)(images, step)``.

    Attributes:
        record: what it is, as text.
        make: (targets (N, 3, H, W) in [0, 1], seed) -> field.
    """

    record: RivalRecord
    make: Callable[[Tensor, int], Field]

    @property
    def key(self) -> str:
        """Short name, unique among rivals."""
        return self.record.key

    def aim(self, targets: Tensor, *, seed: int = 0) -> Field:
        """Encode targets: (N, 3, H, W) in [0, 1] -> field(x̂ in [0, 1], step) -> (N, 3, H, W).

        The field is that of the sum over images of the loss of each, so that no image depends on the others.

        Args:
            targets: y.
            seed: of what is random in it (the place of crops).

        Raises:
            ImageError: the images are too small for it.
        """
        if min(targets.shape[2:]) < self.record.smallest:
            raise ImageError(
                f"{self.record.title} needs images of at least {self.record.smallest} pixels a side; got "
                f"{tuple(targets.shape[2:])}. Take larger images, or leave {self.key!r} out"
            )
        return self.make(targets, seed)

    def __repr__(self) -> str:
        """Key and title."""
        return f"Rival({self.key!r}: {self.record.title})"


def per_image(loss: ImageLoss) -> ImageLoss:
    """The same loss, one number for each image in [0, 1], values unchecked: NaN comes out as NaN.

    It shares the network; the caller's loss stays as it is.
    """
    own = copy.copy(loss)
    own.reduction, own.validate, own.data_range = "none", "never", (0.0, 1.0)
    return own


def make_rivals(
    true: ImageLoss,
    pgn: ImageLoss | None,
    images: Tensor,
    *,
    only: Iterable[str] | None = None,
    cuts: Sequence[int] | None = None,
    every: Sequence[int] = EVERY,
    small: float = SMALL,
    extra: Mapping[str, ImageLoss] | None = None,
) -> list[Rival]:
    """All rivals of a loss and the network that imitates it, cheapest kinds last.

    Weights of MSE beside other gradients are fixed numbers, found on ``images`` against themselves blurred
    (averaged over 4×4 pixels): gradient lengths there, median over images, two digits.

    Args:
        true: the loss that is imitated.
        pgn: what imitates it; None: only the others.
        images: (N, 3, H, W) in [0, 1], on the device of the losses.
        only: keys or letters of those that are wanted; the true loss and MSE always come.
        cuts: after how many taps the true loss is cut; None: every number below all.
        every: periods of the true loss with MSE between.
        small: length of MSE's gradient beside the other's in the rivals d and h (`SMALL`).
        extra: other losses to put beside them, by a key of your own (letter j).

    Raises:
        UnknownNameError: ``only`` has a name that is none.
        ConfigError: a period below 2, a number of taps that does not exist, or no weight can be found.
    """
    check_images(images, "images")
    if any(k < 2 for k in every):
        raise ConfigError(f"every must be periods of 2 steps or more; got {list(every)}")
    if not 0 < small < float("inf"):
        raise ConfigError(f"small must be a positive share; got {small!r}")
    true = per_image(true)
    recipes = [
        *_given(true, pgn, images, small),
        *_plain(true, cuts),
        *_alternating(true, images, every, small),
    ]
    for name, loss in (extra or {}).items():
        recipes.append(_of_loss(name, "j", name, per_image(loss), plain=False))
    keys = [recipe.key for recipe in recipes]
    if len(set(keys)) < len(keys):
        raise ConfigError(f"extra must have keys of their own; taken: {', '.join(sorted(set(keys)))}")
    return [recipe.build() for recipe in _chosen(recipes, only)]


class Recipe(NamedTuple):
    """A rival that is built only where it is wanted: finding a weight takes gradients."""

    key: str
    letter: str
    build: Callable[[], Rival]


def _chosen(recipes: list[Recipe], only: Iterable[str] | None) -> list[Recipe]:
    if only is None:
        return recipes
    wanted = {only} if isinstance(only, str) else set(only)
    names = {recipe.key for recipe in recipes} | {recipe.letter for recipe in recipes}
    for name in sorted(wanted - names):
        raise unknown_name("rival", name, sorted(names))
    wanted |= {"true", "mse"}
    return [recipe for recipe in recipes if recipe.key in wanted or recipe.letter in wanted]


def _of_loss(
    key: str, letter: str, title: str, loss: ImageLoss, *, plain: bool = True, python: str = ""
) -> Recipe:
    def build() -> Rival:
        record = RivalRecord(
            key, letter, title, pasteable(loss), python or as_python(loss), plain=plain, period=1,
            smallest=smallest_side(loss), signature=loss.signature(),
        )  # fmt: skip
        return Rival(record, lambda targets, _seed: loss_field(loss, targets))

    return Recipe(key, letter, build)


def _given(true: ImageLoss, pgn: ImageLoss | None, images: Tensor, small: float) -> Iterator[Recipe]:
    yield _of_loss("true", "a", f"true loss: {true.name}", true, plain=False)
    if pgn is not None:
        own = per_image(pgn)
        yield _of_loss("pgn", "b", f"PGN: {pgn.name}", own, plain=False)
        yield Recipe("pgn+mse", "d", lambda: _with_mse(own, images, small))
    for key, letter, title in (("mse", "c", "MSE"), ("l1", "i", "mean absolute error")):
        yield _of_loss(key, letter, title, load_loss(f"pixel:{key}", device=images.device, **_UNCHECKED))


_UNCHECKED: dict[str, Any] = {"reduction": "none", "validate": "never"}


def smallest_side(loss: ImageLoss) -> int:
    """Pixels that an image needs on each side."""
    return int(getattr(loss, "min_size", 1))


def _plain(true: ImageLoss, cuts: Sequence[int] | None) -> Iterator[Recipe]:
    for count, cut in cut_losses(true, cuts):
        taps = "1 tap" if count == 1 else f"{count} taps"
        python = "" if pasteable(cut) else f"cut_loss({as_python(true)}, {count})"
        yield _of_loss(f"cut-{count}", "e", f"true loss cut after {taps}", per_image(cut), python=python)
    yield Recipe("half", "f", lambda: Rival(
        _smaller(true, "half", "f", "true loss at half resolution", "F.avg_pool2d({}, 2, ceil_mode=True)"),
        lambda targets, _seed: halved(true, targets),
    ))  # fmt: skip
    yield Recipe("crop", "g", lambda: Rival(
        _smaller(true, "crop", "g", "true loss on a random crop of half the side", "random_crop({})"),
        lambda targets, seed: cropped(true, targets, seed),
    ))  # fmt: skip


def _smaller(true: ImageLoss, key: str, letter: str, title: str, view: str) -> RivalRecord:
    return RivalRecord(
        key, letter, title, "", f"{as_python(true)}({view.format('x')}, {view.format('y')})", plain=True,
        period=1, smallest=2 * smallest_side(true), signature=f"{key}|{true.signature()}",
    )  # fmt: skip


def _alternating(true: ImageLoss, images: Tensor, every: Sequence[int], small: float) -> Iterator[Recipe]:
    weights: list[float] = []  # found once, for the first that is wanted

    def build(k: int) -> Rival:
        weights[:] = weights or [mse_weight(true, images, small)]
        weight = weights[0]
        mse = load_loss("pixel:mse", device=images.device, **_UNCHECKED)
        record = RivalRecord(
            f"every-{k}", "h", f"true loss every {k} steps, {weight:g}·MSE between", "",
            f"{as_python(true)}(x, y) if step % {k} == 0 else {weight:g} * F.mse_loss(x, y)",
            plain=True, period=k, smallest=smallest_side(true),
            signature=f"every-{k}|{weight!r}|{true.signature()}",
        )  # fmt: skip
        return Rival(
            record,
            lambda targets, _seed: alternating(
                loss_field(true, targets), loss_field(mse, targets), weight, k
            ),
        )

    for k in every:
        yield Recipe(f"every-{k}", "h", partial(build, k))


def _with_mse(pgn: ImageLoss, images: Tensor, small: float) -> Rival:
    weight = mse_weight(pgn, images, small)
    mse = load_loss("pixel:mse", device=images.device, **_UNCHECKED)
    record = RivalRecord(
        "pgn+mse", "d", f"PGN + {weight:g}·MSE", "",
        f"{as_python(pgn)}(x, y) + {weight:g} * F.mse_loss(x, y)",
        plain=False, period=1, smallest=smallest_side(pgn),
        signature=f"{pgn.signature()}|+{weight!r}|pixel:mse",
    )  # fmt: skip
    return Rival(
        record, lambda targets, _seed: mixed(loss_field(pgn, targets), loss_field(mse, targets), weight)
    )


def mse_weight(loss: ImageLoss, images: Tensor, share: float) -> float:
    """The weight at which MSE's gradient has ``share`` of the length of the loss's, on blurred images.

    Raises:
        ConfigError: neither has a gradient there that is finite and not zero.
    """
    mse = load_loss("pixel:mse", device=images.device, **_UNCHECKED)
    size = (images.shape[2], images.shape[3])
    blurred = F.interpolate(
        F.avg_pool2d(images, _BLUR, ceil_mode=True), size, mode="bilinear", align_corners=False
    )
    lengths = [loss_field(each, images)(blurred, 0).flatten(1).norm(dim=1) for each in (per_image(loss), mse)]
    ratio = lengths[0] / lengths[1]
    known = ratio[torch.isfinite(ratio) & (ratio > 0)]
    if not len(known):
        raise ConfigError(
            f"no weight of MSE beside {loss.name} can be found: on the images given, blurred, one of both "
            "gradients is zero or not finite. Give images that are not flat, or leave out the rivals d and h"
        )
    return float(f"{share * float(known.median()):.2g}")


def check_images(images: Tensor, name: str) -> Tensor:
    """Images (N, 3, H, W), float32, in [0, 1], or an error that says so.

    Raises:
        ImageError: they are something else.
    """
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[1] != 3 or not images.numel():
        got = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ImageError(f"{name} must be a tensor (N, 3, H, W) with at least one image; got {got}")
    if not images.is_floating_point():
        raise ImageError(f"{name} must be floating point in [0, 1]; got {images.dtype}: divide by 255")
    if images.dtype != torch.float32:
        raise ImageError(f"{name} must be float32, as the generators are; got {images.dtype}: call .float()")
    low, high = (float(v) for v in torch.aminmax(images))
    if not (low >= 0 and high <= 1):
        raise ImageError(f"{name} must lie in [0, 1]; got values from {low:.4g} to {high:.4g}")
    return images
