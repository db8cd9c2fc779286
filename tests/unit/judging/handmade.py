"""Results of judging with numbers that a test chooses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from lossnets.judging.cost_result import CostResult, RivalCost, Timing
from lossnets.judging.effect_result import EffectResult
from lossnets.judging.records import Fit, Point, RivalRecord
from lossnets.judging.stability import StabilityResult
from lossnets.runs.cost_records import Machine

LETTERS = {"true": "a", "pgn": "b", "mse": "c", "pgn+mse": "d", "cut": "e", "half": "f", "crop": "g",
           "every": "h", "l1": "i"}  # fmt: skip
HERE = Machine("a processor", 1, "2.0", "0.1", "Linux x86_64")


def record(key: str) -> RivalRecord:
    kind = key if key in LETTERS else key.partition("-")[0]
    letter = LETTERS.get(kind, "j")
    network = letter in "abdj"
    count = key.partition("-")[2]
    titles = {"a": "true loss: net/c1,c2", "b": "PGN: pgn:mine", "e": f"true loss cut after {count} taps"}
    python = {"a": "Loss('net', {'c1': 1.0, 'c2': 1.0})", "b": "PGNLoss.from_pretrained('mine')"}
    expression, period = python.get(letter, f"Loss({key!r})"), int(count) if letter == "h" else 1
    return RivalRecord(
        key, letter, titles.get(letter, key), f"net/{key}" if letter == "e" else "", expression, not network,
        period, 1, f"signed {key}",
    )  # fmt: skip


def fit(
    generator: str, rival: str, end: float, *, image: str = "a.png", seed: int = 0, start: float = 2.0,
    diverged: int | None = None, steps: int = 100,
) -> Fit:  # fmt: skip
    middle = (start + end) / 2
    points = [(0, start), (steps // 2, middle), (steps, end)]
    curve = tuple(Point(step, true, true / 10, 30 - 5 * true, 1 / (1 + true)) for step, true in points)
    return Fit(generator, rival, seed, image, steps, curve, diverged, None, 0.5)


def effect_of(
    ends: Mapping[str, float],
    *,
    generators: Sequence[str] = ("image-prior",),
    images: int = 12,
    seeds: Sequence[int] = (0, 1),
    noise: float = 0.02,
    diverged: Sequence[str] = (),
) -> EffectResult:
    """Fits that end at these true losses, with a little noise of their own."""
    rng = np.random.default_rng(0)
    fits = [
        fit(generator, key, end + noise * float(rng.standard_normal()), image=f"{k}.png", seed=seed,
            diverged=50 if key in diverged and k == 0 else None)
        for generator in generators for seed in seeds for k in range(images) for key, end in ends.items()
    ]  # fmt: skip
    settings = {"true": "net/c1,c2", "pgn": "pgn:mine", "steps": 100, "images": images, "side": [64, 64],
                "seeds": list(seeds), "generators": list(generators), "training": 0}  # fmt: skip
    return EffectResult(settings, tuple(record(key) for key in ends), tuple(fits), {})


def cost_of(ratios: Mapping[str, float], *, spread: float = 0.05) -> CostResult:
    """Costs relative to a true loss of 100 ms and 100 MB."""
    costs = []
    for key, ratio in ratios.items():
        low, high = ratio * (1 - spread), ratio * (1 + spread)
        if key == "true":
            low = high = ratio
        timing = Timing(0.1 * ratio, 0.1 * low, 0.1 * high, ratio, low, high)
        memory = int(1e8 * ratio)
        known = record(key)
        costs.append(
            RivalCost(
                key, known.letter, known.title, timing, timing, 5e9 * ratio, 7e9 * ratio, memory, memory
            )
        )
    return CostResult(tuple(costs), 1, 256, 5, "cpu", HERE, "2026-01-01T00:00:00+00:00")


def stability_of(diverged: int, *, images: int = 24, steps: int = 10_000) -> StabilityResult:
    """Long fits of the PGN, of which so many diverged."""
    fits = [
        fit("image-prior", "pgn", 1.0, image=f"{k}.png", steps=steps, diverged=500 if k < diverged else None)
        for k in range(images)
    ]
    settings = {"steps": steps, "images": images, "side": [64, 64], "check": 100}
    return StabilityResult(settings, (record("pgn"),), tuple(fits))


ENDS = {"true": 1.0, "pgn": 1.3, "pgn+mse": 1.35, "mse": 2.0, "l1": 1.9, "cut-1": 1.6, "cut-2": 1.2,
        "half": 2.3, "crop": 2.1, "every-2": 1.2, "every-4": 1.5}  # fmt: skip
RATIOS = {"true": 1.0, "pgn": 0.1, "pgn+mse": 0.105, "mse": 0.005, "l1": 0.005, "cut-1": 0.15, "cut-2": 0.35,
          "half": 0.28, "crop": 0.3, "every-2": 0.52, "every-4": 0.27}  # fmt: skip
