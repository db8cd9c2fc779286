"""The autoencoding benchmark: how much of an image is left in 64 numbers, when a loss decides what counts."""

from __future__ import annotations

import abc
from pathlib import Path
from typing import Any, ClassVar

from lossnets.benchmarks.autoencoding.data import Corpus, parts
from lossnets.benchmarks.autoencoding.evaluation import SCORES, evaluate
from lossnets.benchmarks.autoencoding.network import check_width, image_autoencoder
from lossnets.benchmarks.autoencoding.profiles import SIZES, VALIDATION_SHARE, Size
from lossnets.benchmarks.autoencoding.readers import (
    TEST_SHARE,
    read_digits,
    read_folder,
    read_stl10,
    read_svhn,
)
from lossnets.benchmarks.autoencoding.schemes import scheme_named
from lossnets.benchmarks.autoencoding.task import AutoencodingTask, check_gamma
from lossnets.benchmarks.base import (
    Evaluation,
    Progress,
    ScoreKind,
    Workload,
    check_profile,
    register_benchmark,
)
from lossnets.benchmarks.engine import Recipe, Task, TrainingBenchmark
from lossnets.errors import ConfigError
from lossnets.losses import ImageLoss


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

    scores: ClassVar[tuple[ScoreKind, ...]] = SCORES
    sheet_columns: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = (("input",), ())

    def __init__(self, gamma: float = 0.0, scheme: str = "I-I", z: int = 64, precision: str = "32") -> None:
        self._gamma, self._scheme, self._z = check_gamma(gamma), scheme_named(scheme), check_width(z)
        self._precision = precision
        self._recipe(SIZES["smoke"])  # refuses a precision that there is not
        self._corpus: Corpus | None = None

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
        """sha256 over names, labels and sizes of files; of the packaged digits, over their pixels."""
        return self.corpus.fingerprint

    def workload(self, profile: str) -> Workload:
        """Steps of the autoencoder, predictors not counted."""
        check_profile(self.name, profile, self.profiles)
        size, corpus = SIZES[profile], self.corpus
        drawn = min(len(corpus.train), size.labelled_images or len(corpus.train))
        images = drawn if corpus.validation else drawn - round(VALIDATION_SHARE * drawn)
        if corpus.unlabelled is not None:
            count = len(corpus.unlabelled)
            drawn = min(count, size.autoencoder_images or count)
            images = drawn - round(VALIDATION_SHARE * drawn)
        recipe = self._recipe(size)
        batch = min(recipe.batch_size, images)
        model = image_autoencoder(corpus.train.images.size, self._z, self._gamma > 0)
        content = sum(t.numel() * t.element_size() for t in (*model.parameters(), *model.buffers()))
        return Workload(
            batch,
            recipe.epochs * recipe.steps_per_epoch(images),
            max(corpus.train.images.size),
            model_bytes=content,
        )

    def _recipe(self, size: Size) -> Recipe:
        return Recipe(
            epochs=size.epochs,
            batch_size=size.batch_size,
            patience=size.patience,
            precision=self._precision,
        )

    def task(self, loss: ImageLoss, *, seed: int, profile: str) -> AutoencodingTask:
        """A fresh autoencoder, its images and the loss.

        Raises:
            ConfigError: the scheme cannot use the loss.
            ImageError: the images are too small for the loss network.
        """
        size = SIZES[profile]
        return AutoencodingTask(
            loss,
            parts(self.corpus, size, seed),
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
        progress: Progress | None = None,  # noqa: ARG002 - seconds
    ) -> Evaluation:
        """Accuracy of the predictors, quality of the reconstructions, pictures."""
        if not isinstance(task, AutoencodingTask):
            raise ConfigError(f"task must be one that this benchmark made; got {type(task).__name__}.")
        classes = self.corpus.classes
        return evaluate(task, classes, SIZES[profile], seed=seed, device=device, folder=folder)


@register_benchmark
class AutoencodingSample(Autoencoding):
    """Autoencoding of the packaged digits, 64×64: autoencoder and predictors learn from the same images."""

    name = "autoencoding-sample"
    data = "sample-digits"
    profiles = ("small", "smoke")

    def read(self) -> Corpus:
        """See `read_digits`."""
        return read_digits()


@register_benchmark
class AutoencodingFolders(Autoencoding):
    """Autoencoding of a folder of labelled images of one size.

    Args:
        root: folder with ``labels.csv``, or with a sub-folder for each class.
        csv: another table of file names, classes and, perhaps, splits.
        autoencoder: folder of images without classes that the autoencoder learns from; None: the
            training images.
        test_share: of images that become the test set where the data have no splits.
        **settings: see `Autoencoding`.
    """

    name = "autoencoding-folders"
    data = "labelled-folder"

    def __init__(
        self,
        root: Path,
        csv: Path | None = None,
        autoencoder: Path | None = None,
        *,
        test_share: float = TEST_SHARE,
        gamma: float = 0.0,
        scheme: str = "I-I",
        z: int = 64,
        precision: str = "32",
    ) -> None:
        super().__init__(gamma, scheme, z, precision)
        self._root, self._test_share = Path(root).expanduser(), test_share
        self._csv = None if csv is None else Path(csv).expanduser()
        self._autoencoder = None if autoencoder is None else Path(autoencoder).expanduser()

    def read(self) -> Corpus:
        """See `read_folder`."""
        return read_folder(self._root, self._csv, self._autoencoder, self._test_share)


class _Torchvision(Autoencoding):
    """A data set of torchvision, in a folder or found through the catalogue."""

    reader: ClassVar[Any]

    def __init__(
        self,
        root: Path | None = None,
        *,
        gamma: float = 0.0,
        scheme: str = "I-I",
        z: int = 64,
        precision: str = "32",
    ) -> None:
        super().__init__(gamma, scheme, z, precision)
        self._root = None if root is None else Path(root).expanduser()

    def read(self) -> Corpus:
        """Read all three splits."""
        corpus: Corpus = type(self).reader(self._root)
        return corpus


@register_benchmark
class AutoencodingSTL10(_Torchvision):
    """Autoencoding of STL-10, 96×96: autoencoder unlabeled, predictors train, test test."""

    name = "autoencoding-stl10"
    data = "stl10"
    reader = staticmethod(read_stl10)


@register_benchmark
class AutoencodingSVHN(_Torchvision):
    """Autoencoding of SVHN, 32×32 padded to 64×64: autoencoder extra, predictors train, test test."""

    name = "autoencoding-svhn"
    data = "svhn"
    reader = staticmethod(read_svhn)
