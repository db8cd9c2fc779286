"""Masks and edge maps that lie among photographs: told by their few grey levels."""

from __future__ import annotations

import torch
from torch import Tensor

LEVELS = 16
"""Grey levels that a mask or edge map has at most; photographs have more than a hundred."""


def is_label_map(image: Tensor) -> bool:
    """Whether an image (3, H, W) is a mask or edge map and no photograph: grey, with at most `LEVELS` levels.

    BSDS500's edge maps, averaged over some annotators, have up to ten.

    >>> edges = torch.eye(32).expand(3, -1, -1)
    >>> is_label_map(edges), is_label_map(torch.rand(3, 32, 32))
    (True, False)
    """
    grey = bool((image[0] == image[1]).all() and (image[0] == image[2]).all())
    return grey and len(torch.unique(image[0])) <= LEVELS
