"""Pareto fronts over a study's trials: pure functions of arrays, every objective maximised."""

from safr_study.pareto.fronts import (
    crowding_distances,
    front_numbers,
    hypervolume,
    knee_index,
)
from safr_study.pareto.ranking import rank_study, rank_trials
from safr_study.pareto.selection import selection_order, top_k

__all__ = [
    "crowding_distances",
    "front_numbers",
    "hypervolume",
    "knee_index",
    "rank_study",
    "rank_trials",
    "selection_order",
    "top_k",
]
