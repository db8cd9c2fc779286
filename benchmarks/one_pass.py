"""Four single-tap losses of one network on 2AFC triplets: one pass for all, beside one pass each.

"four" evaluates each loss on its own, as scripts usually do: loss(ref, p0) and loss(ref, p1). "four
encoded" also goes through the data four times, but computes the reference once per loss. "one"
is `lossnets.LossBank`: one forward pass per image for all losses. The variants take turns;
reported are ratios of medians to "four", with quartiles. Weights are random.

    python benchmarks/one_pass.py --rounds 21 --json one_pass.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
from loss_speed import machine

import lossnets

NETWORKS = ("vgg16", "squeezenet1_1", "efficientnet_lite0")


def make_variants(network: str, batch: int, size: int) -> dict[str, Callable[[], dict[str, torch.Tensor]]]:
    """One function per variant: {loss name and side: distances}."""
    torch.manual_seed(0)
    ref, p0, p1 = (torch.rand(batch, 3, size, size) for _ in range(3))
    points = lossnets.load_network(network, weights="random-0").spec.points
    names = [f"{network}/{point}:lpips:weights=random-0" for point in points]
    losses = {name: lossnets.load_loss(name, reduction="none") for name in names}
    bank = lossnets.LossBank(list(losses.values()))

    @torch.no_grad()
    def four() -> dict[str, torch.Tensor]:
        return {
            f"{side}{name}": loss(p, ref)
            for name, loss in losses.items()
            for side, p in (("0", p0), ("1", p1))
        }

    @torch.no_grad()
    def four_encoded() -> dict[str, torch.Tensor]:
        found = {}
        for name, loss in losses.items():
            target = loss.encode(ref)
            found |= {f"0{name}": loss(p0, target), f"1{name}": loss(p1, target)}
        return found

    def one() -> dict[str, torch.Tensor]:
        target = bank.encode(ref)
        sides = (("0", p0), ("1", p1))
        return {
            f"{side}{name}": d
            for side, p in sides
            for name, d in zip(names, bank.distances(p, target).values(), strict=True)
        }

    return {"four": four, "four encoded": four_encoded, "one": one}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = []
    for network in NETWORKS:
        variants = make_variants(network, args.batch, args.size)
        results = {name: run() for name, run in variants.items()}
        error = max(float((results["one"][k] - v).abs().max()) for k, v in results["four"].items())
        seconds: dict[str, list[float]] = {name: [] for name in variants}
        for _ in range(args.rounds):
            for name, run in variants.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)
        for name, times in seconds.items():
            ratios = sorted(t / b for t, b in zip(times, seconds["four"], strict=True))
            row = {
                "network": network,
                "variant": name,
                "median_s": statistics.median(times),
                "ratio": statistics.median(times) / statistics.median(seconds["four"]),
                "ratio_q1": ratios[len(ratios) // 4],
                "ratio_q3": ratios[3 * len(ratios) // 4],
                "largest_difference": error,
            }
            rows.append(row)
            print(
                f"{network:20} {name:13} {row['ratio']:.2f} ({row['ratio_q1']:.2f}..{row['ratio_q3']:.2f})",
                flush=True,
            )
    if args.json:
        report = {
            "machine": machine(),
            "batch": args.batch,
            "size": args.size,
            "rounds": args.rounds,
            "rows": rows,
        }
        args.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
