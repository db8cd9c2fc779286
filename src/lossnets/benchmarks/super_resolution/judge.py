"""The judge: the loss that `lpips_judge` is measured with, what it may be and how it is identified."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

from lossnets.errors import ConfigError, LossnetsError
from lossnets.losses import DEFAULT_LOSS, ImageLoss, LossSpec, load_loss, parse_loss

_WEIGHT_FILES = (".pth", ".pt", ".bin", ".safetensors", ".ckpt")


class Judge:
    """A loss that is loaded when it is first asked for, and kept.

    Args:
        name: its loss name.

    Raises:
        ConfigError: the name does not parse, or it mentions a file by a relative path.
    """

    def __init__(self, name: str) -> None:
        self._spec = parse_loss(name)
        self._loss: ImageLoss | None = None
        for option, path in _files(self._spec).items():
            if not Path(path).is_absolute():  # a plan's folder is not known here
                raise ConfigError(
                    f"judge must give its files as absolute paths; got {option}={path!r}, which is relative. "
                    f"Write the whole path, e.g. {option}={Path('/') / 'data' / Path(path).name}"
                )

    @property
    def name(self) -> str:
        """Its canonical loss name."""
        return str(self._spec)

    def load(self) -> ImageLoss:
        """The loss, with reduction ``none``; read once.

        Raises:
            WeightsError: its weights are missing or damaged.
            MissingExtraError: a package with its LPIPS head is missing.
        """
        if self._loss is None:
            named = _files(self._spec)
            self._loss = load_loss(self._spec, reduction="none") if named else _shared(self._spec)
        return self._loss

    def identity(self) -> str:
        """What identifies a judge other than the default, which gives an empty text.

        Its signature, without the folders that its files lie in; where it cannot be loaded, its name:
        that is for the run to fail at, not for all runs of a sweep.
        """
        if self._spec == parse_loss(DEFAULT_LOSS):
            return ""
        named = {option: Path(path).name for option, path in _files(self._spec).items()}
        portable = str(replace(self._spec, **named))  # type: ignore[arg-type]
        try:
            return portable + self.load().signature().removeprefix(self.name)
        except LossnetsError:
            return portable


@lru_cache(maxsize=2)
def _shared(spec: LossSpec) -> ImageLoss:
    """One loss for all benchmarks of a process; of files, which may change, every judge reads its own."""
    return load_loss(spec, reduction="none")


def shared_network(loss: ImageLoss, judge: ImageLoss) -> str:
    """What has to be said of a judge that may favour the loss; empty where there is nothing.

    A gradient network is taken for the loss that it imitates.
    """
    imitated = re.split(r"[|;]", str(getattr(loss, "imitates", "")))[0]
    try:
        spec = parse_loss(imitated) if imitated else loss.spec
    except LossnetsError:  # a loss that no name says
        spec = loss.spec
    if spec.family == "pixel" or spec.network != judge.spec.network:
        return ""
    by = "the loss that it was trained with imitates" if imitated else "it was trained with"
    return f"judged by {judge.spec.network}, the network that {by}"


def _files(spec: LossSpec) -> dict[str, str]:
    """Option -> path, of the options that name a file."""
    found = {"head": spec.head} if spec.head else {}
    if "/" in spec.weights or os.sep in spec.weights or spec.weights.endswith(_WEIGHT_FILES):
        found["weights"] = spec.weights
    return found
