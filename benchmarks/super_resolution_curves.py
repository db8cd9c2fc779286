r"""Does a gradient network train faster? Super-resolution with the true loss, the PGN, MSE and rivals.

Every method trains a network of its own from the same initial weights on the same crops. They take turns,
some steps each, in one process, so that a change of the machine's speed meets all of them; only a method's
own steps count as its time. In between, the true loss is measured on held-out crops.

    python benchmarks/super_resolution_curves.py --loss NAME --pgn FILE --images DIR --held-out DIR \
        --json curves.json --figure curves.png

The JSON has, for each seed and method, steps, seconds and true loss; the picture (--figure) shows them over
steps and over time.
"""

from __future__ import annotations

import argparse
import json
import platform
import random
import time
from pathlib import Path

import torch

import lossnets
from lossnets.benchmarks.super_resolution.network import SuperResolver
from lossnets.benchmarks.super_resolution.scaling import low_resolution
from lossnets.gradients import PGNLoss
from lossnets.images.files import list_images, read_image

SCALE = 4


def crops(folder: str, count: int, side: int, seed: int) -> torch.Tensor:
    """Random crops of the images of a folder: (count, 3, side, side)."""
    draw, found = random.Random(seed), []
    files = list_images(folder)
    for k in range(count):
        image = read_image(files[k % len(files)])
        top, left = draw.randrange(image.shape[-2] - side), draw.randrange(image.shape[-1] - side)
        found.append(image.reshape(3, *image.shape[-2:])[:, top : top + side, left : left + side])
    return torch.stack(found)


class Training:
    """One method: a network, its optimiser, and what it has cost so far."""

    def __init__(self, name: str, loss: torch.nn.Module, width: int, seed: int) -> None:
        torch.manual_seed(seed)
        self.name, self.loss, self.seed = name, loss, seed
        self.network = SuperResolver(SCALE, width)
        self.optimiser = torch.optim.Adam(self.network.parameters(), lr=1e-3)
        self.steps, self.seconds, self.points = 0, 0.0, []

    def run(self, images: torch.Tensor, steps: int, batch: int) -> None:
        """Some steps on the batches that belong to their numbers."""
        self.network.train()
        for _ in range(steps):
            draw = random.Random(1_000_003 * self.seed + self.steps)
            target = images[draw.sample(range(len(images)), batch)]
            small = low_resolution(target, SCALE)
            begin = time.perf_counter()
            self.optimiser.zero_grad()
            self.loss(self.network(small), target).backward()
            self.optimiser.step()
            self.seconds += time.perf_counter() - begin
            self.steps += 1

    def measure(self, true: torch.nn.Module, held_out: torch.Tensor) -> None:
        """The true loss on held-out crops, in eval mode; not part of the time."""
        self.network.eval()
        with torch.no_grad():
            output = self.network(low_resolution(held_out, SCALE))
            value = float(true(output, held_out))
            mse = float((output - held_out).square().mean())
        self.points.append({"step": self.steps, "seconds": self.seconds, "true_loss": value, "mse": mse})


def measure_all(options: argparse.Namespace) -> dict[str, object]:
    """All methods, taking turns, for each seed."""
    true = lossnets.load_loss(options.loss)
    losses = {
        "true": true,
        "pgn": PGNLoss.from_pretrained(options.pgn, loss=true),
        "mse": lossnets.load_loss("pixel:mse"),
    }
    losses |= {name: lossnets.load_loss(name) for name in options.rival}
    images = crops(options.images, options.crops, options.side, 1)
    held_out = crops(options.held_out, options.held, options.side, 2)
    found: dict[str, object] = {}
    for seed in range(options.seeds):
        runs = [Training(name, loss, options.width, seed) for name, loss in losses.items()]
        for training in runs:
            training.measure(true, held_out)
        while runs[0].steps < options.steps:
            for training in runs:
                training.run(images, options.every, options.batch)
                training.measure(true, held_out)
        found[str(seed)] = {training.name: training.points for training in runs}
    return {
        "loss": true.name, "pgn": options.pgn, "settings": vars(options), "threads": torch.get_num_threads(),
        "machine": platform.processor() or platform.machine(), "torch": torch.__version__, "seeds": found,
    }  # fmt: skip


def draw(result: dict[str, object], path: Path) -> None:
    """The true loss over steps and over seconds, a line per method and seed."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    colours = dict(
        zip(
            next(iter(result["seeds"].values())),
            ("#0072b2", "#d55e00", "#666666", "#009e73", "#cc79a7"),
            strict=False,
        )
    )
    for axis, over in zip(panels, ("step", "seconds"), strict=True):
        for seed, methods in result["seeds"].items():
            for name, points in methods.items():
                label = name.split(":")[0] if seed == "0" else None
                axis.plot(
                    [p[over] for p in points],
                    [p["true_loss"] for p in points],
                    color=colours[name],
                    label=label,
                )
        axis.set(xlabel={"step": "steps", "seconds": "seconds of training"}[over], yscale="log")
        axis.grid(alpha=0.3)
    panels[0].set_ylabel("true loss on held-out crops")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4, frameon=False)
    figure.savefig(path, dpi=130)


def main() -> None:
    """Measure, write, draw."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--loss", required=True, help="loss name of the true loss")
    parser.add_argument("--pgn", required=True, help="name or file of the gradient network")
    parser.add_argument("--rival", action="append", default=[], help="loss name of another rival")
    parser.add_argument("--images", required=True, help="folder to train on")
    parser.add_argument("--held-out", required=True, help="folder to judge on")
    parser.add_argument("--json", type=Path, required=True)
    parser.add_argument("--figure", type=Path)
    for name, value in {
        "steps": 400,
        "every": 25,
        "seeds": 2,
        "batch": 8,
        "side": 64,
        "crops": 600,
        "held": 32,
        "width": 16,
    }.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    options = parser.parse_args()
    result = measure_all(options)
    result["settings"] = {
        key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()
    }
    options.json.write_text(json.dumps(result, indent=1), encoding="utf-8")
    if options.figure:
        draw(result, options.figure)


if __name__ == "__main__":
    main()
