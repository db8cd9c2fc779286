"""The delineation benchmark: train with a loss, then find roads on whole test images."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lossnets.benchmarks.base import Evaluation, Progress, Workload, check_profile
from lossnets.benchmarks.delineation.data import Scenes
from lossnets.benchmarks.delineation.metrics import BUFFER, THRESHOLD, Map, best_threshold, count
from lossnets.benchmarks.delineation.network import STRIDE, Delineator
from lossnets.benchmarks.delineation.objective import bce
from lossnets.benchmarks.delineation.profiles import SIZES
from lossnets.benchmarks.delineation.results import KINDS, Measured, item_columns, score_rows, stacked
from lossnets.benchmarks.delineation.splits import TRAIN
from lossnets.benchmarks.delineation.task import DelineationTask, crop_side
from lossnets.benchmarks.engine import Task, TrainingBenchmark
from lossnets.benchmarks.engine.task import PRECISIONS
from lossnets.benchmarks.pictures import MAX_ROWS, OUTPUT, save_picture
from lossnets.errors import ConfigError, DataError
from lossnets.losses import ImageLoss

COLOURS = {"found": (0.0, 0.8, 0.0), "wrong": (0.9, 0.0, 0.0), "missed": (0.1, 0.3, 1.0)}
"""Of the overlay: true positives, false positives, false negatives."""
MU, REFINEMENTS = 0.01, 3


class Delineation(TrainingBenchmark):
    """What all kinds of delineation data share; a subclass finds the scenes.

    Args:
        mu: weight of the loss beside the cross-entropy.
        refinements: K, how often the network sees its own prediction.
        precision: of the training: "32", "bf16-mixed" or "16-mixed"; it is tested in float32.

    Raises:
        ConfigError: an option is out of range.
    """

    sizes = SIZES
    scores = KINDS
    sheet_columns: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = (("image", "label"), ())

    def __init__(self, *, mu: float = MU, refinements: int = REFINEMENTS, precision: str = "32") -> None:
        if isinstance(mu, bool) or not isinstance(mu, int | float) or not 0 <= mu < float("inf"):
            raise ConfigError(f"mu must be a number, 0 or more; got {mu!r}.")
        if isinstance(refinements, bool) or not isinstance(refinements, int) or refinements < 1:
            raise ConfigError(f"refinements must be a whole number, 1 or more; got {refinements!r}.")
        if precision not in PRECISIONS:
            raise ConfigError(f"precision must be one of {', '.join(PRECISIONS)}; got {precision!r}.")
        self._mu, self._refinements, self._precision = float(mu), refinements, precision
        self._scenes: dict[str, Scenes] = {}

    def forget(self) -> None:
        """See `KeepsData.forget`."""
        self._scenes = {}

    @abc.abstractmethod
    def find(self, profile: str) -> Scenes:
        """Find and check the scenes; the profile matters to generated ones only."""

    def scenes(self, profile: str) -> Scenes:
        """The scenes of a profile, found once."""
        check_profile(self.name, profile, self.profiles)
        if profile not in self._scenes:
            self._scenes[profile] = self.find(profile)
        return self._scenes[profile]

    def prepare(self) -> None:
        """Find the scenes, check their sizes and splits.

        Raises:
            DataError: something is missing or malformed.
            ImageError: a file is no image.
        """
        self.scenes(self.profiles[-1])

    def data_fingerprint(self) -> str:
        """sha256 over names, splits and contents of the files."""
        return self.scenes(self.profiles[0]).fingerprint

    def workload(self, profile: str) -> Workload:
        """Resources of one run."""
        check_profile(self.name, profile, self.profiles)
        size, (images, side) = SIZES[profile], self.training_images(profile)
        images = images if size.train is None else min(images, size.train)
        model = Delineator(self._refinements, size.widths)
        tensors = [*model.parameters(), *model.buffers()]
        return Workload(
            step_images=size.batch_size,
            steps=size.epochs * -(-images // size.batch_size),
            side=crop_side(size, side),
            comparisons=self._refinements,
            model_bytes=sum(t.numel() * t.element_size() for t in tensors),
        )

    def training_images(self, profile: str) -> tuple[int, int]:
        """How many training images there are, and the shortest side of any."""
        scenes = self.scenes(profile)
        return len(scenes.of(TRAIN)), scenes.side

    def example(self, profile: str) -> tuple[nn.Module, Tensor]:
        """See `TrainingBenchmark.example`."""
        size = SIZES[profile]
        images = torch.rand(size.batch_size, 3, size.crop, size.crop)
        return Delineator(self._refinements, size.widths), images

    def task(self, loss: ImageLoss, *, seed: int, profile: str) -> DelineationTask:
        """See `TrainingBenchmark.task`; the images that are for validation and testing are read once before.

        Raises:
            DataError: one of them is too small, or its mask has another size or more than two levels.
            ImageError: one of them cannot be read.
        """
        task = DelineationTask(
            self.scenes(profile),
            loss,
            SIZES[profile],
            seed=seed,
            mu=self._mu,
            refinements=self._refinements,
            precision=self._precision,
        )
        task.scenes.check((*task.validation, *task.test), STRIDE)
        return task

    def test(
        self,
        task: Task,
        *,
        seed: int,
        profile: str,
        device: str,
        folder: Path,
        progress: Progress | None = None,  # noqa: ARG002 - testing is short beside training
    ) -> Evaluation:
        """Completeness, correctness, quality and F1 of whole test images; see `metrics`."""
        if not isinstance(task, DelineationTask):
            raise ConfigError(f"delineation tests its own task; got {type(task).__name__}.")
        threshold = best_threshold(_predictions(task, task.validation, device))
        found = measure(task, threshold, device, folder)
        return Evaluation(
            score_rows(found, resamples=SIZES[profile].resamples, seed=seed),
            item_columns(found),
            self._facts(task, profile) | {"threshold_tuned": threshold, "test_images": len(found.names)},
        )

    def _facts(self, task: DelineationTask, profile: str) -> dict[str, str | int | float | None]:
        size = SIZES[profile]
        return {
            "mu": self._mu if task.term is not None else 0.0,
            "refinements": self._refinements,
            "widths": " ".join(map(str, size.widths)),
            "crop": task.crop,
            "lr": task.recipe.lr,
            "validation_side": size.validation_side,
            "threshold": THRESHOLD,
            "buffer_pixels": BUFFER,
            "bootstrap": size.resamples,
            "fingerprint": task.scenes.fingerprint,
        }


def predicted_logits(task: DelineationTask, index: int, device: str) -> tuple[Tensor, Tensor, Tensor]:
    """One whole scene and the last refinement's logits for it -> image (3, H, W), mask and logits (1, H, W).

    Raises:
        DataError: a logit is not finite.
    """
    image, mask = task.scenes.read(index)
    with torch.no_grad():
        logits = task.model(image[None].to(device))[-1][0].cpu()
    if not bool(torch.isfinite(logits).all()):
        name = task.scenes.names[index]
        raise DataError(f"the prediction for image {name!r} is not finite; the training has diverged.")
    return image, mask, logits


def _predictions(
    task: DelineationTask, indices: tuple[int, ...], device: str
) -> Iterator[tuple[NDArray[np.float32], Map]]:
    """Probabilities and labels, each (H, W)."""
    for index in indices:
        _, mask, logits = predicted_logits(task, index, device)
        yield torch.sigmoid(logits)[0].numpy(), mask[0].numpy() > 0


def measure(task: DelineationTask, tuned: float, device: str, folder: Path) -> Measured:
    """Count the pixels of every test image; pictures of a few.

    Args:
        task: with its trained model.
        tuned: threshold that is best on validation.
        device: of the model.
        folder: of the pictures.
    """
    scenes = task.scenes
    indices = task.test
    fixed, best, everything, entropies, pixels = [], [], [], [], []
    shown = {i * len(indices) // MAX_ROWS for i in range(MAX_ROWS)}
    for number, index in enumerate(indices):
        image, mask, logits = predicted_logits(task, index, device)
        probability, true = torch.sigmoid(logits)[0].numpy(), mask[0].numpy() > 0
        predicted = probability >= THRESHOLD
        fixed.append(count(predicted, true))
        best.append(count(probability >= tuned, true))
        everything.append(count(np.ones_like(true), true))
        entropies.append(float(bce(logits, mask)))
        pixels.append(true.size)
        if number in shown:
            _save_pictures(folder, scenes.names[index], image, true, predicted)
    return Measured(
        tuple(scenes.names[i] for i in indices),
        tuple(scenes.groups[i] for i in indices),
        stacked(fixed),
        stacked(best),
        stacked(everything),
        np.array(entropies),
        np.array(pixels, dtype=np.float64),
    )


def _save_pictures(folder: Path, row: str, image: Tensor, true: Map, predicted: Map) -> None:
    label = torch.from_numpy(true).float().expand(3, -1, -1)
    save_picture(folder, row, "image", image)
    save_picture(folder, row, "label", label)
    save_picture(folder, row, OUTPUT, overlay(image, true, predicted))


def overlay(image: Tensor, true: Map, predicted: Map) -> Tensor:
    """Found roads green, wrong ones red, missed ones blue, on the darkened grey image: (3, H, W)."""
    grey = image.mean(0, keepdim=True).expand(3, -1, -1) * 0.6
    picture = grey.clone()
    areas = {"found": true & predicted, "wrong": ~true & predicted, "missed": true & ~predicted}
    for name, area in areas.items():
        picture[:, torch.from_numpy(area)] = torch.tensor(COLOURS[name])[:, None]
    return picture
