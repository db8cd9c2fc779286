"""Cost of one gradient: the published backbones, ours, and cut losses beside VGG-19's own gradient.

All take turns in one process; ratios are taken within each round. Weights are random: cost does not depend on
them. Memory is what torch holds beside the weights, with the kept target.

    python benchmarks/gradient_network_speed.py --rounds 9 --json gradient_network_speed.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

import lossnets
from lossnets.gradients import (
    DistilledGradientNetwork,
    GradientNetwork,
    PerceptualGradientNetwork,
    PGNLoss,
)
from lossnets.judging.cost import measure_cost
from lossnets.judging.rivals import make_rivals
from lossnets.losses import list_presets


def networks() -> dict[str, GradientNetwork]:
    """Gradient networks for VGG-19's loss, with random weights."""
    first = {"network": "vgg19", "pooling": "avg", "distance": "l1", "weights": "random-0"}
    return {
        "distilled": DistilledGradientNetwork(taps=["relu1_1"], widths=[], **first),
        "distilled+thin": DistilledGradientNetwork(taps=["relu1_1"], widths=[32, 64, 128, 192], **first),
        "shuffled": PerceptualGradientNetwork("shuffled"),
        "unet": PerceptualGradientNetwork("unet"),
        **{f"resnet-{n}": PerceptualGradientNetwork("resnet", blocks=n) for n in (4, 6, 8)},
    }


def main() -> None:
    """Measure, write, print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--side", type=int, default=256)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    name = next(p.loss for p in list_presets() if p.name == "pgn2021") + ":weights=random-0"
    settings = {"reduction": "none", "validate": "never"}
    true = lossnets.load_loss(name, device=options.device, **settings)
    extra = {"true, bf16": lossnets.load_loss(f"{name}:dtype=bfloat16", device=options.device, **settings)}
    for key, network in networks().items():
        for dtype in (torch.float32, torch.bfloat16):
            label = key if dtype == torch.float32 else f"{key}, bf16"
            extra[label] = PGNLoss(network, compute_dtype=dtype, **settings).to(options.device)
    images = torch.rand(1, 3, 64, 64, device=options.device)
    rivals = make_rivals(true, None, images, cuts=(1, 2, 4), every=(), extra=extra)
    found = measure_cost(rivals, side=options.side, rounds=options.rounds, device=options.device)
    if options.json:
        options.json.write_text(json.dumps(found.as_dict(), indent=1), encoding="utf-8")
    memory = next(cost.memory for cost in found.costs if cost.key == "true")
    for cost in found.costs:
        if cost.encoded is None:
            print(f"{cost.key:22} {cost.error}")
            continue
        share = "" if cost.memory is None or not memory else f"{cost.memory / memory:.3f}"
        print(
            f"{cost.key:22} time {cost.encoded.ratio:.3f}  memory {share}  {(cost.macs or 0) / 1e9:.2f} GMAC"
        )


if __name__ == "__main__":
    main()
