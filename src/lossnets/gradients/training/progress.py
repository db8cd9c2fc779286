"""What a training tells while it runs."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from lossnets.errors import DataError


class DivergedError(DataError):
    """The training became NaN or infinite."""


@dataclass(frozen=True)
class TrainingProgress:
    """How a training stands; means over the steps since it was last told.

    Attributes:
        step: finished steps.
        steps: in all.
        meta_loss: what is minimised.
        cosine: of predicted and true gradient, of x̂ of these steps (replayed ones not counted).
        norm_ratio: norm of the predicted over that of the true gradient, geometric mean.
        true_loss: of the x̂ that generators make.
        samples_per_second: samples / seconds.
        samples: x̂ that the network learned from since then, replayed ones included.
        seconds: since then.
        remaining: estimated seconds.
        terms: of the meta-loss, before they are weighted.
    """

    step: int
    steps: int
    meta_loss: float = math.nan
    cosine: float = math.nan
    norm_ratio: float = math.nan
    true_loss: float = math.nan
    samples_per_second: float = math.nan
    samples: int = 0
    seconds: float = 0.0
    remaining: float = math.nan
    terms: dict[str, float] = field(default_factory=dict)

    def row(self) -> dict[str, float]:
        """As a row of the log."""
        row = asdict(self)
        terms: dict[str, float] = row.pop("terms")
        del row["steps"], row["remaining"]
        return {**row, **terms}

    @classmethod
    def from_row(cls, row: dict[str, float], before: int, steps: int) -> TrainingProgress:
        """Of a row of the log; ``before``: the step of the row before it."""
        known = {entry.name for entry in fields(cls)}
        values: dict[str, Any] = {k: v for k, v in row.items() if k in known}
        terms = {k: v for k, v in row.items() if k not in known}
        step = int(row["step"])
        remaining = (steps - step) * row["seconds"] / max(1, step - before)
        values |= {"step": step, "samples": int(row["samples"]), "remaining": remaining}
        return cls(steps=steps, terms=terms, **values)

    def __str__(self) -> str:
        """One line for people."""
        parts = [f"step {self.step}/{self.steps}"]
        if math.isfinite(self.meta_loss):
            parts += [
                f"meta-loss {self.meta_loss:.4g}",
                f"cosine {self.cosine:.3f}",
                f"norm ratio {self.norm_ratio:.2f}",
                f"true loss {self.true_loss:.4g}",
                f"{self.samples_per_second:.1f} samples/s",
                f"{self.remaining / 60:.1f} min left",
            ]
        return ", ".join(parts)


Report = Callable[[TrainingProgress], None]
"""Called after every row of the log."""
