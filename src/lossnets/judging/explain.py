"""What a gradient network wants changed: its proxy target less the image, where and what, over a fit.

Nikulin et al. 2021, section 5: the proxy target t can be looked at. t - x̂ is what is to be added to x̂, and
its length over channels says where. Beside it stands the "true" proxy target of the imitated loss,
x̂ - (C·H·W / 2) · s · ∂L/∂x̂.
"""

from __future__ import annotations

import json
import logging
import math
import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from lossnets.errors import ConfigError, DataError, ImageError, unknown_name
from lossnets.gradients import PGNLoss, proxy_of_gradient
from lossnets.home import atomic_write, make_folder
from lossnets.judging.explain_pictures import ANIMATIONS, draw_animation, draw_panels
from lossnets.judging.fidelity import compare
from lossnets.judging.fields import Field, loss_field
from lossnets.judging.judged import Crops, Judged, load_judged, read_crops
from lossnets.judging.records import Progress, plain
from lossnets.judging.rivals import make_rivals, per_image
from lossnets.judging.trajectories import POPULATIONS, Stop, spread, trajectory
from lossnets.losses import ImageLoss

logger = logging.getLogger("lossnets")

DRIVERS = ("pgn", "true", "mse")


@dataclass(frozen=True, eq=False)
class View:
    """One image at one step of a fit.

    Attributes:
        step: of the fit.
        target: y, (3, H, W) in [0, 1].
        fit: x̂, (3, H, W) in [0, 1].
        proxy: t, (3, H, W); it may leave [0, 1] a little.
        true_proxy: that of the true gradient; None where the true loss is not there.
        figures: value of the network as a loss, true loss, cosine and norm ratio of both gradients; NaN
            where one is not known.
    """

    step: int
    target: Tensor
    fit: Tensor
    proxy: Tensor
    true_proxy: Tensor | None
    figures: dict[str, float]

    @property
    def caption(self) -> str:
        """The figures on one line."""
        known = [f"{name} {value:.3g}" for name, value in self.figures.items() if math.isfinite(value)]
        return f"step {self.step}:  {',  '.join(known)}"


def explain_pgn(
    pgn: str | os.PathLike[str] | PGNLoss | None,
    images: str | Path | Tensor,
    out: str | Path,
    *,
    loss: str | ImageLoss | None = None,
    driver: str = "pgn",
    generator: str = "image-prior",
    steps: int = 300,
    rows: int = 6,
    frames: int = 32,
    side: int = 96,
    count: int = 4,
    seed: int = 0,
    animation: str = "gif",
    device: str = "cpu",
    progress: Progress | None = None,
) -> list[Path]:
    """Draw what a gradient network wants changed along a fit: panels and an animation for each image.

    Args:
        pgn: name or file of a checkpoint, or a loss made of a network; None: the one of the package.
        images: folder or file of photographs, or a tensor (N, 3, S, S) in [0, 1].
        out: folder for ``IMAGE.png`` (rows: steps), ``IMAGE.gif`` and ``explain.json`` (the figures).
        loss: the imitated loss; None: the one that the checkpoint names, left out where it cannot be had.
        driver: what drives the fit: ``pgn``, ``true`` or ``mse``.
        generator: ``image-prior`` or ``deep-decoder``.
        steps: of the fit.
        rows: steps in the panels.
        frames: of the animation.
        side: of the images, in pixels.
        count: most images.
        seed: of the generator.
        animation: ``gif``, ``apng`` or ``none``.
        device: where.
        progress: told after each step that is looked at.

    Returns:
        The files.

    Raises:
        UnknownNameError: there is no such network, loss, driver, generator or animation.
        WeightsError: the checkpoint is damaged or imitates another loss.
        ImageError: the images cannot be used.
        ConfigError: a number that does not fit.
    """
    for name, got, known in (("driver", driver, DRIVERS), ("animation", animation, ANIMATIONS)):
        if got not in known:
            raise unknown_name(name, got, known)
    if min(steps, rows, frames, count) < 1:
        raise ConfigError("steps, rows, frames and count must be 1 or more")
    judged = load_judged(pgn, loss, device=device)
    crops = _crops(images, side, count)
    at = sorted({*spread(steps, rows), *(spread(steps, frames) if animation != "none" else [])})
    views = list(_views(judged, crops.images.to(device), driver, generator, at, seed, progress))
    folder = make_folder(Path(out))
    written = []
    shown = set(spread(steps, rows))
    for index, name in enumerate(_file_names(crops.names)):
        own = [view[index] for view in views]
        written.append(draw_panels([view for view in own if view.step in shown], folder / f"{name}.png"))
        if animation != "none":
            written.append(draw_animation(own, folder / _animated(name, animation), kind=animation))
    return [*written, _write_figures(judged, crops.names, views, folder / "explain.json")]


