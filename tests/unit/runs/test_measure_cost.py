"""Costs are measured fairly: in turns, with kept targets, without weights; failures lose nothing else."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from lossnets.errors import ConfigError, DataError, UnknownNameError
from lossnets.losses import load_loss
from lossnets.runs import cost_steps, measure_cost
from lossnets.runs.cost_records import (
    Cost,
    Machine,
    cost_key,
    merge_costs,
    parse_costs,
    read_costs,
    this_machine,
    write_costs,
)
from lossnets.runs.cost_steps import KeepsTarget, Step, check_task, loss_step, step_tasks
from lossnets.runs.measure_cost import iter_costs, measure_costs
from lossnets.runs.peak_memory import MemoryMeter

HERE = Machine("a processor", 1, "2.0", "0.1", "Linux x86_64")
SMALL = {"images": 1, "side": 32, "rounds": 1}
NETWORK = "efficientnet_lite0/blocks.0"
TRAINED = ["autoencoding", "delineation", "image-prior", "inversion", "super-resolution"]


def cost(loss: str = "vgg16/relu3_3", task: str = "", device: str = "cpu", **rest: object) -> Cost:
    values = {"images": 2, "side": 64, "rounds": 3, "measured": "2026-01-01", "baseline": "pixel:mse"}
    return Cost(loss, task, device, machine=HERE, **(values | {"seconds": 0.5, "ratio": 4.0} | rest))


@pytest.mark.parametrize(
    ("loss", "key"),
    [
        ("vgg16/features.15", "vgg16/relu3_3"),
        ("vgg16/relu3_3:weights=random-3", "vgg16/relu3_3"),
        ("vgg16/relu3_3:weights=../x.pth:unit-spatial-sum", "vgg16/relu3_3:unit-spatial-sum"),
        ("lpips:alex:weights=x.pth", "lpips:alexnet"),
        ("pixel:mse", "pixel:mse"),
        ("mine/layer:weights=x.pth:sort", "mine/layer:sort"),
    ],
)
def test_a_cost_has_the_name_of_its_loss_without_weights(loss: str, key: str) -> None:
    assert cost_key(loss) == key


def test_losses_that_differ_in_weights_are_measured_once() -> None:
    losses = [f"{NETWORK}:weights=random-1", NETWORK, f"{NETWORK}:weights=no/such/file.pth"]
    found = measure_costs(losses, memory=False, **SMALL)
    assert [c.loss for c in found] == ["pixel:mse", NETWORK]
    assert not any(c.error for c in found)


def test_what_is_measured() -> None:
    told: list[tuple[int, int]] = []
    pixel, perceptual = measure_costs(
        [NETWORK], images=2, side=64, rounds=3, progress=lambda done, total: told.append((done, total))
    )
    assert (pixel.ratio, pixel.ratio_low, pixel.ratio_high) == (1.0, 1.0, 1.0)
    assert perceptual.ratio is not None
    assert perceptual.ratio > 1.5
    assert perceptual.seconds_low <= perceptual.seconds <= perceptual.seconds_high  # type: ignore[operator]
    assert perceptual.milliseconds == pytest.approx(1e3 * perceptual.seconds / 2)  # type: ignore[operator]
    assert (perceptual.images, perceptual.side, perceptual.rounds) == (2, 64, 3)
    assert perceptual.machine == this_machine()
    assert told == [(1, 1)]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux only")
def test_memory_grows_with_the_network_and_the_images() -> None:
    with MemoryMeter(images=1, side=64) as meter:
        small, wide = meter.peak("pixel:mse"), meter.peak("resnet18/layer4:weights=random-0")
        assert meter.peak("no/such") is None
        again = meter.peak("pixel:mse")
    with MemoryMeter(images=8, side=128) as meter:
        many = meter.peak("resnet18/layer4:weights=random-0")
    assert small is not None
    assert again is not None
    assert abs(small - again) < 4e6  # the large loss before it left nothing behind
    parameters = sum(p.numel() for p in load_loss("resnet18/layer4:weights=random-0").network.parameters())
    assert wide is not None
    assert wide > small + 4 * parameters * 0.8
    one_layer = 4 * 8 * 64 * 64 * 64  # of the first convolution, for 8 images
    assert many is not None
    assert many > wide + one_layer


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux only")
def test_memory_of_the_smallest_image_is_measured_too() -> None:
    with MemoryMeter(images=1, side=1) as meter:
        assert meter.peak("pixel:mse") is not None


def test_where_memory_cannot_be_measured_it_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lossnets.runs.peak_memory._possible", lambda: False)
    found = measure_costs(["pixel:l1"], **SMALL)
    assert [c.memory for c in found] == [None, None]
    assert all(c.seconds for c in found)


def test_a_loss_that_fails_is_a_record_and_loses_no_other() -> None:
    losses = ["nonsense/x", "vgg16/relu5_3:head=missing.safetensors", "vgg16/relu5_3", "pixel:l1"]
    found = {c.loss: c for c in measure_costs(losses, images=1, side=8, rounds=1, memory=False)}
    assert found["nonsense/x"].error.startswith("UnknownNameError: network 'nonsense' is not known")
    assert "missing.safetensors" in found["vgg16/relu5_3:head=missing.safetensors"].error
    assert found["vgg16/relu5_3"].error.startswith("ImageError")
    assert all(c.seconds is None and c.ratio is None for c in found.values() if c.error)
    assert found["pixel:l1"].ratio is not None


def test_losses_take_turns() -> None:
    calls: list[str] = []
    steps = {name: Step(lambda name=name: calls.append(name), 1, 8) for name in "ab"}  # type: ignore[misc]
    settings = measure_cost._Settings(1, 8, 3, "cpu", HERE, memory=False)
    times = measure_cost._take_turns(steps, settings)
    assert calls == ["a", "b"] * 3
    assert {name: len(t) for name, t in times.items()} == {"a": 3, "b": 3}


def test_ratios_are_taken_within_each_round() -> None:
    """The machine is ten times slower in every other round: the ratio stays 2."""
    settings = measure_cost._Settings(2, 8, 4, "cpu", HERE, memory=False)
    timing = [2.0, 20.0, 2.2, 20.0], [1.0, 10.0, 1.0, 10.0]
    found = measure_cost._timed("x", "", Step(lambda: None, 2, 8), timing, settings)
    assert (found.ratio, found.ratio_low) == (2.0, 2.0)
    assert found.ratio_high == pytest.approx(2.05)
    assert found.seconds == pytest.approx(11.1)


def test_a_gpu_is_timed_by_its_own_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a GPU: that events enclose the step, and are read once it is done."""
    calls: list[str] = []

    class Event:
        def __init__(self, *, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            calls.append("event")

        def elapsed_time(self, last: Event) -> float:
            calls.append("read")
            return 5.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: calls.append("wait"))
    step = Step(lambda: calls.append("step"), 1, 8)
    assert measure_cost._seconds(step, torch.device("cuda")) == 0.005
    assert calls == ["event", "step", "event", "wait", "read"]


