"""What is timed when a loss is profiled: the loss alone, or the training step of a task.

The step of a task is that of its packaged benchmark at profile ``small``: batch, forward, loss, backward,
Adam. Targets that stay the same are encoded once, as in a training: every step sees the same batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor

from lossnets.benchmarks.base import benchmark_class, benchmark_names, load_benchmark
from lossnets.errors import ConfigError, unknown_name
from lossnets.losses import EncodedTarget, ImageLoss

PROFILE = "small"
_PACKAGED = "-sample"
_BASELINES = {"delineation": "pixel:bce"}
BASELINE = "pixel:mse"
"""What costs are compared with, but for delineation, whose own loss is cross-entropy."""


@dataclass(frozen=True)
class Step:
    """A step that can be timed, and its size.

    Attributes:
        run: does it once.
        images: in it.
        side: height and width in pixels of what the loss compares.
    """

    run: Callable[[], None]
    images: int
    side: int


def baseline(task: str) -> str:
    """Name of the pixel loss that costs of a task are compared with.

    >>> baseline("delineation"), baseline("super-resolution")
    ('pixel:bce', 'pixel:mse')
    """
    return _BASELINES.get(task, BASELINE)


def step_tasks() -> list[str]:
    """Tasks that have a training step: those with a packaged benchmark that trains."""
    names = [name for name in benchmark_names() if name.endswith(_PACKAGED)]
    return [n.removesuffix(_PACKAGED) for n in names if getattr(benchmark_class(n), "trains", False)]


def check_task(task: str) -> str:
    """The task, if it has a training step.

    Raises:
        ConfigError: nothing is trained in it.
        UnknownNameError: there is no such task.
    """
    known = step_tasks()
    if task in known:
        return task
    if f"{task}{_PACKAGED}" in benchmark_names():
        raise ConfigError(
            f"task {task!r} has no training step: nothing is trained in it, and its cost is that of the loss "
            f"alone. Leave the task out, or name one of: {', '.join(known)}"
        )
    raise unknown_name("task", task, known)


def loss_step(loss: ImageLoss, images: int, side: int, device: torch.device) -> Step:
    """Forward and backward of a loss to the image, with an encoded target."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(images, 3, side, side, generator=generator).to(device).requires_grad_()
    target = loss.encode(torch.rand(images, 3, side, side, generator=generator).to(device))

    def run() -> None:
        torch.autograd.grad(loss(x, target), x)

    return Step(run, images, side)


def task_step(loss: ImageLoss, task: str, device: torch.device) -> Step:
    """The training step of a task's packaged benchmark with this loss."""
    made = _benchmark(task)
    todo = made.task(KeepsTarget(loss), seed=0, profile=PROFILE)
    model = todo.model.to(device).train()
    adam = torch.optim.Adam(model.parameters(), lr=todo.recipe.lr)
    indices = range(min(todo.recipe.batch_size, todo.train_size))
    last = todo.recipe.epochs - 1  # a task may begin without the loss

    def run() -> None:
        batch = _moved(todo.training_batch(last, indices), device)
        terms = todo.training_loss(batch)
        adam.zero_grad()
        (terms["loss"] if isinstance(terms, dict) else terms).backward()
        adam.step()

    return Step(run, len(indices), made.workload(PROFILE).side)


@lru_cache(maxsize=8)
def _benchmark(task: str) -> Any:
    benchmark: Any = load_benchmark(f"{task}{_PACKAGED}")
    benchmark.prepare()
    return benchmark


def _moved(batch: Any, device: torch.device) -> Any:
    if isinstance(batch, Tensor):
        return batch.to(device)
    return tuple(_moved(part, device) for part in batch)


class KeepsTarget:
    """A loss that encodes the first target that it meets and takes every later one to be the same.

    A training encodes its whole data set before the first step; for the time of a step, one batch does.
    What a task encodes itself, because it is new in every step (delineation), stays its own affair.
    """

    def __init__(self, loss: ImageLoss) -> None:
        self._loss = loss
        self._kept: EncodedTarget | None = None

    def __call__(self, output: Tensor, target: Tensor | EncodedTarget) -> Tensor:
        """Compare the output with the kept target, of which a copy is cut as in a training."""
        if not isinstance(target, EncodedTarget):
            if self._kept is None:
                self._kept = self._loss.encode(target)
            target = self._kept.select(range(len(target)))
        value: Tensor = self._loss(output, target)
        return value

    def __getattr__(self, name: str) -> Any:
        """Everything else is the loss's."""
        return getattr(self._loss, name)
