"""From a backbone's output to the proxy target t: (N, K, H, W) -> (N, 3, H, W).

Nikulin et al. 2021, section 3.2. All images are in the normalised space of the loss network.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from lossnets.errors import unknown_name

PROXIES = ("raw", "sigmoid", "warped", "warped-additive")
"""Names of the proxy parametrisations."""

WIDENED = 1.1
"""The sigmoid proxy reaches a little beyond the range of images, so that its ends can be reached."""
DISPLACEMENT = 3 / 112
"""Largest displacement of the warped proxy, in the coordinates of `grid_sample` (-1 to 1)."""
WARP_STRIDE = 8
"""The displacement field of the warped proxy has 1 / WARP_STRIDE of the image's resolution."""


def proxy_channels(name: str) -> int:
    """How many channels a backbone must give for this parametrisation."""
    return {"warped": 2, "warped-additive": 5}.get(name, 3)


def proxy_image(name: str, output: Tensor, target: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """Proxy target t of a backbone's output: (N, K, H, W), targets (N, 3, H, W) -> (N, 3, H, W), normalised.

    Raises:
        UnknownNameError: there is no such parametrisation.
    """
    if name == "raw":
        return raw(output)
    if name == "sigmoid":
        return sigmoid(output, mean, std)
    if name in ("warped", "warped-additive"):
        return warped(output, target, additive=name == "warped-additive")
    raise unknown_name("proxy parametrisation", name, PROXIES)


def raw(output: Tensor) -> Tensor:
    """Output as it is: (N, 3, H, W) -> (N, 3, H, W)."""
    return output


def sigmoid(output: Tensor, mean: Tensor, std: Tensor) -> Tensor:
    """The paper's default, t = 1.1 · normalise(sigmoid(output)): (N, 3, H, W) -> (N, 3, H, W)."""
    return WIDENED * (output.sigmoid() - mean) / std


def warped(output: Tensor, target: Tensor, *, additive: bool) -> Tensor:
    """Target, resampled where the network says, plus a small image: (N, 2 or 5, H, W) -> (N, 3, H, W).

    Args:
        output: two channels of displacement (right, down), and three of an additive image.
        target: (N, 3, H, W).
        additive: whether to add channels 2 to 4.
    """
    low = F.avg_pool2d(output[:, :2], WARP_STRIDE, ceil_mode=True, count_include_pad=False)
    field = F.interpolate(low, target.shape[2:], mode="bilinear", align_corners=False)
    shift = DISPLACEMENT * field.tanh().permute(0, 2, 3, 1)
    t = F.grid_sample(target, _identity(target) + shift, padding_mode="border", align_corners=False)
    return t + output[:, 2:5] if additive else t


def _identity(images: Tensor) -> Tensor:
    """Coordinates at which `grid_sample` gives the image back: (1, H, W, 2)."""
    height, width = images.shape[2:]
    y = (torch.arange(height, device=images.device, dtype=images.dtype) + 0.5) * (2 / height) - 1
    x = (torch.arange(width, device=images.device, dtype=images.dtype) + 0.5) * (2 / width) - 1
    return torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
