"""The U-Net and its refinements: sizes, shared weights, activations, nothing carried over."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from lossnets.benchmarks.delineation.network import WIDTHS, Delineator, UNet, pad_to_stride
from lossnets.errors import ConfigError, ImageError

NARROW = (4, 6, 8, 10)


def _parameters(widths: tuple[int, int, int, int]) -> int:
    """By hand: 4×4 kernels, two numbers of batch normalisation a channel, one bias at the end."""
    a, b, c, d = widths
    down = 16 * (4 * a + a * b + b * c + c * d) + 2 * (a + b + c + d)
    up = 16 * (d * c + 2 * c * b + 2 * b * a) + 2 * (c + b + a)
    return down + up + 16 * 2 * a + 1


@pytest.mark.parametrize("widths", [NARROW, WIDTHS])
@pytest.mark.parametrize("refinements", [1, 3])
def test_the_number_of_parameters_is_that_of_one_unet_whatever_k(
    widths: tuple[int, int, int, int], refinements: int
) -> None:
    model = Delineator(refinements, widths)
    assert sum(p.numel() for p in model.parameters()) == _parameters(widths)


def test_steps_are_four_by_four_convolutions_of_stride_2_with_the_right_activations() -> None:
    unet = UNet(NARROW)
    for step in unet.down:
        convolution, normalisation, activation = step
        assert (convolution.kernel_size, convolution.stride) == ((4, 4), (2, 2))
        assert isinstance(normalisation, nn.BatchNorm2d)
        assert isinstance(activation, nn.LeakyReLU)
        assert activation.negative_slope == 0.2
    for step in unet.up:
        convolution, normalisation, activation = step
        assert isinstance(convolution, nn.ConvTranspose2d)
        assert (convolution.kernel_size, convolution.stride) == ((4, 4), (2, 2))
        assert isinstance(normalisation, nn.BatchNorm2d)
        assert isinstance(activation, nn.ReLU)
    assert len(unet.down) == 4
    assert len(unet.up) + 1 == 4


def test_refinements_are_the_same_unet_on_the_image_and_its_last_prediction() -> None:
    model = Delineator(3, NARROW).eval()
    images = torch.rand(2, 3, 32, 48)
    prediction = torch.zeros(2, 1, 32, 48)
    for logits in model(images):
        expected = model.unet(torch.cat([images, prediction], 1))
        torch.testing.assert_close(logits, expected)
        prediction = expected.sigmoid()


def test_nothing_is_carried_from_one_call_or_model_into_the_next() -> None:
    model, other = Delineator(3, NARROW).eval(), Delineator(3, NARROW).eval()
    images = torch.rand(1, 3, 32, 32)
    first = model(images)[-1]
    other(torch.rand(1, 3, 32, 32))
    model(torch.rand(1, 3, 32, 32))
    torch.testing.assert_close(model(images)[-1], first, rtol=0, atol=0)


@pytest.mark.parametrize("size", [(16, 16), (37, 50), (33, 64), (48, 95)])
def test_any_size_is_padded_by_reflection_and_cut_back(size: tuple[int, int]) -> None:
    model = Delineator(2, NARROW).eval()
    height, width = size
    images = torch.rand(1, 3, height, width)
    whole = functional.pad(images, (0, -width % 16, 0, -height % 16), mode="reflect")
    for logits, expected in zip(model(images), model(whole), strict=True):
        assert logits.shape == (1, 1, height, width)
        torch.testing.assert_close(logits, expected[..., :height, :width])


def test_images_of_16_pixels_and_more_only() -> None:
    with pytest.raises(ImageError, match=r"at least 16 pixels; got 15×40"):
        pad_to_stride(torch.rand(1, 3, 15, 40))


def test_wrong_settings_are_refused() -> None:
    with pytest.raises(ConfigError, match="refinements must be at least 1; got 0"):
        Delineator(0)
    with pytest.raises(ConfigError, match=r"widths must be four numbers of channels above 0; got \(1, 2\)"):
        UNet((1, 2))


def test_gradients_reach_every_weight() -> None:
    model = Delineator(2, NARROW)
    model(torch.rand(2, 3, 32, 32))[-1].sum().backward()
    assert all(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in model.parameters() if p.ndim > 1)
