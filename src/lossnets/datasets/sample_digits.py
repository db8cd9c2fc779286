"""The packaged labelled images: the 1,797 real handwritten digits that come with scikit-learn.

They are the test part of the UCI set "Optical Recognition of Handwritten Digits" (Alpaydin & Kaynak
1998): digits that 13 people wrote, scanned, reduced to 8×8 pixels of 17 grey levels. Enlarging adds
no detail: at 64×64 they are smooth shapes, white on black, far from photographs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - the name that everybody uses

from lossnets.errors import require

SIDE = 64
_ENLARGED = 48
_LEVELS = 16
"""Brightest value of a pixel as it comes."""


@dataclass(frozen=True)
class Digits:
    """Real handwritten digits.

    Attributes:
        images: (1797, 3, 64, 64) uint8, grey repeated to RGB.
        labels: (1797,) int64, 0..9.
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        """Number of digits."""
        return len(self.labels)


def sample_digits() -> Digits:
    """All 1,797 digits: 8×8 enlarged to 48×48 (bicubic, clamped), in a black frame of 8 pixels, as RGB.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    datasets: Any = require("sklearn.datasets", "bench", "the packaged digits")
    bunch = datasets.load_digits()
    small = torch.from_numpy(bunch.images).float()[:, None] / _LEVELS
    large = F.interpolate(small, size=(_ENLARGED, _ENLARGED), mode="bicubic", align_corners=False)
    frame = (SIDE - _ENLARGED) // 2
    grey = F.pad((large.clamp(0, 1) * 255).round().to(torch.uint8), [frame] * 4)
    labels = torch.from_numpy(bunch.target).long()
    return Digits(grey.expand(-1, 3, -1, -1).contiguous(), labels)
