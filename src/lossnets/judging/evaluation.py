"""A judgement as one record: what was judged, on what, every part, the verdict; read and written as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from lossnets.errors import DataError
from lossnets.home import atomic_write
from lossnets.judging.cost_result import CostResult
from lossnets.judging.effect_result import EffectResult
from lossnets.judging.fidelity_result import FidelityResult
from lossnets.judging.records import plain
from lossnets.judging.stability import StabilityResult
from lossnets.judging.standings import Standings, standings
from lossnets.judging.verdict import FEW, Verdict, verdict, worst_rows

FORMAT = "lossnets pgn evaluation 1"
PARTS: dict[str, Any] = {
    "cost": CostResult, "fidelity": FidelityResult, "effect": EffectResult, "stability": StabilityResult,
    "inversion": EffectResult,
}  # fmt: skip
"""Parts of a judgement, in the order in which they are made."""


@dataclass(frozen=True)
class Evaluation:
    """What was found about a gradient network.

    Attributes:
        about: name, signatures, images, plan, versions, machine, date: everything that the numbers depend on.
        card: of the checkpoint; empty where there is none.
        cost: of every rival's gradient.
        effect: fits of generators with every rival.
        fidelity: of the gradients; None where it could not be measured.
        stability: of long fits; None where it could not be measured.
        inversion: refined latents; None where it could not be measured.
        problems: {part: why it is missing}.
    """

    about: dict[str, Any]
    card: dict[str, Any]
    cost: CostResult
    effect: EffectResult
    fidelity: FidelityResult | None = None
    stability: StabilityResult | None = None
    inversion: EffectResult | None = None
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def resamples(self) -> int:
        """Bootstrap draws of the intervals."""
        return int(self.about.get("plan", {}).get("resamples", 2000))

    def standings(self) -> Standings:
        """Where every rival stands."""
        return standings(self.effect, self.cost, resamples=self.resamples)

    def verdict(self, found: Standings | None = None) -> Verdict:
        """What to use; ``found`` where the standings are there already."""
        rows = [] if self.stability is None else self.stability.rows()
        made = verdict(found or self.standings(), worst_rows(rows))
        settings = self.effect.settings
        steps = min((row.steps for row in rows if row.rival == made.key), default=0)
        made = made.with_evidence(settings["images"], len(settings["seeds"]), steps)
        return replace(made, reasons=(*made.reasons, *self._cautions()))

    def _cautions(self) -> Iterator[str]:
        """What makes the numbers less than they seem."""
        settings = self.effect.settings
        if self.about.get("trained_on"):
            yield (
                "The images look like those that the network was trained on (the same folder): on them it is "
                "better than on others."
            )
        if settings["images"] < FEW:
            count = settings["images"]
            some = "1 image was" if count == 1 else f"{count} images were"
            yield f"Only {some} judged: intervals from so few are too narrow."
        if not self.about.get("training_images", True):
            yield (
                "No autoencoder was fitted and no generator inverted: there were too few images to train "
                "them on, beside the judged ones."
            )
        if len(settings["seeds"]) < 2:
            yield "One seed: intervals say nothing about other initialisations."
        if self.stability is not None:
            asked, tested = self.about.get("plan", {}), self.stability.settings["images"]
            if tested < asked.get("stability_images", 0):
                yield (
                    f"Stability was tested on {tested} images, not on {asked['stability_images']}: there are "
                    "no more."
                )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON, the verdict first."""
        found = self.standings()
        parts = {name: getattr(self, name) for name in PARTS}
        return {
            "format": FORMAT,
            "verdict": self.verdict(found).as_dict(),
            "standings": found.as_dict(),
            "about": plain(self.about),
            "card": plain(self.card),
            "problems": dict(self.problems),
            **{name: None if part is None else part.as_dict() for name, part in parts.items()},
        }

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Evaluation:
        """Read what `as_dict` wrote; standings and verdict are computed anew.

        Raises:
            DataError: it is something else.
        """
        got = record.get("format") if isinstance(record, Mapping) else type(record).__name__
        if got != FORMAT:
            raise DataError(
                f"this is no evaluation of a gradient network: its format is {got!r}, not {FORMAT!r}"
            )
        try:
            parts: dict[str, Any] = {
                name: record[name] and kind.from_dict(record[name]) for name, kind in PARTS.items()
            }
            rest: dict[str, Any] = {name: dict(record[name]) for name in ("about", "card", "problems")}
        except (KeyError, TypeError, AttributeError) as error:
            raise DataError(f"the evaluation cannot be read: {type(error).__name__}: {error}") from None
        if parts["cost"] is None or parts["effect"] is None:
            raise DataError("the evaluation cannot be read: it has no cost or no effect")
        return cls(**rest, **parts)


def write_evaluation(evaluation: Evaluation, path: str | Path) -> Path:
    """Write an evaluation as JSON, whole or not at all -> the path.

    Raises:
        DataError: it cannot be written.
    """
    text = json.dumps(evaluation.as_dict(), indent=1, ensure_ascii=False, allow_nan=False)
    with atomic_write(path, "w", error=DataError) as file:
        file.write(text + "\n")
    return Path(path)


def read_evaluation(path: str | Path) -> Evaluation:
    """Read the JSON file of an evaluation.

    Raises:
        DataError: it cannot be read, or is something else.
    """
    try:
        record = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"the evaluation {str(path)!r} cannot be read: {error}") from error
    return Evaluation.from_dict(record)
