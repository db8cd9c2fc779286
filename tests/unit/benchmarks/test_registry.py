"""Benchmarks are found by themselves: a file beside the others, or an entry point of another package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

FIFTH = """\
from lossnets.benchmarks.base import RunsLosses, ScoreKind, Workload, register_benchmark

@register_benchmark
class Fifth(RunsLosses):
    name = "fifth"
    data = "nothing"
    scores = (ScoreKind("value", "fraction", True, "Nothing."),)
    profiles = ("smoke",)

    def prepare(self): ...
    def data_fingerprint(self): return "0" * 64
    def workload(self, profile): return Workload(0, 0, 8)
    def evaluate_many(self, losses, *, seed=0, profile="small", **more): return {}
"""


def known(code: str, *more: str) -> list[str]:
    """Names of the benchmarks, in a fresh interpreter that ran ``code`` before."""
    script = f"{code}\nfrom lossnets.benchmarks import benchmark_names\nprint(*benchmark_names())"
    done = subprocess.run([sys.executable, "-c", script, *more], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_file_beside_the_others_is_enough(tmp_path: Path) -> None:
    (tmp_path / "fifth.py").write_text(FIFTH)
    code = f"import lossnets.benchmarks as b; b.__path__.append({str(tmp_path)!r})"
    assert "fifth" in known(code)
    assert "fifth" not in known("")


def test_an_installed_package_may_bring_one(tmp_path: Path) -> None:
    (tmp_path / "other_package.py").write_text(FIFTH)
    info = tmp_path / "other-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lossnets.benchmarks]\nfifth = other_package\n")
    assert "fifth" in known(f"import sys; sys.path.insert(0, {str(tmp_path)!r})")


def test_knowing_them_imports_nothing_heavy() -> None:
    code = "import sys\nfrom lossnets.benchmarks import benchmark_names\nbenchmark_names()\n"
    code += "print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"lightning", "scipy", "skimage", "sklearn", "torchvision", "matplotlib", "timm", "tensorboardX"}
    assert set(done.stdout.split()) & heavy == set()
