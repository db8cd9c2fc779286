"""Test of a trained autoencoder: what its embeddings are worth to predictors, what its images look like."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses

from lossnets.benchmarks.autoencoding.data import LabelledImages
from lossnets.benchmarks.autoencoding.images import Images
from lossnets.benchmarks.autoencoding.predictors import (
    HIDDEN,
    Table,
    Trained,
    best_on_validation,
    predictor_name,
    train_predictor,
    wilson_interval,
)
from lossnets.benchmarks.autoencoding.profiles import PREDICTOR_BATCH, Size
from lossnets.benchmarks.autoencoding.task import AutoencodingTask
from lossnets.benchmarks.base import OVERALL, Evaluation, Score, ScoreKind
from lossnets.benchmarks.intervals import Part, estimate, mean_of
from lossnets.benchmarks.pictures import MAX_ROWS, OUTPUT, save_picture
from lossnets.images.quality import PSNR_CAP, psnr, ssim

_AT_ONCE = 64
_RAW_SIDE = 16
NO_IMAGES = "this training scheme predicts features, so there is no reconstruction"

_QUALITY = (
    ScoreKind("pixel_mse", "squared difference in [0, 1]", False, "how far the reconstruction is in pixels"),
    ScoreKind("psnr", "dB", True, "peak signal-to-noise ratio of the reconstruction, RGB"),
    ScoreKind("ssim", "similarity", True, "structural similarity of the reconstruction, RGB"),
)
SCORES = (
    ScoreKind("accuracy", "fraction", True, "right classes of the predictor that was best on validation"),
    *(
        ScoreKind(f"accuracy_{predictor_name(hidden)}", "fraction", True, f"hidden layers {list(hidden)}")
        for hidden in HIDDEN
    ),
    *_QUALITY,
)
MAJORITY, RAW = "accuracy@majority class", "accuracy@raw pixels"
"""Reference rows: always the commonest training class; a linear predictor on pixels averaged to 16×16."""


@dataclass(frozen=True)
class Predictions:
    """What predictors said of the test images.

    Attributes:
        trained: the seven predictors.
        best: the one that was best on validation.
        right: (N,) bool of each predictor, by name.
        chosen: (N,) class that the best one said.
    """

    trained: tuple[Trained, ...]
    best: Trained
    right: dict[str, NDArray[np.bool_]]
    chosen: NDArray[np.int64]


def evaluate(
    task: AutoencodingTask, classes: tuple[str, ...], size: Size, *, seed: int, device: str, folder: Path
) -> Evaluation:
    """Scores, per-image results and pictures of a trained autoencoder (in eval mode, on the device)."""
    task.loss.to(device)
    parts = task.parts
    tables = {
        name: Table(embed(task, part.images, device), part.labels.to(device))
        for name, part in (("train", parts.train), ("validation", parts.validation), ("test", parts.test))
    }
    found = predict(tables, len(classes), size, seed)
    quality = reconstruct(task, parts.test.images, device, folder)
    references = reference_scores(task, len(classes), size, seed)
    names = list(parts.test.images.names)
    items: dict[str, NDArray[Any]] = {
        "image": np.array(names),
        "split": np.array(["test"] * len(names)),
        "label": np.array([classes[k] for k in parts.test.labels.tolist()]),
        "predicted": np.array([classes[k] for k in found.chosen.tolist()]),
        "accuracy": found.right[found.best.name].astype(np.float64),
        **{f"accuracy_{name}": right.astype(np.float64) for name, right in found.right.items()},
        **quality,
    }
    scores = [*_accuracies(found), *_quality_scores(quality, names, size.resamples, seed), *references]
    return Evaluation(tuple(scores), items, _facts(task, found, len(classes)))


def embed(task: AutoencodingTask, images: Images, device: str) -> Tensor:
    """Embeddings of all images, on the device: (N, z)."""
    with torch.no_grad():
        return torch.cat([
            task.model.encode(task.inputs(batch)).float() for batch in _batches(images, device)
        ])  # fmt: skip


def _batches(images: Images, device: str) -> Iterator[Tensor]:
    for start in range(0, len(images), _AT_ONCE):
        yield images.batch(range(start, min(start + _AT_ONCE, len(images)))).to(device)


def predict(tables: dict[str, Table], classes: int, size: Size, seed: int) -> Predictions:
    """Train the seven predictors on ``train``, choose by ``validation``, ask them about ``test``."""
    trained = tuple(_fit(tables, hidden, classes, size, seed) for hidden in HIDDEN)
    test = tables["test"]
    said = {one.name: one.classes(test.inputs) for one in trained}
    best = best_on_validation(trained)
    right = {name: (answer == test.labels).cpu().numpy() for name, answer in said.items()}
    return Predictions(trained, best, right, said[best.name].cpu().numpy())


def _fit(tables: dict[str, Table], hidden: tuple[int, ...], classes: int, size: Size, seed: int) -> Trained:
    return train_predictor(
        tables["train"],
        tables["validation"],
        hidden,
        classes,
        epochs=size.predictor_epochs,
        patience=size.predictor_patience,
        seed=seed,
        batch_size=PREDICTOR_BATCH,
    )


def accuracy_score(name: str, right: NDArray[np.bool_], note: str = "") -> Score:
    """Share of right answers with its Wilson interval."""
    count, n = int(right.sum()), len(right)
    low, high = wilson_interval(count, n)
    return Score(name, count / n, "fraction", True, OVERALL, low, high, n, note)


def _accuracies(found: Predictions) -> list[Score]:
    chosen = f"predictor chosen on validation: {found.best.name}"
    return [
        accuracy_score("accuracy", found.right[found.best.name], chosen),
        *(accuracy_score(f"accuracy_{name}", right) for name, right in found.right.items()),
    ]


def reference_scores(task: AutoencodingTask, classes: int, size: Size, seed: int) -> list[Score]:
    """What can be had without an autoencoder; depends on the data and the seed only."""
    parts = task.parts
    test = parts.test.labels
    commonest = int(torch.bincount(parts.train.labels, minlength=classes).argmax())
    groups = (("train", parts.train), ("validation", parts.validation), ("test", parts.test))
    tables = {name: Table(raw_pixels(part), part.labels) for name, part in groups}
    linear = _fit(tables, (), classes, size, seed)
    return [
        accuracy_score(MAJORITY, (test == commonest).numpy(), "the commonest class of the training images"),
        accuracy_score(
            RAW,
            (linear.classes(tables["test"].inputs) == test).numpy(),
            f"a linear predictor on pixels averaged to {_RAW_SIDE}×{_RAW_SIDE}",
        ),
    ]


def raw_pixels(part: LabelledImages) -> Tensor:
    """Pixels of all images, averaged down: (N, 3 · 16 · 16) in [0, 1]."""
    small = [F.adaptive_avg_pool2d(batch, _RAW_SIDE).flatten(1) for batch in _batches(part.images, "cpu")]
    return torch.cat(small)


def reconstruct(
    task: AutoencodingTask, images: Images, device: str, folder: Path
) -> dict[str, NDArray[np.float64]]:
    """Quality of each reconstruction by score name, and pictures of some; empty for features."""
    if task.scheme.decodes == "features":
        return {}
    values: dict[str, list[Tensor]] = {kind.name: [] for kind in _QUALITY}
    shown = {k * len(images) // MAX_ROWS for k in range(MAX_ROWS)}  # of all classes, where they are in order
    done = 0
    for batch in _batches(images, device):
        with torch.no_grad():
            output = task.model(task.inputs(batch)).output.float()
        values["pixel_mse"].append((output - batch).square().mean((1, 2, 3)).cpu())
        values["psnr"].append(psnr(output, batch).clamp(max=PSNR_CAP).cpu())
        values["ssim"].append(ssim(output, batch).cpu())
        for k in sorted(shown.intersection(range(done, done + len(batch)))):
            row = Path(str(images.names[k])).with_suffix("").as_posix().replace("/", "-")
            save_picture(folder, row=row, column="input", image=batch[k - done].cpu())
            save_picture(folder, row=row, column=OUTPUT, image=output[k - done].cpu())
        done += len(batch)
    return {name: torch.cat(parts).double().numpy() for name, parts in values.items()}


def _quality_scores(
    quality: dict[str, NDArray[np.float64]], names: list[str], resamples: int, seed: int
) -> Iterator[Score]:
    """Mean over test images, with the bootstrap interval over them; NaN where there are no images."""
    for kind in _QUALITY:
        row = (kind.name, kind.unit, kind.higher_is_better)
        if kind.name not in quality:
            yield Score(row[0], np.nan, *row[1:], OVERALL, np.nan, np.nan, len(names), NO_IMAGES)
            continue
        part = Part(mean_of(quality[kind.name]), names)
        found = estimate([part], resamples=resamples, seed=seed)
        yield Score(row[0], found.value, *row[1:], OVERALL, found.low, found.high, len(names), found.note)


def _facts(task: AutoencodingTask, found: Predictions, classes: int) -> dict[str, str | int | float | None]:
    parts = task.parts
    height, width = parts.test.images.size
    facts: dict[str, str | int | float | None] = {
        "scheme": task.scheme.name,
        "gamma": task.gamma,
        "image_size": f"{height}x{width}",
        "stored_size": "x".join(str(side) for side in parts.test.images.stored),
        "classes": classes,
        "predictor": found.best.name,
        "predictor_training_images": len(parts.train),
        "predictor_validation_images": len(parts.validation),
        "test_images": len(parts.test),
        "test_images_of_unseen_classes": int((~torch.isin(parts.test.labels, parts.train.labels)).sum()),
        "features": task.features.width if task.features else None,
    }
    for one in found.trained:
        facts[f"validation_accuracy_{one.name}"] = one.validation_accuracy
        facts[f"epochs_{one.name}"] = one.epochs
    return facts
