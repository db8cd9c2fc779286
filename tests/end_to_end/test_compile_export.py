"""Losses in real use: compiled, exported, in a training loop, in two processes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lossnets.losses import ImageLoss, PerceptualLoss, load_loss
from lossnets.networks import wrap_network

HERE = Path(__file__).parent
SQUEEZE = "squeezenet1_1/features.1,features.4"
SEED = "weights=random-0"
# What Inductor itself warns of, on import and while it compiles, is not ours to answer for.
compiled = pytest.mark.filterwarnings("ignore")


@pytest.fixture(autouse=True)
def clean_compiler() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.compiler.reset()
    yield
    torch.set_num_threads(threads)


def images(count: int = 2, size: tuple[int, int] = (32, 32)) -> tuple[Tensor, Tensor]:
    x = torch.rand(count, 3, *size)
    return x, (x + 0.1 * torch.randn_like(x)).clamp(0, 1)


def tiny_loss() -> PerceptualLoss:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 6, 3))
    return PerceptualLoss(wrap_network(net, ["1", "2"]), distance="lpips")


def value_and_gradient(loss: object, x: Tensor, target: object) -> tuple[Tensor, Tensor]:
    x = x.clone().requires_grad_()
    value = loss(x, target)  # type: ignore[operator]
    return value.detach(), torch.autograd.grad(value.sum(), x)[0]


def assert_alike(fast: object, loss: ImageLoss, x: Tensor, target: object) -> None:
    value, slope = value_and_gradient(fast, x, target)
    expected, wanted = value_and_gradient(loss, x, target)
    torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(slope, wanted, rtol=1e-5, atol=1e-5)
    error = (slope - wanted).double().norm() / wanted.double().norm()
    assert float(error) < 1e-4


@compiled
def test_dynamo_takes_the_whole_loss_in_one_graph() -> None:
    """Without a C++ compiler: what fullgraph=True checks, and the captured graph's numbers."""
    x, y = images()
    for loss in (tiny_loss(), load_loss(f"{SQUEEZE}:lpips:{SEED}")):
        fast = torch.compile(loss, fullgraph=True, backend="aot_eager")
        assert_alike(fast, loss, x, y)
        assert_alike(fast, loss, x, loss.encode(y))


@compiled
def test_inductor_gives_the_same_numbers() -> None:
    loss = tiny_loss()
    assert_alike(torch.compile(loss, fullgraph=True), loss, *images())


@pytest.mark.slow
@compiled
@pytest.mark.parametrize(
    "name",
    [
        f"lpips:squeeze:{SEED}", f"lpips:alex:{SEED}", f"{SQUEEZE}:{SEED}", f"{SQUEEZE}:l1:{SEED}",
        f"{SQUEEZE}:spatial+mean:{SEED}", f"{SQUEEZE}:gram:{SEED}", f"{SQUEEZE}:unit-sort:{SEED}",
        f"{SQUEEZE}:channels=gray:{SEED}", "pixel:mse", "pixel:l2",
    ],
)  # fmt: skip
def test_inductor_for_every_kind(name: str) -> None:
    loss = load_loss(name, reduction="none")
    x, y = images()
    if "gray" in name:
        x, y = x[:, :1], y[:, :1]
    fast = torch.compile(loss, fullgraph=True)
    assert_alike(fast, loss, x, y)
    assert_alike(fast, loss, x, loss.encode(y))


@compiled
@pytest.mark.parametrize(
    "name",
    [
        f"{SQUEEZE}:l1:{SEED}", f"{SQUEEZE}:gram:{SEED}", f"{SQUEEZE}:unit-spatial+sort:{SEED}",
        f"{SQUEEZE}:channels=per-channel:{SEED}", "pixel:mse", "pixel:l2",
    ],
)  # fmt: skip
def test_dynamo_takes_every_kind(name: str) -> None:
    loss = load_loss(name, reduction="none")
    x, y = images()
    fast = torch.compile(loss, fullgraph=True, backend="aot_eager")
    assert_alike(fast, loss, x, y)
    assert_alike(fast, loss, x, loss.encode(y))


@compiled
def test_trained_heads_stay_non_negative_when_compiled() -> None:
    x, y = images()
    loss = load_loss(f"squeezenet1_1/features.1:lpips:{SEED}", trainable="head")
    fast = torch.compile(loss, fullgraph=True, backend="eager")
    optimizer = torch.optim.Adam(loss.parameters(), lr=0.3)
    for _ in range(10):
        optimizer.zero_grad()
        value = fast(x, y)
        assert float(value.detach()) >= 0
        value.backward()
        optimizer.step()
    assert float(fast(x, y).detach()) == pytest.approx(float(loss(x, y).detach()), abs=1e-6)


@compiled
@pytest.mark.parametrize("name", [f"{SQUEEZE}:lpips:{SEED}", f"{SQUEEZE}:mean:{SEED}", "pixel:mse"])
def test_export_with_any_batch_and_size(name: str) -> None:
    loss = load_loss(name, reduction="none")
    x, y = images(2, (48, 40))
    shape = {0: torch.export.Dim("n", min=2, max=16), 2: torch.export.Dim.AUTO, 3: torch.export.Dim.AUTO}
    program = torch.export.export(
        loss, (x, y), dynamic_shapes={"input": shape, "target": shape}, strict=False
    )
    for count, size in ((2, (48, 40)), (3, (64, 33)), (5, (35, 70))):
        x, y = images(count, size)
        torch.testing.assert_close(program.module()(x, y), loss(x, y), rtol=1e-4, atol=1e-6)


def test_a_training_loop() -> None:
    """A small network learns to undo a blur; the loss falls, and the loss network stays as it was."""
    loss = load_loss(f"{SQUEEZE}:{SEED}")
    before = [p.clone() for p in loss.network.parameters()]
    sharp, _ = images(4)
    blurred = torch.nn.functional.avg_pool2d(sharp, 3, 1, 1)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 3, 3, padding=1), nn.Sigmoid()
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    target = loss.encode(sharp)
    values = []
    for _ in range(40):
        optimizer.zero_grad()
        value = loss(model(blurred), target)
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    assert values[-1] < 0.7 * values[0]
    assert all(torch.equal(a, b) for a, b in zip(before, loss.network.parameters(), strict=True))
    assert all(p.grad is None for p in loss.network.parameters())


def test_two_processes_train_together(tmp_path: Path) -> None:
    command = [sys.executable, str(HERE / "ddp_worker.py")]
    workers = [
        subprocess.Popen([*command, str(rank), str(tmp_path)], env={**os.environ, "OMP_NUM_THREADS": "1"},
                         stderr=subprocess.PIPE, text=True)
        for rank in (0, 1)
    ]  # fmt: skip
    for worker in workers:
        _, errors = worker.communicate(timeout=120)
        assert worker.returncode == 0, errors
    first, second = (torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in (0, 1))
    assert list(first["state"]) == ["layer.weight", "layer.bias"]
    for key, value in first["state"].items():
        assert torch.equal(value, second["state"][key])
    assert first["values"][-1] < first["values"][0]
    assert first["values"] != second["values"]  # each saw its own images
