"""A benchmark that fits something to each image with each loss: what image prior and inversion share."""

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

from lossnets.benchmarks.base import Evaluation, Progress, ScoreKind, Workload, check_profile
from lossnets.benchmarks.engine import Recipe, Task, TrainingBenchmark, seeded_model
from lossnets.benchmarks.fitting.images import Targets, how_many, read_targets
from lossnets.benchmarks.fitting.model import FittedModel
from lossnets.benchmarks.fitting.profiles import FitSize
from lossnets.benchmarks.fitting.scores import SCORES, measure, score_rows
from lossnets.benchmarks.fitting.task import FittingTask, Phase, groups_of
from lossnets.benchmarks.pictures import MAX_ROWS, OUTPUT, save_picture
from lossnets.benchmarks.super_resolution.data import ImageSet
from lossnets.benchmarks.super_resolution.judge import Judge, shared_network
from lossnets.errors import ConfigError, LossnetsError
from lossnets.losses import ImageLoss

TARGET = "target"


class FittingBenchmark(TrainingBenchmark):
    """A subclass says what is fitted, to which images, and in which phases.

    Args:
        judge: name of the loss whose distance is reported as ``lpips_judge``; files that it names
            (``weights=``, ``head=``) by absolute paths.
        precision: of what is fitted, see `lossnets.benchmarks.engine.Recipe`.

    Attributes:
        phase_names: of every fit; all but the last are references: ``SCORE@NAME``.

    Raises:
        ConfigError: an option has a value that is not allowed.
    """

    scores: ClassVar[tuple[ScoreKind, ...]] = SCORES
    phase_names: ClassVar[tuple[str, ...]] = (OUTPUT,)
    sheet_columns: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = ((), (TARGET,))

    def __init__(self, *, judge: str, precision: str) -> None:
        self._judge, self._precision = Judge(judge), precision
        Recipe(1, 1, precision=precision)  # raises for an unknown precision now, not in the run
        self._read: dict[str, Targets] = {}

    def forget(self) -> None:
        """See `KeepsData.forget`."""
        self._read = {}

    @abc.abstractmethod
    def image_set(self) -> ImageSet:
        """The pictures that are fitted.

        Raises:
            DataError: a folder is missing or has no image.
        """

    @abc.abstractmethod
    def build(self, profile: str, count: int) -> FittedModel:
        """What is fitted to so many images, in groups; parameters are drawn later."""

    @abc.abstractmethod
    def phases(self, loss: ImageLoss | None, profile: str) -> tuple[Phase, ...]:
        """The phases of every fit; without a loss their lengths count only."""

    def frame(self, profile: str) -> tuple[int, int]:
        """Height and width of what is fitted."""
        return (self._size(profile).side,) * 2

    def prepare(self) -> None:
        """Find all images; what cannot be read or is too small is found when a run needs it."""
        self.image_set()

    def data_fingerprint(self) -> str:
        """sha256 over names and contents of all files, and a judge that is not the default."""
        parts = [self.image_set().fingerprint(), *self.more_identity()]
        own = self._judge.identity()
        return hashlib.sha256("\0".join([*parts, *(["judge", own] if own else [])]).encode()).hexdigest()

    def more_identity(self) -> Sequence[str]:
        """What else the scores depend on; nothing by default."""
        return ()

    def workload(self, profile: str) -> Workload:
        """Resources of one run at a profile."""
        size, count = self._size(profile), self._count(profile)
        phases = self.phases(None, profile)
        epochs = sum(phase.epochs for phase in phases)
        height, width = self.frame(profile)
        numbers = self.build(profile, count).state_dict().values()
        return Workload(
            step_images=size.group,
            steps=groups_of(count, size.group) * epochs * size.stretch,
            side=round((height * width) ** 0.5),
            comparisons=sum(phase.epochs for phase in phases if phase.loss) / epochs,
            model_bytes=sum(n.numel() * n.element_size() for n in numbers),
        )

    def example(self, profile: str) -> tuple[nn.Module, Tensor]:
        """See `TrainingBenchmark.example`."""
        size = self._size(profile)
        return self.build(profile, size.group), torch.rand(size.group, 3, *self.frame(profile))

    def task(self, loss: ImageLoss, *, seed: int, profile: str) -> FittingTask:
        """Fresh fits; images and judge are read now, so that what is wrong with them is known first.

        Raises:
            ImageError: an image cannot be read, or is too small.
            MissingExtraError: a package with the judge's LPIPS head is missing.
            WeightsError: the judge's weights are missing or damaged.
        """
        size, targets = self._size(profile), self.targets(profile)
        self._judge.load()
        return FittingTask(
            loss,
            seeded_model(lambda: self.build(profile, len(targets)), seed),
            targets.images,
            phases=self.phases(loss, profile),
            stretch=size.stretch,
            lr=size.lr,
            seed=seed,
            precision=self._precision,
        )

    def targets(self, profile: str) -> Targets:
        """The images of a profile, read once; errors as in `task`."""
        if profile not in self._read:
            size = self._size(profile)
            self._read[profile] = read_targets(
                self.image_set(), self.frame(profile), limit=size.images, parts=size.parts, shrunk=size.shrunk
            )
        return self._read[profile]

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
        """Scores of what came out for every image, with pictures of a few."""
        if not isinstance(task, FittingTask):
            raise ConfigError(f"task must be one that this benchmark made; got {type(task).__name__}.")
        size, targets, judge = self._size(profile), self.targets(profile), self._judge.load().to(device)
        found = dict(zip(self.phase_names, task.model.found, strict=True))
        columns = measure(found[OUTPUT], targets, judge, device)
        for name in self.phase_names[:-1]:
            before = measure(found[name], targets, judge, device)
            columns |= {f"{score}@{name}": values for score, values in before.items()}
        _save(folder, {**found, TARGET: targets.images}, targets)
        note = shared_network(task.loss, judge)
        scores = score_rows(columns, targets, resamples=size.resamples, seed=seed, judge_note=note)
        items: dict[str, NDArray[np.generic]] = {
            "image": np.array(targets.names),
            "source": np.array(targets.sources),
            **columns,
        }
        facts = self._facts(task, size, targets) | {
            "judge": self._judge.name,
            "judge_signature": judge.signature(),
            "judge_note": note,
            "bootstrap": size.resamples,
        }
        return Evaluation(scores, items, facts)

    def _size(self, profile: str) -> FitSize:
        check_profile(self.name, profile, self.profiles)
        size: FitSize = self.sizes[profile]
        return size

    def _count(self, profile: str) -> int:
        """Images of a run; the most that the profile has, where the data are not there."""
        size = self._size(profile)
        try:
            return how_many(len(self.image_set()), size.images, size.parts)
        except LossnetsError:  # the estimate of a plan whose data are missing
            return size.images

    def _facts(
        self, task: FittingTask, size: FitSize, targets: Targets
    ) -> dict[str, str | int | float | None]:
        own = sum(p.numel() for p in task.model.parameters() if p.requires_grad)
        steps = [phase.epochs * size.stretch for phase in task.phases]
        height, width = targets.images.shape[-2:]
        return {
            "training_images": len(targets),
            "validation_images": 0,
            "pictures": len(set(targets.sources)),
            "image_part": f"{height}x{width}{', shrunk' if size.shrunk else ''}",
            "parameters_per_image": own // task.model.group,
            "steps_per_image": sum(steps),
            "steps_of_phases": ", ".join(map(str, steps)),
            "lr": size.lr,
        }


def _save(folder: Path, columns: Mapping[str, Tensor], targets: Targets) -> None:
    """Pictures of a few images: different pictures first."""
    order = sorted(range(len(targets)), key=lambda k: targets.sources[:k].count(targets.sources[k]))
    for k in sorted(order[:MAX_ROWS]):
        for column, images in columns.items():
            save_picture(folder, targets.names[k], column, images[k])
