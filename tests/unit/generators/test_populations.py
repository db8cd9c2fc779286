"""Populations: generators that do not touch each other, counts as published, starts that a seed decides."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

from lossnets.errors import ConfigError, ImageError, UnknownNameError
from lossnets.generators import Autoencoder, DeepDecoder, ImagePrior, Population, make_population

KINDS: dict[str, dict[str, Any]] = {
    "deep-decoder": {"width": 6, "levels": 2},
    "image-prior": {"width": 6, "scales": 2, "inputs": 4, "skip": 2},
}
kinds = pytest.mark.parametrize("kind", KINDS)


def one_of(population: Population, kind: str, number: int) -> Population:
    """The generator of this number, alone."""
    alone = make_population(kind, 1, population.side, **KINDS[kind])
    state = {}
    for key, value in population.state_dict().items():
        dimension = 1 if key == "code" else 0  # channels of the noise, else rows of weights
        state[key] = value.chunk(population.count, dimension)[number].clone()
    alone.load_state_dict(state)
    return alone


def fitted(population: Population, targets: Tensor, steps: int) -> Tensor:
    """Images after so many steps of Adam on the sum of the images' squared differences."""
    adam = torch.optim.Adam(population.parameters(), lr=0.01)
    for _ in range(steps):
        adam.zero_grad()
        (population() - targets).square().mean((1, 2, 3)).sum().backward()
        adam.step()
    return population().detach()


@kinds
def test_fitting_three_together_is_fitting_each_alone(kind: str) -> None:
    population = make_population(kind, 3, 16, seed=3, **KINDS[kind])
    alone = [one_of(population, kind, k) for k in range(3)]
    start = population().detach()
    torch.testing.assert_close(torch.cat([each() for each in alone]).detach(), start)
    targets = torch.rand(3, 3, 16, 16)
    together = fitted(population, targets, 8)
    assert (together - start).abs().amax((1, 2, 3)).min() > 0.01, "nothing was fitted"
    for k, each in enumerate(alone):
        torch.testing.assert_close(fitted(each, targets[k : k + 1], 8)[0], together[k], atol=2e-4, rtol=0)


@kinds
def test_a_gradient_reaches_the_own_parameters_only(kind: str) -> None:
    population = make_population(kind, 3, 16, **KINDS[kind])
    population()[1].sum().backward()
    for name, parameter in population.named_parameters():
        assert parameter.grad is not None
        first, second, third = parameter.grad.chunk(3)
        assert not first.any(), name
        assert not third.any(), name
        if not name.endswith("0.bias") and parameter.ndim > 1:  # a bias before a normalisation has none
            assert second.any(), name


@kinds
def test_a_seed_decides_everything_and_nothing_else_does(kind: str) -> None:
    first = make_population(kind, 2, 16, seed=1, **KINDS[kind])
    before = torch.get_rng_state()
    torch.rand(5)
    again = make_population(kind, 2, 16, seed=1, **KINDS[kind])
    other = make_population(kind, 2, 16, seed=2, **KINDS[kind])
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
        if value.numel() and "weight" in key and value.ndim == 4:
            assert not torch.equal(value, other.state_dict()[key])
    assert not torch.equal(first(), other())
    torch.set_rng_state(before)


@kinds
def test_images_are_images(kind: str) -> None:
    population = make_population(kind, 2, 24, **KINDS[kind])
    images = population()
    assert images.shape == (2, 3, 24, 24)
    assert 0 <= images.min() <= images.max() <= 1
    assert torch.equal(images, population())  # nothing in it is random, nor changes by use
    assert "code" in dict(population.named_buffers())
    assert torch.equal(copy.deepcopy(population)(), images)


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("width", "published"), [(64, 25_536), (128, 100_224)])
def test_the_deep_decoder_has_the_published_number_of_parameters(width: int, published: int) -> None:
    """Heckel and Hand 2019, for 512×512: N = d k² + 2 d k + 3 k with d = 6, and biases of the last."""
    assert parameters(DeepDecoder(1, 512, width=width, levels=5)) == published + 3
    assert parameters(DeepDecoder(4, 64, width=width, levels=5)) == 4 * (published + 3)


def test_the_image_prior_has_the_published_number_of_parameters() -> None:
    """Ulyanov et al. 2018: 2,217,831, with one normalisation of 128 + 4 channels more at each scale."""
    prior = ImagePrior(1, 64, width=128, skip=4, scales=5, inputs=32)
    assert parameters(prior) == 2_217_831 - 5 * 2 * (128 + 4)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: make_population("image-prior", 0, 16), "count must be 1 or more generators; got 0"),
        (
            lambda: make_population("image-prior", 1, 20),
            "side must be a multiple of 8 pixels, at least 16, for ImagePrior; got 20",
        ),
        (
            lambda: make_population("deep-decoder", 1, 16, levels=4),
            "side must be a multiple of 16 pixels, at least 32, for DeepDecoder; got 16",
        ),
        (lambda: make_population("deep-decoder", 1.5, 32), "count must be 1 or more generators; got 1.5"),
        (
            lambda: make_population("image-prior", 1, 16, width=0),
            "width must be a whole number, 1 or more; got 0",
        ),
        (
            lambda: make_population("deep-decoder", 1, 32, levels="a"),
            "levels must be a whole number, 1 or more; got 'a'",
        ),
        (lambda: Autoencoder(-1), "depth must be a whole number, 0 or more; got -1"),
        (lambda: Autoencoder(1, 2.5), "width must be a whole number, 1 or more; got 2.5"),
    ],
)
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()


def test_an_unknown_kind_is_named_with_the_nearest() -> None:
    with pytest.raises(
        UnknownNameError, match=r"generator 'image-prio' is not known\. Did you mean 'image-prior'"
    ):
        make_population("image-prio", 1, 16)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_the_autoencoder_gives_images_back(depth: int) -> None:
    model = Autoencoder(depth, width=8, bottleneck=2)
    images = torch.rand(2, 3, 16, 24)
    before = images.clone()
    out = model(images)
    assert out.shape == images.shape
    assert 0 <= out.min() <= out.max() <= 1
    assert torch.equal(images, before)
    factor = 2 ** (depth + 1)
    assert model.encoder(images).shape == (2, 2, 16 // factor, 24 // factor)
    with pytest.raises(ImageError, match=rf"multiples of {factor} pixels; got \(16, 25\)"):
        model(torch.rand(1, 3, 16, 25))
