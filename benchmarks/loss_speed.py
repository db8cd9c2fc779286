"""Time and memory of LPIPS here beside the package ``lpips``: forward + backward to the image.

All variants take turns in one process, so that a change of the machine's speed meets all of them;
what is reported are ratios of medians to ``lpips``, with quartiles. Peak memory is that of a fresh
process per variant, above what it needs before the first call. Network weights are random (speed does
not depend on them), the heads are the published ones.

    python benchmarks/loss_speed.py --rounds 15 --json loss_speed.json
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import statistics
import subprocess
import sys
import time
import warnings
from pathlib import Path

import torch

import lossnets
from lossnets.torchvision_compat import ensure_torchvision

PEER_NAMES = {"alexnet": "alex", "vgg16": "vgg", "squeezenet1_1": "squeeze"}
CASES = ((4, 256), (16, 64))
VARIANTS = ("lpips", "lossnets", "lossnets encoded", "lossnets bf16 encoded")


def peer(network: str) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """The peer with random weights, and those weights under torchvision's names."""
    ensure_torchvision()
    import lpips

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss = lpips.LPIPS(net=PEER_NAMES[network], pnet_rand=True, verbose=False).eval()
    state = {"features." + key.split(".", 1)[1]: value for key, value in loss.net.state_dict().items()}
    return loss, state


def make_steps(network: str, batch: int, size: int) -> dict[str, object]:
    """One function per variant that runs a step and returns value and gradient."""
    torch.manual_seed(0)
    x = torch.rand(batch, 3, size, size, requires_grad=True)
    y = torch.rand(batch, 3, size, size)
    reference, state = peer(network)
    ours = lossnets.LPIPS(network, weights=state)
    half = lossnets.LPIPS(network, weights=state, compute_dtype=torch.bfloat16)
    encoded, half_encoded = ours.encode(y), half.encode(y)

    def step(function):
        value = function()
        (gradient,) = torch.autograd.grad(value, x)
        return value.detach(), gradient

    return {
        "lpips": lambda: step(lambda: reference(x, y, normalize=True).mean()),
        "lossnets": lambda: step(lambda: ours(x, y)),
        "lossnets encoded": lambda: step(lambda: ours(x, encoded)),
        "lossnets bf16 encoded": lambda: step(lambda: half(x, half_encoded)),
    }


def time_case(network: str, batch: int, size: int, rounds: int) -> dict[str, dict[str, float]]:
    """Seconds of each variant in turns, as ratios to the peer's median; errors against the peer."""
    steps = make_steps(network, batch, size)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    results = {name: [step() for _ in range(2)][-1] for name, step in steps.items()}  # warm-up
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            seconds[name].append(time.perf_counter() - start)
    base_value, base_gradient = results["lpips"]
    rows = {}
    for name, times in seconds.items():
        ratios = sorted(t / b for t, b in zip(times, seconds["lpips"], strict=True))
        value, gradient = results[name]
        rows[name] = {
            "median_s": statistics.median(times),
            "ratio": statistics.median(times) / statistics.median(seconds["lpips"]),
            "ratio_q1": ratios[len(ratios) // 4],
            "ratio_q3": ratios[3 * len(ratios) // 4],
            "value_error": float((value - base_value).abs()),
            "gradient_cosine": float(
                torch.cosine_similarity(gradient.double().flatten(), base_gradient.double().flatten(), 0)
            ),
            "gradient_error": float((gradient - base_gradient).norm() / base_gradient.norm()),
        }
    return rows


def peak_memory(network: str, batch: int, size: int, variant: str) -> float:
    """Bytes above the state before the first call, in a fresh process."""
    command = [sys.executable, __file__, "--memory-of", network, str(batch), str(size), variant]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1])


def _measure_memory(network: str, batch: int, size: int, variant: str) -> None:
    """Peak of one variant alone; the others are not built."""
    torch.manual_seed(0)
    x, y = torch.rand(batch, 3, size, size, requires_grad=True), torch.rand(batch, 3, size, size)
    reference, state = peer(network)
    if variant != "lpips":
        del reference  # so that neither variant pays for the other's network
        dtype = torch.bfloat16 if "bf16" in variant else torch.float32
        loss = lossnets.LPIPS(network, weights=state, compute_dtype=dtype)
        loss.network.check_size(size, size)  # finds the smallest size once, outside of what is measured
        before = reset_peak()
        target = loss.encode(y) if "encoded" in variant else y
        for _ in range(3):
            torch.autograd.grad(loss(x, target), x)
    else:
        before = reset_peak()
        for _ in range(3):
            torch.autograd.grad(reference(x, y, normalize=True).mean(), x)
    print(process_memory("VmHWM") - before)


def reset_peak() -> int:
    """Forget the peak that building the networks left (Linux), and return what is in use now, in bytes."""
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")
    return process_memory("VmRSS")


def process_memory(field: str) -> int:
    """A memory figure of this process in bytes: ``VmRSS`` now, ``VmHWM`` at its peak."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--networks", nargs="+", default=list(PEER_NAMES), choices=list(PEER_NAMES))
    parser.add_argument("--json", type=Path)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--no-memory", action="store_true")
    parser.add_argument("--memory-of", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.memory_of:
        network, batch, size, variant = args.memory_of
        _measure_memory(network, int(batch), int(size), variant)
        return
    torch.set_num_threads(args.threads)
    report = {"machine": machine(), "rounds": args.rounds, "rows": []}
    print("network        case    variant                time   q1..q3      memory  value err  gradient err")
    for network in args.networks:
        for batch, size in CASES:
            rows = time_case(network, batch, size, args.rounds)
            base = None if args.no_memory else peak_memory(network, batch, size, "lpips")
            for variant, row in rows.items():
                memory = 1.0 if variant == "lpips" else float("nan")
                if base is not None and variant != "lpips":
                    memory = peak_memory(network, batch, size, variant) / base
                row |= {
                    "network": network,
                    "batch": batch,
                    "size": size,
                    "variant": variant,
                    "memory_ratio": memory,
                }
                report["rows"].append(row)
                spread = f"{row['ratio']:.2f}   {row['ratio_q1']:.2f}..{row['ratio_q3']:.2f}"
                errors = f"{row['value_error']:9.1e}  {row['gradient_error']:9.1e}"
                case = f"{batch}x{size}"
                print(
                    f"{network:14} {case:7} {variant:22} {spread}  {memory:5.2f}   {errors}",
                    flush=True,
                )
    if args.json:
        args.json.write_text(json.dumps(report, indent=1))


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    cpu = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in line
        ),
        "?",
    )
    return {
        "cpu": cpu,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lossnets": lossnets.__version__,
    }


if __name__ == "__main__":
    main()
