"""Which loss finds the latents of an image best: inversion of a generator, as in Nikulin et al. 2021."""

from lossnets.benchmarks.inversion.benchmark import InversionBenchmark
from lossnets.benchmarks.inversion.kinds import InversionFolders, InversionSample

__all__ = ["InversionBenchmark", "InversionFolders", "InversionSample"]
