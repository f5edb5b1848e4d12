"""Pareto fronts over a study's trials: pure functions of arrays, every objective maximised."""

from safr_study.pareto.fronts import crowding_distances as crowding_distances
from safr_study.pareto.fronts import front_numbers as front_numbers
from safr_study.pareto.fronts import hypervolume as hypervolume
from safr_study.pareto.knee import compromise_index as compromise_index
from safr_study.pareto.knee import knee_index as knee_index
from safr_study.pareto.ranking import rank_as_in as rank_as_in
from safr_study.pareto.ranking import rank_study as rank_study
from safr_study.pareto.ranking import rank_trials as rank_trials
from safr_study.pareto.selection import top_k as top_k
