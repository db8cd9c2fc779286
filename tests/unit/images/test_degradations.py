"""Degradations: known answers, order of severity on photographs, seeds, refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from lossnets.datasets.samples import PHOTOGRAPHS, photograph_path
from lossnets.errors import ConfigError, ImageError, UnknownNameError
from lossnets.images.degradations import (
    DEGRADATIONS,
    SEVERITIES,
    bicubic,
    colour,
    degrade,
    gaussian_blur,
    gaussian_noise,
    jpeg,
    shift,
)
from lossnets.images.files import read_image


@pytest.fixture(scope="module")
def photographs() -> torch.Tensor:
    images = [read_image(photograph_path(*p)) for p in PHOTOGRAPHS]
    return torch.stack([x[:, 100:228, 100:228] for x in images])


@pytest.mark.parametrize("name", DEGRADATIONS)
def test_mse_grows_with_severity_and_the_contract_holds(name, photographs):
    before = photographs.clone()
    last = torch.zeros(len(photographs))
    for severity in SEVERITIES:
        out = degrade(photographs, name, severity)
        assert out.shape == photographs.shape
        assert out.dtype == photographs.dtype
        assert out.min() >= 0
        assert out.max() <= 1
        mse = ((out - photographs) ** 2).mean((1, 2, 3))
        assert (mse > last).all(), (name, severity, mse, last)
        last = mse
    assert torch.equal(photographs, before)


@pytest.mark.parametrize("name", DEGRADATIONS)
@pytest.mark.parametrize("size", [(2, 2), (2, 9), (7, 3)])
def test_small_images_are_fine(name, size):
    x = torch.rand(2, 3, *size)
    for severity in SEVERITIES:
        assert torch.isfinite(degrade(x, name, severity)).all()
        assert degrade(x, name, severity).shape == x.shape


@pytest.mark.parametrize("name", ["gaussian_noise", "shift"])
def test_random_ones_follow_the_generator(name):
    x = torch.rand(1, 3, 16, 16)
    outs = [degrade(x, name, 3, generator=torch.Generator().manual_seed(s)) for s in (1, 1, 2, 3, 4, 5)]
    assert torch.equal(outs[0], outs[1])
    assert any(not torch.equal(outs[0], other) for other in outs[2:])
    assert torch.equal(degrade(x, name, 3), degrade(x, name, 3, generator=torch.Generator().manual_seed(0)))


def test_the_global_random_state_is_left_alone():
    state = torch.get_rng_state()
    for name in DEGRADATIONS:
        degrade(torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(1)), name, 2)
    assert torch.equal(state, torch.get_rng_state())


def test_blur_is_scipys():
    x = torch.rand(1, 3, 32, 24, dtype=torch.float64)
    want = ndimage.gaussian_filter(x[0].numpy(), (0, 1.6, 1.6), mode="mirror", radius=(0, 5, 5))
    assert np.allclose(gaussian_blur(x, 3)[0].numpy(), want, atol=1e-12)


def test_constant_images_stay_where_they_are():
    x = torch.full((1, 3, 16, 16), 0.5)
    for f in (gaussian_blur, bicubic, shift):
        assert torch.allclose(f(x, 5), x, atol=1e-6)
    assert torch.allclose(jpeg(x, 5), x, atol=0.02)


def test_noise_has_the_stated_standard_deviation():
    x = torch.full((1, 3, 128, 128), 0.5)
    for severity, std in zip(SEVERITIES[:4], (0.02, 0.04, 0.08, 0.14), strict=True):
        assert (gaussian_noise(x, severity) - x).std() == pytest.approx(std, rel=0.02)


def test_colour_keeps_luma_and_grey():
    x = 0.4 + 0.2 * torch.rand(2, 3, 8, 8)
    luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    for severity in SEVERITIES:
        assert torch.allclose((colour(x, severity) * luma).sum(1), (x * luma).sum(1), atol=1e-3)
        grey = x[:, :1].expand(-1, 3, -1, -1)
        assert torch.allclose(colour(grey, severity), grey, atol=1e-3)


def test_shift_moves_by_the_stated_pixels():
    x = torch.rand(1, 3, 40, 40)
    for severity, by in zip(SEVERITIES, (1, 2, 4, 7, 12), strict=True):
        moved = shift(x, severity)
        inner = x[..., 12:-12, 12:-12]
        hits = [
            torch.equal(moved[..., 12 + dy : 28 + dy, 12 + dx : 28 + dx], inner)
            for dy, dx in ((0, by), (by, 0), (0, -by), (-by, 0))
        ]
        assert sum(hits) == 1


@pytest.mark.parametrize("severity", [0, 6, -1, 2.5, True, "3"])
def test_wrong_severity_is_refused(severity):
    with pytest.raises(ConfigError, match="severity must be 1"):
        gaussian_blur(torch.rand(1, 3, 8, 8), severity)


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (torch.rand(3, 8, 8), r"\(N, 3, H, W\)"),
        (torch.rand(1, 1, 8, 8), r"\(1, 1, 8, 8\)"),
        (torch.rand(1, 3, 1, 8), "2×2"),
        (torch.rand(1, 3, 8, 8) * 255, r"\[0, 1\]"),
        (torch.full((1, 3, 8, 8), torch.nan), "nan"),
        (torch.zeros(1, 3, 8, 8, dtype=torch.uint8), "uint8"),
        ("image", "str"),
    ],
)
@pytest.mark.parametrize("name", DEGRADATIONS)
def test_bad_images_are_refused(name, images, said):
    with pytest.raises(ImageError, match=said):
        degrade(images, name, 1)


def test_unknown_name_has_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'gaussian_blur'"):
        degrade(torch.rand(1, 3, 8, 8), "gausian_blur", 1)
