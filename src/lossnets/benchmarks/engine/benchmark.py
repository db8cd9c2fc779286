"""A benchmark that trains a model with each loss and tests what came out of it."""

from __future__ import annotations

import abc
import contextlib
import copy
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lossnets.benchmarks.base import (
    DistanceBank,
    Evaluation,
    Progress,
    RunsLosses,
    ScoreKind,
    Workload,
    check_profile,
)
from lossnets.benchmarks.engine.fit import BEST, LAST, LOG, MODEL, Execution, Fitted, fit
from lossnets.benchmarks.engine.task import Task
from lossnets.benchmarks.tensors import write_tensors
from lossnets.errors import ConfigError, DataChangedError, LossnetsError
from lossnets.losses import ImageLoss, LossSpec, load_loss
from lossnets.processes import undisturbed


class TrainingBenchmark(RunsLosses):
    """What all benchmarks but similarity share; a subclass says what is trained (or fitted) and tested.

    Each loss gets a training of its own, so a loss that fails (NaN, images too small for its network)
    takes none of the others with it. `evaluate` is the main entry.

    Attributes:
        trains: True; see `lossnets.benchmarks.Benchmark`.
        version: raised whenever a change of the code changes what a run comes to.
        sizes: profile -> dataclass of the numbers that make it (images, epochs, ...).
        sheet_columns: names of the pictures before and after a run's own in a sheet
            (`lossnets.benchmarks.pictures`).
    """

    name: ClassVar[str]
    data: ClassVar[str]
    scores: ClassVar[tuple[ScoreKind, ...]]
    profiles: ClassVar[tuple[str, ...]] = ("paper", "small", "smoke")
    trains: ClassVar[bool] = True
    version: ClassVar[int] = 1
    sizes: ClassVar[Mapping[str, Any]] = {}
    sheet_columns: ClassVar[tuple[tuple[str, ...], tuple[str, ...]]] = ((), ())

    @abc.abstractmethod
    def prepare(self) -> None:
        """Find and check the data; nothing is trained.

        Raises:
            DataError: something is missing or malformed.
        """

    @abc.abstractmethod
    def data_fingerprint(self) -> str:
        """sha256 over the files of training, validation and test, equal on every machine."""

    def protocol(self, profile: str) -> dict[str, Any]:
        """Version and numbers of a profile, part of a run's identity: a changed profile is another run."""
        size = self.sizes.get(profile)
        return {"version": self.version, **(asdict(size) if size is not None else {})}

    @abc.abstractmethod
    def workload(self, profile: str) -> Workload:
        """Resources of one run at a profile."""

    @abc.abstractmethod
    def example(self, profile: str) -> tuple[nn.Module, Tensor]:
        """The model and made-up input of one training step, for timing; no data are needed."""

    def bare_step(self, profile: str, device: str) -> Callable[[], int]:
        """A training step without a loss, on made-up input, that returns its number of images."""
        model, batch = self.example(profile)
        model, batch = model.to(device).train(), batch.to(device)

        def step() -> int:
            model.zero_grad()
            torch.stack([output.float().mean() for output in _tensors(model(batch))]).sum().backward()  # type: ignore[no-untyped-call]
            return len(batch)

        return step

    @abc.abstractmethod
    def task(self, loss: ImageLoss, *, seed: int, profile: str) -> Task:
        """A fresh model, the training data and the loss."""

    @abc.abstractmethod
    def test(
        self,
        task: Task,
        *,
        seed: int,
        profile: str,
        device: str,
        folder: Path,
        progress: Progress | None = None,
    ) -> Evaluation:
        """Scores of the trained model (best weights, eval mode) on the test data; pictures to the folder."""

    def evaluate(
        self,
        loss: str | LossSpec | ImageLoss,
        *,
        seed: int = 0,
        profile: str = "small",
        device: str = "cpu",
        folder: str | Path | None = None,
        progress: Progress | None = None,
        workers: int = 0,
        restart: bool = False,
    ) -> Evaluation:
        """Train with one loss, test the best epoch.

        Args:
            loss: a loss name, a spec, or a loss with reduction ``mean`` for images in [0, 1].
            seed: of initial weights, order of images, crops and noise.
            profile: see `profiles`.
            device: see `lossnets.benchmarks.engine.fit.Execution.parse`.
            folder: of checkpoints, logs and pictures; an interrupted training found there goes on.
                None: nothing is kept.
            progress: called with (steps done, steps at most).
            workers: processes that load images.
            restart: start again where the folder's checkpoint is damaged or of another training;
                False: raise.

        Raises:
            ConfigError: profile, device or loss is not allowed.
            DataError: the data are missing, or the training loss became NaN; or the data changed
                meanwhile (DataChangedError), and the folder's checkpoints are removed.
            ImageError: an image cannot be read, or is too small for the loss.
        """
        check_profile(self.name, profile, self.profiles)
        made = _mean_loss(loss)
        first = Execution.parse(device).first
        with undisturbed(), _place(folder) as place, _unchanged(made), _left_to_nobody(place), self.steady():
            task = self.task(made, seed=seed, profile=profile)
            fitted = fit(
                task,
                folder=place,
                seed=seed,
                device=device,
                identity=self._identity(made, profile),
                progress=progress,
                workers=workers,
                restart=restart,
            )
            task.model.to(first)
            with torch.no_grad():
                found = self.test(
                    task, seed=seed, profile=profile, device=first, folder=place, progress=progress
                )
            _keep_model_only(task, place, made)
        return replace(found, facts=_training_facts(task, fitted) | found.facts)

    def _identity(self, loss: ImageLoss, profile: str) -> str:
        """What a checkpoint must agree on; settings are the numbers and words that the object holds.

        Wherever data and weights lie: their contents are in it, their folders are not.
        """
        settings = {
            key: value
            for key, value in sorted(vars(self).items())
            if isinstance(value, (bool, int, float))
            or (isinstance(value, str) and not set("/\\") & set(value))
        }
        signature = str(loss.spec.portable()) + loss.signature().removeprefix(loss.name)
        parts = (self.name, self.protocol(profile), settings, signature, self.data_fingerprint())
        return repr(parts)

    def evaluate_many(
        self,
        losses: Sequence[Any] | DistanceBank,
        *,
        seed: int = 0,
        profile: str = "small",
        device: str = "cpu",
        folder: str | Path | None = None,
        progress: Progress | None = None,
        workers: int = 0,
    ) -> dict[str, Evaluation | LossnetsError]:
        """One training for each loss, by name; a loss that fails is answered with its error.

        Arguments as in `evaluate`; ``folder`` gets a folder for each of several losses. A checkpoint in
        it that cannot be gone on from is replaced.
        """
        check_profile(self.name, profile, self.profiles)
        found: dict[str, Evaluation | LossnetsError] = {}
        wanted = _each(losses)
        for number, loss in enumerate(wanted):
            name = loss.name if isinstance(loss, ImageLoss) else str(loss)
            place = folder if folder is None or len(wanted) == 1 else Path(folder) / f"{number:03d}"
            try:
                found[name] = self.evaluate(
                    loss,
                    seed=seed,
                    profile=profile,
                    device=device,
                    folder=place,
                    progress=progress,
                    workers=workers,
                    restart=True,
                )
            except LossnetsError as error:
                found[name] = error
        return found


