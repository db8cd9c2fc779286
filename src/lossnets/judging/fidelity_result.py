"""Comparisons of gradients, as a record: means, intervals, tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from typing import Any

import numpy as np

from lossnets.benchmarks.intervals import Estimate, Part, estimate, mean_of
from lossnets.errors import DataError
from lossnets.judging.gaps import RESAMPLES
from lossnets.judging.records import build, plain

PARAMETERS = "parameters"
"""The space of gradients projected on the generator's parameters."""


@dataclass(frozen=True)
class FidelityRow:
    """One gradient of one image at one step, beside the true gradient.

    Attributes:
        driver: key of the rival that drives the trajectory.
        generator: kind.
        seed: of the generator.
        step: of the trajectory.
        image: name.
        rival: key of the rival whose gradient is compared.
        space: ``pixels/1``, ``pixels/2`` (averaged over 2×2 pixels), ..., ``parameters``.
        cosine: with the true gradient; NaN where one of both is zero.
        norm_ratio: |g| / |g_true|; NaN where g_true is zero.
        relative_error: |g - g_true| / |g_true|; NaN where g_true is zero.
    """

    driver: str
    generator: str
    seed: int
    step: int
    image: str
    rival: str
    space: str
    cosine: float
    norm_ratio: float
    relative_error: float


@dataclass(frozen=True)
class FidelitySummary:
    """One gradient beside the true one, over all steps, seeds, generators and images.

    Attributes:
        driver: of the trajectories; ``all``: over all drivers.
        rival: key of the rival whose gradient is compared.
        space: see `FidelityRow`.
        cosine: mean; rows that have none do not count.
        cosine_low: end of its 95% interval, bootstrapped over images.
        cosine_high: end of it.
        norm_ratio: median.
        relative_error: median.
        undefined: rows without a cosine: one of both gradients is zero or not finite.
        count: rows.
    """

    driver: str
    rival: str
    space: str
    cosine: float
    cosine_low: float
    cosine_high: float
    norm_ratio: float
    relative_error: float
    undefined: int
    count: int


@dataclass(frozen=True)
class FidelityResult:
    """All comparisons, and what follows from them.

    Attributes:
        settings: what they depend on, for the record.
        rows: every comparison.
    """

    settings: dict[str, Any]
    rows: tuple[FidelityRow, ...]

    def select(self, **wanted: Any) -> list[FidelityRow]:
        """Rows with these values: ``select(rival="pgn", space="parameters")``."""
        return [row for row in self.rows if all(getattr(row, k) == v for k, v in wanted.items())]

    def cosine(self, rival: str, space: str = "pixels/1", *, driver: str | None = None) -> Estimate:
        """Mean cosine with its 95% bootstrap interval over images; rows without one do not count."""
        rows = self.select(rival=rival, space=space, **({} if driver is None else {"driver": driver}))
        known = [row for row in rows if not np.isnan(row.cosine)]
        if not known:
            return Estimate(np.nan, np.nan, np.nan, "not defined: no gradient there is other than zero")
        values = np.array([row.cosine for row in known])
        return estimate([Part(mean_of(values), [row.image for row in known])], resamples=RESAMPLES, seed=0)

    def summary(self) -> list[FidelitySummary]:
        """A row for each driver, and all of them, each rival and each space."""
        keys = dict.fromkeys((row.rival, row.space) for row in self.rows)
        drivers = [*dict.fromkeys(row.driver for row in self.rows), None]
        return [self._summary(driver, *key) for driver in drivers for key in keys]

    def _summary(self, driver: str | None, rival: str, space: str) -> FidelitySummary:
        rows = self.select(rival=rival, space=space, **({} if driver is None else {"driver": driver}))
        cosine = self.cosine(rival, space, driver=driver)
        return FidelitySummary(
            driver or "all", rival, space, cosine.value, cosine.low, cosine.high,
            _median([row.norm_ratio for row in rows]), _median([row.relative_error for row in rows]),
            sum(math.isnan(row.cosine) for row in rows), len(rows),
        )  # fmt: skip

    def table(self) -> Any:
        """`summary` as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.summary()])

    def frame(self) -> Any:
        """Every comparison as a pandas DataFrame."""
        import pandas as pd

        return pd.DataFrame([asdict(row) for row in self.rows])

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON; with the summary, for readers."""
        found: dict[str, Any] = plain({
            "settings": self.settings, "summary": [asdict(row) for row in self.summary()],
            "columns": [f.name for f in fields(FidelityRow)], "rows": [astuple(row) for row in self.rows],
        })  # fmt: skip
        return found

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> FidelityResult:
        """Read what `as_dict` wrote.

        Raises:
            DataError: it is something else.
        """
        try:
            columns = record["columns"]
            rows = [build(FidelityRow, dict(zip(columns, row, strict=True))) for row in record["rows"]]
            return cls(dict(record["settings"]), tuple(rows))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"these are no figures of fidelity: {type(error).__name__}: {error}") from None


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return float(np.median(known)) if known else math.nan
