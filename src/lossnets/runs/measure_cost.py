"""Measure what losses cost: time of a step beside that of the pixel loss, and peak memory.

A few losses and the pixel loss take turns, round after round, so that a change of the machine's speed meets
all of them; the ratio of a loss is taken within each round. Losses have random weights (see `cost_key`).
"""

from __future__ import annotations

import gc
import logging
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timezone

import torch

from lossnets.benchmarks.base import Progress
from lossnets.benchmarks.engine.fit import Execution
from lossnets.errors import ConfigError, LossnetsError
from lossnets.losses import ImageLoss, load_loss, parse_loss
from lossnets.losses.families import family_names
from lossnets.runs.cost_records import ALONE, Cost, Machine, cost_key, this_machine
from lossnets.runs.cost_steps import Step, baseline, check_task, loss_step, task_step
from lossnets.runs.peak_memory import MemoryMeter

logger = logging.getLogger("lossnets")

IMAGES, SIDE, ROUNDS = 2, 128, 5
_AT_ONCE = 6
"""Losses that take turns: more would only fill memory."""

Timing = tuple[list[float], list[float]]
"""Seconds of a step, and of the baseline's in the same round."""


@dataclass(frozen=True)
class _Settings:
    images: int
    side: int
    rounds: int
    device: str
    machine: Machine
    memory: bool

    @property
    def place(self) -> torch.device:
        return torch.device(Execution.parse(self.device).first)


def measure_costs(
    losses: Sequence[str],
    *,
    task: str | Sequence[str] | None = None,
    images: int = IMAGES,
    side: int = SIDE,
    rounds: int = ROUNDS,
    device: str = "cpu",
    memory: bool = True,
    progress: Progress | None = None,
) -> list[Cost]:
    """Time and memory of each loss alone and, with tasks, of their training steps.

    Args:
        losses: loss names; those that differ in their weights only are measured once.
        task: one task or several (`step_tasks`); None: the losses alone.
        images: that a loss alone compares in a step.
        side: of these, in pixels.
        rounds: timed, after one that is not.
        device: where.
        memory: whether to measure it, too; a new process for each loss takes a second or two.
        progress: told after each few losses.

    Returns:
        Per loss one record for the loss alone and one for each task, the pixel baselines first. A loss
        that fails is a record with an error.

    Raises:
        ConfigError: a number is below 1, or a task has no training step.
    """
    tasks = (task,) if isinstance(task, str) else tuple(task or ())
    jobs = dict.fromkeys(losses, tasks)
    parts = iter_costs(
        jobs, images=images, side=side, rounds=rounds, device=device, memory=memory, progress=progress
    )
    found: dict[tuple[str, str, str], Cost] = {}
    for part in parts:
        for cost in part:
            found.setdefault(cost.key, cost)  # every part has the baselines
    return list(found.values())


def iter_costs(
    jobs: Mapping[str, Sequence[str]],
    *,
    images: int = IMAGES,
    side: int = SIDE,
    rounds: int = ROUNDS,
    device: str = "cpu",
    memory: bool = True,
    progress: Progress | None = None,
) -> Iterator[list[Cost]]:
    """`measure_costs` in parts that can be kept as they come: loss -> tasks, a few losses at a time."""
    for name, number in (("images", images), ("side", side), ("rounds", rounds)):
        if isinstance(number, bool) or not isinstance(number, int) or number < 1:
            raise ConfigError(f"{name} must be a whole number, 1 or more; got {number!r}")
    Execution.parse(device).check()
    wanted: dict[str, set[str]] = {}
    for loss, tasks in jobs.items():
        wanted.setdefault(cost_key(loss), set()).update(check_task(task) for task in tasks)
    settings = _Settings(images, side, rounds, device, this_machine(device), memory)
    return _parts(wanted, settings, progress)


def _parts(
    wanted: Mapping[str, set[str]], settings: _Settings, progress: Progress | None
) -> Iterator[list[Cost]]:
    keys = list(wanted)
    size = {"images": settings.images, "side": settings.side, "threads": settings.machine.threads}
    meter = MemoryMeter(device=settings.device, **size) if settings.memory else nullcontext()
    with meter as opened:
        for start in range(0, len(keys), _AT_ONCE):
            costs = _measure({key: wanted[key] for key in keys[start : start + _AT_ONCE]}, settings)
            yield costs if opened is None else [_with_memory(cost, opened) for cost in costs]
            if progress is not None:
                progress(min(start + _AT_ONCE, len(keys)), len(keys))


