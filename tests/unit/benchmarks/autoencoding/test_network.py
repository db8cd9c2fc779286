"""The architecture, counted by hand, and the divergence, integrated numerically."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lossnets.benchmarks.autoencoding.network import (
    Autoencoder,
    FeatureDecoder,
    FeatureEncoder,
    image_autoencoder,
    kl_divergence,
)
from lossnets.errors import ConfigError, ImageError

SIDES = (64, 80, 96, 112, 128, 144)


@pytest.mark.parametrize("side", SIDES)
def test_every_side_of_64_plus_16n_comes_back_as_it_went_in(side: int) -> None:
    model = image_autoencoder((side, side)).eval()
    with torch.no_grad():
        coded = model(torch.rand(2, 3, side, side))
    assert coded.output.shape == (2, 3, side, side)
    assert coded.mean.shape == (2, 64)
    assert coded.log_variance is None
    assert 0 <= coded.output.min() <= coded.output.max() <= 1


def test_images_need_not_be_square() -> None:
    coded = image_autoencoder((64, 112), z=8).eval()(torch.rand(1, 3, 64, 112))
    assert coded.output.shape == (1, 3, 64, 112)
    assert coded.mean.shape == (1, 8)


@pytest.mark.parametrize("side", [48, 65, 72, 95])
def test_other_sides_are_refused_with_the_next_one_that_fits(side: int) -> None:
    wanted = {48: 64, 65: 80, 72: 80, 95: 96}[side]
    with pytest.raises(ImageError, match=rf"64 \+ 16 n .* got {side}.* {wanted}\."):
        image_autoencoder((64, side))


def test_the_width_of_the_embedding_is_checked() -> None:
    with pytest.raises(ConfigError, match=r"z, the width of the embedding, .* got 0"):
        image_autoencoder((64, 64), z=0)


def test_number_of_parameters_by_hand_at_64_pixels() -> None:
    """Kernels and biases of each layer, and two numbers a channel of each batch normalisation."""
    encoder = sum(a * b * 4 * 4 + b + 2 * b for a, b in ((3, 32), (32, 64), (64, 128), (128, 256)))
    flat = 256 * 2 * 2  # 64 -> 31 -> 14 -> 6 -> 2
    embedding = flat * 64 + 64
    linear = 64 * 1024 + 1024
    steps = ((1024, 128, 5), (128, 64, 5), (64, 32, 6))
    decoder = sum(a * b * k * k + b + 2 * b for a, b, k in steps) + 32 * 3 * 6 * 6 + 3
    model = image_autoencoder((64, 64))
    assert sum(p.numel() for p in model.parameters()) == encoder + embedding + linear + decoder == 4_382_723
    variational = image_autoencoder((64, 64), variational=True)
    assert sum(p.numel() for p in variational.parameters()) == 4_382_723 + embedding


def test_layers_are_in_the_published_order() -> None:
    model = image_autoencoder((96, 96))
    kinds = [type(layer).__name__ for layer in model.encoder]
    assert kinds == ["Conv2d", "BatchNorm2d", "ReLU"] * 4 + ["Flatten"]
    kinds = [type(layer).__name__ for layer in model.decoder.layers]
    assert kinds == ["ConvTranspose2d", "BatchNorm2d", "ReLU"] * 3 + ["ConvTranspose2d", "Sigmoid"]
    assert model.decoder.linear.out_features == 1024 * 3 * 3  # 96 = 16 * 3 + 48


def test_feature_parts_have_the_published_widths() -> None:
    encoder, decoder = FeatureEncoder(100, 50), FeatureDecoder(100, 50, 64, 4096)
    assert [tuple(p.shape) for p in encoder.parameters() if p.ndim == 2] == [(50, 100), (1024, 50)]
    assert [tuple(p.shape) for p in decoder.parameters() if p.ndim == 2] == [
        (4096, 64),
        (50, 4096),
        (100, 50),
    ]
    assert Autoencoder(encoder, decoder, 64)(torch.rand(3, 100)).output.shape == (3, 100)


def test_a_variational_autoencoder_draws_in_training_and_decodes_the_mean_in_evaluation() -> None:
    model = image_autoencoder((64, 64), z=4, variational=True).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        quiet = model(images)
        torch.testing.assert_close(quiet.output, model.decoder(quiet.mean))
        torch.testing.assert_close(quiet.mean, model.encode(images))
        model.train()
        torch.manual_seed(7)
        first = model(images)
        torch.manual_seed(7)
        again = model(images)
        other = model(images)
    assert torch.equal(first.output, again.output)
    assert not torch.equal(first.output, other.output)


def test_the_noise_has_the_estimated_spread() -> None:
    """With weights of 0 the embedding is bias + exp(log variance / 2) * noise."""
    model = Autoencoder(FeatureEncoder(4, 4), torch.nn.Identity(), 2, variational=True)  # type: ignore[arg-type]
    with torch.no_grad():
        for layer, bias in ((model.mean, (1.0, -2.0)), (model.log_variance, (0.0, math.log(9.0)))):
            layer.weight.zero_()
            layer.bias.copy_(torch.tensor(bias))
        drawn = model(torch.zeros(40_000, 4)).output
    torch.testing.assert_close(drawn.mean(0), torch.tensor([1.0, -2.0]), atol=0.06, rtol=0)
    torch.testing.assert_close(drawn.std(0), torch.tensor([1.0, 3.0]), atol=0.06, rtol=0)


def test_divergence_known_answers() -> None:
    zero = torch.zeros(3, 64)
    assert torch.equal(kl_divergence(zero, zero), torch.zeros(3))
    # one dimension: mean 2, variance 1 -> 2; mean 0, variance e -> (e - 2) / 2
    found = kl_divergence(torch.tensor([[2.0], [0.0]]), torch.tensor([[0.0], [1.0]]))
    torch.testing.assert_close(found, torch.tensor([2.0, (math.e - 2) / 2]))
    # summed over dimensions, and the same as torch's own
    mean, log_variance = torch.randn(5, 7), torch.randn(5, 7)
    judge = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, (log_variance / 2).exp()), torch.distributions.Normal(0.0, 1.0)
    ).sum(1)
    torch.testing.assert_close(kl_divergence(mean, log_variance), judge)


def test_divergence_is_the_integral_that_it_stands_for() -> None:
    mean, deviation = 0.7, 0.4
    x = np.linspace(-8, 8, 200_001)
    p = np.exp(-0.5 * ((x - mean) / deviation) ** 2) / (deviation * np.sqrt(2 * np.pi))
    with np.errstate(divide="ignore"):
        ratio = -0.5 * ((x - mean) / deviation) ** 2 - np.log(deviation) + 0.5 * x**2
    integral = float(np.sum(p * ratio) * (x[1] - x[0]))
    found = kl_divergence(torch.tensor([[mean]]), torch.tensor([[2 * math.log(deviation)]]))
    assert float(found) == pytest.approx(integral, rel=1e-5)
