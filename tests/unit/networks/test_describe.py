"""Records of taps against what really comes out, and receptive fields against measured ones."""

from __future__ import annotations

import warnings

import pytest
import torch
from torch import nn

from lossnets.networks import blueprint, load_network, wrap_network
from lossnets.networks.describe import layout_of, smallest_image, without_data


def measured_field(network, tap: str, side: int) -> int:
    """Side of the square of pixels that move the middle position: where the gradient is not zero."""
    x = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    f = network(x)[tap]
    f[0, :, f.shape[2] // 2, f.shape[3] // 2].sum().backward()
    rows = x.grad.abs().sum((0, 1)).nonzero()
    return int((rows.max(0).values - rows.min(0).values + 1).max())


@pytest.mark.parametrize(
    ("name", "tap", "field"),
    [
        ("vgg16", "relu1_2", 5),
        ("vgg16", "relu2_2", 14),
        ("vgg16", "relu3_3", 40),
        ("alexnet", "relu1", 11),
        ("alexnet", "relu2", 51),
        ("alexnet", "relu5", 163),
        ("resnet18", "layer1", 43),
        ("resnet18", "relu", 7),
        ("squeezenet1_1", "features.3", 15),
        ("densenet121", "features.pool0", 11),
    ],
)
def test_receptive_field(name, tap, field):
    """The literal is what the network's papers say; the measurement is of a network of lively weights."""
    assert blueprint(name).resolve(tap).receptive_field == field
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = load_network(name, [tap], weights="random-3", pooling="avg").double()
    for module in network.modules():  # a dead ReLU hides pixels, average pooling hides none
        if isinstance(module, nn.Conv2d):
            nn.init.uniform_(module.weight, 0.01, 0.1)
            if module.bias is not None:
                nn.init.ones_(module.bias)
        if isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.bias)
    assert measured_field(network, tap, field + 60) == field


def test_receptive_field_of_windows_that_are_not_square():
    net = nn.Sequential(nn.Conv2d(3, 2, (1, 7)), nn.Conv2d(2, 2, (3, 1), dilation=(4, 1)), nn.Conv2d(2, 2, 3))
    taps = wrap_network(net, ["0", "1", "2"], mean=[0] * 3, std=[1] * 3).taps
    assert [t.receptive_field for t in taps] == [7, 9, 11]


def test_global_operations_see_the_whole_image():
    assert blueprint("efficientnet_b0").resolve("features.4").receptive_field is None  # squeeze-excitation
    assert blueprint("timm/vit_tiny_patch16_224").resolve("blocks.3").receptive_field is None


def test_depth_is_the_share_of_weighted_layers():
    plan = blueprint("vgg16")  # 13 convolutions and 3 linear layers
    assert plan.resolve("conv1_1").depth == pytest.approx(1 / 16, abs=1e-4)
    assert plan.resolve("relu3_3").depth == pytest.approx(7 / 16, abs=1e-4)
    assert plan.resolve("pool5").depth == pytest.approx(13 / 16, abs=1e-4)
    depths = [t.depth for t in blueprint("densenet121").taps.values()]
    assert depths == sorted(depths)


def test_fields_of_a_record():
    tap = blueprint("vgg16").resolve("relu3_3")
    assert (tap.channels, tap.stride, tap.module, tap.layout) == (256, 4, "features.15", "NCHW")
    token = blueprint("timm/vit_tiny_patch16_224").resolve("blocks.3")
    assert (token.channels, token.layout, token.stride) == (192, "NLC", 0)
    window = blueprint("swin_t").resolve("features.1")
    assert (window.channels, window.layout, window.stride) == (96, "NHWC", 4)


@pytest.mark.parametrize(
    ("seen", "layout"),
    [
        ([(1, 64, 8, 9), (1, 64, 10, 11)], "NCHW"),
        ([(1, 8, 9, 64), (1, 10, 11, 64)], "NHWC"),
        ([(1, 7, 7, 96)], "NHWC"),
        ([(1, 96, 7, 7)], "NCHW"),
        ([(1, 50, 192), (1, 70, 192)], "NLC"),
        ([(1, 192, 49), (1, 192, 69)], None),
        ([(1, 1000), (1, 1000)], "NC"),
        ([(1, 100), (1, 144)], None),
        ([(4, 49, 96), (9, 49, 96)], None),
        ([(1, 2, 3, 4, 5)], None),
        ([(), ()], None),
    ],
)
def test_layouts(seen, layout):
    assert layout_of(seen) == layout


@pytest.mark.parametrize(("accepted", "want"), [
    (lambda s: s >= 1, (1, 1)),
    (lambda s: s >= 31, (31, 1)),
    (lambda s: s >= 300, (300, 1)),
    (lambda s: s % 16 == 0, (16, 16)),
    (lambda s: s % 14 == 0, (14, 14)),
    (lambda s: s % 2 == 1 and s > 4, (5, 2)),
])  # fmt: skip
def test_smallest_image_and_step(accepted, want):
    def run(images):
        assert images.is_meta
        if not (accepted(images.shape[2]) and images.shape[2] == images.shape[3]):
            raise RuntimeError("no")

    assert smallest_image(run) == want


def test_smallest_image_of_nothing():
    def run(images):
        raise RuntimeError("never")

    with pytest.raises(ValueError, match="no image of up to 1024x1024"):
        smallest_image(run)


def test_without_data_has_shapes_and_no_numbers():
    module = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    empty = without_data(module)
    assert all(t.is_meta for t in (*empty.parameters(), *empty.buffers()))
    assert {k: v.shape for k, v in empty.state_dict().items()} == {
        k: v.shape for k, v in module.state_dict().items()
    }
    assert not any(t.is_meta for t in module.parameters())
