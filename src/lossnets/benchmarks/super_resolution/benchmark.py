"""Super-resolution: train a network with each loss to enlarge images, compare what it makes with the truth.

Johnson, Alahi, Fei-Fei (ECCV 2016), as the study of Pihlgren et al. (arXiv 2302.04032) runs it, with whole
test images. See docs/super_resolution.md.
"""

from __future__ import annotations

import abc
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lossnets.benchmarks.base import (
    Evaluation,
    Progress,
    ScoreKind,
    Workload,
    check_profile,
)
from lossnets.benchmarks.engine import Task, TrainingBenchmark
from lossnets.benchmarks.super_resolution.data import ImageSet, Training, choose_training
from lossnets.benchmarks.super_resolution.examine import (
    LOW,
    TARGET,
    Examiner,
    WholeImage,
    images_to_test,
    save,
    shown,
)
from lossnets.benchmarks.super_resolution.judge import Judge, shared_network
from lossnets.benchmarks.super_resolution.network import SuperResolver
from lossnets.benchmarks.super_resolution.profiles import SIZES, Size
from lossnets.benchmarks.super_resolution.quality import REFERENCE, SCORES
from lossnets.benchmarks.super_resolution.rows import score_rows
from lossnets.benchmarks.super_resolution.scaling import SHRINKING, check_scale
from lossnets.benchmarks.super_resolution.task import SuperResolutionTask, recipe
from lossnets.errors import ConfigError, unknown_name
from lossnets.losses import DEFAULT_LOSS, ImageLoss


