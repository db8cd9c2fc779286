"""Stability over many steps: the share of images whose fit diverges, with its exact interval.

Nikulin et al. 2021, section 4.3: 10,000 steps; a fit has diverged when its true loss exceeds twice its start.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from lossnets.benchmarks.intervals import LEVEL
from lossnets.errors import ConfigError, DataError
from lossnets.judging.campaign import run_fits
from lossnets.judging.choice import fitting, resolve_losses, resolve_rivals
from lossnets.judging.fits import FitSettings
from lossnets.judging.records import Fit, Progress, RivalRecord, build, plain
from lossnets.losses import ImageLoss

STEPS = 10_000
CHECK = 100


@dataclass(frozen=True)
class DivergedRow:
    """How many images one rival lost on one generator.

    Attributes:
        generator: kind.
        rival: key.
        letter: of its kind.
        title: of the rival.
        diverged: images that diverged with any seed.
        images: in all.
        share: diverged / images.
        low: end of the exact 95% interval (Clopper and Pearson 1934) for new images of this source.
        high: end of it.
        plateaued: images whose true loss came to a plateau with every seed.
        steps: that the longest fit made.
    """

    generator: str
    rival: str
    letter: str
    title: str
    diverged: int
    images: int
    share: float
    low: float
    high: float
    plateaued: int
    steps: int


@dataclass(frozen=True)
class StabilityResult:
    """All fits of a test of stability, and what follows from them.

    Attributes:
        settings: what the fits depend on, for the record.
        rivals: what drove.
        fits: every fit.
    """

    settings: dict[str, Any]
    rivals: tuple[RivalRecord, ...]
    fits: tuple[Fit, ...]

    def rows(self) -> list[DivergedRow]:
        """A row for each generator and rival."""
        kinds = dict.fromkeys(fit.generator for fit in self.fits)
        return [self._row(kind, record) for kind in kinds for record in self.rivals]

    def row(self, generator: str, rival: str) -> DivergedRow:
        """The row of a generator and a rival.

        Raises:
            ConfigError: they were not tested together.
        """
        for row in self.rows():
            if (row.generator, row.rival) == (generator, rival):
                return row
        raise ConfigError(
            f"generator {generator!r} driven by {rival!r} was not tested; there are "
            + ", ".join(f"{row.generator} by {row.rival}" for row in self.rows())
        )

    def _row(self, generator: str, record: RivalRecord) -> DivergedRow:
        ours = [fit for fit in self.fits if (fit.generator, fit.rival) == (generator, record.key)]
        images = {fit.image for fit in ours}
        lost = {fit.image for fit in ours if fit.diverged}
        moving = {fit.image for fit in ours if fit.plateau_at is None}
        low, high = clopper_pearson(len(lost), len(images))
        return DivergedRow(
            generator, record.key, record.letter, record.title, len(lost), len(images),
            len(lost) / len(images), low, high, len(images - moving), max(fit.steps for fit in ours),
        )  # fmt: skip

    def table(self) -> Any:
        """`rows` as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows()])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; with the rows, for readers."""
        found: dict[str, Any] = plain({
            "settings": self.settings, "rivals": [asdict(r) for r in self.rivals],
            "rows": [asdict(row) for row in self.rows()], "fits": [fit.as_dict() for fit in self.fits],
        })  # fmt: skip
        return found

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> StabilityResult:
        """Read what `as_dict` wrote.

        Raises:
            DataError: it is something else.
        """
        try:
            rivals = tuple(build(RivalRecord, r) for r in record["rivals"])
            return cls(dict(record["settings"]), rivals, tuple(Fit.from_dict(f) for f in record["fits"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"this is no test of stability: {type(error).__name__}: {error}") from None


def clopper_pearson(hits: int, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Exact interval of a share (Clopper and Pearson 1934): hits of count -> (low, high).

    >>> [round(v, 4) for v in clopper_pearson(0, 24)]
    [0.0, 0.1425]
    """
    from scipy.stats import beta

    tail = (1 - level) / 2
    low = 0.0 if hits == 0 else float(beta.ppf(tail, hits, count - hits + 1))
    high = 1.0 if hits == count else float(beta.ppf(1 - tail, hits + 1, count - hits))
    return low, high


def stability(
    true: str | ImageLoss,
    pgn: str | ImageLoss | None,
    images: Tensor,
    *,
    names: Iterable[str] | None = None,
    training: Tensor | None = None,
    generators: Sequence[str] = ("image-prior",),
    seeds: Sequence[int] = (0,),
    steps: int = STEPS,
    check: int = CHECK,
    patience: int = FitSettings.patience,
    stop: bool = False,
    learning_rate: float = FitSettings.learning_rate,
    batch: int = FitSettings.batch,
    points: int = FitSettings.points,
    generator_settings: Mapping[str, Mapping[str, Any]] | None = None,
    rivals: Iterable[str] = ("pgn",),
    store: str | Path | None = None,
    progress: Progress | None = None,
) -> StabilityResult:
    """Fit for many steps and see which images diverge.

    Args:
        true: the loss that is imitated, or its name.
        pgn: what imitates it, or its name.
        images: (N, 3, S, S) in [0, 1], on the device of the losses.
        names: of the images; their numbers by default.
        training: what an autoencoder is trained on.
        generators: kinds.
        seeds: of initialisations.
        steps: of Adam.
        check: steps between looks at the true loss.
        patience: steps without a lower true loss that make a plateau.
        stop: end a batch early when each of its images has diverged or lies on a plateau. A plateau may
            be followed by divergence, so this is the cheaper and weaker test.
        learning_rate: of Adam.
        batch: images at once.
        points: of the curves.
        generator_settings: by kind.
        rivals: keys or letters of what drives.
        store: file that keeps every batch of fits as it is made.
        progress: called with (batches done, in all, what comes next).

    Raises:
        ConfigError: settings that do not go together.
        ImageError: images that are none in [0, 1], or too small.
        DataError: the store cannot be read or written.
    """
    true, pgn = resolve_losses(true, pgn, images)
    chosen = resolve_rivals(true, pgn, images, rivals, exactly=True)
    taking_part, left_out = fitting(chosen, images)
    if left_out:
        raise ConfigError("; ".join(f"{key} {why}" for key, why in left_out.items()))
    settings = FitSettings(
        steps, learning_rate, batch, points, check, patience, stop,
        {kind: dict(options) for kind, options in (generator_settings or {}).items()},
    )  # fmt: skip
    fits = run_fits(
        true, taking_part, images, names=names, training=training, generators=generators, seeds=seeds,
        settings=settings, store=store, progress=progress,
    )  # fmt: skip
    about = {
        **asdict(settings), "true": true.name, "pgn": "" if pgn is None else pgn.name, "images": len(images),
        "side": list(images.shape[2:]), "generators": list(generators), "seeds": list(seeds),
        "device": str(images.device), "generator_settings": settings.generators,
    }  # fmt: skip
    return StabilityResult(plain(about), tuple(r.record for r in taking_part), tuple(fits))
