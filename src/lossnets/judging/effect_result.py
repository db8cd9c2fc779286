"""What fits under many rivals came to, as a record: gaps closed, differences, curves, tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lossnets.benchmarks.intervals import Estimate
from lossnets.errors import DataError, unknown_name
from lossnets.judging.gaps import RESAMPLES, gap_difference, mean_gap
from lossnets.judging.records import MEASURES, Fit, RivalRecord, build, plain

Array = NDArray[np.float64]
ALL = "all"
"""In the place of a generator: the mean over generators."""


@dataclass(frozen=True)
class GapRow:
    """What one rival did on one generator (or `ALL`, where the measures are means over generators).

    Attributes:
        generator: kind, or ``all``.
        rival: key.
        letter: of the kind of rival.
        title: of the rival.
        gap: gap closed; NaN where it is not defined.
        low: end of its 95% interval.
        high: end of its 95% interval.
        note: why something is NaN.
        true: mean true loss at the end.
        l1: mean absolute error.
        psnr: dB, mean over images.
        ssim: mean.
        diverged: fits that diverged.
        fits: in all.
    """

    generator: str
    rival: str
    letter: str
    title: str
    gap: float
    low: float
    high: float
    note: str
    true: float
    l1: float
    psnr: float
    ssim: float
    diverged: int
    fits: int


@dataclass(frozen=True)
class EffectResult:
    """All fits of a judgement, and what follows from them.

    Attributes:
        settings: true loss, PGN, steps and whatever else the fits depend on, for the record.
        rivals: what was compared.
        fits: every fit.
        left_out: {key of a rival that could not take part: why}.
    """

    settings: dict[str, Any]
    rivals: tuple[RivalRecord, ...]
    fits: tuple[Fit, ...]
    left_out: dict[str, str]

    @property
    def generators(self) -> list[str]:
        """Kinds that were fitted."""
        return list(dict.fromkeys(fit.generator for fit in self.fits))

    def rival(self, key: str) -> RivalRecord:
        """The rival of a key.

        Raises:
            UnknownNameError: none has it.
        """
        found = {record.key: record for record in self.rivals}
        if key not in found:
            raise unknown_name("rival", key, found)
        return found[key]

    def values(self, generator: str, rival: str, measure: str = "true") -> Array:
        """(images, seeds) of a measure (`MEASURES`) at the end of the fits.

        Raises:
            UnknownNameError: there is no such rival, generator or measure.
            DataError: fits are missing.
        """
        self.rival(rival)
        for what, got, known in (("generator", generator, self.generators), ("measure", measure, MEASURES)):
            if got not in known:
                raise unknown_name(what, got, known)
        ours = [fit for fit in self.fits if (fit.generator, fit.rival) == (generator, rival)]
        found = {(fit.image, fit.seed): float(getattr(fit.end, measure)) for fit in ours}
        images = list(dict.fromkeys(fit.image for fit in self.fits if fit.generator == generator))
        seeds = list(dict.fromkeys(fit.seed for fit in self.fits if fit.generator == generator))
        missing = [(image, seed) for image in images for seed in seeds if (image, seed) not in found]
        if missing:
            raise DataError(
                f"{len(missing)} fits of {generator} driven by {rival!r} are missing, the first of image "
                f"{missing[0][0]!r}, seed {missing[0][1]}; call effect again with the same store to make them"
            )
        return np.array([[found[image, seed] for seed in seeds] for image in images])

    def gap(self, generator: str, rival: str, *, resamples: int = RESAMPLES) -> Estimate:
        """Gap closed with its 95% interval, bootstrapped over images and seeds.

        Args:
            generator: kind; ``all``: the mean of the gaps closed on each.
            rival: key.
            resamples: bootstrap draws.
        """
        kinds = self.generators if generator == ALL else [generator]
        parts = [(self.values(g, "mse"), self.values(g, "true"), self.values(g, rival)) for g in kinds]
        return mean_gap(parts, resamples=resamples)

    def difference(self, generator: str, first: str, second: str, *, resamples: int = RESAMPLES) -> Estimate:
        """Gap closed by one rival less that by another, paired; arguments as in `gap`."""
        kinds = self.generators if generator == ALL else [generator]
        keys = ("mse", "true", first, second)
        parts = [tuple(self.values(g, key) for key in keys) for g in kinds]
        return gap_difference(parts, resamples=resamples)  # type: ignore[arg-type]

    def gaps(self, *, resamples: int = RESAMPLES) -> list[GapRow]:
        """A row for every generator, and all of them where there are several, and every rival."""
        kinds = self.generators
        wanted = [*kinds, ALL] if len(kinds) > 1 else kinds
        return [self._row(kind, record, resamples) for kind in wanted for record in self.rivals]

    def _row(self, generator: str, record: RivalRecord, resamples: int) -> GapRow:
        kinds = self.generators if generator == ALL else [generator]
        gap = self.gap(generator, record.key, resamples=resamples)
        ours = [fit for fit in self.fits if fit.rival == record.key and fit.generator in kinds]
        means = {m: float(np.mean([self.values(g, record.key, m).mean() for g in kinds])) for m in MEASURES}
        return GapRow(
            generator, record.key, record.letter, record.title, gap.value, gap.low, gap.high, gap.note,
            **means, diverged=sum(fit.diverged for fit in ours), fits=len(ours),
        )  # fmt: skip

    def curve(self, generator: str, rival: str, measure: str = "true") -> tuple[list[int], list[float]]:
        """Steps, and the mean over fits of a measure there; one that stopped early keeps its end."""
        self.values(generator, rival, measure)
        ours = [fit for fit in self.fits if (fit.generator, fit.rival) == (generator, rival)]
        steps = sorted({point.step for fit in ours for point in fit.curve})
        rows = [[_at(fit, step, measure) for step in steps] for fit in ours]
        return steps, [float(v) for v in np.mean(rows, axis=0)]

    def table(self) -> Any:
        """`gaps` as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.gaps()])

    def frame(self) -> Any:
        """A pandas DataFrame with a row for each fit: where it started and ended."""
        import pandas as pd

        rows = []
        for fit in self.fits:
            head = {"generator": fit.generator, "rival": fit.rival, "letter": self.rival(fit.rival).letter}
            ends = {measure: getattr(fit.end, measure) for measure in MEASURES}
            rows.append({
                **head, "seed": fit.seed, "image": fit.image, "start": fit.start.true, **ends,
                "diverged_at": fit.diverged_at, "plateau_at": fit.plateau_at, "steps": fit.steps,
                "seconds": fit.seconds,
            })  # fmt: skip
        return pd.DataFrame(rows)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; with the gaps closed, for readers."""
        found: dict[str, Any] = plain({
            "settings": self.settings, "rivals": [asdict(r) for r in self.rivals], "left_out": self.left_out,
            "gaps": [asdict(row) for row in self.gaps()], "fits": [fit.as_dict() for fit in self.fits],
        })  # fmt: skip
        return found

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> EffectResult:
        """Read what `as_dict` wrote; gaps are computed anew.

        Raises:
            DataError: it is something else.
        """
        try:
            rivals = tuple(build(RivalRecord, r) for r in record["rivals"])
            fits = tuple(Fit.from_dict(f) for f in record["fits"])
            return cls(dict(record["settings"]), rivals, fits, dict(record["left_out"]))
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"this is not the result of an effect: {type(error).__name__}: {error}") from None


def _at(fit: Fit, step: int, measure: str) -> float:
    """The last known value of a measure up to a step."""
    return float(next(getattr(p, measure) for p in reversed(fit.curve) if p.step <= step))
