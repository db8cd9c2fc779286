"""Training: what is kept, what a resumed training gives, and what stops one."""

from __future__ import annotations

import csv
import errno
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from lossnets.benchmarks.engine import Recipe, fit
from lossnets.benchmarks.engine.checkpoints import model_weights
from lossnets.benchmarks.engine.fit import BEST, LAST, LOG, Execution
from lossnets.errors import ConfigError, DataError

from .toy import Scripted, Toy


def numbers(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in rows]


def test_it_learns_and_keeps_the_best(tmp_path: Path) -> None:
    task = Toy(Recipe(6, 8, lr=1e-2))
    done: list[tuple[int, int]] = []
    fitted = fit(task, folder=tmp_path, progress=lambda *step: done.append(step))
    losses = [row["val_loss"] for row in fitted.history]
    assert losses[-1] < 0.7 * losses[0]
    assert fitted.best == min(losses)
    assert fitted.best_epoch == losses.index(min(losses)) + 1
    assert fitted.images_per_second > 0
    assert done[0] == (1, 18)
    assert done[-1] == (18, 18)
    assert not task.model.training
    assert task.started == 1
    for key, value in model_weights(tmp_path / BEST).items():
        assert torch.equal(task.model.state_dict()[key], value)
    assert [float(row["train_half"]) for row in numbers(tmp_path / LOG)] == pytest.approx(
        [row["train_loss"] / 2 for row in fitted.history]
    )


def test_every_image_is_seen_once_an_epoch_in_another_order(tmp_path: Path) -> None:
    task = Toy(Recipe(2, 8))
    fit(task, folder=tmp_path)
    orders = [[i for epoch, batch in task.seen if epoch == e for i in batch] for e in range(2)]
    assert [sorted(order) for order in orders] == [list(range(22))] * 2
    assert orders[0] != orders[1]


@pytest.mark.parametrize("epochs", [1, 3])
def test_resumed_is_uninterrupted(tmp_path: Path, epochs: int) -> None:
    """A training that broke off in a later epoch goes on with the very numbers it would have had."""
    whole = fit(Toy(), folder=tmp_path / "whole")
    broken = Toy(nan_at=3 * epochs + 2)
    with pytest.raises(DataError, match=rf"training loss became nan in epoch {epochs + 1}, step 2"):
        fit(broken, folder=tmp_path / "broken")
    task = Toy()
    resumed = fit(task, folder=tmp_path / "broken")
    assert {epoch for epoch, _ in task.seen} == set(range(epochs, 4))
    assert resumed.best == whole.best
    assert numbers(tmp_path / "broken" / LOG) == numbers(tmp_path / "whole" / LOG)
    one, other = (model_weights(tmp_path / name / LAST) for name in ("whole", "broken"))
    assert all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("times", [1, 2])
def test_a_moved_folder_keeps_its_best_epoch(tmp_path: Path, times: int) -> None:
    """The folder goes to another place in mid-training, after the best epoch; nobody could tell."""
    scores = [0.5, 0.1, 0.4, 0.3]
    fit(whole := Scripted(scores, Recipe(4, 8)), folder=tmp_path / "whole")
    here = tmp_path / "0"
    for move in range(times):
        broken = Scripted(scores[2 * bool(move) :], Recipe(4, 8))
        broken.nan_at = 8 if move == 0 else 5
        with pytest.raises(DataError, match="training loss became nan"):
            fit(broken, folder=here)
        here = here.rename(tmp_path / "deeper" if move else tmp_path / f"{move + 1}")
    task = Scripted(scores[1 + times :], Recipe(4, 8))
    fitted = fit(task, folder=here)
    assert (fitted.best_epoch, fitted.best) == (2, pytest.approx(0.1))
    assert (here / BEST).is_file()
    assert all(
        torch.equal(a, b) for a, b in zip(task.model.parameters(), whole.model.parameters(), strict=True)
    )
    assert numbers(here / LOG) == numbers(tmp_path / "whole" / LOG)
    assert str(tmp_path).encode() not in (here / LAST).read_bytes()


def test_best_weights_of_another_epoch_than_the_logs_are_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fit(Scripted([0.5, 0.1, 0.4], Recipe(3, 8)), folder=tmp_path)
    shutil.copy(tmp_path / LAST, tmp_path / BEST)
    with pytest.raises(DataError, match=r"holds the weights of epoch 3, and the best by the log is epoch 2"):
        fit(Scripted([], Recipe(3, 8)), folder=tmp_path)
    fitted = fit(Scripted([0.5, 0.1, 0.4], Recipe(3, 8)), folder=tmp_path, restart=True)
    assert fitted.best_epoch == 2
    assert "training starts again" in caplog.text


