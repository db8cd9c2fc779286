"""Several independent generators of one kind side by side, so that a batch of images is fitted at once.

Every convolution has one group per generator and every normalisation its own statistics per generator, so
that generator k depends on nothing but its own parameters: fitting n together is fitting each alone.
"""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, unknown_name


def check_whole(least: int = 1, **numbers: object) -> None:
    """Refuse settings that are no whole numbers, or below the least.

    Raises:
        ConfigError: one of them is not.
    """
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise ConfigError(f"{name} must be a whole number, {least} or more; got {value!r}")


class Population(nn.Module, abc.ABC):
    """``count`` generators with fixed inputs: () -> images (count, 3, side, side) in [0, 1].

    Args:
        count: how many generators.
        side: of the images, in pixels; a multiple of what `multiple` says.
        inputs: channels of the fixed input of each.
        shrink: the input's side is ``side // shrink``.
        generator: draws inputs and parameters; the same seed gives the same population.

    Raises:
        ConfigError: a count or side that does not fit.
    """

    code: Tensor
    multiple = 1

    def __init__(
        self, count: int, side: int, *, inputs: int, shrink: int, generator: torch.Generator | None
    ) -> None:
        super().__init__()
        if isinstance(count, bool) or not isinstance(count, int) or count < 1:
            raise ConfigError(f"count must be 1 or more generators; got {count}")
        check_whole(side=side)
        if side < 2 * self.multiple or side % self.multiple:
            raise ConfigError(
                f"side must be a multiple of {self.multiple} pixels, at least {2 * self.multiple}, for "
                f"{type(self).__name__}; got {side}"
            )
        self.count = count
        self.side = side
        code = torch.rand(1, count * inputs, side // shrink, side // shrink, generator=generator)
        self.register_buffer("code", 0.1 * code)

    def initialise(self, generator: torch.Generator | None) -> None:
        """Draw all parameters: torch's default range, uniform within ±1/sqrt(fan-in) of one generator."""
        with torch.no_grad():
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d):
                    bound = layer.weight[0].numel() ** -0.5
                    for parameter in layer.parameters():
                        parameter.uniform_(-bound, bound, generator=generator)

    @abc.abstractmethod
    def decode(self, code: Tensor) -> Tensor:
        """(1, count * inputs, h, w) -> (1, count * 3, side, side) in [0, 1]."""

    def forward(self) -> Tensor:
        """The images of all generators: (count, 3, side, side) in [0, 1]."""
        images = self.decode(self.code)
        return images.view(self.count, 3, *images.shape[2:])

    def conv(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, bias: bool = True
    ) -> nn.Conv2d:
        """A convolution of each generator."""
        return nn.Conv2d(
            self.count * inputs, self.count * outputs, kernel, stride, padding=kernel // 2, groups=self.count,
            bias=bias, padding_mode="reflect" if kernel > 1 else "zeros",
        )  # fmt: skip

    def norm(self, channels: int) -> nn.InstanceNorm2d:
        """Batch normalisation of a batch of one image, for each generator."""
        return nn.InstanceNorm2d(self.count * channels, affine=True)


def make_population(
    kind: str, count: int, side: int, *, seed: int = 0, device: str | torch.device = "cpu", **settings: Any
) -> Population:
    """``count`` freshly drawn generators: ``deep-decoder`` or ``image-prior``.

    The same kind, count, side, seed and settings give the same parameters, so that losses can be compared
    from equal starts.

    Raises:
        UnknownNameError: there is no such kind.
    """
    from lossnets.generators.deep_decoder import DeepDecoder
    from lossnets.generators.image_prior import ImagePrior

    kinds = {"deep-decoder": DeepDecoder, "image-prior": ImagePrior}
    if kind not in kinds:
        raise unknown_name("generator", kind, kinds)
    generator = torch.Generator().manual_seed(seed)
    population: Population = kinds[kind](count, side, generator=generator, **settings)
    return population.to(device)
