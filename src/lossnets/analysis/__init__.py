"""What stored runs mean: tables and rankings as typed rows, pure functions, no drawing."""

from lossnets.analysis.agreement import Agreement, agreement
from lossnets.analysis.attributes import attribute_correlations
from lossnets.analysis.best import best_architectures, best_taps, grid, grid_states
from lossnets.analysis.comparison_records import Comparison
from lossnets.analysis.comparison_sheet import compare_images
from lossnets.analysis.comparisons import compare_losses
from lossnets.analysis.cost import Costs, costs_for, known_costs, load_costs, shipped_costs
from lossnets.analysis.critical import Critical, compare_over_settings
from lossnets.analysis.findings import Verdict, verdict_table, verdicts
from lossnets.analysis.leaderboard import Board, Standing, leaderboards
from lossnets.analysis.loss_facts import LossFacts, loss_facts
from lossnets.analysis.pareto import pareto_front
from lossnets.analysis.ranks import average_ranks, rank_table
from lossnets.analysis.recommend import recommend
from lossnets.analysis.recommendation import Recommendation
from lossnets.analysis.results import Results, load_results, shipped_results
from lossnets.analysis.settings import TASKS, Measure, Setting
from lossnets.analysis.variance import VarianceShares, variance_shares, variance_table

__all__ = [
    "TASKS",
    "Agreement",
    "Board",
    "Comparison",
    "Costs",
    "Critical",
    "LossFacts",
    "Measure",
    "Recommendation",
    "Results",
    "Setting",
    "Standing",
    "VarianceShares",
    "Verdict",
    "agreement",
    "attribute_correlations",
    "average_ranks",
    "best_architectures",
    "best_taps",
    "compare_images",
    "compare_losses",
    "compare_over_settings",
    "costs_for",
    "grid",
    "grid_states",
    "known_costs",
    "leaderboards",
    "load_costs",
    "load_results",
    "loss_facts",
    "pareto_front",
    "rank_table",
    "recommend",
    "shipped_costs",
    "shipped_results",
    "variance_shares",
    "variance_table",
    "verdict_table",
    "verdicts",
]
