"""What one gradient costs: of the true loss, the gradient network and every rival, in one interleaved run.

All rivals take turns, round after round, so that a change of the machine's speed meets all of them; the
ratio of a rival to the true loss is taken within each round. Twice each: with the target encoded beforehand,
as for a fit or a training that keeps its targets, and with the encoding, as for targets that are new.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import torch
from torch import Tensor

from lossnets.benchmarks.engine.fit import Execution
from lossnets.errors import ConfigError, LossnetsError
from lossnets.judging.cost_result import TRUE, CostResult, RivalCost, Timing
from lossnets.judging.meters import memory_of, multiplications, seconds_of
from lossnets.judging.records import Progress
from lossnets.judging.rivals import Rival
from lossnets.runs.cost_records import this_machine

IMAGES, SIDE, ROUNDS = 1, 256, 7
_LEAST = 0.01  # seconds that a timing lasts at least, by repeating what is shorter
_MOST = 50
_CALLS = ("encoded", "whole")


def measure_cost(
    rivals: Sequence[Rival],
    *,
    images: int = IMAGES,
    side: int = SIDE,
    rounds: int = ROUNDS,
    device: str = "cpu",
    progress: Progress | None = None,
) -> CostResult:
    """Time, operations and peak memory of one gradient of each rival.

    Args:
        rivals: with the true loss among them, on ``device``.
        images: that a gradient is computed for at once.
        side: of these, in pixels.
        rounds: timed, after one that is not.
        device: where.
        progress: told after each round.

    Returns:
        A record with one entry per rival; a rival that fails has an error in it.

    Raises:
        ConfigError: a number is below 1, or the true loss is not among the rivals.
    """
    for name, value in (("images", images), ("side", side), ("rounds", rounds)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ConfigError(f"{name} must be a whole number, 1 or more; got {value!r}")
    if TRUE not in [rival.key for rival in rivals]:
        raise ConfigError(f"rivals must have the true loss among them (key {TRUE!r}), to compare with")
    place = torch.device(Execution.parse(device).first)
    generator = torch.Generator().manual_seed(0)
    x, y = (torch.rand(images, 3, side, side, generator=generator).to(place) for _ in range(2))
    ready: dict[str, _Ready] = {}
    found: dict[str, RivalCost] = {}
    for rival in rivals:
        record = rival.record
        start = RivalCost(record.key, record.letter, record.title)
        try:
            ready[rival.key] = _Ready(rival, x, y)
            found[rival.key] = ready[rival.key].counted(start)
        except (LossnetsError, RuntimeError) as error:  # out of memory is a RuntimeError of torch's
            ready.pop(rival.key, None)
            found[rival.key] = replace(start, error=f"{type(error).__name__}: {error}")
    times = _take_turns(ready, rounds, progress)
    costs = tuple(_timed(found[rival.key], times) for rival in rivals)
    measured = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return CostResult(costs, images, side, rounds, device, this_machine(device), measured)


class _Ready:
    """A rival with its two calls: a period of gradients, without and with the encoding of the target."""

    def __init__(self, rival: Rival, images: Tensor, targets: Tensor) -> None:
        self.rival, self.images, self.targets = rival, images, targets
        self.period = rival.record.period
        self.field = rival.aim(targets)
        self.encoded()  # the first call of everything is slower
        self.repeats = {name: self._repeats(getattr(self, name)) for name in _CALLS}

    def _repeats(self, run: Any) -> int:
        once = seconds_of(run, self.images.device)
        return max(1, min(_MOST, round(_LEAST / max(once, 1e-9))))

    def encoded(self) -> None:
        for step in range(self.period):
            self.field(self.images, step)

    def whole(self) -> None:
        field = self.rival.aim(self.targets)  # a period needs it once: between its steps is MSE
        for step in range(self.period):
            field(self.images, step)

    def seconds(self, name: str) -> float:
        run = getattr(self, name)
        return seconds_of(run, self.images.device, repeats=self.repeats[name]) / self.period

    def counted(self, cost: RivalCost) -> RivalCost:
        """With operations and memory."""
        each = self.period * len(self.images)
        field, encoding = memory_of(lambda: self.rival.aim(self.targets), self.images.device)
        steps = [
            memory_of(lambda step=step: field(self.images, step), self.images.device)[1].peak  # type: ignore[misc]
            for step in range(self.period)
        ]
        memory = encoding.kept + max(steps)
        return replace(
            cost,
            macs=multiplications(self.encoded) / each,
            macs_whole=multiplications(self.whole) / each,
            memory=memory,
            memory_whole=max(encoding.peak, memory),
        )


def _take_turns(
    ready: Mapping[str, _Ready], rounds: int, progress: Progress | None
) -> dict[tuple[str, str], list[float]]:
    times: dict[tuple[str, str], list[float]] = {(k, name): [] for k in ready for name in _CALLS}
    for done in range(rounds):
        for name in _CALLS:
            for key, each in ready.items():
                times[key, name].append(each.seconds(name))
        if progress is not None:
            progress(done + 1, rounds, "rounds of timing")
    return times


def _timed(cost: RivalCost, times: Mapping[tuple[str, str], list[float]]) -> RivalCost:
    if cost.error:
        return cost
    encoded, whole = (_timing(times[cost.key, name], times.get((TRUE, name), [])) for name in _CALLS)
    return replace(cost, encoded=encoded, whole=whole)


def _timing(seconds: list[float], of_true: list[float]) -> Timing:
    ratios = [a / b for a, b in zip(seconds, of_true, strict=True)] if of_true else [float("nan")]
    return Timing(*quartiles(seconds), *quartiles(ratios))


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, lower and upper quartile, by linear interpolation.

    >>> quartiles([4.0, 1.0, 2.0, 3.0, 5.0])
    (3.0, 2.0, 4.0)
    """
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return middle, low, high
