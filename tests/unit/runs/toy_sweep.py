"""A benchmark that costs nothing and fails on request; importable by worker processes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from lossnets.benchmarks.base import Evaluation, Score, ScoreKind, Workload, register_benchmark
from lossnets.errors import DataError, LossnetsError
from lossnets.runs.evaluate import Group
from lossnets.runs.records import Outcome

ITEMS = 8


@register_benchmark
class Toy:
    """Mean distance between random pictures; a log line for each loss that is evaluated.

    Args:
        log: file that gets one line "LOSS SEED" for each evaluation.
        delay: seconds that a pass takes.
        nan: loss name whose distances are NaN.
        error: loss name that is answered with an error.
        explode: loss name with which a whole pass breaks.
        interrupt: seed with which the pass is interrupted like Ctrl-C.
        die: seed with which the process dies.
        missing: the data are not there.
    """

    name: ClassVar[str] = "toy"
    data: ClassVar[str] = "noise"
    scores: ClassVar[tuple[ScoreKind, ...]] = (ScoreKind("closeness", "distance", True, "Nothing."),)
    profiles: ClassVar[tuple[str, ...]] = ("small", "smoke")
    variants: ClassVar[tuple[str, ...]] = ("baseline", "lin")

    def __init__(
        self,
        log: str | Path | None = None,
        delay: float = 0.0,
        nan: str = "",
        error: str = "",
        explode: str = "",
        interrupt: int = -1,
        die: int = -1,
        missing: bool = False,
    ) -> None:
        self.log, self.delay, self.missing = log, delay, missing
        self.nan, self.error, self.explode = nan, error, explode
        self.interrupt, self.die = interrupt, die

    def prepare(self) -> None:
        if self.missing:
            raise DataError("the toy's data are missing; get them from nowhere")

    def workload(self, profile: str) -> Workload:
        return Workload(0, 0, 16, pairs=ITEMS)

    def data_fingerprint(self) -> str:
        return "0" * 64

    def evaluate_many(
        self, bank: Any, *, seed: int, profile: str, device: str, progress: Any = None
    ) -> dict[str, Evaluation | LossnetsError]:
        self._misbehave(bank.names, seed)
        self._note(bank.names, seed)
        generator = torch.Generator().manual_seed(seed)
        a, b = torch.rand(2, ITEMS, 3, 16, 16, generator=generator)
        found = bank.distances(a, bank.encode(b))
        if progress is not None:
            progress(ITEMS, ITEMS)
        return {name: self._answer(name, values.double().numpy()) for name, values in found.items()}

    def evaluate_variant(
        self, losses: list[str], *, variant: str, seed: int, profile: str, device: str, progress: Any = None
    ) -> dict[str, Evaluation | LossnetsError]:
        self._note([f"{variant} {loss}" for loss in losses], seed)
        return {loss: self._answer(loss, np.full(ITEMS, float(seed))) for loss in losses}

    def _misbehave(self, names: list[str], seed: int) -> None:
        if self.explode in names:
            raise RuntimeError(f"the pass with {self.explode} broke")
        if self.interrupt == seed:
            raise KeyboardInterrupt
        if self.die == seed:
            os._exit(9)
        time.sleep(self.delay)

    def _note(self, names: list[str], seed: int) -> None:
        if self.log is not None:
            with Path(self.log).open("a") as log:
                log.writelines(f"{name} {seed}\n" for name in names)

    def _answer(self, name: str, values: Any) -> Evaluation | LossnetsError:
        if name == self.error:
            return DataError(f"{name} met an image that cannot be read: broken.png")
        if name == self.nan:
            values = np.where(np.arange(len(values)) == 3, np.nan, values)
        mean = float(np.nanmean(values))
        score = Score("closeness", -mean, "", True, "overall", -mean - 0.1, -mean + 0.1, len(values))
        undefined = Score(
            "spread", float("nan"), "", False, "overall", float("nan"), float("nan"), 0, "no spread"
        )
        return Evaluation((score, undefined), {"distance": values}, {"items": len(values)})


def unpicklable(group: Group) -> list[Outcome]:
    """An evaluation whose answer cannot leave its process."""
    return [Outcome(config, facts={"f": lambda: None}) for config in group.configs]
