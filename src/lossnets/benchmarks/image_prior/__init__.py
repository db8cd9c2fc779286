"""Which loss fits an image prior best: untrained networks, fitted to one image each (Ulyanov et al. 2018)."""

from lossnets.benchmarks.image_prior.benchmark import ImagePriorBenchmark
from lossnets.benchmarks.image_prior.kinds import ImagePriorFolders, ImagePriorSample

__all__ = ["ImagePriorBenchmark", "ImagePriorFolders", "ImagePriorSample"]
