"""How large a run is at each profile."""

from __future__ import annotations

from dataclasses import dataclass

from lossnets.benchmarks.fitting import FitSize


@dataclass(frozen=True)
class Size(FitSize):
    """What a profile means here; see `FitSize` for the rest.

    Attributes:
        epochs: of every fit; steps are that many times ``stretch``.
        width: channels of the image prior.
        scales: of the image prior: halvings of the resolution.
        inputs: channels of its noise.
        decoder_width: channels of the deep decoder.
        levels: of the deep decoder: enlargements by 2.
    """

    epochs: int
    width: int
    scales: int
    inputs: int
    decoder_width: int
    levels: int

    def settings(self, generator: str) -> dict[str, int]:
        """Arguments of `lossnets.generators.make_population`."""
        if generator == "image-prior":
            return {"width": self.width, "scales": self.scales, "inputs": self.inputs}
        return {"width": self.decoder_width, "levels": self.levels}


SIZES = {
    "paper": Size(224, 400, 1, True, 8, 500, 0.01, 2000, 6, 128, 5, 32, 128, 5),
    "small": Size(64, 16, 2, False, 8, 50, 0.01, 1000, 6, 24, 3, 16, 32, 4),
    "smoke": Size(32, 3, 1, False, 2, 5, 0.01, 200, 3, 8, 2, 8, 8, 2),
}
"""`paper`: 3,000 steps of Adam at rate 0.01 on 400 images (Nikulin et al. 2021), with the network of
Ulyanov et al. (2018) at its published size; the others are fewer, smaller images and networks."""
