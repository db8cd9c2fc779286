"""What all parts of a judgement share: network, true loss, rivals, images, where results are kept."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from lossnets.errors import ConfigError, ImageError
from lossnets.judging.judged import Crops, Judged, middle, read_crops
from lossnets.judging.plans import Plan
from lossnets.judging.records import Progress
from lossnets.judging.rivals import Rival, make_rivals
from lossnets.judging.subjects import population_for
from lossnets.losses import ImageLoss, PerceptualLoss

logger = logging.getLogger("lossnets")

LEAST_TRAINING = 4
"""Images that an autoencoder and the generator of the inversion are trained on at least."""

Tell = Callable[[str, int, int, str], None]
"""Called with (part, steps of it done, in all, what comes next)."""


@dataclass(frozen=True)
class Case:
    """Everything that the parts of a judgement share."""

    judged: Judged
    true: ImageLoss
    plan: Plan
    crops: Crops
    images: Tensor
    training: Tensor | None
    rivals: list[Rival]
    folder: Path | None
    device: str
    tell: Tell | None

    def store(self, part: str) -> Path | None:
        """The file that keeps what a part has earned."""
        return None if self.folder is None else self.folder / f"{part}.jsonl"

    @property
    def names(self) -> tuple[str, ...]:
        """Of the judged images."""
        return self.crops.names[: len(self.images)]

    @property
    def training_names(self) -> tuple[str, ...]:
        """Of the images that the autoencoder and the generator of the inversion are trained on."""
        first = len(self.images)
        return () if self.training is None else self.crops.names[first : first + len(self.training)]

    @property
    def long_fits(self) -> tuple[Tensor, tuple[str, ...]]:
        """Images of the stability test and their names: the judged ones, then others that there are."""
        pixels = self.crops.images[: self.plan.stability_images].to(self.device)
        side = self.plan.stability_side or pixels.shape[3]
        return middle(pixels, side), self.crops.names[: len(pixels)]

    @property
    def cuts(self) -> tuple[int, ...]:
        """After how many taps the true loss is cut."""
        return _cuts(self.true, self.plan.cuts)

    def progress(self, part: str) -> Progress | None:
        """How a part tells how far it is."""
        tell = self.tell
        return None if tell is None else lambda done, total, what: tell(part, done, total, what)


def find_crops(images: str | Path | Tensor, plan: Plan) -> Crops:
    """Images to judge and to train on: of a folder the middles of some, of a tensor all.

    Raises:
        ImageError: they cannot be used.
    """
    if not isinstance(images, Tensor):
        wanted = max(plan.count + plan.training, plan.stability_images)
        return read_crops(images, side=plan.side, count=wanted)
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3] or not len(images):
        raise ImageError(f"images must be a folder, or a tensor (N, 3, S, S); got {tuple(images.shape)}")
    return Crops(images, tuple(str(k) for k in range(len(images))))


def make_case(
    judged: Judged, true: ImageLoss, plan: Plan, crops: Crops, folder: Path | None, device: str,
    tell: Tell | None,
) -> Case:  # fmt: skip
    """Judged images first: of few, half of them, so that something is left to train on."""
    total = len(crops.images)
    wants = "autoencoder" in plan.generators or plan.decoder_steps
    count = min(plan.count, max(total // 2, 1)) if wants else min(plan.count, total)
    pixels = crops.images.to(device)
    images, rest = pixels[:count], pixels[count : count + plan.training]
    training = rest if len(rest) >= LEAST_TRAINING else None
    if training is None and "autoencoder" in plan.generators:
        kinds = tuple(kind for kind in plan.generators if kind != "autoencoder")
        if not kinds:
            raise ConfigError(
                f"an autoencoder needs {LEAST_TRAINING} images to train on beside those that are judged; "
                f"there are {total} in all. Give more images, or other generators"
            )
        plan = replace(plan, generators=kinds)
        logger.warning(
            "no autoencoder is judged: it needs more images to train on; there are %d in all", total
        )
    _check_sides(plan, pixels)
    rivals = make_rivals(true, judged.pgn, images, cuts=_cuts(true, plan.cuts), every=plan.every)
    return Case(judged, true, plan, crops, images, training, rivals, folder, device, tell)


def _check_sides(plan: Plan, pixels: Tensor) -> None:
    """Refuse sides that a generator cannot make before anything is measured."""
    for kind in plan.generators:
        if kind != "autoencoder":
            population_for(kind, pixels[:1], 0, None)
    if plan.stability_side:
        population_for("image-prior", middle(pixels[:1], plan.stability_side), 0, None)


def _cuts(true: ImageLoss, most: int) -> tuple[int, ...]:
    return cut_points(len(true.tap_weights) if isinstance(true, PerceptualLoss) else 0, most)


def cut_points(taps: int, most: int) -> tuple[int, ...]:
    """After how many of its taps a loss is cut: every number, or the first ones and some of the others.

    >>> cut_points(5, 6), cut_points(16, 6)
    ((1, 2, 3, 4), (1, 2, 3, 5, 9, 15))
    """
    last = taps - 1
    if last <= most:
        return tuple(range(1, taps))
    spread = {1} | {round(last ** (k / max(most - 1, 1))) for k in range(1, most)} if most else set()
    missing = (k for k in range(1, last) if k not in spread)
    while len(spread) < most:
        spread.add(next(missing))
    return tuple(sorted(spread))
