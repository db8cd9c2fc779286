"""The judge: the loss that `lpips_judge` is measured with, what it may be and how it is identified."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

from lossnets.errors import ConfigError, LossnetsError
from lossnets.file_hash import content_hash
from lossnets.losses import DEFAULT_LOSS, ImageLoss, LossSpec, load_loss, parse_loss
from lossnets.networks import network_spec
from lossnets.networks.weights import locate


class Judge:
    """A loss that is loaded when it is first asked for, and kept while its files hold what they held.

    Args:
        name: its loss name.

    Raises:
        ConfigError: the name does not parse, or it mentions a file by a relative path.
    """

    def __init__(self, name: str) -> None:
        self._spec = parse_loss(name)
        for option, path in self._spec.files().items():
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
        """The loss, with reduction ``none``; one object for all benchmarks of a process.

        Raises:
            WeightsError: its weights are missing or damaged.
            MissingExtraError: a package with its LPIPS head is missing.
        """
        return _loaded(self._spec, _contents(self._spec))

    def identity(self) -> str:
        """What identifies a judge other than the default, which gives an empty text.

        Its signature, without the folders that its files lie in; where it cannot be loaded, its name:
        that is for the run to fail at, not for all runs of a sweep.
        """
        if self._spec == parse_loss(DEFAULT_LOSS):
            return ""
        portable = str(self._spec.portable())
        try:
            return portable + self.load().signature().removeprefix(self.name)
        except LossnetsError:
            return portable


def _contents(spec: LossSpec) -> tuple[str, ...]:
    """Hashes of the files that the loss is loaded from; what is missing, loading it says best."""
    files = [Path(path) for path in spec.files().values()]
    if spec.family in ("perceptual", "lpips") and not files:
        published = network_spec(spec.network).weights
        found = locate(published) if published is not None else None
        files = [found] if found is not None else []
    try:
        return tuple(content_hash(path) for path in files)
    except OSError:
        return ()


@lru_cache(maxsize=2)
def _loaded(spec: LossSpec, _files: tuple[str, ...]) -> ImageLoss:
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
