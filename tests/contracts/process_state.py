"""A program that does everything once and tells what of the process was changed by it: one line of JSON.

What is looked at is in `STATE`, what is done in `ACTIONS`, in this order; something new joins by a line.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import locale
import logging
import multiprocessing
import os
import pickle
import pkgutil
import random
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from PIL import Image, ImageFile, PngImagePlugin

PLACE = Path(sys.argv[1]) if len(sys.argv) > 1 else Path()


def _hash(value: object) -> str:
    return hashlib.sha256(pickle.dumps(value)).hexdigest()


def _open_figures() -> list[int]:
    pyplot = sys.modules.get("matplotlib.pyplot")
    return list(pyplot.get_fignums()) if pyplot is not None else []


STATE: dict[str, Callable[[], object]] = {
    "start method": lambda: multiprocessing.get_start_method(allow_none=True),
    "filters of warnings": lambda: [str(entry) for entry in warnings.filters],
    "showing of warnings": lambda: str(warnings.showwarning),
    "random state of python": lambda: _hash(random.getstate()),
    "random state of numpy": lambda: _hash(np.random.get_state()),
    "random state of torch": lambda: _hash(torch.get_rng_state().numpy()),
    "threads of torch": torch.get_num_threads,
    "environment": lambda: dict(os.environ),
    "working folder": os.getcwd,
    "search path": lambda: list(sys.path),
    "truncated images": lambda: ImageFile.LOAD_TRUNCATED_IMAGES,
    "limits of images": lambda: [Image.MAX_IMAGE_PIXELS, PngImagePlugin.MAX_TEXT_CHUNK],
    "default type": lambda: str(torch.get_default_dtype()),
    "default device": lambda: str(torch.get_default_device()),
    "gradients": lambda: [torch.is_grad_enabled(), torch.is_inference_mode_enabled()],
    "anomalies": torch.is_anomaly_enabled,
    "autocast": lambda: [torch.is_autocast_enabled("cpu"), torch.is_autocast_cache_enabled()],
    "deterministic": lambda: [
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
    ],
    "products of matrices": lambda: [
        torch.get_float32_matmul_precision(),
        torch.backends.cuda.matmul.allow_tf32,
    ],
    "cudnn": lambda: [
        torch.backends.cudnn.enabled,
        torch.backends.cudnn.benchmark,
        torch.backends.cudnn.deterministic,
        torch.backends.cudnn.allow_tf32,
    ],
    "sharing of tensors": torch.multiprocessing.get_sharing_strategy,
    "printing": lambda: [str(vars(torch._tensor_str.PRINT_OPTS)), str(np.get_printoptions())],
    "errors of numpy": np.geterr,
    "log of the root": lambda: [logging.root.level, [str(h) for h in logging.root.handlers]],
    "logging": lambda: [logging.raiseExceptions, logging.root.manager.disable, str(logging.getLoggerClass())],
    "backend of figures": mpl.get_backend,
    "settings of figures": lambda: str(sorted(mpl.rcParams.items())),
    "open figures": _open_figures,
    "signals": lambda: [str(signal.getsignal(s)) for s in (signal.SIGINT, signal.SIGTERM)],
    "hooks": lambda: [str(sys.excepthook), str(threading.excepthook), str(sys.displayhook)],
    "interpreter": lambda: [sys.getrecursionlimit(), sys.getswitchinterval()],
    "locale": lambda: locale.setlocale(locale.LC_ALL),
    "threads": lambda: sorted(t.name for t in threading.enumerate() if not t.daemon),
    "children": lambda: [str(child) for child in multiprocessing.active_children()],
}


def _public_modules() -> list[str]:
    root = importlib.import_module("lossnets")
    found = [name for _, name, _ in pkgutil.iter_modules(root.__path__) if not name.startswith("_")]
    return ["lossnets", *(f"lossnets.{name}" for name in sorted(found))]


def _loss(name: str) -> None:
    import lossnets

    loss = lossnets.load_loss(name)
    x = torch.full((1, 3, 64, 64), 0.25, requires_grad=True)
    loss(x, torch.ones(1, 3, 64, 64)).backward()
    loss(x.detach(), loss.encode(x.detach()))


def _own_network() -> None:
    import lossnets

    with torch.random.fork_rng():
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    lossnets.wrap_network(net, ["1"])


def _images() -> None:
    from lossnets.images import read_image, write_image

    for number in range(3):
        picture = np.random.default_rng(number).random((3, 96, 96), np.float32)
        write_image(PLACE / f"{number}.png", torch.from_numpy(picture))
        read_image(PLACE / f"{number}.png")


def _benchmark(name: str) -> None:
    from lossnets.benchmarks import load_benchmark

    (found,) = load_benchmark(name).evaluate_many(["pixel:mse"], profile="smoke").values()
    if isinstance(found, Exception):
        raise found


def _sweep() -> None:
    from lossnets.runs import Store, read_plan, run_sweep

    lines = "name: p", "losses: [pixel:mse]", "benchmarks: {benchmark: similarity, data: sample}"
    (PLACE / "p.yaml").write_text("\n".join([*lines, "profile: smoke", "store: r.sqlite"]))
    with Store(PLACE / "r.sqlite") as store:
        run_sweep(read_plan(PLACE / "p.yaml"), store)


def _head() -> None:
    from lossnets.benchmarks.similarity.training import train
    from lossnets.benchmarks.similarity.training_loop import TrainingSettings
    from lossnets.datasets import read_sample

    train(
        "squeezenet1_1/features.1:lpips:weights=random-0", read_sample("smoke"), "lin", TrainingSettings(1, 0)
    )


def _gradient_network() -> None:
    from lossnets.gradients.training.profiles import profile
    from lossnets.gradients.training.train import train_pgn

    config = profile("smoke", backbone="shuffled", steps=2, log_every=1)
    train_pgn("pixel:mse", PLACE, PLACE / "n.safetensors", config)


def _figure() -> None:
    from lossnets import analysis
    from lossnets.analysis import figures

    ranks = analysis.average_ranks(analysis.shipped_results())
    figures.save_figure(figures.rank_figure(ranks), PLACE / "f.png")


def _report() -> None:
    from lossnets import analysis
    from lossnets.report.build import build_report

    build_report(analysis.shipped_results(), pictures=False)


def _command() -> None:
    from typer.testing import CliRunner

    from lossnets.cli.app import app

    assert CliRunner().invoke(app, ["networks", "vgg1*"]).exit_code == 0


LOSSES = (
    "pixel:mse",
    "pixel:ssim",
    "efficientnet_lite0/bn1",
    "squeezenet1_1/features.1:lpips:weights=random-0",
    "squeezenet1_1/features.1:gram:weights=random-0",
    "pgn:efficientnet_lite0",
)
ACTIONS: dict[str, Callable[[], Any]] = {
    "images": _images,
    **{f"loss {name}": lambda name=name: _loss(name) for name in LOSSES},
    "own network": _own_network,
    "list of networks": lambda: importlib.import_module("lossnets").list_networks("timm/*resnet1*"),
    "benchmark that measures": lambda: _benchmark("similarity-sample"),
    "benchmark that trains": lambda: _benchmark("super-resolution-sample"),
    "benchmark that fits": lambda: _benchmark("image-prior-sample"),
    "sweep": _sweep,
    "training of a head": _head,
    "training of a gradient network": _gradient_network,
    "figure": _figure,
    "report": _report,
    "command": _command,
}


def main() -> None:
    """Tell {what was done: {what it changed: [before, after]}}."""
    torch.set_num_threads(2)
    warnings.simplefilter("error")
    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    mpl.use("svg")
    imports = {
        f"import {name}": lambda name=name: importlib.import_module(name) for name in _public_modules()
    }
    before, told = {what: look() for what, look in STATE.items()}, {}
    for action, do in {**imports, **ACTIONS}.items():
        do()
        now = {what: look() for what, look in STATE.items()}
        changed = {what: [str(before[what]), str(now[what])] for what in STATE if now[what] != before[what]}
        if changed:
            told[action] = changed
        before = now
    print(json.dumps(told))


if __name__ == "__main__":
    main()
