"""The autoencoding benchmark: how much of an image is left in 64 numbers, when a loss decides what counts."""

from __future__ import annotations

import abc
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor, nn

from lossnets.benchmarks.autoencoding.data import Corpus, parts
from lossnets.benchmarks.autoencoding.evaluation import SCORES, evaluate
from lossnets.benchmarks.autoencoding.network import check_width, image_autoencoder
from lossnets.benchmarks.autoencoding.profiles import SIZES, VALIDATION_SHARE, Size
from lossnets.benchmarks.autoencoding.schemes import scheme_named
from lossnets.benchmarks.autoencoding.task import AutoencodingTask, check_gamma
from lossnets.benchmarks.base import (
    Evaluation,
    Progress,
    ScoreKind,
    Workload,
    check_profile,
)
from lossnets.benchmarks.engine import Recipe, Task, TrainingBenchmark, generator, seeded_model
from lossnets.errors import ConfigError, LossnetsError
from lossnets.losses import ImageLoss

_TIMED_IMAGES = 32


class Autoencoding(TrainingBenchmark):
    """What the kinds of data share (Pihlgren et al. 2020 and 2021; `docs/autoencoding.md`).

    Args:
        gamma: 0: deterministic autoencoder; else the weight of the divergence of a variational one.
        scheme: training scheme, see `lossnets.benchmarks.autoencoding.schemes`.
        z: width of the embedding.
        precision: of the autoencoder's training, see `lossnets.benchmarks.engine.Recipe`.

    Raises:
        ConfigError: an option has a value that is not allowed.
    """

    sizes = SIZES
    scores: ClassVar[tuple[ScoreKind, ...]] = SCORES
    sheet_columns: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = (("input",), ())
    published: ClassVar[tuple[int, int]] = (0, 64)
    """Training images of the autoencoder, and their side after padding; 0: any number."""

    def __init__(self, gamma: float = 0.0, scheme: str = "I-I", z: int = 64, precision: str = "32") -> None:
        self._gamma, self._scheme, self._z = check_gamma(gamma), scheme_named(scheme), check_width(z)
        self._scheme_name = self._scheme.name  # as text, which a checkpoint's identity is made of
        self._precision = precision
        self._recipe(SIZES["smoke"])  # refuses a precision that there is not
        self._corpus: Corpus | None = None

    def forget(self) -> None:
        """See `KeepsData.forget`."""
        self._corpus = None

    @abc.abstractmethod
    def read(self) -> Corpus:
        """Find and read the data set; images of folders are decoded when used."""

    @property
    def corpus(self) -> Corpus:
        """The data set, read once."""
        if self._corpus is None:
            self._corpus = self.read().check()
        return self._corpus

    def prepare(self) -> None:
        """Find and check the data.

        Raises:
            DataError: something is missing or malformed.
        """
        self.corpus.train.images.batch([0])

    def data_fingerprint(self) -> str:
        """sha256 over names, labels and contents of files; of the packaged digits, over their pixels."""
        return self.corpus.fingerprint

    def workload(self, profile: str) -> Workload:
        """Steps of the autoencoder alone, predictors and test not included.

        Seven predictors and the one on raw pixels are trained in the test, on rows of numbers. That is
        short with few labelled images, but at ``paper`` it can be 916,000 (small) steps for SVHN: 8 times
        at most 500 epochs of 229 batches.

        Where the data are not there, of the published numbers of images, or of the profile's.
        """
        check_profile(self.name, profile, self.profiles)
        size = SIZES[profile]
        images, side = self._training(size)
        recipe = self._recipe(size)
        model = image_autoencoder((side, side), self._z, self._gamma > 0)
        content = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
        return Workload(
            step_images=min(recipe.batch_size, max(images, 1)),
            steps=recipe.epochs * recipe.steps_per_epoch(images),
            side=side,
            model_bytes=content,
        )

    def _training(self, size: Size) -> tuple[int, int]:
        """Images that the autoencoder learns from, without those for validation, and their side."""
        whole, side = self.published
        if self._corpus is None and not whole:
            with contextlib.suppress(LossnetsError):
                self._corpus = self.read().check()
        limit = size.autoencoder_images
        if self._corpus is not None:
            side = max(self._corpus.train.images.size)
            whole = len(self._corpus.unlabelled or self._corpus.train)
            if self._corpus.unlabelled is None:
                limit = size.labelled_images
                if self._corpus.validation is not None:
                    return min(whole, limit or whole), side
        drawn = min(whole, limit or whole) or (limit or 0)
        return drawn - round(VALIDATION_SHARE * drawn), side

    def bare_step(self, profile: str, device: str) -> Callable[[], int]:
        """A step of the image autoencoder with squared differences of pixels; returns its images."""
        size = SIZES[profile]
        side = self._training(size)[1]
        count = min(size.batch_size, _TIMED_IMAGES)
        model = seeded_model(lambda: image_autoencoder((side, side), self._z, self._gamma > 0), 0)
        model.to(device).train()
        optimiser = torch.optim.Adam(model.parameters())
        images = torch.rand(count, 3, side, side, generator=generator(0, "bare step")).to(device)

        def step() -> int:
            optimiser.zero_grad()
            loss = torch.nn.functional.mse_loss(model(images).output, images)
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            return count

        return step

    def _recipe(self, size: Size) -> Recipe:
        return Recipe(
            epochs=size.epochs,
            batch_size=size.batch_size,
            patience=size.patience,
            precision=self._precision,
        )

    def example(self, profile: str) -> tuple[nn.Module, Tensor]:
        """See `TrainingBenchmark.example`."""
        side = self.workload(profile).side
        images = torch.rand(SIZES[profile].batch_size, 3, side, side)
        return image_autoencoder((side, side), self._z, self._gamma > 0), images

    def task(self, loss: ImageLoss, *, seed: int, profile: str) -> AutoencodingTask:
        """A fresh autoencoder, its images and the loss.

        Labelled images are read once: what the test would trip over is to be known before the training.

        Raises:
            DataError: an image has another size than the others.
            ConfigError: the scheme cannot use the loss.
            ImageError: an image cannot be read, or the images are too small for the loss network.
        """
        size = SIZES[profile]
        made = parts(self.corpus, size, seed)
        for part in (made.train, made.validation, made.test):
            part.images.check()
        return AutoencodingTask(
            loss,
            made,
            self._recipe(size),
            scheme=self._scheme,
            gamma=self._gamma,
            z=self._z,
            hidden_limit=size.hidden_limit,
            seed=seed,
        )

    def test(
        self,
        task: Task,
        *,
        seed: int,
        profile: str,
        device: str,
        folder: Path,
        progress: Progress | None = None,  # noqa: ARG002 - the steps that it counts are the training's
    ) -> Evaluation:
        """Accuracy of the predictors, quality of the reconstructions, pictures."""
        if not isinstance(task, AutoencodingTask):
            raise ConfigError(f"task must be one that this benchmark made; got {type(task).__name__}.")
        classes = self.corpus.classes
        return evaluate(task, classes, SIZES[profile], seed=seed, device=device, folder=folder)
