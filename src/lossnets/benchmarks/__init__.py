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
from lossnets.benchmarks.heads import train_head
from lossnets.benchmarks.training_loop import TrainingSettings

del _similarity

__all__ = [
    "OVERALL",
    "POOLED",
    "PROFILES",
    "Benchmark",
    "DistanceBank",
    "Evaluation",
    "Score",
    "TrainingSettings",
    "benchmark_class",
    "benchmark_names",
    "load_benchmark",
    "register_benchmark",
    "train_head",
]
