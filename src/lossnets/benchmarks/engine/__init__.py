"""How the training benchmarks train: a task is fitted with Lightning, checkpointed, resumed, and tested."""

from lossnets.benchmarks.engine.benchmark import TrainingBenchmark
from lossnets.benchmarks.engine.fit import Fitted, fit
from lossnets.benchmarks.engine.randomness import generator, seeded_model
from lossnets.benchmarks.engine.targets import cached_targets
from lossnets.benchmarks.engine.task import Recipe, Task

__all__ = [
    "Fitted",
    "Recipe",
    "Task",
    "TrainingBenchmark",
    "cached_targets",
    "fit",
    "generator",
    "seeded_model",
]