def _with_memory(cost: Cost, meter: MemoryMeter) -> Cost:
    if cost.task != ALONE or cost.error:
        return cost
    return replace(cost, memory=meter.peak(_random(cost.loss)))


def _measure(wanted: Mapping[str, set[str]], settings: _Settings) -> list[Cost]:
    tasks = [ALONE, *sorted(set().union(*wanted.values()))]
    loaded: dict[str, ImageLoss | LossnetsError] = {key: _load(key, settings) for key in wanted}
    costs: list[Cost] = []
    for task in tasks:
        losses = {key: loss for key, loss in loaded.items() if task == ALONE or task in wanted[key]}
        base = baseline(task)
        losses = {base: losses.get(base) or _load(base, settings), **losses}
        costs += _of_task(losses, task, settings)
        gc.collect()
    return costs


def _random(key: str) -> str:
    spec = parse_loss(key)
    free = spec.family == "pixel" or spec.family in family_names()  # a gradient network is its file
    return str(spec if free else replace(spec, weights="random-0"))


def _load(key: str, settings: _Settings) -> ImageLoss | LossnetsError:
    try:
        return load_loss(_random(key), device=settings.place, reduction="mean")
    except LossnetsError as error:
        return error


def _of_task(losses: Mapping[str, ImageLoss | LossnetsError], task: str, settings: _Settings) -> list[Cost]:
    steps = {key: _ready(loss, task, settings) for key, loss in losses.items()}
    runnable = {key: step for key, step in steps.items() if isinstance(step, Step)}
    base = baseline(task)
    times = _take_turns(runnable, settings)
    return [
        _timed(key, task, step, (times[key], times.get(base, [])), settings)
        if isinstance(step, Step)
        else _empty(key, task, settings, f"{type(step).__name__}: {step}")
        for key, step in steps.items()
    ]


def _ready(loss: ImageLoss | LossnetsError, task: str, settings: _Settings) -> Step | Exception:
    """A step that has run once, or why it cannot."""
    if isinstance(loss, LossnetsError):
        return loss
    try:
        alone = task == ALONE
        step = (
            loss_step(loss, settings.images, settings.side, settings.place)
            if alone
            else task_step(loss, task, settings.place)
        )
        step.run()
    except (LossnetsError, RuntimeError) as error:  # out of memory is a RuntimeError of torch's
        return error
    return step


def _take_turns(steps: Mapping[str, Step], settings: _Settings) -> dict[str, list[float]]:
    seconds: dict[str, list[float]] = {key: [] for key in steps}
    for _ in range(settings.rounds):
        for key, step in steps.items():
            seconds[key].append(_seconds(step, settings.place))
    return seconds


def _seconds(step: Step, place: torch.device) -> float:
    if place.type != "cuda":
        start = time.perf_counter()
        step.run()
        return time.perf_counter() - start
    first, last = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    first.record()
    step.run()
    last.record()
    torch.cuda.synchronize(place)
    return float(first.elapsed_time(last)) / 1e3


def _quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Median and quartiles, by linear interpolation.

    >>> _quartiles([4.0, 1.0, 2.0, 3.0, 5.0])
    (3.0, 2.0, 4.0)
    """
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high


def _empty(key: str, task: str, settings: _Settings, error: str = "") -> Cost:
    return Cost(
        key,
        task,
        settings.device,
        settings.images,
        settings.side,
        settings.rounds,
        settings.machine,
        datetime.now(timezone.utc).isoformat(timespec="seconds"),
        baseline(task),
        error=error,
    )


def _timed(key: str, task: str, step: Step, timing: Timing, settings: _Settings) -> Cost:
    seconds, low, high = _quartiles(timing[0])
    cost = replace(
        _empty(key, task, settings),
        images=step.images,
        side=step.side,
        seconds=seconds,
        seconds_low=low,
        seconds_high=high,
    )
    if not timing[1]:  # the baseline itself failed
        return cost
    ratio, low, high = _quartiles([a / b for a, b in zip(*timing, strict=True)])
    return replace(cost, ratio=ratio, ratio_low=low, ratio_high=high)