def test_a_loss_alone_is_compared_with_an_encoded_target(monkeypatch: pytest.MonkeyPatch) -> None:
    loss = load_loss(f"{NETWORK}:weights=random-0")
    step = loss_step(loss, 1, 32, torch.device("cpu"))
    monkeypatch.setattr(loss, "encode", pytest.fail)
    step.run()
    step.run()


def test_a_kept_target_is_encoded_once_and_gives_the_same_value() -> None:
    loss = load_loss(f"{NETWORK}:weights=random-0")
    x, y = torch.rand(2, 2, 3, 32, 32)
    kept = KeepsTarget(loss)
    assert torch.equal(kept(x, y), loss(x, loss.encode(y)))
    assert torch.equal(kept(x, torch.zeros_like(y)), kept(x, y))  # by design: one batch stands for all
    assert kept.name == loss.name
    assert torch.equal(kept(x, loss.encode(x)), torch.zeros(()))  # what a task encodes is its own affair


@pytest.mark.parametrize("task", TRAINED)
def test_a_training_step_trains(task: str) -> None:
    loss = load_loss(f"{NETWORK}:weights=random-0")
    step = cost_steps.task_step(loss, task, torch.device("cpu"))
    made = cost_steps._benchmark(task).workload("small")
    assert (step.images, step.side) == (made.step_images, made.side)
    step.run()


def test_the_step_of_a_task_is_its_own_training_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Same loss value as in the benchmark's own first step, for the same batch and model."""
    benchmark = cost_steps._benchmark("super-resolution")
    loss = load_loss(f"{NETWORK}:weights=random-0")
    own = benchmark.task(loss, seed=0, profile="small")
    own.start(torch.device("cpu"))
    wanted = own.training_loss(own.training_batch(0, range(8)))
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(torch.Tensor, "backward", lambda self: seen.append(self.detach()))
    cost_steps.task_step(loss, "super-resolution", torch.device("cpu")).run()
    assert torch.allclose(seen[0], wanted.detach(), rtol=1e-5)


