"""Benchmark: which loss helps to find roads, cracks and the like? Importing it registers every kind."""

from lossnets.benchmarks.delineation.kinds import DelineationFolders, DelineationRoads, DelineationSample

__all__ = ["DelineationFolders", "DelineationRoads", "DelineationSample"]
