"""The fast way back to the image gives the gradient of the ordinary one."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import lossnets
from lossnets.networks.first_layer import ImageConv2d, input_gradient

LAYERS = [(11, 4, 2), (7, 2, 3), (3, 2, 0), (3, 2, 1), (2, 2, 0), (5, 3, 1), (3, 4, 0)]


@pytest.mark.parametrize(("kernel", "stride", "padding"), LAYERS)
@pytest.mark.parametrize("size", [(32, 32), (31, 37), (23, 40)])
def test_gradient_equals_that_of_conv2d(
    kernel: int, stride: int, padding: int, size: tuple[int, int]
) -> None:
    layer = nn.Conv2d(3, 5, kernel, stride, padding).double()
    x = torch.randn(2, 3, *size, dtype=torch.float64, requires_grad=True)
    y = layer(x)
    above = torch.randn_like(y)
    (expected,) = torch.autograd.grad(y, x, above)
    found = input_gradient(above, layer.weight, stride, (padding, padding), size)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_gradgradcheck() -> None:
    layer = ImageConv2d(3, 2, 3, 2).double().requires_grad_(False)
    x = torch.randn(1, 3, 7, 8, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(layer, (x,))
    assert torch.autograd.gradgradcheck(lambda v: layer(v).square(), (x,))


@pytest.mark.parametrize("network", ["alexnet", "squeezenet1_1", "resnet18"])
def test_networks_use_it_and_keep_their_names(network: str) -> None:
    loaded = lossnets.load_network(network, weights="random-0")
    replaced = [path for path, module in loaded.stages[0].named_modules() if isinstance(module, ImageConv2d)]
    assert replaced == ["conv1" if network == "resnet18" else "features.0"]
    assert f"{replaced[0]}.weight" in loaded.stage_state()
    x = torch.rand(1, 3, 64, 64, requires_grad=True)
    (fast,) = torch.autograd.grad(sum(f.square().mean() for f in loaded(x).values()), x)
    trained = lossnets.load_network(network, weights="random-0", trainable=True).eval()
    (plain,) = torch.autograd.grad(sum(f.square().mean() for f in trained(x).values()), x)
    torch.testing.assert_close(fast, plain, rtol=1e-3, atol=1e-6 * float(plain.abs().max()))


def test_vgg_keeps_the_ordinary_layer() -> None:
    loaded = lossnets.load_network("vgg11", ["features.1"], weights="random-0")
    assert not any(isinstance(module, ImageConv2d) for module in loaded.modules())


def test_trained_layers_take_the_ordinary_way() -> None:
    layer = ImageConv2d(3, 2, 3, 2)
    x = torch.rand(1, 3, 9, 9, requires_grad=True)
    layer(x).sum().backward()
    assert layer.weight.grad is not None
    assert x.grad is not None
