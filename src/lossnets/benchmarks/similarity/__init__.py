"""Benchmark: does a distance agree with judgements of similarity? Importing it registers every kind."""

from lossnets.benchmarks.similarity.pairs import BappsJND, Opinions
from lossnets.benchmarks.similarity.triplets import Bapps2AFC, SeverityAgreement, Triplets

__all__ = ["Bapps2AFC", "BappsJND", "Opinions", "SeverityAgreement", "Triplets"]
