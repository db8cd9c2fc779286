"""What stored runs mean: tables and rankings as typed rows, pure functions, no drawing."""

from lossnets.analysis.leaderboard import Board, Standing, leaderboards
from lossnets.analysis.loss_facts import LossFacts, loss_facts
from lossnets.analysis.results import Results, load_results, shipped_results
from lossnets.analysis.settings import TASKS, Measure, Setting

__all__ = [
    "TASKS",
    "Board",
    "LossFacts",
    "Measure",
    "Results",
    "Setting",
    "Standing",
    "leaderboards",
    "load_results",
    "loss_facts",
    "shipped_results",
]