def _animated(name: str, animation: str) -> str:
    return f"{name}.gif" if animation == "gif" else f"{name}-fit.png"


def _crops(images: str | Path | Tensor, side: int, count: int) -> Crops:
    if not isinstance(images, Tensor):
        return read_crops(images, side=side, count=count)
    if images.ndim != 4 or images.shape[1] != 3 or not len(images):
        raise ImageError(
            f"images must be a folder, a file or a tensor (N, 3, S, S); got {tuple(images.shape)}"
        )
    return Crops(images[:count], tuple(str(k) for k in range(len(images[:count]))))


def _views(
    judged: Judged, targets: Tensor, driver: str, generator: str, at: Sequence[int], seed: int,
    progress: Progress | None,
) -> Iterator[list[View]]:  # fmt: skip
    """At each step a view of every image."""
    if generator not in POPULATIONS:
        raise unknown_name("generator", generator, POPULATIONS)
    if judged.true is None:
        logger.warning("the true loss is left out: %s", judged.lacking)
    # MSE, and the true loss's place where it is not there, need no weights
    true = judged.needed() if driver == "true" else judged.true or judged.pgn
    rivals = {rival.key: rival for rival in make_rivals(true, judged.pgn, targets, cuts=(), every=())}
    path = trajectory(generator, rivals[driver], targets, steps=at[-1], at=at, seed=seed)
    fields = _Fields(judged, targets)
    for done, stop in enumerate(path, 1):
        yield list(fields.views(stop))
        if progress is not None:
            progress(done, len(at), f"step {stop.step}")


class _Fields:
    """Predicted and true gradient for the same targets."""

    def __init__(self, judged: Judged, targets: Tensor) -> None:
        self.pgn = judged.pgn
        self.true = None if judged.true is None else per_image(judged.true)
        self.targets = targets
        self.predicted: Field = loss_field(self.pgn, targets)
        self.actual: Field | None = None if self.true is None else loss_field(self.true, targets)

    def views(self, stop: Stop) -> Iterator[View]:
        """Of each image at a stop of the fit."""
        x = stop.images
        predicted = self.predicted(x, stop.step)
        actual = None if self.actual is None else self.actual(x, stop.step)
        proxy = self.pgn.proxy(x, self.targets)
        true_proxy = None if actual is None else self._true_proxy(x, actual)
        columns = self._figures(x, predicted, actual)
        for k in range(len(x)):
            figures = {name: float(values[k]) for name, values in columns.items()}
            own = None if true_proxy is None else true_proxy[k].cpu()
            yield View(stop.step, self.targets[k].cpu(), x[k].cpu(), proxy[k].cpu(), own, figures)

    def _true_proxy(self, images: Tensor, gradient: Tensor) -> Tensor:
        """The proxy target that the true gradient stands for; all in [0, 1]."""
        network = self.pgn.pgn
        normalised = gradient * network.std  # with respect to normalised images
        t = proxy_of_gradient(network.normalise(images), normalised, network.architecture.grad_scale)
        return network.denormalise(t)

    def _figures(self, images: Tensor, predicted: Tensor, actual: Tensor | None) -> dict[str, Tensor]:
        with torch.no_grad():
            found: dict[str, Tensor] = {"predicted": self.pgn(images, self.targets)}
            if self.true is not None and actual is not None:
                cosine, ratio, _ = compare(predicted, actual)
                true = self.true(images, self.targets)
                found |= {"true loss": true, "cosine": cosine, "norm ratio": ratio}
        return found


def _file_names(names: Sequence[str]) -> list[str]:
    """Names for files, unique."""
    found: list[str] = []
    for name in names:
        stem = re.sub(r"[^\w.+=@-]", "_", str(Path(name).with_suffix("")))[:80] or "image"
        found.append(stem if stem not in found else f"{stem}-{len(found)}")
    return found


def _write_figures(judged: Judged, names: Sequence[str], views: Sequence[Sequence[View]], path: Path) -> Path:
    steps = [[{"step": view.step, **view.figures} for view in column] for column in zip(*views, strict=True)]
    about = {
        "pgn": judged.pgn.signature(),
        "true": None if judged.true is None else judged.true.signature(),
        "images": [{"image": name, "steps": own} for name, own in zip(names, steps, strict=True)],
    }
    with atomic_write(path, "w", error=DataError) as file:
        file.write(json.dumps(plain(about), indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    return path
