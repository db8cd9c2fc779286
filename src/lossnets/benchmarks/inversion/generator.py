"""The generators that are inverted: the packaged decoder, or one of the user's."""

from __future__ import annotations

import hashlib
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lossnets.errors import ConfigError, DataError
from lossnets.home import user_path
from lossnets.networks.weights import state_sha256

SPREAD = 0.1
"""Standard deviation of the latents that a fit starts from, around their mean."""
_HOW = (
    "It takes latents (N, *latent_shape), has the attribute latent_shape (a tuple), perhaps mean_latent (of "
    "that shape), and makes images (N, 3, H, W) in [0, 1]."
)


class Generator:
    """A frozen module in eval mode, what its latents are like, and who it is; no part of a state dict.

    Args:
        module: latents (N, *latent_shape) -> images (N, 3, H, W) in [0, 1].
        train: gives the module whose weights it is to have before it is used; None: it has them.

    Attributes:
        shape: of the latents of one image.
        size: height and width of the images.

    Raises:
        ConfigError: it has no latents of a known shape, or does not make such images.
    """

    def __init__(self, module: nn.Module, train: Callable[[], nn.Module] | None = None) -> None:
        self.module = module.eval().requires_grad_(False)
        self._train = train
        self.shape = _shape_of(module)
        mean = getattr(module, "mean_latent", None)
        self._mean = torch.zeros(self.shape) if mean is None else torch.as_tensor(mean).detach().float().cpu()
        if tuple(self._mean.shape) != self.shape:
            raise ConfigError(
                f"the generator's mean_latent must have the shape {self.shape}; got {tuple(self._mean.shape)}"
            )
        with torch.no_grad():
            images = module(self.start(2, 0))
        self.size = _checked(images)

    def make_ready(self) -> None:
        """Give the module its weights, once."""
        if self._train is not None:
            self.module.load_state_dict(self._train().state_dict())
            self._train = None

    def start(self, count: int, seed: int) -> Tensor:
        """Latents near their mean: (count, *shape); the same seed, the same start."""
        drawn = torch.randn(count, *self.shape, generator=torch.Generator().manual_seed(seed))
        return self._mean + SPREAD * drawn

    def identity(self) -> str:
        """Class and hash of the weights."""
        weights = state_sha256({k: v.detach().cpu() for k, v in self.module.state_dict().items()})
        return f"{type(self.module).__name__} {self.shape} {self.size} {weights}"


def _shape_of(module: nn.Module) -> tuple[int, ...]:
    shape = getattr(module, "latent_shape", None)
    try:
        found = tuple(int(n) for n in shape)  # type: ignore[union-attr]
    except (TypeError, ValueError):
        found = ()
    if not found or min(found) < 1:
        raise ConfigError(
            f"the generator's latent_shape must be a tuple of whole numbers; got {shape!r}. {_HOW}"
        )
    return found


def _checked(images: Any) -> tuple[int, int]:
    if not isinstance(images, Tensor) or images.ndim != 4 or images.shape[:2] != (2, 3):
        got = tuple(images.shape) if isinstance(images, Tensor) else type(images).__name__
        raise ConfigError(f"the generator made {got} of 2 latents; it must be images (2, 3, H, W). {_HOW}")
    low, high = (float(v) for v in torch.aminmax(images))
    if not (low >= 0 and high <= 1):
        raise ConfigError(f"the generator's images must lie in [0, 1]; got {low:.4g} to {high:.4g}. {_HOW}")
    return int(images.shape[2]), int(images.shape[3])


def load_generator(where: str | Path) -> tuple[nn.Module, str]:
    """Call the function of a Python file: ``FILE.py:FUNCTION`` -> (what it returns, hash of the file).

    Raises:
        ConfigError: it has another form, or the function does not return a module.
        DataError: the file or the function is missing, or fails.
    """
    file, colon, function = str(where).rpartition(":")
    if not colon or not file.endswith(".py") or not function.isidentifier():
        raise ConfigError(
            f"generator must be FILE.py:FUNCTION, a function that returns the module; got {str(where)!r}"
        )
    path = user_path(file, "file")
    try:
        content = path.read_bytes()
        build: Callable[[], Any] | None = runpy.run_path(str(path)).get(function)
        made = None if build is None else build()
    except Exception as error:  # whatever the user's code raises
        raise DataError(f"generator {str(where)!r} cannot be had: {type(error).__name__}: {error}") from error
    if build is None:
        raise DataError(f"generator: {str(path)!r} has no function {function!r}")
    if not isinstance(made, nn.Module):
        raise ConfigError(
            f"generator {str(where)!r} must return a torch.nn.Module; got {type(made).__name__}. {_HOW}"
        )
    return made, hashlib.sha256(content).hexdigest()
