"""Training steps of the three training benchmarks: perceptual beside pixel loss, targets kept or not.

A step is what a training does: batch, forward, loss, backward, Adam, at the size of the profile `small`
on the packaged samples. Per benchmark all variants take turns in one process; reported are ratios of
medians to the pixel baseline, images a second, and the peak memory of a fresh process per variant
above what it has before anything is loaded. "again" computes the target's features in every step
(super-resolution, autoencoding) or for every refinement (delineation), as the released code of the study
does; the variant without it keeps them. Loss networks have random weights, but for the packaged one.

    python benchmarks/training_speed.py --rounds 9 --json training_speed.json
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from loss_speed import machine, process_memory, reset_peak

from lossnets.benchmarks import load_benchmark
from lossnets.losses import load_loss

BENCHMARKS = {
    "super-resolution-sample": "pixel:mse",
    "delineation-sample": "pixel:bce",
    "autoencoding-sample": "pixel:mse",
}
LOSSES = (
    "efficientnet_lite0/blocks.0",
    "efficientnet_lite0/blocks.3",
    "squeezenet1_1/features.7:weights=random-0",
    "vgg16/features.8:weights=random-0",
    "vgg16/features.15:weights=random-0",
)
AGAIN = " again"


class EncodesNothing:
    """The loss, but what it encodes is the image: the features are computed at every comparison."""

    def __init__(self, loss: Any) -> None:
        self._loss = loss

    def __call__(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Compare two images."""
        return self._loss(output, target)

    def __getattr__(self, name: str) -> Any:
        """Everything else is the loss's."""
        return getattr(self._loss, name)

    def encode(self, target: torch.Tensor) -> torch.Tensor:
        """The image itself."""
        return target


def make_step(benchmark: str, variant: str) -> tuple[Callable[[], None], int]:
    """A training step, and its number of images."""
    loss: Any = load_loss(variant.removesuffix(AGAIN), reduction="mean")
    made = load_benchmark(benchmark)
    made.prepare()
    if variant.endswith(AGAIN) and benchmark.startswith("delineation"):
        loss = EncodesNothing(loss)
    task = made.task(loss, seed=0, profile="small")
    if variant.endswith(AGAIN) and not benchmark.startswith("delineation"):
        with patch.object(sys.modules[type(task).__module__], "cached_targets", return_value=None):
            task.start(torch.device("cpu"))
    else:
        task.start(torch.device("cpu"))
    model = task.model.train()
    adam = torch.optim.Adam(model.parameters(), lr=task.recipe.lr)
    size = min(task.recipe.batch_size, task.train_size)
    calls = [0]

    def step() -> None:
        calls[0] += 1
        start = (calls[0] * size) % max(1, task.train_size - size)
        terms = task.training_loss(task.training_batch(calls[0], range(start, start + size)))
        adam.zero_grad()
        (terms["loss"] if isinstance(terms, dict) else terms).backward()
        adam.step()

    return step, size


def variants_of(benchmark: str) -> list[str]:
    """The pixel baseline, then each loss with targets kept and computed again."""
    return [BENCHMARKS[benchmark], *(f"{loss}{ending}" for loss in LOSSES for ending in ("", AGAIN))]


def time_benchmark(benchmark: str, rounds: int) -> list[dict[str, Any]]:
    """Seconds of each variant in turns, as ratios to the baseline's median."""
    steps = {variant: make_step(benchmark, variant) for variant in variants_of(benchmark)}
    seconds: dict[str, list[float]] = {variant: [] for variant in steps}
    for step, _ in steps.values():
        step()
    for _ in range(rounds):
        for variant, (step, _) in steps.items():
            start = time.perf_counter()
            step()
            seconds[variant].append(time.perf_counter() - start)
    base = seconds[BENCHMARKS[benchmark]]
    rows = []
    for variant, times in seconds.items():
        ratios = sorted(t / b for t, b in zip(times, base, strict=True))
        rows.append(
            {
                "benchmark": benchmark,
                "variant": variant,
                "median_s": statistics.median(times),
                "images_per_second": steps[variant][1] / statistics.median(times),
                "ratio": statistics.median(times) / statistics.median(base),
                "ratio_q1": ratios[len(ratios) // 4],
                "ratio_q3": ratios[3 * len(ratios) // 4],
            }
        )
    return rows


def memory_of(benchmark: str, variant: str) -> float:
    """Peak megabytes of a fresh process above what it has before anything is loaded."""
    command = [sys.executable, __file__, "--memory", benchmark, variant]
    answer = subprocess.run(command, capture_output=True, text=True, check=True)
    return float(answer.stdout)


def print_memory(benchmark: str, variant: str) -> None:
    """The other side of `memory_of`."""
    gc.collect()
    before = reset_peak()
    step, _ = make_step(benchmark, variant)  # cached targets count
    for _ in range(3):
        step()
    print((process_memory("VmHWM") - before) / 1e6)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--memory", nargs=2, metavar=("BENCHMARK", "VARIANT"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory:
        print_memory(*args.memory)
        return
    rows = []
    for benchmark in BENCHMARKS:
        for row in time_benchmark(benchmark, args.rounds):
            row["megabytes"] = memory_of(benchmark, row["variant"])
            rows.append(row)
            print(
                f"{benchmark:24} {row['variant']:48} {row['ratio']:.2f} "
                f"({row['ratio_q1']:.2f}..{row['ratio_q3']:.2f}) {row['images_per_second']:.1f}/s "
                f"{row['megabytes']:.0f} MB",
                flush=True,
            )
    if args.json:
        args.json.write_text(
            json.dumps({"machine": machine(), "rounds": args.rounds, "rows": rows}, indent=1)
        )


if __name__ == "__main__":
    main()
