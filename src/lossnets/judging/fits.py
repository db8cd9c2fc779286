"""One loop for every fit: a generator of limited capacity, driven by a rival, judged by the true loss.

Free pixels would be no test: there MSE is trivially perfect. Deep decoders and image priors are fitted
image by image (Nikulin et al. 2021: Adam, rate 0.01); a fresh autoencoder is trained on some images and
judged on others. All rivals start from the same parameters.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from lossnets.errors import ConfigError, unknown_name
from lossnets.images.quality import PSNR_CAP, psnr, ssim
from lossnets.judging.records import DIVERGED, Fit, Point
from lossnets.judging.rivals import Rival, per_image
from lossnets.judging.subjects import GENERATORS, Subject, make_subject
from lossnets.losses import ImageLoss


@dataclass(frozen=True)
class FitSettings:
    """How generators are fitted; the same for all rivals.

    Attributes:
        steps: of Adam.
        learning_rate: of Adam.
        batch: images fitted side by side, and in a batch of the autoencoder.
        points: of the curve behind its start; closer together at the beginning.
        check: steps between looks at the true loss for divergence and plateau; 0: only at the points.
        patience: steps without a lower true loss that make a plateau.
        stop: end a fit early when each of its images has diverged or lies on a plateau.
        generators: settings of generators by kind, e.g. ``{"deep-decoder": {"width": 16}}``; ``steps`` and
            ``learning_rate`` among them are for that kind alone: an autoencoder needs more steps than a
            generator that is fitted to one image.
    """

    steps: int = 300
    learning_rate: float = 0.01
    batch: int = 8
    points: int = 20
    check: int = 0
    patience: int = 2000
    stop: bool = False
    generators: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check every number."""
        least = {"steps": 1, "batch": 1, "points": 1, "check": 0, "patience": 1}
        for name, low in least.items():
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < low:
                raise ConfigError(f"{name} must be a whole number, {low} or more; got {value!r}")
        if not 0 < self.learning_rate < math.inf:
            raise ConfigError(f"learning_rate must be a positive number; got {self.learning_rate!r}")
        for kind in self.generators:
            if kind not in GENERATORS:
                raise unknown_name("generator", kind, GENERATORS)
            if {"steps", "learning_rate"} & set(self.generators[kind]):
                self.of(kind)

    def of(self, kind: str) -> FitSettings:
        """Those of one kind of generator.

        >>> FitSettings(300, generators={"autoencoder": {"steps": 2000, "depth": 1}}).of("autoencoder").steps
        2000
        """
        own = dict(self.generators.get(kind, {}))
        shared = {name: own.pop(name) for name in ("steps", "learning_rate") if name in own}
        return replace(self, generators={kind: own}, **shared)

    def looks(self) -> tuple[set[int], set[int]]:
        """Steps at which the curve has a point, and at which the true loss is looked at."""
        points = {round(self.steps * (k / self.points) ** 2) for k in range(self.points + 1)}
        return points, points | (set(range(0, self.steps + 1, self.check)) if self.check else set())


class Judge:
    """Measures images against targets: true loss, L1, PSNR (at most 100 dB), SSIM, for each image.

    Args:
        true: the loss that decides.
        targets: (N, 3, H, W) in [0, 1].
    """

    def __init__(self, true: ImageLoss, targets: Tensor) -> None:
        self.targets = targets
        self._true = per_image(true)
        self._kept = self._true.encode(targets)

    def true(self, images: Tensor) -> Tensor:
        """True loss of each image (N, 3, H, W) -> (N,) on the CPU; NaN where an image is not finite."""
        with torch.no_grad():
            values: Tensor = self._true(images, self._kept)
        return values.double().cpu()

    def points(self, step: int, images: Tensor) -> list[Point]:
        """All measures of each image; NaN where it is not finite."""
        true = self.true(images).tolist()
        finite = torch.isfinite(images).flatten(1).all(1)
        clean = torch.where(finite.view(-1, 1, 1, 1), images, self.targets)
        l1 = (clean - self.targets).abs().mean((1, 2, 3))
        columns = [l1, psnr(clean, self.targets).clamp(max=PSNR_CAP), ssim(clean, self.targets)]
        rows = torch.stack([c.masked_fill(~finite, math.nan) for c in columns], 1).tolist()
        return [Point(step, t, *row) for t, row in zip(true, rows, strict=True)]


