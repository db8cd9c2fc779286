"""What image prior and inversion share: something is fitted to each image with the gradient of a loss."""

from lossnets.benchmarks.fitting.benchmark import FittingBenchmark
from lossnets.benchmarks.fitting.images import Targets, read_targets
from lossnets.benchmarks.fitting.model import FittedModel
from lossnets.benchmarks.fitting.profiles import FitSize
from lossnets.benchmarks.fitting.scores import SCORES
from lossnets.benchmarks.fitting.task import FittingTask, Phase

__all__ = [
    "SCORES",
    "FitSize",
    "FittedModel",
    "FittingBenchmark",
    "FittingTask",
    "Phase",
    "Targets",
    "read_targets",
]
