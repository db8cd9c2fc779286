"""How good is a loss at ...: benchmarks, their scores, and intervals."""

from lossnets.benchmarks.base import (
    OVERALL,
    POOLED,
    PROFILES,
    Benchmark,
    DistanceBank,
    Evaluation,
    Score,
    ScoreKind,
    Workload,
    benchmark_class,
    benchmark_names,
    load_benchmark,
    register_benchmark,
)
from lossnets.benchmarks.similarity.heads import train_head
from lossnets.benchmarks.similarity.training_loop import TrainingSettings

__all__ = [
    "OVERALL",
    "POOLED",
    "PROFILES",
    "Benchmark",
    "DistanceBank",
    "Evaluation",
    "Score",
    "ScoreKind",
    "TrainingSettings",
    "Workload",
    "benchmark_class",
    "benchmark_names",
    "load_benchmark",
    "register_benchmark",
    "train_head",
]