class Watch:
    """Follows the true loss of each image: when it diverged, when it came to a plateau."""

    def __init__(self, count: int, patience: int) -> None:
        self.diverged: list[int | None] = [None] * count
        self.plateau: list[int | None] = [None] * count
        self._patience = patience
        self._start: list[float] = []
        self._best = [(math.inf, 0)] * count

    def look(self, step: int, true: Sequence[float]) -> None:
        """Take the true losses at a step."""
        self._start = self._start or list(true)
        for k, value in enumerate(true):
            if self.diverged[k] is None and not value <= DIVERGED * self._start[k]:  # NaN too
                self.diverged[k] = step
            if value < self._best[k][0]:
                self._best[k] = (value, step)
            elif self.plateau[k] is None and step - self._best[k][1] >= self._patience:
                self.plateau[k] = step

    @property
    def over(self) -> bool:
        """Whether nothing is left to see."""
        return all(d is not None or p is not None for d, p in zip(self.diverged, self.plateau, strict=True))


def fit_images(
    kind: str,
    rival: Rival,
    true: ImageLoss,
    images: Tensor,
    *,
    seed: int = 0,
    settings: FitSettings | None = None,
    names: Iterable[str] | None = None,
    training: Tensor | None = None,
) -> list[Fit]:
    """Fit one kind of generator with one rival: images (N, 3, S, S) in [0, 1] -> N fits.

    Args:
        kind: ``deep-decoder``, ``image-prior`` or ``autoencoder``.
        rival: whose gradient drives it.
        true: the loss that judges.
        images: what is fitted (``autoencoder``: what it is judged on), on the device of the losses.
        seed: of initialisation, crops and order of training images.
        settings: `FitSettings`.
        names: of the images; their numbers by default.
        training: (M, 3, S, S) what an autoencoder is trained on.

    Raises:
        ConfigError: an unknown kind, or images that do not fit it.
        ImageError: images that the rival or the true loss does not take.
    """
    settings = (settings or FitSettings()).of(kind)
    subject = make_subject(kind, rival, images, training, seed, settings.batch, settings.generators.get(kind))
    return drive(subject, kind, rival.key, Judge(true, images), seed, settings, names_of(names, len(images)))


def names_of(names: Iterable[str] | None, count: int) -> list[str]:
    """Names of images, or their numbers.

    Raises:
        ConfigError: too many, too few, or one twice.
    """
    found = [str(k) for k in range(count)] if names is None else list(names)
    if len(found) != count or len(set(found)) != count:
        raise ConfigError(f"names must be {count} different names, one an image; got {found}")
    return found


def drive(
    subject: Subject, kind: str, key: str, judge: Judge, seed: int, settings: FitSettings, names: list[str]
) -> list[Fit]:
    """Optimise a subject and watch it."""
    began = time.perf_counter()
    points, looks = settings.looks()
    optimiser = torch.optim.Adam(subject.parameters(), settings.learning_rate)
    watch = Watch(len(names), settings.patience)
    curves: list[list[Point]] = [[] for _ in names]
    for step in range(settings.steps + 1):
        if step in looks:
            images = subject.judged()
            found = judge.points(step, images) if step in points else []
            watch.look(step, [p.true for p in found] or judge.true(images).tolist())
            ended = settings.stop and watch.over
            found = found or (judge.points(step, images) if ended else [])
            for curve, point in zip(curves, found, strict=False):
                curve.append(point)
            if ended:
                break
        if step < settings.steps:
            optimiser.zero_grad(set_to_none=True)
            subject.pull(step)
            optimiser.step()
    seconds = (time.perf_counter() - began) / len(names)
    return [
        Fit(kind, key, seed, name, curve[-1].step, tuple(curve), diverged, plateau, seconds)
        for name, curve, diverged, plateau in zip(names, curves, watch.diverged, watch.plateau, strict=True)
    ]
