"""Parametrisations of the proxy target against references that go pixel by pixel."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from lossnets.errors import UnknownNameError
from lossnets.gradients.proxies import (
    DISPLACEMENT,
    PROXIES,
    WARP_STRIDE,
    proxy_channels,
    proxy_image,
)

MEAN = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(1, 3, 1, 1)


def make(name: str, output: Tensor, target: Tensor) -> Tensor:
    return proxy_image(name, output, target, MEAN, STD)


def test_raw_and_sigmoid() -> None:
    output, target = torch.randn(2, 2, 3, 4, 5, dtype=torch.float64)
    assert torch.equal(make("raw", output, target), output)
    expected = torch.empty_like(output)
    for n, c, i, j in torch.cartesian_prod(*(torch.arange(k) for k in output.shape)).tolist():
        p = 1 / (1 + math.exp(-float(output[n, c, i, j])))
        expected[n, c, i, j] = 1.1 * (p - float(MEAN[0, c])) / float(STD[0, c])
    torch.testing.assert_close(make("sigmoid", output, target), expected, rtol=1e-12, atol=0)


def test_the_sigmoid_reaches_a_little_beyond_the_range_of_images() -> None:
    far = torch.full((1, 3, 1, 1), 50.0, dtype=torch.float64)
    top, bottom = (make("sigmoid", sign * far, far) * STD + MEAN for sign in (1, -1))
    assert 1.0 < float(top.min()) < 1.1
    assert -0.1 < float(bottom.max()) < 0.0


def displaced(target: Tensor, right: float, down: float) -> Tensor:
    """Each pixel from ``right``, ``down`` pixels further on, bilinear, the border repeated."""
    height, width = target.shape[2:]
    out = torch.empty_like(target)
    for i in range(height):
        for j in range(width):
            y, x = min(max(i + down, 0.0), height - 1.0), min(max(j + right, 0.0), width - 1.0)
            a, b = int(y), int(x)
            c, d = min(a + 1, height - 1), min(b + 1, width - 1)
            v, u = y - a, x - b
            top = (1 - u) * target[:, :, a, b] + u * target[:, :, a, d]
            out[:, :, i, j] = (1 - v) * top + v * ((1 - u) * target[:, :, c, b] + u * target[:, :, c, d])
    return out


def test_warped_shifts_the_target() -> None:
    target = torch.randn(1, 3, 48, 40, dtype=torch.float64)
    output = torch.empty(1, 2, 48, 40, dtype=torch.float64)
    output[:, 0], output[:, 1] = 0.7, -1.3
    right, down = (DISPLACEMENT * math.tanh(v) * side / 2 for v, side in ((0.7, 40), (-1.3, 48)))
    found = make("warped", output, target)
    torch.testing.assert_close(found, displaced(target, right, down), rtol=1e-10, atol=1e-12)


def test_no_displacement_is_the_target_and_the_additive_image_is_added() -> None:
    target = torch.randn(2, 3, 20, 24, dtype=torch.float64)
    output = torch.zeros(2, 5, 20, 24, dtype=torch.float64)
    torch.testing.assert_close(make("warped", output[:, :2], target), target, rtol=0, atol=1e-12)
    output[:, 2:] = torch.randn(2, 3, 20, 24)
    found = make("warped-additive", output, target)
    torch.testing.assert_close(found, target + output[:, 2:], rtol=0, atol=1e-12)


def test_the_displacement_is_of_low_resolution_and_bounded() -> None:
    ramp = torch.arange(64.0).expand(1, 3, 16, 64).clone()  # a pixel's value is its column
    output = torch.zeros(1, 2, 16, 64)
    output[:, 0, :, 32 : 32 + WARP_STRIDE] = 1e6
    shift = (proxy_image("warped", output, ramp, MEAN.float(), STD.float()) - ramp)[0, 0, 8]
    assert float(shift.max()) <= DISPLACEMENT * 32 + 1e-4
    assert float(shift[30]) > 0  # the neighbours are taken along
    assert float(shift[:16].abs().max()) < 1e-4


@pytest.mark.parametrize("name", PROXIES)
@pytest.mark.parametrize("size", [(5, 3), (17, 33)])
def test_any_size_and_its_channels(name: str, size: tuple[int, int]) -> None:
    output = torch.randn(1, proxy_channels(name), *size, requires_grad=True)
    t = proxy_image(name, output, torch.randn(1, 3, *size), MEAN.float(), STD.float())
    assert t.shape == (1, 3, *size)
    t.square().sum().backward()
    assert float(output.grad.abs().sum()) > 0


def test_unknown_names() -> None:
    with pytest.raises(UnknownNameError, match=r"proxy parametrisation 'warp' is not known. Did you mean"):
        make("warp", torch.zeros(1, 3, 2, 2), torch.zeros(1, 3, 2, 2))
