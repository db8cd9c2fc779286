"""What is fitted to a few images at a time, and remembers what came out for all of them."""

from __future__ import annotations

import abc

import torch
from torch import Tensor, nn


class FittedModel(nn.Module, abc.ABC):
    """() -> images (group, 3, H, W) in [0, 1]; its parameters are of this group of images alone.

    One group after the other is fitted by the same object, so that memory and checkpoints hold the
    parameters of one group, and the images of all.

    Args:
        count: images that are fitted in all.
        group: images that are fitted side by side.
        size: height and width.
        phases: of a fit; what came out is kept at the end of each.

    Attributes:
        found: (phases, count, 3, H, W): what came out; zeros where the fit has not come to it.
        steps: () how many steps were made, over all groups.
    """

    found: Tensor
    steps: Tensor

    def __init__(self, count: int, group: int, size: tuple[int, int], phases: int = 1) -> None:
        super().__init__()
        self.group = group
        self.register_buffer("found", torch.zeros(phases, count, 3, *size))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))

    def make_ready(self) -> None:
        """Once before the first fit: what takes long, and is not needed to know how long a step takes."""

    @abc.abstractmethod
    def restart(self, seed: int) -> None:
        """Draw all parameters anew, in place: the same seed, the same start."""

    @abc.abstractmethod
    def images(self) -> Tensor:
        """The images of the group: (group, 3, H, W) in [0, 1]."""

    def forward(self, _: Tensor | None = None) -> Tensor:
        """The images of the group, whatever is given: (group, 3, H, W) in [0, 1]."""
        return self.images()

    def keep(self, images: Tensor, phase: int, first: int) -> None:
        """Remember what came out of a phase for the images from the ``first`` on."""
        room = self.found[phase, first : first + len(images)]
        room.copy_(images[: len(room)])
