"""Low resolution and bicubic interpolation against second implementations in NumPy and SciPy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from torch.nn import functional

from lossnets.benchmarks.super_resolution import bicubic, low_resolution
from lossnets.benchmarks.super_resolution.quality import measure
from lossnets.benchmarks.super_resolution.scaling import whole_multiple
from lossnets.errors import ImageError
from lossnets.images import list_images, read_image

Array = NDArray[np.float64]


def cubic(t: Array, a: float) -> Array:
    """Keys (1981): the cubic convolution kernel."""
    t = np.abs(t)
    near = (a + 2) * t**3 - (a + 3) * t**2 + 1
    far = a * (t**3 - 5 * t**2 + 8 * t - 4)
    return np.where(t <= 1, near, np.where(t < 2, far, 0.0))


def resample(length: int, out: int, a: float, stretch: float = 1.0) -> Array:
    """Matrix (out, length): cubic kernel of width ``stretch`` at the pixels' centres; borders as given."""
    centres = (np.arange(out) + 0.5) * length / out - 0.5
    if stretch == 1.0:  # beyond the border, the border's value is taken again
        matrix = np.zeros((out, length))
        for row, centre in enumerate(centres):
            for k in range(int(np.floor(centre)) - 1, int(np.floor(centre)) + 3):
                matrix[row, min(max(k, 0), length - 1)] += cubic(np.array(centre - k), a)
        return matrix
    matrix = cubic((centres[:, None] - np.arange(length)) / stretch, a)  # there are no values beyond it
    return matrix / matrix.sum(1, keepdims=True)


def second_blurred(image: Array, scale: int) -> Array:
    """(3, H, W): SciPy's Gaussian, then NumPy's bicubic."""
    blurred = np.stack([gaussian_filter(c, 1.0, truncate=3.0, mode="mirror") for c in image])
    rows = resample(image.shape[1], image.shape[1] // scale, -0.75)
    columns = resample(image.shape[2], image.shape[2] // scale, -0.75)
    return np.clip(rows @ blurred @ columns.T, 0, 1)


def second_antialiased(image: Array, scale: int) -> Array:
    rows, columns = (resample(n, n // scale, -0.5, scale) for n in image.shape[1:])
    return np.clip(rows @ image @ columns.T, 0, 1)


@pytest.mark.parametrize("scale", [4, 8])
@pytest.mark.parametrize("way", ["blurred", "antialiased"])
def test_low_resolution_agrees_with_numpy_and_scipy(scale: int, way: str) -> None:
    image = torch.rand(1, 3, 48, 80, dtype=torch.float64)
    second = {"blurred": second_blurred, "antialiased": second_antialiased}[way]
    expected = torch.from_numpy(second(image[0].numpy(), scale))
    assert low_resolution(image, scale, way).shape == (1, 3, 48 // scale, 80 // scale)
    torch.testing.assert_close(low_resolution(image, scale, way)[0], expected, atol=1e-6, rtol=0)


def test_the_blur_comes_first() -> None:
    image = torch.rand(1, 3, 32, 32)
    plain = functional.interpolate(image, (8, 8), mode="bicubic", align_corners=False).clamp(0, 1)
    assert (low_resolution(image, 4) - plain).abs().mean() > 0.05


def test_low_resolution_stays_in_the_unit_range_where_kernels_overshoot() -> None:
    steps = (torch.arange(64) // 6 % 2).float().expand(1, 3, 64, 64)
    for way in ("blurred", "antialiased"):
        small = low_resolution(steps, 4, way)
        assert small.min() >= 0
        assert small.max() <= 1


@pytest.mark.parametrize("scale", [4, 8])
def test_bicubic_agrees_with_numpy(scale: int) -> None:
    small = torch.rand(1, 3, 9, 12, dtype=torch.float64)
    made = bicubic(small, scale)[0]
    inner = (slice(None), slice(2 * scale, -2 * scale), slice(2 * scale, -2 * scale))
    rows, columns = (resample(n, n * scale, -0.5) for n in (9, 12))
    expected = torch.from_numpy(np.clip(rows @ small[0].numpy() @ columns.T, 0, 1))
    torch.testing.assert_close(made[inner], expected[inner], atol=1e-6, rtol=0)


def test_a_constant_image_survives_both_ways() -> None:
    grey = torch.full((1, 3, 32, 32), 0.37)
    for way in ("blurred", "antialiased"):
        torch.testing.assert_close(bicubic(low_resolution(grey, 4, way), 4), grey)


def test_sizes_that_do_not_divide_are_refused() -> None:
    with pytest.raises(ImageError, match="that 4 divides; got 33×32"):
        low_resolution(torch.rand(1, 3, 33, 32), 4)


def test_whole_images_are_cut_at_the_right_and_the_bottom() -> None:
    image = torch.arange(3 * 11 * 14).reshape(1, 3, 11, 14).float()
    assert torch.equal(whole_multiple(image, 4), image[..., :8, :12])
    assert torch.equal(whole_multiple(image, 4, side=9), image[..., 1:9, 2:10])
    assert torch.equal(whole_multiple(image, 4, side=100), image[..., :8, :12])


@pytest.mark.shared
def test_bicubic_on_set5_is_what_the_literature_reports(shared_data: Path) -> None:
    """×4, antialiased: 28.42 dB and 0.8104, e.g. Dong et al. 2016, table 2 (8-bit images, MATLAB)."""
    images = [whole_multiple(read_image(path)[None], 4) for path in list_images(shared_data / "set5")]
    found = [measure(bicubic(low_resolution(x, 4, "antialiased"), 4), x, 4) for x in images]
    assert np.mean([row["psnr_y"] for row in found]) == pytest.approx(28.42, abs=0.03)
    assert np.mean([row["ssim_y"] for row in found]) == pytest.approx(0.8104, abs=0.003)
