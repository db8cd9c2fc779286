"""Where and with what a run was made: versions, device, threads, git commit, peak memory."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import torch

from lossnets.benchmarks.engine.fit import Execution
from lossnets.version import __version__

_PACKAGES = ("torch", "torchvision", "timm", "numpy")


@functools.cache
def versions() -> dict[str, str]:
    """Package name -> version, of everything that computes a run; "missing" where not installed."""
    ours = {"python": platform.python_version(), "lossnets": __version__}
    return ours | {name: _version(name) for name in _PACKAGES}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "missing"


@functools.cache
def git_commit(folder: Path) -> str | None:
    """Commit of the repository that holds ``folder``, "-dirty" if changed; None outside of any."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() or None if answer.returncode == 0 else None


def environment(device: str = "cpu") -> dict[str, object]:
    """Plain JSON values that go into a run's record."""
    return {
        **versions(),
        "commit": git_commit(Path.cwd()),
        "platform": platform.platform(),
        "device": device,
        "device_name": torch.cuda.get_device_name(Execution.parse(device).first)
        if device.startswith("cuda")
        else platform.machine(),
        "threads": torch.get_num_threads(),
    }


class PeakMemory:
    """Context manager: ``bytes`` is the most memory that was in use inside, None where unknown.

    On a GPU this is torch's allocator; on a CPU the resident set of the whole process, which
    includes what was loaded before (torch itself: about 300 MB).
    """

    def __init__(self, device: str = "cpu") -> None:
        self.device = Execution.parse(device).first
        self.bytes: int | None = None

    def __enter__(self) -> PeakMemory:
        if self.device.startswith("cuda"):
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            _reset_resident_peak()
        return self

    def __exit__(self, *_: object) -> None:
        if self.device.startswith("cuda"):
            self.bytes = int(torch.cuda.max_memory_allocated(self.device))
        else:
            self.bytes = _resident_peak()


def _reset_resident_peak() -> None:
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return  # not Linux, or not allowed: the peak is then that of the process's whole life


def _resident_peak() -> int | None:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        pass
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
