"""How large a run is at each profile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """What a profile means here.

    Attributes:
        width: channels of the network.
        crop: side in pixels of training and validation crops.
        images: training images, at most.
        crops: training crops of an epoch; images take turns where there are fewer.
        fixed: the same crops in every epoch, so that targets are encoded once; else new ones.
        validation: validation crops, central ones of as many images where there are that many.
        epochs: over all crops.
        batch_size: crops of a step.
        lr: of Adam.
        test_images: of each test set; None: all.
        test_side: central part of a test image; None: the whole image.
        resamples: of the bootstrap.
    """

    width: int
    crop: int
    images: int
    crops: int
    fixed: bool
    validation: int
    epochs: int
    batch_size: int
    lr: float
    test_images: int | None
    test_side: int | None
    resamples: int


SIZES = {
    "paper": Size(64, 288, 10_000, 10_000, False, 100, 80, 4, 1e-3, None, None, 2000),
    "small": Size(16, 48, 200, 800, True, 32, 16, 8, 1e-3, 20, None, 1000),
    "smoke": Size(8, 48, 8, 8, True, 2, 2, 4, 1e-3, 2, 96, 200),
}
"""`paper`: as published (protocols of the study); the others are smaller networks and data."""
