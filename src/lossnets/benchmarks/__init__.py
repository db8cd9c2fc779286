"""How good is a loss at ...: benchmarks, their scores, and intervals."""

import lossnets.benchmarks.similarity as _similarity  # registers its benchmarks
from lossnets.benchmarks.base import (
    OVERALL,
    POOLED,
    PROFILES,
    Benchmark,
    DistanceBank,
    Evaluation,
    Score,
    benchmark_class,
    benchmark_names,
    load_benchmark,
    register_benchmark,
)

del _similarity

__all__ = [
    "OVERALL",
    "POOLED",
    "PROFILES",
    "Benchmark",
    "DistanceBank",
    "Evaluation",
    "Score",
    "benchmark_class",
    "benchmark_names",
    "load_benchmark",
    "register_benchmark",
]
