"""What is measured on a test image."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lossnets.benchmarks.base import ScoreKind
from lossnets.benchmarks.super_resolution.matching import match_histogram
from lossnets.images.quality import PSNR_CAP, SSIM_WINDOW, luma, psnr, ssim
from lossnets.losses import EncodedTarget, ImageLoss

REFERENCE = "bicubic"

SCORES = (
    ScoreKind(
        "psnr_y_matched",
        "dB",
        True,
        "peak signal-to-noise ratio of luma Y inside a border of `scale` pixels, after the output's "
        "histograms were matched to the target's",
    ),
    ScoreKind(
        "ssim_y_matched", "index", True, "structural similarity of luma Y; border and histograms likewise"
    ),
    ScoreKind("psnr_y", "dB", True, "peak signal-to-noise ratio of luma Y, border likewise, output as it is"),
    ScoreKind("ssim_y", "index", True, "structural similarity of luma Y; border likewise, output as it is"),
    ScoreKind(
        "lpips_judge",
        "distance",
        False,
        "distance of the whole colour images by the judge, a loss in the manner of LPIPS",
    ),
)
"""The first is the headline: what the study publishes."""


def measure(output: Tensor, target: Tensor, scale: int) -> dict[str, float]:
    """PSNR and SSIM of Y with a border of ``scale`` pixels cut, histograms matched and not.

    Args:
        output: (1, 3, H, W) in [0, 1].
        target: the same shape.
        scale: pixels of the border.
    """
    wanted = luma(target)
    found = {}
    for suffix, image in (("_matched", match_histogram(output, target)), ("", output)):
        y = luma(image.clamp(0, 1))
        found[f"psnr_y{suffix}"] = min(float(psnr(y, wanted, border=scale)), PSNR_CAP)
        found[f"ssim_y{suffix}"] = float(ssim(y, wanted, border=scale))
    return found


def judged(judge: ImageLoss, outputs: Sequence[Tensor], target: Tensor) -> list[float]:
    """Distance of each output (1, 3, H, W) to the target, whose features are computed once."""
    with torch.no_grad():
        encoded: EncodedTarget = judge.encode(target)
        return [float(judge(output, encoded).mean()) for output in outputs]


def smallest_side(scale: int) -> int:
    """Height and width that a test image needs for SSIM inside the border."""
    return max(SSIM_WINDOW + 2 * scale, 5 * scale)
