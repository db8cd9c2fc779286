"""Which loss makes small images large again best: super-resolution after Johnson et al. (2016)."""

from lossnets.benchmarks.super_resolution.benchmark import SuperResolutionBenchmark
from lossnets.benchmarks.super_resolution.kinds import (
    SuperResolutionFolders,
    SuperResolutionSample,
    SuperResolutionStudy,
)
from lossnets.benchmarks.super_resolution.network import SuperResolver
from lossnets.benchmarks.super_resolution.scaling import bicubic, low_resolution

__all__ = [
    "SuperResolutionBenchmark",
    "SuperResolutionFolders",
    "SuperResolutionSample",
    "SuperResolutionStudy",
    "SuperResolver",
    "bicubic",
    "low_resolution",
]
