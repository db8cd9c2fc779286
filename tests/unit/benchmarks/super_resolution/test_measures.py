"""Histogram matching and what is measured on an image."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from skimage.exposure import match_histograms

from lossnets.benchmarks.super_resolution.matching import match_histogram
from lossnets.benchmarks.super_resolution.quality import judged, measure
from lossnets.images.quality import PSNR_CAP
from lossnets.losses import load_loss


@pytest.mark.parametrize("levels", [None, 16])
def test_matching_agrees_with_scikit_image(levels: int | None) -> None:
    rng = np.random.default_rng(0)
    image, target = rng.random((24, 30, 3)), rng.random((20, 25, 3)) ** 2
    if levels:  # many equal values
        image, target = np.floor(image * levels) / levels, np.floor(target * levels) / levels
    expected = match_histograms(image, target, channel_axis=2)
    made = match_histogram(*(torch.from_numpy(x).permute(2, 0, 1)[None] for x in (image, target)))
    np.testing.assert_allclose(made[0].permute(1, 2, 0).numpy(), expected, atol=1e-12)


def test_matching_an_image_with_itself_changes_nothing() -> None:
    image = torch.rand(2, 3, 16, 16)
    assert torch.equal(match_histogram(image, image), image)


def test_matching_undoes_any_change_of_brightness_and_contrast() -> None:
    image = torch.rand(1, 3, 16, 16)
    factors = torch.tensor([0.3, 0.5, 0.2]).view(1, 3, 1, 1)
    torch.testing.assert_close(match_histogram(image.sqrt() * factors + 0.1, image), image)


def test_matching_a_constant_image_is_finite_and_in_the_range_of_the_target() -> None:
    target = torch.rand(1, 3, 8, 8)
    made = match_histogram(torch.zeros(1, 3, 8, 8), target)
    torch.testing.assert_close(made, target.amax((2, 3), keepdim=True).expand_as(made))


def test_each_image_and_channel_is_matched_with_its_own() -> None:
    image, target = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    together = match_histogram(image, target)
    for n in range(2):
        for c in range(3):
            alone = match_histogram(image[n, c][None, None], target[n, c][None, None])
            assert torch.equal(together[n, c], alone[0, 0])


def test_equal_images_have_the_cap_and_one() -> None:
    image = torch.rand(1, 3, 32, 32)
    assert measure(image, image.clone(), 4) == {
        "psnr_y_matched": PSNR_CAP,
        "ssim_y_matched": pytest.approx(1),
        "psnr_y": PSNR_CAP,
        "ssim_y": pytest.approx(1),
    }


def test_psnr_by_hand() -> None:
    """A step of 0.1 in all channels is one of 0.1 · 219/255 in Y."""
    target = torch.rand(1, 3, 32, 32) * 0.8
    found = measure(target + 0.1, target, 4)
    assert found["psnr_y"] == pytest.approx(-20 * math.log10(0.1 * 219 / 255), abs=1e-3)
    assert found["psnr_y_matched"] > 90  # matching takes the step away


@pytest.mark.parametrize("scale", [4, 8])
def test_a_border_of_scale_pixels_does_not_count(scale: int) -> None:
    target = torch.rand(1, 3, 48, 48)
    outside, inside = target.clone(), target.clone()
    outside[..., scale - 1, :] = 1 - outside[..., scale - 1, :]
    inside[..., scale, scale] = 1 - inside[..., scale, scale]
    assert measure(outside, target, scale)["psnr_y"] == PSNR_CAP
    assert measure(inside, target, scale)["psnr_y"] < PSNR_CAP


def test_the_judge_encodes_the_target_once_and_says_what_it_would_say_directly() -> None:
    judge = load_loss("efficientnet_lite0/bn1,blocks.0:lpips", reduction="none")
    target, outputs = torch.rand(1, 3, 32, 32), [torch.rand(1, 3, 32, 32) for _ in range(2)]
    calls: list[int] = []
    judge.register_forward_hook(lambda *_: calls.append(1))
    found = judged(judge, outputs, target)
    assert found == pytest.approx([float(judge(output, target)) for output in outputs], rel=1e-5)
    assert judged(judge, [target], target) == [0.0]
