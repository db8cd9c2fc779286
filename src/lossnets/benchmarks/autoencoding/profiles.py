"""What a run of the autoencoding benchmark amounts to at each profile."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """Sizes of a run; None: all, or no limit.

    Attributes:
        autoencoder_images: training images of the autoencoder, validation included.
        labelled_images: training images of the predictors, validation included.
        test_images: of the predictors.
        epochs: of the autoencoder, at most.
        batch_size: of the autoencoder.
        patience: epochs without a better validation loss after which it stops.
        predictor_epochs: of each predictor, at most.
        predictor_patience: as ``patience``, for the predictors.
        resamples: of the bootstrap.
        hidden_limit: widest hidden layer next to features, in the schemes that encode or predict them.
    """

    autoencoder_images: int | None
    labelled_images: int | None
    test_images: int | None
    epochs: int
    batch_size: int
    patience: int
    predictor_epochs: int
    predictor_patience: int
    resamples: int
    hidden_limit: int | None


SIZES = {
    "paper": Size(None, None, None, 50, 256, 10, 500, 25, 2000, None),
    "small": Size(1500, 1500, 500, 8, 32, 5, 200, 25, 1000, 1024),
    "smoke": Size(160, 160, 100, 2, 32, 1, 10, 5, 200, 128),
}

PREDICTOR_BATCH = 256
VALIDATION_SHARE = 0.2
"""Of each training set, as published."""
