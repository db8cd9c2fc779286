"""How much is trained and tested at each profile."""

from __future__ import annotations

from dataclasses import dataclass

from lossnets.benchmarks.delineation.network import WIDTHS


@dataclass(frozen=True)
class Size:
    """What a profile means for delineation.

    Attributes:
        epochs: of training.
        batch_size: images of a step.
        crop: side of the random training crops in pixels; smaller where the images are.
        widths: channels of the network's four levels.
        train: training images at most, evenly spaced over all; None: all.
        validation: validation images at most.
        test: test images at most.
        validation_side: validation images are cut to at most this side around their centre while
            training (not for the threshold); None: whole.
        resamples: draws of the bootstrap.
    """

    epochs: int
    batch_size: int
    crop: int
    widths: tuple[int, int, int, int]
    train: int | None
    validation: int | None
    test: int | None
    validation_side: int | None
    resamples: int


SIZES = {
    "paper": Size(100, 8, 224, WIDTHS, None, None, None, None, 2000),
    "small": Size(60, 4, 96, (8, 16, 32, 64), 96, 16, 32, 256, 1000),
    "smoke": Size(6, 4, 64, (8, 8, 16, 16), 8, 4, 4, 64, 200),
}
"""`paper`: Mosinska et al. 2018 as the study ran it; `small`: a minute or so of one CPU core on tiles of
256×256, for cross-entropy alone; `smoke`: seconds."""
