"""Rewrites that save memory: the same bits, fewer maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn

import lossnets
from lossnets.networks.graph import cut, trace


class Fire(nn.Module):
    """Two branches, each with its own ReLU, put together: as in SqueezeNet."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 5, 3, padding=1)
        self.relu_a, self.relu_b = nn.ReLU(inplace=True), nn.ReLU(inplace=True)
        self.last = nn.Conv2d(9, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(torch.cat([self.relu_a(self.a(x)), self.relu_b(self.b(x))], 1))


def operations(taps: list[str]) -> list[str]:
    stages, _ = cut(trace(Fire().eval()), taps)
    return [str(node.target) for stage in stages for node in stage.graph.nodes if node.op.startswith("call")]


def test_one_relu_after_the_concatenation_instead_of_one_before_each() -> None:
    names = operations(["last"])
    assert len(names) == 5
    assert "relu_a" not in names
    assert "relu_b" not in names
    assert sum("relu_" in name for name in names) == 1


def test_a_relu_that_is_a_tap_stays() -> None:
    names = operations(["relu_a", "last"])
    assert sum("relu" in name for name in names) == 2


def test_values_and_gradients_are_the_same_bits() -> None:
    torch.manual_seed(0)
    model = Fire().eval()
    stages, _ = cut(trace(model), ["last"])
    x = torch.randn(2, 3, 8, 8, requires_grad=True)
    (found,) = stages.iterate(x)
    expected = model(x)
    assert torch.equal(found, expected)
    (fast,) = torch.autograd.grad(found.sum(), x)
    (plain,) = torch.autograd.grad(expected.sum(), x)
    assert torch.equal(fast, plain)


def test_squeezenet_keeps_one_map_per_fire_module() -> None:
    network = lossnets.load_network("squeezenet1_1", ["features.12"], weights="random-0")
    targets = [str(node.target) for stage in network.stages for node in stage.graph.nodes]
    assert not any("expand" in target and "activation" in target for target in targets)
