"""What is judged: a gradient network, the loss that it imitates, and images to judge it on."""

from __future__ import annotations

import os
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import torch
from torch import Tensor

from lossnets.datasets.masks import MASK_FOLDERS
from lossnets.errors import ConfigError, ImageError, LossnetsError, WeightsError
from lossnets.gradients import PGNLoss
from lossnets.gradients.card import Card, check_imitates
from lossnets.gradients.pretrained import load_network_and_card
from lossnets.images import list_images, read_image
from lossnets.images.label_maps import LEVELS, is_label_map
from lossnets.losses import ImageLoss, load_loss


@dataclass(frozen=True)
class Judged:
    """A gradient network as a loss, and the loss that it imitates.

    Attributes:
        pgn: reduction ``none``.
        true: the imitated loss, reduction ``none``; None where it cannot be had here.
        card: what the checkpoint says; None for a network that is in no file.
        lacking: why there is no true loss; empty where there is one.
    """

    pgn: PGNLoss
    true: ImageLoss | None
    card: Card | None = None
    lacking: str = ""

    @property
    def title(self) -> str:
        """What the network is called."""
        return self.card.name if self.card is not None else self.pgn.name.removeprefix("pgn:")

    def needed(self) -> ImageLoss:
        """The true loss.

        Raises:
            WeightsError: it cannot be had here; the message says why and what to do.
        """
        if self.true is None:
            raise WeightsError(
                f"the loss that {self.title!r} imitates cannot be loaded: {self.lacking} Name it, with "
                "weights that are on this machine: --loss NAME:weights=FILE (loss= in Python)"
            )
        return self.true


def load_judged(
    pgn: str | os.PathLike[str] | PGNLoss | None = None,
    loss: str | ImageLoss | None = None,
    *,
    device: str | torch.device = "cpu",
) -> Judged:
    """A gradient network by name, file, or as a loss, with the loss that it imitates.

    Args:
        pgn: name or path of a checkpoint, or a loss made of a network; None: the one of the package.
        loss: the imitated loss, by name or as such; None: the one that the checkpoint names.
        device: where they compute.

    Raises:
        UnknownNameError: there is no such network or loss.
        WeightsError: the checkpoint is damaged, or imitates another loss than ``loss``.
        ConfigError: a network without a file comes without its loss.
    """
    if isinstance(pgn, PGNLoss):
        if loss is None:
            raise ConfigError(
                "loss must be given with a gradient network that comes as a loss: nothing says what it "
                "imitates. Pass loss='NETWORK/TAP,...'"
            )
        _unreduced(pgn)
        return Judged(pgn, _true(loss, device))
    network, card = load_network_and_card(pgn)
    name = card.name if pgn is None else os.fspath(pgn)
    imitates = card.loss_signature or card.loss
    judged = PGNLoss(network, name=name, imitates=imitates, reduction="none", validate="never").to(device)
    if loss is not None:
        true = _true(loss, device)
        if card.loss_signature:  # a released checkpoint has none
            check_imitates(card, true)
        return Judged(judged, true, card)
    try:
        true = _true(card.loss, device)
        if card.loss_signature:
            check_imitates(card, true)
    except LossnetsError as error:
        return Judged(judged, None, card, str(error).rstrip(".") + ".")
    return Judged(judged, true, card)


def _true(loss: str | ImageLoss, device: str | torch.device) -> ImageLoss:
    if isinstance(loss, ImageLoss):
        return _unreduced(loss)
    return load_loss(loss, device=device, reduction="none", validate="never")


def _unreduced(loss: ImageLoss) -> ImageLoss:
    """The loss itself where it gives one number per image.

    Raises:
        ConfigError: it does not, or its images are not in [0, 1].
    """
    if loss.reduction != "none" or loss.data_range != (0.0, 1.0):
        raise ConfigError(
            "a loss that is judged must have reduction='none' and data_range=(0, 1); got "
            f"reduction={loss.reduction!r} and data_range={loss.data_range}"
        )
    return loss


