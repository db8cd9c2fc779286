"""The predictors: they learn, stop, restore their best epoch, and are chosen without the test set."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

from lossnets.benchmarks.autoencoding import evaluation
from lossnets.benchmarks.autoencoding.evaluation import accuracy_score, predict
from lossnets.benchmarks.autoencoding.predictors import (
    HIDDEN,
    Table,
    Trained,
    best_on_validation,
    predictor,
    predictor_name,
    train_predictor,
    wilson_interval,
)
from lossnets.errors import DataError

from .standins import TINY


def separable(count: int, seed: int = 0) -> Table:
    """Three clouds that straight lines tell apart."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 3
    centres = torch.tensor([[3.0, 0.0], [-3.0, 3.0], [-3.0, -3.0]])
    return Table(centres[labels] + 0.3 * torch.randn(count, 2, generator=generator), labels)


def test_the_seven_are_those_of_the_study() -> None:
    assert HIDDEN == ((), (32,), (64,), (32, 32), (64, 32), (64, 64), (128, 128))
    names = [predictor_name(hidden) for hidden in HIDDEN]
    assert names == ["linear", "32", "64", "32_32", "64_32", "64_64", "128_128"]
    layers = [type(layer).__name__ for layer in predictor(64, (64, 32), 10)]
    assert layers == ["Linear", "LeakyReLU", "Linear", "LeakyReLU", "Linear"]
    assert sum(p.numel() for p in predictor(64, (32,), 10).parameters()) == 64 * 32 + 32 + 32 * 10 + 10


@pytest.mark.parametrize("hidden", [(), (32, 32)])
def test_a_separable_problem_is_learned(hidden: tuple[int, ...]) -> None:
    found = train_predictor(
        separable(300), separable(60, 1), hidden, 3, epochs=300, patience=25, seed=0, batch_size=64
    )
    test = separable(90, 2)
    assert (found.classes(test.inputs) == test.labels).all()
    assert found.validation_accuracy == 1.0
    if not hidden:  # the linear one comes close to the least-squares solution
        x = np.c_[separable(300).inputs.numpy(), np.ones(300)]
        solution = np.linalg.lstsq(x, np.eye(3)[separable(300).labels.numpy()], rcond=None)[0]
        checked = np.c_[separable(60, 1).inputs.numpy(), np.ones(60)] @ solution
        error = float(np.mean((checked - np.eye(3)[separable(60, 1).labels.numpy()]) ** 2))
        assert error < found.validation_mse < error + 0.004  # a constant answer has 0.22


def test_it_stops_early_and_gives_back_the_best_epoch() -> None:
    """Validation labels that contradict the training labels: the longer it learns, the worse it gets."""
    train = separable(300)
    wrong = replace(separable(60, 1), labels=(separable(60, 1).labels + 1) % 3)
    found = train_predictor(train, wrong, (32,), 3, epochs=500, patience=4, seed=0, batch_size=64)
    assert found.epochs == found.best_epoch + 4 < 500
    shorter = train_predictor(
        train, wrong, (32,), 3, epochs=found.best_epoch, patience=100, seed=0, batch_size=64
    )
    for name, value in found.model.state_dict().items():
        assert torch.equal(value, shorter.model.state_dict()[name]), name
    with torch.no_grad():
        outputs = found.model(wrong.inputs)
    judge = (outputs - torch.eye(3)[wrong.labels]).square().mean()
    assert found.validation_mse == pytest.approx(float(judge), rel=1e-6)
    assert not found.model.training


def test_the_seed_decides_and_the_global_state_does_not() -> None:
    def fit(seed: int) -> float:
        torch.rand(seed + 1)
        return train_predictor(
            separable(60), separable(30, 1), (32,), 3, epochs=3, patience=3, seed=seed
        ).validation_mse

    assert fit(0) == fit(0) != fit(1)


def test_a_predictor_does_not_depend_on_those_trained_before_it() -> None:
    tables = {"train": separable(60), "validation": separable(30, 1), "test": separable(30, 2)}
    together = {one.name: one for one in predict(tables, 3, TINY, 0).trained}
    alone = train_predictor(tables["train"], tables["validation"], (64, 32), 3, epochs=3, patience=3, seed=0)
    assert together["64_32"].validation_mse == alone.validation_mse


def test_embeddings_that_are_not_finite_are_reported() -> None:
    bad = separable(30)
    bad.inputs[4, 1] = float("nan")
    with pytest.raises(DataError, match="embeddings of 1 of 30 validation images are not finite"):
        train_predictor(separable(60), bad, (), 3, epochs=2, patience=2, seed=0)


def made(name: str, accuracy: float, mse: float) -> Trained:
    return Trained(name, torch.nn.Identity(), 1, 1, mse, accuracy)


def test_the_best_is_the_most_accurate_on_validation_then_the_one_with_the_smaller_error() -> None:
    assert best_on_validation([made("a", 0.5, 0.1), made("b", 0.6, 0.3), made("c", 0.6, 0.2)]).name == "c"


def test_selection_is_on_validation_not_on_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """One predictor is right on every validation image and on no test image, the others the reverse."""
    labels = torch.arange(12) % 3
    tables = {name: Table(torch.eye(3)[labels], labels) for name in ("train", "validation")}
    tables["test"] = Table(torch.eye(3)[labels], (labels + 1) % 3)

    class Shifted(torch.nn.Module):
        def __init__(self, shift: int) -> None:
            super().__init__()
            self.shift = shift

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            return inputs.roll(self.shift, 1)

    def fake(train: Table, validation: Table, hidden: tuple[int, ...], *_: object, **__: object) -> Trained:
        model = Shifted(0 if hidden == (64,) else 1)
        right = float((model(validation.inputs).argmax(1) == validation.labels).float().mean())
        return Trained(predictor_name(hidden), model, 1, 1, 1 - right, right)

    monkeypatch.setattr(evaluation, "train_predictor", fake)
    found = predict(tables, 3, TINY, 0)
    assert found.best.name == "64"
    assert not found.right["64"].any()
    assert found.right["linear"].all()


@pytest.mark.parametrize(("right", "n"), [(0, 10), (8, 10), (10, 10), (400, 500), (1, 26_032)])
def test_interval_is_that_of_scipy(right: int, n: int) -> None:
    judge = binomtest(right, n).proportion_ci(method="wilson")
    assert wilson_interval(right, n) == pytest.approx((judge.low, judge.high), abs=1e-12)


def test_accuracy_of_known_answers() -> None:
    score = accuracy_score("accuracy", np.array([True] * 8 + [False] * 2))
    assert (score.value, score.n, score.higher_is_better, score.split) == (0.8, 10, True, "overall")
    assert (round(score.low, 4), round(score.high, 4)) == (0.4902, 0.9433)  # Wilson's by hand