def test_tasks_and_baselines() -> None:
    assert sorted(step_tasks()) == TRAINED
    found = measure_costs([NETWORK], task="delineation", memory=False, **SMALL)
    assert [(c.loss, c.task, c.baseline) for c in found] == [
        ("pixel:mse", "", "pixel:mse"),
        (NETWORK, "", "pixel:mse"),
        ("pixel:bce", "delineation", "pixel:bce"),
        (NETWORK, "delineation", "pixel:bce"),
    ]


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: check_task("similarity"), ConfigError, "'similarity' has no training step"),
        (lambda: check_task("delination"), UnknownNameError, "Did you mean 'delineation'"),
        (
            lambda: measure_costs(["pixel:l1"], rounds=0),
            ConfigError,
            "rounds must be a whole number, 1 or more",
        ),
        (lambda: measure_costs(["pixel:l1"], images=True), ConfigError, "images must be a whole number"),
        (lambda: measure_costs(["pixel:l1"], device="gpu"), ConfigError, "device must be like 'cpu'"),
        (lambda: iter_costs({"pixel:l1": ["similarity"]}), ConfigError, "no training step"),
    ],
)
def test_what_is_refused(call: object, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()  # type: ignore[operator]


def test_costs_are_read_as_they_were_written(tmp_path: Path) -> None:
    costs = [
        cost(),
        cost(task="delineation", memory=5, ratio=1 / 3),
        cost("a/b", error="E: no", seconds=None),
    ]
    costs.append(replace(costs[0], device="cuda", machine=replace(HERE, name="a GPU")))
    write_costs(costs, tmp_path / "sub" / "profile.json")
    assert read_costs(tmp_path / "sub" / "profile.json") == costs
    assert [p.name for p in (tmp_path / "sub").iterdir()] == ["profile.json"]


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "profile.json"
    write_costs([cost()], path)
    before = path.read_text()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_costs([cost(), cost("b", seconds=math.nan)], path)
    assert path.read_text() == before
    with pytest.raises((DataError, ConfigError)):
        write_costs([cost()], tmp_path / "profile.json" / "x.json")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c | {"format": "something else"}, "its format is 'something else'"),
        (lambda c: {k: v for k, v in c.items() if k != "machines"}, "KeyError"),
        (
            lambda c: c | {"costs": [c["costs"][0] | {"seconds": -1.0}]},
            "seconds of .* must be a number, 0 or more",
        ),
        (lambda c: c | {"costs": [c["costs"][0] | {"colour": 1}]}, "colour"),
        (lambda c: c | {"costs": [c["costs"][0] | {"machine": 7}]}, "IndexError"),
        (lambda _: [1], "TypeError"),
    ],
)
def test_files_that_are_no_costs_are_refused(change: object, message: str, tmp_path: Path) -> None:
    write_costs([cost()], tmp_path / "c.json")
    content = json.loads((tmp_path / "c.json").read_text())
    with pytest.raises(DataError, match=message) as caught:
        parse_costs(json.dumps(change(content)), "c.json")  # type: ignore[operator]
    assert "c.json is no file of costs" in str(caught.value)
    assert "lossnets profile" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.json' cannot be read"):
        read_costs(tmp_path / "nothing.json")


def test_merging_replaces_what_was_measured_again() -> None:
    old = [cost(seconds=1.0), cost(task="delineation", seconds=2.0), cost("b", error="E: old", seconds=None)]
    new = [cost(seconds=3.0), cost(task="delineation", seconds=None, error="E: new"), cost("b", seconds=4.0)]
    merged = merge_costs(old, new)
    assert [c.seconds for c in merged] == [3.0, 2.0, 4.0]  # an error does not replace a measurement
    assert merge_costs(merged, [cost(device="cuda")])[-1].device == "cuda"


def test_parts_come_as_they_are_measured() -> None:
    jobs = {f"pixel:{name}": () for name in ("l1", "l2", "mse", "bce")} | {
        f"{NETWORK}:{distance}": () for distance in ("l1", "sort", "mean")
    }
    parts = list(iter_costs(jobs, memory=False, **SMALL))
    assert [len({c.loss for c in part} - {"pixel:mse"}) for part in parts] == [5, 1]
    assert all(any(c.loss == "pixel:mse" for c in part) for part in parts)