def test_a_task_is_told_of_every_epoch_and_may_start_the_optimiser_anew(tmp_path: Path) -> None:
    class Told(Toy):
        def __init__(self, **more: Any) -> None:
            super().__init__(**more)
            self.told: list[tuple[int, int, int]] = []

        def begin_epoch(self, epoch: int, optimizer: torch.optim.Optimizer) -> None:
            self.told.append((epoch, len(optimizer.state), sum(e == epoch for e, _ in self.seen)))
            if epoch == 3:
                optimizer.state.clear()

    broken = Told(nan_at=3 * 2 + 2)
    with pytest.raises(DataError, match="nan in epoch 3, step 2"):
        fit(broken, folder=tmp_path)
    moments = len(list(broken.model.parameters()))
    assert broken.told == [(0, 0, 0), (1, moments, 0), (2, moments, 0)]
    task = Told()
    fit(task, folder=tmp_path)
    assert task.told == [(2, moments, 0), (3, moments, 0)]
    plain = fit(Toy(), folder=tmp_path / "plain")
    last = [float(row["train_loss"]) for row in numbers(tmp_path / LOG)]
    assert last[:3] == [row["train_loss"] for row in plain.history[:3]]
    assert last[3] != plain.history[3]["train_loss"]


def test_a_finished_training_is_not_repeated(tmp_path: Path) -> None:
    first = fit(Toy(), folder=tmp_path)
    task = Toy()
    again = fit(task, folder=tmp_path)
    assert task.seen == []
    assert (again.best, again.epochs) == (first.best, first.epochs)


def test_early_stopping_keeps_the_best_epoch(tmp_path: Path) -> None:
    task = Scripted([0.5, 0.3, 0.4, 0.35, 0.2], Recipe(5, 8, patience=2))
    fitted = fit(task, folder=tmp_path)
    assert (fitted.epochs, fitted.best_epoch, fitted.best) == (4, 2, pytest.approx(0.3))
    assert torch.equal(task.model[0].weight, task.epoch_states[1])


def test_patience_is_counted_over_an_interruption(tmp_path: Path) -> None:
    broken = Scripted([0.5, 0.3, 0.4], Recipe(5, 8, patience=2))
    broken.nan_at = 10
    with pytest.raises(DataError, match="nan in epoch 4"):
        fit(broken, folder=tmp_path)
    task = Scripted([0.45, 0.1], Recipe(5, 8, patience=2))
    fitted = fit(task, folder=tmp_path)
    assert (fitted.epochs, fitted.best_epoch) == (4, 2)


def test_higher_may_be_better(tmp_path: Path) -> None:
    fitted = fit(Scripted([0.5, 0.9, 0.4], Recipe(3, 8, higher_is_better=True)), folder=tmp_path)
    assert (fitted.best_epoch, fitted.best) == (2, pytest.approx(0.9))


def test_validation_that_is_never_finite_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="'val_loss' was not finite in any of 2 epochs"):
        fit(Scripted([math.nan, math.nan], Recipe(2, 8)), folder=tmp_path)


def test_initial_weights_and_order_depend_on_the_seed_alone(tmp_path: Path) -> None:
    torch.manual_seed(1)
    one = fit(Toy(Recipe(1, 8)), folder=tmp_path / "1")
    torch.manual_seed(2)
    two = fit(Toy(Recipe(1, 8)), folder=tmp_path / "2")
    three = fit(Toy(Recipe(1, 8), seed=1), folder=tmp_path / "3", seed=1)
    assert one.best == two.best != three.best


