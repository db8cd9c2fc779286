"""The network's facts: parameters, sizes, range, reproducibility."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lossnets.benchmarks.engine import seeded_model
from lossnets.benchmarks.super_resolution import SuperResolver
from lossnets.errors import ImageError


def convolution(channels: int, width: int, kernel: int) -> int:
    return channels * width * kernel**2 + width


def by_hand(steps: int, width: int) -> int:
    """9×9, 4 times two 3×3, one 3×3 for each doubling, 9×9; two numbers a channel for normalisation."""
    first = convolution(3, width, 9) + 2 * width
    residual = 4 * 2 * (convolution(width, width, 3) + 2 * width)
    upsampling = steps * (convolution(width, width, 3) + 2 * width)
    return first + residual + upsampling + convolution(width, 3, 9)


@pytest.mark.parametrize(("scale", "steps"), [(4, 2), (8, 3)])
@pytest.mark.parametrize("width", [64, 8])
def test_parameters_are_those_counted_by_hand(scale: int, steps: int, width: int) -> None:
    assert sum(p.numel() for p in SuperResolver(scale, width).parameters()) == by_hand(steps, width)


def test_published_size() -> None:
    assert sum(p.numel() for p in SuperResolver(4, 64).parameters()) == by_hand(2, 64) == 401_859


@pytest.mark.parametrize("scale", [4, 8])
@pytest.mark.parametrize("size", [(5, 5), (7, 12), (9, 6)])
def test_any_size_is_enlarged_into_the_unit_range(scale: int, size: tuple[int, int]) -> None:
    network = SuperResolver(scale, 4)
    for mode in (True, False):
        output = network.train(mode)(torch.rand(2, 3, *size))
        assert output.shape == (2, 3, scale * size[0], scale * size[1])
        assert output.min() >= 0
        assert output.max() <= 1


def test_the_whole_range_can_be_reached() -> None:
    network = SuperResolver(4, 4).eval()
    nn.init.zeros_(network.last.weight)
    for bias, value in ((-20.0, 0.0), (0.0, 0.5), (20.0, 1.0)):
        nn.init.constant_(network.last.bias, bias)
        assert network(torch.rand(1, 3, 6, 6)).unique().tolist() == [value]


def test_borders_are_reflected_not_black() -> None:
    """A constant image stays constant: zero padding would darken its border."""
    network = SuperResolver(4, 4).eval()
    output = network(torch.full((1, 3, 8, 8), 0.7))[0]
    assert (output - output[:, :1, :1]).abs().max() < 1e-5


def test_no_activation_after_a_residual_sum() -> None:
    block = SuperResolver(4, 4).residual[0].eval()
    features = torch.randn(1, 4, 8, 8)
    nn.init.zeros_(block.body[-1].weight)
    nn.init.zeros_(block.body[-1].bias)
    assert torch.equal(block(features), features)  # negative values included
    assert features.min() < 0


def test_every_convolution_but_the_last_of_a_sum_has_its_activation() -> None:
    kinds = [type(m).__name__ for m in SuperResolver(8, 4).modules() if not list(m.children())]
    assert kinds.count("Conv2d") == 1 + 4 * 2 + 3 + 1
    assert kinds.count("BatchNorm2d") == 1 + 4 * 2 + 3
    assert kinds.count("ReLU") == 1 + 4 + 3


def test_too_small_is_an_error_that_says_so() -> None:
    with pytest.raises(ImageError, match="at least 5×5 pixels; got 4×9"):
        SuperResolver(4, 4)(torch.rand(1, 3, 4, 9))


def test_initial_weights_depend_on_the_seed_only() -> None:
    one, same, other = (seeded_model(lambda: SuperResolver(4, 4), seed) for seed in (1, 1, 2))
    weights = [torch.cat([p.flatten() for p in model.parameters()]) for model in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