class SuperResolutionBenchmark(TrainingBenchmark):
    """What the kinds of data share; a subclass says where images are.

    Args:
        scale: 4 or 8.
        judge: name of the loss whose distance is reported as ``lpips_judge``; files that it names
            (``weights=``, ``head=``) by absolute paths.
        shrinking: how low resolution is made, see `low_resolution`.
        precision: of the training, see `Recipe`.

    Raises:
        ConfigError: an option has a value that is not allowed.
    """

    sizes = SIZES
    scores: ClassVar[tuple[ScoreKind, ...]] = SCORES
    sheet_columns = ((LOW, REFERENCE), (TARGET,))

    def __init__(
        self,
        *,
        scale: int = 4,
        judge: str = DEFAULT_LOSS,
        shrinking: str = "blurred",
        precision: str = "32",
    ) -> None:
        self._scale, self._judge = check_scale(scale), Judge(judge)
        if shrinking not in SHRINKING:
            raise unknown_name("way of shrinking", shrinking, SHRINKING)
        self._shrinking, self._precision = shrinking, precision
        recipe(SIZES["smoke"], precision)  # raises for an unknown precision now, not in the run
        self._examiners: dict[tuple[int | None, str], Examiner] = {}

    def forget(self) -> None:
        """See `KeepsData.forget`."""
        self._examiners = {}

    @abc.abstractmethod
    def training_sets(self) -> tuple[ImageSet, ImageSet | None]:
        """Training images, and validation images where they are a set of their own."""

    @abc.abstractmethod
    def test_sets(self) -> Mapping[str, ImageSet]:
        """Test images by the name of their set."""

    def prepare(self) -> None:
        """Find all images; what cannot be read or is too small is found when a run needs it.

        Raises:
            DataError: a folder is missing or has no image.
        """
        self.training_sets()
        self.test_sets()

    def data_fingerprint(self) -> str:
        """sha256 over names and contents of all files, names of the test sets, and a judge of one's own."""
        train, validation = self.training_sets()
        parts = ["train", train.fingerprint()]
        parts += ["validation", "" if validation is None else validation.fingerprint()]
        for split, images in self.test_sets().items():
            parts += [split, images.fingerprint()]
        own = self._judge.identity()
        if own:  # the default's weights are packaged; fingerprints of runs with it stay what they were
            parts += ["judge", own]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def workload(self, profile: str) -> Workload:
        """Resources of one run at a profile."""
        size = self._size(profile)
        numbers = SuperResolver(self._scale, size.width).state_dict().values()
        return Workload(
            step_images=size.batch_size,
            steps=size.epochs * recipe(size, self._precision).steps_per_epoch(size.crops),
            side=size.crop,
            model_bytes=sum(n.numel() * n.element_size() for n in numbers),
        )

    def example(self, profile: str) -> tuple[nn.Module, Tensor]:
        """See `TrainingBenchmark.example`."""
        size = self._size(profile)
        side = size.crop // self._scale
        return SuperResolver(self._scale, size.width), torch.rand(size.batch_size, 3, side, side)

    def task(self, loss: ImageLoss, *, seed: int, profile: str) -> SuperResolutionTask:
        """A fresh network and its crops.

        The judge is loaded and the test images are read: what the test would trip over is to be known
        before the training.

        Raises:
            DataError: no image is large enough.
            ImageError: a training or test image cannot be read, or a test image is too small.
            MissingExtraError: a package with the judge's LPIPS head is missing.
            WeightsError: the judge's weights are missing or damaged.
        """
        size = self._size(profile)
        self._judge.load()
        for image in images_to_test(self.test_sets(), size.test_images):
            image.read(self._scale, size.test_side)
        return SuperResolutionTask(
            loss,
            self._training(size),
            size,
            scale=self._scale,
            shrinking=self._shrinking,
            seed=seed,
            precision=self._precision,
        )

    def test(
        self,
        task: Task,
        *,
        seed: int,
        profile: str,
        device: str,
        folder: Path,
        progress: Progress | None = None,  # noqa: ARG002
    ) -> Evaluation:
        """Scores on every test image, with pictures of a few."""
        if not isinstance(task, SuperResolutionTask):
            raise ConfigError(f"task must be one that this benchmark made; got {type(task).__name__}.")
        size = self._size(profile)
        images = images_to_test(self.test_sets(), size.test_images)
        rows = shown(images)

        def show(image: WholeImage, pictures: Mapping[str, object]) -> None:
            if image in rows:
                save(folder, rows[image], pictures)  # type: ignore[arg-type]

        examiner = self._examiner(size, device)
        measured = list(examiner.examine(task.model, images, device, show))
        columns = {name: np.array([row[name] for row in measured]) for name in measured[0]}
        note = shared_network(task.loss, examiner.judge)
        items: dict[str, NDArray[np.generic]] = {
            "image": np.array([image.name for image in images]),
            "split": np.array([image.split for image in images]),
            **columns,
        }
        scores = score_rows(columns, images, resamples=size.resamples, seed=seed, judge_note=note)
        return Evaluation(scores, items, self._facts(size, task, images, examiner.judge, note))

    def _size(self, profile: str) -> Size:
        check_profile(self.name, profile, self.profiles)
        return SIZES[profile]

    def _training(self, size: Size) -> Training:
        train, validation = self.training_sets()
        return choose_training(
            train, validation, images=size.images, held_out=size.validation, side=size.crop
        )

    def _examiner(self, size: Size, device: str) -> Examiner:
        key = (size.test_side, device)
        if key not in self._examiners:
            judge = self._judge.load()
            self._examiners[key] = Examiner(self._scale, self._shrinking, size.test_side, judge, {})
        self._examiners[key].judge.to(device)
        return self._examiners[key]

    def _facts(
        self,
        size: Size,
        task: SuperResolutionTask,
        images: Sequence[WholeImage],
        judge: ImageLoss,
        note: str,
    ) -> dict[str, str | int | float | None]:
        sets = {split: len(all_images) for split, all_images in self.test_sets().items()}
        used = {split: sum(image.split == split for image in images) for split in sets}
        return {
            "scale": self._scale,
            "shrinking": self._shrinking,
            "width": size.width,
            "crop": size.crop,
            "crops": "fixed" if size.fixed else "new in every epoch",
            "image_files": len(task.training.paths),
            "images_left_out": task.training.left_out,
            "cached_target_bytes": task.cached_bytes,
            "test_images": ", ".join(f"{split}: {used[split]} of {n}" for split, n in sets.items()),
            "test_part": "whole" if size.test_side is None else f"central {size.test_side} pixels",
            "test_cut": f"right and bottom, to a multiple of {self._scale} pixels",
            "judge": self._judge.name,
            "judge_signature": judge.signature(),
            "judge_note": note,
            "bootstrap": size.resamples,
        }