@dataclass(frozen=True)
class Crops:
    """Square images to judge on.

    Attributes:
        images: (N, 3, side, side) in [0, 1].
        names: of the files.
        skipped: (name, why) of the files that were left out.
    """

    images: Tensor
    names: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...] = ()


def read_crops(place: str | Path, *, side: int, count: int = 0) -> Crops:
    """The middle of each image of a folder, or of one file: -> (N, 3, side, side) in [0, 1].

    Images are never resized. Of a folder they come in an order drawn from their names, so that no part of
    it is favoured where there are more than asked for. What cannot be read, is too small, or is a mask or
    edge map is left out and named; so are folders of these (``images/`` beside ``masks/``, ``boundaries/``).

    Args:
        place: folder, searched with its folders, or one image file.
        side: in pixels.
        count: most images; 0: all.

    Raises:
        ImageError: there is no such place, or no image of it can be used.
    """
    place = Path(place)
    if side < 1 or count < 0:
        raise ConfigError(f"side must be 1 pixel or more and count 0 or more; got {side} and {count}")
    if place.is_file():
        return _stacked([_middle(read_image(place), side, place.name)], [place.name], [])
    files, skipped = _photographs(place)
    if not files:
        more = f": {skipped[0][0]} {skipped[0][1]}" if skipped else ""
        raise ImageError(f"folder {str(place)!r} holds no image{more}; name a folder of photographs")
    images, names = [], []
    for path in _order(files, place):
        name = path.relative_to(place).as_posix()
        try:
            images.append(_middle(_photograph(path, name), side, name))
        except ImageError as error:
            skipped.append((name, str(error)))
            continue
        names.append(name)
        if count and len(names) == count:
            break
    if not images:
        raise ImageError(
            f"no image of folder {str(place)!r} can be used; the first: {skipped[0][0]}: {skipped[0][1]}"
        )
    return _stacked(images, names, skipped)


def _photographs(folder: Path) -> tuple[list[Path], list[tuple[str, str]]]:
    """Image files of a folder and those in it, without folders of masks; (name, why) of the latter."""
    files: list[Path] = []
    masks: dict[str, str] = {}
    for path in list_images(folder, recursive=True):
        parents = path.relative_to(folder).parents
        inside = next((p.as_posix() for p in parents if p.name.lower() in MASK_FOLDERS), None)
        if inside is None:
            files.append(path)
        else:
            masks[f"{inside}/"] = "is a folder of masks or edge maps, by its name"
    return files, list(masks.items())


def _photograph(path: Path, name: str) -> Tensor:
    image = read_image(path)
    if is_label_map(image):
        raise ImageError(f"{name!r} is a mask or edge map, no photograph: grey, of at most {LEVELS} levels")
    return image


def _order(files: list[Path], folder: Path) -> list[Path]:
    """An order drawn from the names: it favours no part, and files added later leave it as it is."""
    return sorted(files, key=lambda path: sha256(os.fsencode(path.relative_to(folder).as_posix())).digest())


def _middle(image: Tensor, side: int, name: str) -> Tensor:
    height, width = image.shape[1:]
    if min(height, width) < side:
        raise ImageError(
            f"{name!r} has {width}×{height} pixels, fewer than the {side}×{side} that are judged; leave it "
            "out, or judge a smaller side"
        )
    return middle(image, side)


def middle(images: Tensor, side: int) -> Tensor:
    """The middle of images at least as large: (..., H, W) -> (..., side, side)."""
    top, left = ((length - side) // 2 for length in images.shape[-2:])
    return images[..., top : top + side, left : left + side]


def _stacked(images: list[Tensor], names: list[str], skipped: list[tuple[str, str]]) -> Crops:
    return Crops(torch.stack(images), tuple(names), tuple(skipped))
