"""Peak memory of a loss in a process of its own: one server that has imported everything, one fork a loss.

A process that has measured one loss keeps memory that the next would seem not to need, so each loss gets a
new one. Forking saves importing torch every time; the server itself computes nothing before it forks.
Where there is no ``fork`` or no ``/proc``, memory is not measured: None.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional

from lossnets.benchmarks.engine.fit import Execution
from lossnets.errors import LossnetsError
from lossnets.losses import load_loss
from lossnets.torchvision_compat import ensure_torchvision

_PASSES = 2


class MemoryMeter:
    """Context manager that measures one loss after the other; the server runs as long as the block.

    Args:
        images: compared at once.
        side: of the images, in pixels.
        device: where; on a GPU the memory is that of torch's allocator there.
        threads: that torch computes with.
    """

    def __init__(self, *, images: int, side: int, device: str = "cpu", threads: int = 1) -> None:
        self._settings = {"images": images, "side": side, "device": device, "threads": threads}
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> MemoryMeter:
        if _possible():
            self._server = subprocess.Popen(
                [sys.executable, "-m", "lossnets.runs.peak_memory"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=_environment(),
            )
        return self

    def __exit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.communicate()

    def peak(self, loss: str) -> int | None:
        """Bytes that the loss needs above what a process has before; None where it cannot be measured.

        Args:
            loss: a loss name whose weights are here, or random.
        """
        if self._server is None or self._server.stdin is None or self._server.stdout is None:
            return None
        try:
            self._server.stdin.write(json.dumps({"loss": loss, **self._settings}) + "\n")
            self._server.stdin.flush()
        except OSError:  # the server has died
            return None
        answer = self._server.stdout.readline().strip()
        return int(answer) if answer.isdigit() else None


def _possible() -> bool:
    return hasattr(os, "fork") and Path("/proc/self/clear_refs").exists()


def _environment() -> dict[str, str]:
    """This one, with this package findable however it was found here."""
    source = str(Path(__file__).parents[2])
    others = os.environ.get("PYTHONPATH")
    return {**os.environ, "PYTHONPATH": os.pathsep.join([source, *([others] if others else [])])}


def _serve() -> None:
    """Answer each line of stdin (a request as JSON) with a line: bytes, or nothing."""
    torch.set_num_threads(1)  # no worker thread may exist when it forks
    ensure_torchvision()
    for module in ("torchvision.models", "timm"):
        importlib.import_module(module)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _child(json.loads(line))
        os.waitpid(child, 0)
        sys.stdout.write("\n")  # the end of the answer, whatever has become of the child
        sys.stdout.flush()


def _child(request: dict[str, Any]) -> None:
    """Measure, write the number, and end without the parent's clean-up."""
    try:
        torch.set_num_threads(request["threads"])
        peak = _peak(request["loss"], request["images"], request["side"], request["device"])
        os.write(sys.stdout.fileno(), str(peak).encode())
    except (LossnetsError, RuntimeError, MemoryError, OSError):
        pass  # not measured; the timing of the same loss has told what is wrong
    finally:
        os._exit(0)


def _peak(loss: str, images: int, side: int, device: str) -> int:
    place = Execution.parse(device).first
    torch.manual_seed(0)
    x = torch.rand(images, 3, side, side, device=place, requires_grad=True)
    y = torch.rand(images, 3, side, side, device=place)
    functional.conv2d(
        x[:, :, :8, :8], torch.zeros(1, 3, 3, 3, device=place), padding=1
    )  # what a library keeps for itself
    before = _in_use(place)
    made = load_loss(loss, device=device)
    target = made.encode(y)
    gc.collect()
    _forget_peak(place)  # building a network is not using it
    for _ in range(_PASSES):
        torch.autograd.grad(made(x, target), x)
    return max(0, _highest(place) - before)


def _in_use(device: str) -> int:
    return torch.cuda.memory_allocated(device) if device.startswith("cuda") else _status("VmRSS")


def _forget_peak(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")


def _highest(device: str) -> int:
    return torch.cuda.max_memory_allocated(device) if device.startswith("cuda") else _status("VmHWM")


def _status(field: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    _serve()
