"""What a profile says of fits, whatever is fitted."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FitSize:
    """What a profile means here.

    Attributes:
        side: of the images, in pixels.
        images: at most.
        parts: of one picture that are fitted as images of their own, at most.
        shrunk: whole pictures, made smaller; False: parts as they are.
        group: images that are fitted side by side.
        stretch: steps of an epoch: between two rows of the log and two checkpoints.
        lr: of Adam.
        resamples: of the bootstrap.
    """

    side: int
    images: int
    parts: int
    shrunk: bool
    group: int
    stretch: int
    lr: float
    resamples: int
