"""Cost: operations and memory against numbers by hand, turns, periods, failures, records."""

from __future__ import annotations

import json
import os
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lossnets.errors import ConfigError, DataError, ImageError
from lossnets.judging.cost import measure_cost
from lossnets.judging.cost_result import CostResult
from lossnets.judging.meters import memory_of, multiplications, seconds_of
from lossnets.judging.rivals import Rival, make_rivals

from .handmade import record
from .small import images, pgn_of, true_loss

CPU = torch.device("cpu")
SMALL: dict[str, Any] = {"side": 16, "rounds": 2}
WEIGHT = torch.ones(8, 3, 3, 3)


def convolving(key: str, calls: list[str] | None = None) -> Rival:
    """A rival whose gradient takes one convolution of 3 to 8 channels, and its encoding one more."""

    def make(targets: Tensor, _seed: int) -> Any:
        kept = functional.conv2d(targets, WEIGHT, padding=1)
        known = record(key)

        def field(x: Tensor, step: int) -> Tensor:
            if calls is not None:
                calls.append(f"{key} {step}")
            if step % known.period:
                return x
            return (functional.conv2d(x, WEIGHT, padding=1) - kept)[:, :3]

        return field

    return Rival(record(key), make)


def test_operations_by_hand() -> None:
    found = measure_cost([convolving("true"), convolving("every-2")], images=2, **SMALL)
    one = 8 * 3 * 3 * 3 * 16 * 16
    true, every = found.costs
    assert (true.macs, true.macs_whole) == (one, 2 * one)
    assert (every.macs, every.macs_whole) == (one / 2, one)  # one encoding and one gradient in two steps


def test_operations_of_a_gradient_are_those_of_forward_and_backward() -> None:
    conv, x = torch.nn.Conv2d(3, 8, 3, padding=1), torch.rand(1, 3, 16, 16, requires_grad=True)
    forward = 8 * 3 * 9 * 256
    assert multiplications(lambda: torch.autograd.grad(conv(x).sum(), x)) >= 2 * forward
    conv.requires_grad_(False)
    assert multiplications(lambda: torch.autograd.grad(conv(x).sum(), x)) == 2 * forward
    grouped = torch.nn.Conv2d(8, 8, 3, padding=1, groups=8)
    assert multiplications(lambda: grouped(torch.zeros(1, 8, 16, 16))) == 8 * 9 * 256


def test_memory_by_hand(capfd: pytest.CaptureFixture[str]) -> None:
    def run() -> Tensor:
        a = torch.zeros(1 << 18)  # 1 MiB
        b = a + 1
        del a
        return b * 2

    kept, held = memory_of(run, CPU)
    assert held.peak == pytest.approx(2 << 20, rel=0.01)
    assert held.kept == pytest.approx(1 << 20, rel=0.01)
    assert len(kept) == 1 << 18
    assert capfd.readouterr() == ("", "")  # the profiler's own lines do not reach the user
    assert "KINETO_LOG_LEVEL" not in os.environ


def test_memory_is_what_is_kept_and_the_most_that_is_held() -> None:
    cost = measure_cost([convolving("true")], side=64, rounds=1).costs[0]
    plane = 4 * 64 * 64
    assert cost.memory is not None
    assert cost.memory_whole is not None
    assert cost.memory >= 8 * plane + 2 * 8 * plane  # kept; convolved x, and the difference
    assert cost.memory_whole >= cost.memory


def test_all_take_turns_and_ratios_are_to_the_true_loss() -> None:
    calls: list[str] = []
    told: list[tuple[int, int]] = []
    rivals = [convolving("true", calls), convolving("pgn", calls)]
    found = measure_cost(rivals, progress=lambda done, total, _what: told.append((done, total)), **SMALL)
    assert told == [(1, 2), (2, 2)]
    order = [call.split()[0] for call in calls]
    assert len([a for a, b in pairwise(order) if a != b]) >= 2 * 2 * 2 - 1
    true, pgn = found.costs
    assert true.encoded is not None
    assert pgn.encoded is not None
    assert (true.encoded.ratio, true.encoded.ratio_low, true.encoded.ratio_high) == (1, 1, 1)
    assert pgn.encoded.seconds_low <= pgn.encoded.seconds <= pgn.encoded.seconds_high
    assert found.ratio("pgn") == pgn.encoded.ratio
    assert found.ratio("half") is None


def test_every_rival_of_a_loss_is_measured_and_a_failure_loses_nothing_else() -> None:
    def refuse(_targets: Tensor, _seed: int) -> Any:
        raise ImageError("too small")

    true = true_loss()
    rivals = [*make_rivals(true, pgn_of(true), images(1, 32), every=(2,)), Rival(record("broken"), refuse)]
    found = measure_cost(rivals, side=32, rounds=1)
    *good, broken = found.costs
    assert broken.error == "ImageError: too small"
    assert not any(cost.error for cost in good)
    assert [cost.key for cost in good] == [rival.key for rival in rivals[:-1]]
    costs = {cost.key: cost for cost in good}
    assert costs["cut-1"].macs < costs["cut-2"].macs < costs["true"].macs  # type: ignore[operator]
    assert costs["mse"].macs == 0
    assert costs["every-2"].macs == pytest.approx(costs["true"].macs / 2)  # type: ignore[operator]
    assert found.memory_ratio("true") == 1
    assert CostResult.from_dict(json.loads(json.dumps(found.as_dict()))) == found
    table = found.frame().set_index("key")
    assert table.loc["broken", "error"] == "ImageError: too small"
    assert table.loc["true", "memory_ratio"] == 1


def test_a_failing_true_loss_leaves_ratios_unknown() -> None:
    def fail(_targets: Tensor, _seed: int) -> Any:
        raise RuntimeError("out of memory")

    found = measure_cost([Rival(record("true"), fail), convolving("pgn")], **SMALL)
    assert found.costs[0].error == "RuntimeError: out of memory"
    ratio = found.ratio("pgn")
    assert ratio is not None
    assert ratio != ratio  # NaN, not a number that looks right
    assert found.as_dict()["costs"][1]["encoded"]["ratio"] is None
    assert found.memory_ratio("pgn") is None


def test_what_is_refused() -> None:
    with pytest.raises(ConfigError, match="side must be a whole number, 1 or more; got 0"):
        measure_cost([convolving("true")], side=0)
    with pytest.raises(ConfigError, match="rounds must be a whole number, 1 or more; got True"):
        measure_cost([convolving("true")], rounds=True)
    with pytest.raises(ConfigError, match="rivals must have the true loss among them"):
        measure_cost([convolving("pgn")])
    with pytest.raises(DataError, match="a CostResult has the entries"):
        CostResult.from_dict({**measure_cost([convolving("true")], **SMALL).as_dict(), "more": 1})


def test_seconds() -> None:
    calls: list[int] = []
    assert seconds_of(lambda: calls.append(1), CPU, repeats=3) >= 0
    assert len(calls) == 3
