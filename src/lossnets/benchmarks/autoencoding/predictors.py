"""The seven predictors that say what an embedding is worth: small networks on a table of numbers.

A plain loop trains them: a predictor has a few thousand parameters and sees a table of N × z numbers,
so that an epoch takes milliseconds, a fraction of what starting a training of the engine takes. They
are trained again, in seconds, when a run is resumed; there is nothing to checkpoint.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from lossnets.benchmarks.engine import generator, seeded_model
from lossnets.benchmarks.engine.randomness import derived_seed
from lossnets.errors import DataError

HIDDEN: tuple[tuple[int, ...], ...] = ((), (32,), (64,), (32, 32), (64, 32), (64, 64), (128, 128))
"""Hidden layers of the seven predictors (Pihlgren et al. 2020)."""


def predictor_name(hidden: Sequence[int]) -> str:
    """How scores call a predictor.

    >>> predictor_name(()), predictor_name((64, 32))
    ('linear', '64_32')
    """
    return "_".join(str(width) for width in hidden) or "linear"


@dataclass(frozen=True)
class Table:
    """Embeddings and classes.

    Attributes:
        inputs: (N, z) float.
        labels: (N,) integer, from 0.
    """

    inputs: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Trained:
    """One predictor after its training; the model has the weights of its best epoch.

    Attributes:
        name: see `predictor_name`.
        model: (N, z) -> (N, classes).
        epochs: trained.
        best_epoch: counted from 1, the one of the lowest validation error.
        validation_mse: mean squared difference from one-hot labels there.
        validation_accuracy: share of right classes there.
    """

    name: str
    model: nn.Module
    epochs: int
    best_epoch: int
    validation_mse: float
    validation_accuracy: float

    def classes(self, inputs: Tensor) -> Tensor:
        """(N, z) -> the likeliest class of each (N,)."""
        with torch.no_grad():
            return self.model(inputs).argmax(1)  # type: ignore[no-any-return]


def predictor(inputs: int, hidden: Sequence[int], classes: int) -> nn.Sequential:
    """Linear layers with LeakyReLU between them: (N, inputs) -> (N, classes)."""
    widths = [inputs, *hidden]
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.LeakyReLU()]
    return nn.Sequential(*layers, nn.Linear(widths[-1], classes))


def train_predictor(
    train: Table,
    validation: Table,
    hidden: Sequence[int],
    classes: int,
    *,
    epochs: int,
    patience: int,
    seed: int,
    batch_size: int = 256,
) -> Trained:
    """Fit one predictor to one-hot labels by mean squared error, with Adam at its default rate.

    It stops when the validation error has not fallen for ``patience`` epochs, and gets the weights
    of the best epoch back.

    Raises:
        DataError: embeddings or validation error are not finite.
    """
    _check_finite(train, "training")
    _check_finite(validation, "validation")
    name = predictor_name(hidden)
    model = seeded_model(
        lambda: predictor(train.inputs.shape[1], hidden, classes), derived_seed(seed, "predictor", name)
    ).to(train.inputs.device)
    targets = nn.functional.one_hot(train.labels, classes).to(train.inputs)
    optimiser = torch.optim.Adam(model.parameters())
    best, state, epoch, since = (math.inf, 0.0, 0), copy.deepcopy(model.state_dict()), 0, 0
    with torch.enable_grad():
        while epoch < epochs and since < patience:
            epoch, since = epoch + 1, since + 1
            order = torch.randperm(len(targets), generator=generator(seed, name, epoch))
            for start in range(0, len(order), batch_size):
                batch = order[start : start + batch_size].to(targets.device)
                optimiser.zero_grad()
                loss = nn.functional.mse_loss(model(train.inputs[batch]), targets[batch])
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()
            error, accuracy = _validate(model, validation, classes)
            if error < best[0]:
                best, state, since = (error, accuracy, epoch), copy.deepcopy(model.state_dict()), 0
    if not math.isfinite(best[0]):
        raise DataError(f"predictor {name}: the validation error was not finite in any of {epoch} epochs.")
    model.load_state_dict(state)
    return Trained(name, model.eval(), epoch, best[2], best[0], best[1])


def _check_finite(table: Table, which: str) -> None:
    bad = int((~table.inputs.isfinite().all(1)).sum())
    if bad:
        raise DataError(
            f"the embeddings of {bad} of {len(table.inputs)} {which} images are not finite; train the "
            "autoencoder with another loss, or with precision '32'."
        )


def _validate(model: nn.Module, table: Table, classes: int) -> tuple[float, float]:
    with torch.no_grad():
        outputs = model(table.inputs)
        targets = nn.functional.one_hot(table.labels, classes).to(outputs)
        right = (outputs.argmax(1) == table.labels).float().mean()
        return float(nn.functional.mse_loss(outputs, targets)), float(right)


def best_on_validation(trained: Sequence[Trained]) -> Trained:
    """The one with the highest validation accuracy; of equals the one with the lowest validation error.

    Test images have no say in it.
    """
    return max(trained, key=lambda one: (one.validation_accuracy, -one.validation_mse))


def wilson_interval(right: int, n: int) -> tuple[float, float]:
    """95 % score interval of a share (Wilson 1927), e.g. of images whose class is right.

    Unlike a bootstrap of zeros and ones it has a width where all or none are right.

    >>> [round(bound, 4) for bound in wilson_interval(8, 10)]
    [0.4902, 0.9433]
    """
    deviation = 1.959963984540054  # the 97.5 % quantile of the normal distribution
    share, square = right / n, deviation * deviation
    centre = (share + square / (2 * n)) / (1 + square / n)
    half = deviation * math.sqrt(share * (1 - share) / n + square / (4 * n * n)) / (1 + square / n)
    return max(0.0, centre - half), min(1.0, centre + half)