def test_the_callers_random_state_is_left_alone(tmp_path: Path) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    fit(Toy(Recipe(1, 8)), folder=tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    fit(Toy(Recipe(2, 8)), folder=tmp_path, identity="one loss")
    with pytest.raises(DataError, match="belongs to another training"):
        fit(Toy(Recipe(2, 8)), folder=tmp_path, identity="another loss")
    with pytest.raises(DataError, match="belongs to another training"):
        fit(Toy(Recipe(3, 8)), folder=tmp_path, identity="one loss")


def test_a_damaged_checkpoint_is_an_error_that_says_so(tmp_path: Path) -> None:
    fit(Toy(Recipe(2, 8)), folder=tmp_path)
    (tmp_path / LAST).write_bytes((tmp_path / LAST).read_bytes()[:100])
    with pytest.raises(DataError, match=r"last\.safetensors' is missing or damaged"):
        fit(Toy(Recipe(2, 8)), folder=tmp_path)


@pytest.mark.parametrize("damage", ["other", "cut", "no best"])
def test_it_can_start_again_where_a_checkpoint_does_not_fit(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    fit(Toy(Recipe(2, 8)), folder=tmp_path, identity="one" if damage == "other" else "")
    if damage == "cut":
        (tmp_path / BEST).write_bytes((tmp_path / BEST).read_bytes()[:100])
    if damage == "no best":
        (tmp_path / BEST).unlink()
    task = Toy(Recipe(2, 8))
    assert fit(task, folder=tmp_path, restart=True).epochs == 2
    assert {epoch for epoch, _ in task.seen} == {0, 1}
    assert "training starts again" in caplog.text


def test_a_full_disk_ends_the_training_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import lossnets.benchmarks.tensors as tensors
    from lossnets.home import atomic_write

    calls = []

    @contextmanager
    def full(path: Path, *args: Any, **options: Any) -> Iterator[Any]:
        calls.append(path)
        with atomic_write(path, *args, **options) as file:
            if len(calls) > 2:
                raise OSError(errno.ENOSPC, "No space left on device")
            yield file

    monkeypatch.setattr(tensors, "atomic_write", full)
    with pytest.raises(DataError, match=r"cannot be written: No space left.*make room"):
        fit(Toy(), folder=tmp_path)
    monkeypatch.undo()
    assert fit(Toy(), folder=tmp_path).epochs == 4
    assert not list(tmp_path.glob(".*tmp"))


def test_mixed_precision_trains(tmp_path: Path) -> None:
    task = Toy(Recipe(3, 8, lr=1e-2, precision="bf16-mixed"))
    fitted = fit(task, folder=tmp_path)
    assert fitted.history[-1]["val_loss"] < fitted.history[0]["val_loss"]
    assert all(value.dtype == torch.float32 for value in task.model.parameters())


def test_images_may_be_loaded_by_other_processes(tmp_path: Path) -> None:
    alone = fit(Toy(Recipe(2, 8)), folder=tmp_path / "0")
    shared = fit(Toy(Recipe(2, 8)), folder=tmp_path / "2", workers=2)
    assert alone.best == shared.best


@pytest.mark.parametrize(
    ("text", "kind", "devices", "count"),
    [
        ("cpu", "cpu", 1, 1),
        ("cuda:1", "cuda", [1], 1),
        ("cuda:0,2", "cuda", [0, 2], 2),
        ("cuda*4", "cuda", 4, 4),
    ],
)
def test_devices(text: str, kind: str, devices: object, count: int) -> None:
    made = Execution.parse(text)
    assert (made.kind, made.devices, made.count) == (kind, devices, count)
    assert made.first == (f"cuda:{devices[0]}" if isinstance(devices, list) else kind)


@pytest.mark.parametrize("text", ["tpu", "cuda:", "cuda:x", "cuda:0*2", "cuda:-1", "cpu:1", "cpu*0", ""])
def test_wrong_devices(text: str) -> None:
    with pytest.raises(ConfigError, match="device must be like 'cpu', 'cuda'"):
        Execution.parse(text)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(("text", "count"), [("cuda", 1), ("cuda:3", 4), ("cuda*2", 2)])
def test_devices_that_are_not_there(text: str, count: int) -> None:
    Execution.parse("cpu*2").check()
    with pytest.raises(
        ConfigError, match=rf"device needs {count} of cuda; torch .* sees 0 here. Use device='cpu'"
    ):
        Execution.parse(text).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0, "batch_size": 1}, "epochs and batch_size must be at least 1"),
        ({"epochs": 1, "batch_size": 1, "lr": 0}, "lr above 0"),
        ({"epochs": 1, "batch_size": 1, "patience": 0}, "patience must be at least 1 epoch"),
        (
            {"epochs": 1, "batch_size": 1, "precision": "8"},
            "precision must be one of 32, bf16-mixed",
        ),
    ],
)
def test_wrong_recipes(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Recipe(**options)
