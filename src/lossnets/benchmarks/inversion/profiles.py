"""How large a run is at each profile."""

from __future__ import annotations

from dataclasses import dataclass

from lossnets.benchmarks.fitting import FitSize


@dataclass(frozen=True)
class Size(FitSize):
    """What a profile means here; see `FitSize` for the rest.

    Attributes:
        first: epochs with squared differences only; steps are that many times ``stretch``.
        epochs: after these, with the loss.
        crops: that the packaged decoder learns from.
        decoder_steps: of its training.
        channels: of its latents.
        width: of its last layers.
    """

    first: int
    epochs: int
    crops: int
    decoder_steps: int
    channels: int
    width: int


SIZES = {
    "paper": Size(256, 100, 1, True, 4, 500, 0.01, 2000, 10, 2, 2000, 20_000, 12, 32),
    "small": Size(64, 12, 4, False, 12, 50, 0.05, 1000, 4, 2, 512, 300, 12, 12),
    "smoke": Size(32, 3, 1, False, 2, 5, 0.05, 200, 2, 2, 16, 20, 4, 4),
}
"""`paper`: 5,000 and 1,000 steps as published (Nikulin et al. 2021). The number of images, Adam's rate and
the decoder (theirs is a StyleGAN) are our choice. The others are smaller."""
