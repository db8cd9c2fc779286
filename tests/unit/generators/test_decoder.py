"""The decoder: what it makes, that it is trained alike everywhere, and that training does something."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lossnets.errors import ConfigError
from lossnets.generators import LatentDecoder, train_decoder

SMALL: dict[str, Any] = {"steps": 40, "batch": 4, "channels": 4, "width": 4}


def waves(count: int, side: int = 16) -> torch.Tensor:
    """Smooth images: (count, 3, side, side)."""
    generator = torch.Generator().manual_seed(7)
    phase, pitch = torch.rand(2, count, 3, 1, 1, generator=generator) * 6
    rows, columns = torch.arange(side).view(1, 1, -1, 1) / side, torch.arange(side).view(1, 1, 1, -1) / side
    return 0.5 + 0.4 * torch.sin(pitch * rows + phase) * torch.cos(pitch * columns - phase)


def test_latents_become_images() -> None:
    decoder = LatentDecoder(24, channels=5, width=4)
    assert decoder.latent_shape == (5, 3, 3)
    images = decoder(torch.randn(2, *decoder.latent_shape))
    assert images.shape == (2, 3, 24, 24)
    assert 0 < images.min() < images.max() < 1


def test_training_is_repeatable_frozen_and_leaves_the_random_state() -> None:
    images = waves(12)
    state = torch.get_rng_state()
    with torch.inference_mode():  # as in a test of a benchmark
        first = train_decoder(images, **SMALL)
    assert torch.equal(torch.get_rng_state(), state)
    torch.rand(3)
    again, other = train_decoder(images, **SMALL), train_decoder(images, seed=1, **SMALL)
    for key, value in first.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])
    assert any(not torch.equal(v, other.state_dict()[k]) for k, v in first.state_dict().items())
    assert not first.training
    assert not any(p.requires_grad or p.is_inference() for p in first.parameters())


def test_a_trained_decoder_fits_better_than_one_that_is_not() -> None:
    images = waves(40)
    trained = train_decoder(images[:32], steps=150, batch=8, channels=4, width=6)
    errors = []
    for decoder in (trained, LatentDecoder(16, channels=4, width=6)):
        latents = torch.zeros(8, *trained.latent_shape, requires_grad=True)
        adam = torch.optim.Adam([latents], lr=0.1)
        for _ in range(40):
            adam.zero_grad()
            error = (decoder(latents) - images[32:]).square().mean()
            error.backward()
            adam.step()
        errors.append(float(error.detach()))
    assert errors[0] < 0.5 * errors[1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: LatentDecoder(20), "side must be a multiple of 8 pixels, at least that; got 20"),
        (lambda: LatentDecoder(16, channels=0), "channels and width must be 1 or more; got 0 and 12"),
        (
            lambda: train_decoder(torch.rand(2, 3, 16, 24), steps=1),
            r"must be square ones .* got \(2, 3, 16, 24\)",
        ),
        (lambda: train_decoder(torch.rand(0, 3, 16, 16), steps=1), r"N above 0; got \(0, 3, 16, 16\)"),
        (lambda: train_decoder(waves(2), steps=0), "steps and batch must be 1 or more; got 0 and 8"),
    ],
)
def test_what_is_refused(call: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        call()