def _tensors(output: Any) -> Iterator[Tensor]:
    """Tensors with a gradient in a model's output, however it is nested."""
    if isinstance(output, Tensor):
        if output.requires_grad:
            yield output
    elif isinstance(output, (list, tuple)):
        for part in output:
            yield from _tensors(part)


def _each(losses: Sequence[Any] | DistanceBank) -> list[Any]:
    """Losses of a list or of a `lossnets.losses.LossBank`."""
    built = getattr(losses, "losses", losses)
    if isinstance(built, Mapping):
        return list(built.values())
    if not isinstance(built, Sequence) or isinstance(built, str):
        raise ConfigError(
            f"losses must be a list of loss names or losses, or a LossBank; got {type(losses).__name__}. "
            "A stand-in that gives distances only cannot be trained with."
        )
    return list(built)


def _mean_loss(loss: str | LossSpec | ImageLoss) -> ImageLoss:
    if not isinstance(loss, ImageLoss):
        return load_loss(loss, reduction="mean")
    if tuple(loss.data_range) != (0.0, 1.0):
        raise ConfigError(
            f"loss {loss.name!r} must take images in [0, 1] (data_range=(0, 1)); got {loss.data_range}."
        )
    made = copy.copy(loss)  # tensors are shared; a bank's losses answer for each image
    made.reduction = "mean"
    return made


@contextlib.contextmanager
def _unchanged(loss: ImageLoss) -> Iterator[None]:
    """Give the loss back as it came: on its device, in its mode."""
    network = getattr(loss, "network", loss)  # which no loss registers as a module of its own
    tensors = [*network.parameters(), *network.buffers()]
    device = tensors[0].device if tensors else torch.device("cpu")
    try:
        yield
    finally:
        loss.to(device)


def _keep_model_only(task: Task, place: Path, loss: ImageLoss) -> None:
    """Replace the checkpoints, which carry the optimiser's state, by the trained weights."""
    state = {key: value.cpu() for key, value in task.model.state_dict().items()}
    write_tensors(place / MODEL, state, {"loss": loss.signature()})
    for name in (BEST, LAST):
        (place / name).unlink(missing_ok=True)


@contextlib.contextmanager
def _left_to_nobody(place: Path) -> Iterator[None]:
    """Remove what a training left that saw two kinds of data: nobody may go on from it."""
    try:
        yield
    except DataChangedError:
        for name in (BEST, LAST, MODEL, LOG):
            (place / name).unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def _place(folder: str | Path | None) -> Iterator[Path]:
    if folder is not None:
        yield Path(folder)
        return
    with tempfile.TemporaryDirectory(prefix="lossnets-") as temporary:
        yield Path(temporary)


def _training_facts(task: Task, fitted: Fitted) -> dict[str, str | int | float | None]:
    recipe = task.recipe
    speed = fitted.images_per_second
    return {
        "training_images": task.train_size,
        "validation_images": task.validation_size,
        "parameters": sum(p.numel() for p in task.model.parameters()),
        "epochs": fitted.epochs,
        "best_epoch": fitted.best_epoch,
        f"best_{recipe.monitor}": fitted.best,
        "batch_size": recipe.batch_size,
        "precision": recipe.precision,
        "images_per_second": None if speed != speed else round(speed, 2),
    }
