"""What is measured of a fitted image, and what it comes to over all images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lossnets.benchmarks.base import OVERALL, Score, ScoreKind
from lossnets.benchmarks.fitting.images import Targets
from lossnets.benchmarks.intervals import Part, estimate, mean_of
from lossnets.errors import ImageError
from lossnets.images.quality import PSNR_CAP, psnr, ssim
from lossnets.losses import ImageLoss

JUDGED = "lpips_judge"

SCORES = (
    ScoreKind(
        JUDGED, "distance", False, "distance to the target by the judge, a loss in the manner of LPIPS"
    ),
    ScoreKind("psnr", "dB", True, "peak signal-to-noise ratio, RGB"),
    ScoreKind("ssim", "index", True, "structural similarity, RGB"),
    ScoreKind(
        "l1", "mean absolute difference in [0, 1]", False, "how far the image is from the target in pixels"
    ),
)
"""The first is the headline. PSNR is not: the pixel loss minimises just that, and would always be best."""

_AT_ONCE = 8


def measure(
    outputs: Tensor, targets: Targets, judge: ImageLoss, device: str
) -> dict[str, NDArray[np.float64]]:
    """Every score of every image: (n, 3, H, W) in [0, 1] -> {score: (n,)}.

    Args:
        outputs: what came out.
        targets: what should have.
        judge: with reduction ``none``, on the device.
        device: where it computes.

    Raises:
        ImageError: an output is not finite.
    """
    finite = torch.isfinite(outputs).flatten(1).all(1)
    if not bool(finite.all()):
        first = targets.names[int(torch.nonzero(~finite)[0])]
        raise ImageError(
            f"what was fitted to image {first!r} is not finite: its fit went wrong. Look at the log of the "
            "run, and use precision '32'."
        )
    outputs = outputs.float().cpu().clamp(0, 1)
    parts: dict[str, list[Tensor]] = {kind.name: [] for kind in SCORES}
    for start in range(0, len(outputs), _AT_ONCE):
        found, wanted = outputs[start : start + _AT_ONCE], targets.images[start : start + _AT_ONCE]
        parts[JUDGED].append(judge(found.to(device), wanted.to(device)).cpu())
        parts["psnr"].append(psnr(found, wanted).clamp(max=PSNR_CAP))
        parts["ssim"].append(ssim(found, wanted))
        parts["l1"].append((found - wanted).abs().mean((1, 2, 3)))
    return {name: torch.cat(values).double().numpy() for name, values in parts.items()}


def score_rows(
    columns: Mapping[str, NDArray[np.float64]],
    targets: Targets,
    *,
    resamples: int,
    seed: int,
    judge_note: str,
) -> tuple[Score, ...]:
    """Means over the images with intervals, one for each column (``SCORE`` or ``SCORE@REFERENCE``)."""
    kinds = {kind.name: kind for kind in SCORES}
    made = []
    for name, values in columns.items():
        kind, reference = kinds[name.partition("@")[0]], "@" in name
        found = estimate([Part(mean_of(values), targets.sources)], resamples=resamples, seed=seed)
        said = judge_note if kind.name == JUDGED and not reference else ""
        facts = (name, found.value, kind.unit, kind.higher_is_better, OVERALL, found.low, found.high)
        made.append(Score(*facts, n=len(values), note="; ".join(filter(None, (found.note, said)))))
    return tuple(made)
