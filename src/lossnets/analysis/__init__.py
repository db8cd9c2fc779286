"""What stored runs mean: tables and rankings as typed rows, pure functions, no drawing."""

from lossnets.analysis.leaderboard import Board, Standing, leaderboards

__all__ = ["Board", "Standing", "leaderboards"]
