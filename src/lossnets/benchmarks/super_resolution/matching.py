"""Histogram matching: give an image the distribution of values of another, without moving anything."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


def match_histogram(images: Tensor, target: Tensor) -> Tensor:
    """Map each channel so that its cumulative histogram is the target's: (N, C, H, W) -> the same.

    A value goes to the target's value of the same quantile (interpolated linearly between those that
    occur); equal values stay equal. A feature loss leaves colour and contrast partly undetermined, so
    Johnson et al. (2016) match histograms before they compute PSNR and SSIM.

    Args:
        images: any floating-point values.
        target: (N, C, h, w); height and width may differ.
    """
    matched = [
        np.stack([_match(channel, other) for channel, other in zip(image, wanted, strict=True)])
        for image, wanted in zip(_array(images), _array(target), strict=True)
    ]
    return torch.from_numpy(np.stack(matched)).to(images)


def _array(images: Tensor) -> Array:
    return images.detach().cpu().double().numpy()


def _match(channel: Array, target: Array) -> Array:
    _, place, counts = np.unique(channel.ravel(), return_inverse=True, return_counts=True)
    values, occurs = np.unique(target.ravel(), return_counts=True)
    quantiles = np.cumsum(counts) / channel.size
    wanted = np.interp(quantiles, np.cumsum(occurs) / target.size, values)
    return wanted[place].reshape(channel.shape)
