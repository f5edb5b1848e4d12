"""Deletion metrics of a trained model: rank its tokens, delete, predict again, score."""

from safr_study.evaluation.capacity import capacity, polysemanticity
from safr_study.evaluation.deletion import (
    deletion_counts,
    random_scores,
    rank_tokens,
    remove_tokens,
    without_bottom,
    without_top,
)
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.scoring import deletion_scores, score_model, score_ranking

__all__ = [
    "Predictor",
    "capacity",
    "deletion_counts",
    "deletion_scores",
    "polysemanticity",
    "random_scores",
    "rank_tokens",
    "remove_tokens",
    "score_model",
    "score_ranking",
    "without_bottom",
    "without_top",
]
