"""PSNR, SSIM and luma against computation by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from lossnets.errors import ConfigError, ImageError
from lossnets.images.quality import luma, psnr, ssim


def test_psnr_is_ten_log_ten_of_one_over_mse_per_image():
    a = torch.rand(4, 3, 12, 10)
    b = (a + 0.1 * torch.rand_like(a)).clamp(0, 1)
    want = -10 * torch.log10(((a - b) ** 2).mean((1, 2, 3)))
    assert torch.allclose(psnr(a, b), want, atol=1e-4)


def test_equal_images_have_infinite_psnr_and_ssim_one():
    a = torch.rand(2, 3, 16, 16)
    assert torch.isinf(psnr(a, a)).all()
    assert torch.allclose(ssim(a, a), torch.ones(2))


def test_ssim_is_the_formula_of_wang_et_al_2004():
    rng = np.random.default_rng(0)
    a = rng.random((40, 48))
    b = np.clip(a + 0.1 * rng.standard_normal(a.shape), 0, 1)

    def mean(x):
        return ndimage.gaussian_filter(x, 1.5, mode="mirror", radius=5)

    ma, mb = mean(a), mean(b)
    va, vb, cov = mean(a * a) - ma**2, mean(b * b) - mb**2, mean(a * b) - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    want = ((2 * ma * mb + c1) * (2 * cov + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2))).mean()
    images = (torch.from_numpy(x)[None, None] for x in (a, b))
    assert ssim(*images).item() == pytest.approx(want, abs=1e-9)


def test_one_image_gives_one_number():
    a = torch.rand(1, 3, 16, 16)
    assert ssim(a, a).shape == psnr(a, a).shape == (1,)


def test_border_is_cut_off():
    a = torch.rand(1, 3, 24, 24)
    b = a.clone()
    b[..., :4, :] = 1 - b[..., :4, :]
    assert torch.isfinite(psnr(a, b)).all()
    assert torch.isinf(psnr(a, b, border=4)).all()
    assert torch.equal(ssim(a, b, border=4), ssim(a[..., 4:-4, 4:-4], b[..., 4:-4, 4:-4]))


def test_luma_of_the_primaries():
    eye = torch.eye(3).view(3, 3, 1, 1)
    assert torch.allclose(luma(eye).flatten() * 255, torch.tensor([81.481, 144.553, 40.966]), atol=1e-3)
    assert luma(torch.zeros(1, 3, 2, 2)).max().item() == pytest.approx(16 / 255)
    assert luma(torch.ones(1, 3, 2, 2)).min().item() == pytest.approx(235 / 255)


def test_quality_lets_gradients_through():
    a = torch.rand(1, 3, 16, 16, requires_grad=True)
    (1 - ssim(a, torch.rand(1, 3, 16, 16))).sum().backward()
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("function", [psnr, ssim])
@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        (torch.rand(1, 3, 16, 16), torch.rand(1, 3, 16, 17), "one shape"),
        (torch.rand(3, 16, 16), torch.rand(3, 16, 16), r"\(N, C, H, W\)"),
        (torch.rand(1, 3, 16, 16) * 2, torch.rand(1, 3, 16, 16), r"input must lie in \[0, 1\]"),
        (torch.rand(1, 3, 16, 16), torch.full((1, 3, 16, 16), torch.nan), "target must lie"),
        (torch.rand(0, 3, 16, 16), torch.rand(0, 3, 16, 16), "not be empty"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), torch.rand(1, 3, 16, 16), "uint8"),
    ],
)
def test_bad_images_are_refused(function, a, b, said):
    with pytest.raises(ImageError, match=said):
        function(a, b)


def test_sizes_and_borders_are_checked():
    a = torch.rand(1, 3, 16, 16)
    with pytest.raises(ImageError, match="11×11 pixels are needed inside a border of 3"):
        ssim(a, a, border=3)
    with pytest.raises(ImageError, match="1×1 pixels are needed"):
        psnr(a, a, border=8)
    with pytest.raises(ConfigError, match="border must be"):
        psnr(a, a, border=-1)
    with pytest.raises(ImageError, match="RGB"):
        luma(torch.rand(1, 1, 4, 4))
