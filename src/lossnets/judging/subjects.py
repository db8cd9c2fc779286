"""What is fitted: populations of generators, a fresh autoencoder, latents of a generator."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, ImageError, unknown_name
from lossnets.generators import Autoencoder, Population, make_population
from lossnets.judging.rivals import Rival, check_images

GENERATORS = ("deep-decoder", "image-prior", "autoencoder")
"""Kinds of generators that are fitted to judge a gradient."""

AUTOENCODER = {"depth": 1, "width": 32, "bottleneck": 8}
"""8 numbers for 4×4 pixels: what the autoencoder keeps of an image is limited, unlike in the paper."""


class Subject(abc.ABC):
    """Something with parameters that makes images, and a rival that pulls at them."""

    @abc.abstractmethod
    def parameters(self) -> Iterator[nn.Parameter]:
        """What is optimised."""

    @abc.abstractmethod
    def pull(self, step: int) -> None:
        """Make images, ask the rival for their gradient, add it to the parameters' gradients."""

    @abc.abstractmethod
    def judged(self) -> Tensor:
        """The images that are judged now: (N, 3, H, W) in [0, 1], no gradient."""


class PopulationSubject(Subject):
    """A generator of its own for each image."""

    def __init__(self, population: Population, rival: Rival, images: Tensor, seed: int) -> None:
        self.population = population
        self._field = rival.aim(images, seed=seed)

    def parameters(self) -> Iterator[nn.Parameter]:
        """Of all generators."""
        return self.population.parameters()

    def pull(self, step: int) -> None:
        """Of the sum over images, so that none depends on how many there are."""
        images: Tensor = self.population()
        images.backward(self._field(images.detach(), step))  # type: ignore[no-untyped-call]

    def judged(self) -> Tensor:
        """The image of each generator."""
        with torch.no_grad():
            images: Tensor = self.population()
        return images


class AutoencoderSubject(Subject):
    """A fresh autoencoder, trained on some images and judged on others."""

    def __init__(
        self, model: Autoencoder, rival: Rival, images: Tensor, training: Tensor, seed: int, batch: int
    ) -> None:
        self.model, self._rival, self._images, self._training = model, rival, images, training
        self._seed, self._batch = seed, min(batch, len(training))

    def parameters(self) -> Iterator[nn.Parameter]:
        """Of the autoencoder."""
        return self.model.parameters()

    def pull(self, step: int) -> None:
        """Of the mean over a batch; which images, depends on seed and step alone."""
        draw = torch.Generator().manual_seed(1_000_003 * self._seed + step)
        chosen = torch.randperm(len(self._training), generator=draw)[: self._batch]
        batch = self._training[chosen.to(self._training.device)]
        images: Tensor = self.model(batch)
        pull = self._rival.aim(batch, seed=self._seed)(images.detach(), step)
        images.backward(pull / len(batch))  # type: ignore[no-untyped-call]

    def judged(self) -> Tensor:
        """Reconstructions of the images that it was not trained on, in eval mode."""
        self.model.eval()
        with torch.no_grad():
            parts = [self.model(part) for part in torch.split(self._images, max(self._batch, 16))]
        self.model.train()
        return torch.cat(parts)


class LatentSubject(Subject):
    """The latents of a generator whose own parameters stay as they are."""

    def __init__(
        self, generator: nn.Module, latents: Tensor, rival: Rival, images: Tensor, seed: int
    ) -> None:
        self._generator = generator
        self.latents = nn.Parameter(latents.detach().clone())
        self._field = rival.aim(images, seed=seed)

    def parameters(self) -> Iterator[nn.Parameter]:
        """The latents of all images."""
        yield self.latents

    def pull(self, step: int) -> None:
        """Of the sum over images."""
        images = generated(self._generator, self.latents)
        gradient = self._field(images.detach(), step)
        (self.latents.grad,) = torch.autograd.grad(images, self.latents, gradient)

    def judged(self) -> Tensor:
        """The image of each latent."""
        with torch.no_grad():
            return generated(self._generator, self.latents)


def generated(generator: nn.Module, latents: Tensor) -> Tensor:
    """Images of latents, checked: (N, ...) -> (N, 3, H, W).

    Raises:
        ImageError: the generator gives something else than one RGB image a latent.
    """
    images = generator(latents)
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[:2] != (len(latents), 3):
        got = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ImageError(
            f"the generator must map latents (N, ...) to images ({len(latents)}, 3, H, W); got {got}"
        )
    return images


def make_subject(
    kind: str,
    rival: Rival,
    images: Tensor,
    training: Tensor | None,
    seed: int,
    batch: int,
    settings: Mapping[str, Any] | None = None,
) -> Subject:
    """A freshly initialised generator of a kind, the same for every rival.

    Raises:
        UnknownNameError: there is no such kind.
        ConfigError: the images do not fit it, or an autoencoder has nothing to train on.
    """
    if kind not in GENERATORS:
        raise unknown_name("generator", kind, GENERATORS)
    check_images(images, "images")
    if kind != "autoencoder":
        return PopulationSubject(population_for(kind, images, seed, settings), rival, images, seed)
    if training is None:
        raise ConfigError(
            "an autoencoder needs images to train on, others than it is judged on: training=..."
        )
    check_images(training, "training")
    options = {**AUTOENCODER, **(settings or {})}
    multiple = 2 ** (options["depth"] + 1)
    for name, some in (("images", images), ("training", training)):
        if some.shape[2] % multiple or some.shape[3] % multiple:
            raise ConfigError(
                f"{name} must have sides that are multiples of {multiple} for an autoencoder of depth "
                f"{options['depth']}; got {tuple(some.shape[2:])}"
            )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Autoencoder(**options).to(images.device)
    return AutoencoderSubject(model, rival, images, training, seed, batch)


def population_for(kind: str, images: Tensor, seed: int, settings: Mapping[str, Any] | None) -> Population:
    """One generator for each image (N, 3, S, S), on its device.

    Raises:
        ConfigError: the images are not square, or their side does not fit the generator.
    """
    side = images.shape[3]
    if images.shape[2] != side:
        raise ConfigError(f"images must be square for the generator {kind!r}; got {tuple(images.shape[2:])}")
    try:
        return make_population(kind, len(images), side, seed=seed, device=images.device, **(settings or {}))
    except TypeError as error:
        raise ConfigError(f"settings of the generator {kind!r} do not fit: {error}") from None
