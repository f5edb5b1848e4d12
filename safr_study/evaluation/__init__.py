"""Deletion metrics of a trained model: rank its tokens, delete, predict again, score."""

from safr_study.evaluation.agreement import rationale_agreement
from safr_study.evaluation.capacity import capacity, polysemanticity
from safr_study.evaluation.curves import aopc, area_under_curve
from safr_study.evaluation.deletion import (
    deletion_counts,
    hide_tokens,
    positions_in_text,
    random_scores,
    rank_tokens,
    remove_tokens,
    take_texts,
    tokens_of,
    without_bottom,
    without_top,
)
from safr_study.evaluation.faithfulness import (
    MeanKendall,
    MeanOverTexts,
    comprehensiveness,
    flip_rate,
    kendall_tau_b,
    log_odds,
    log_probability,
    mean_kendall,
    sufficiency,
)
from safr_study.evaluation.leave_one_out import leave_one_out, sample_rows
from safr_study.evaluation.prediction import Measures, Predictor
from safr_study.evaluation.probabilities import log_probabilities, probabilities
from safr_study.evaluation.rankings import (
    measured_scores,
    recomputed_keep,
    recomputed_ranks,
    token_scores,
    word_counts,
)
from safr_study.evaluation.removal import Deleted, delete_and_score
from safr_study.evaluation.samples import sample_texts
from safr_study.evaluation.scoring import Evaluated, evaluate_model, score_model
from safr_study.evaluation.spectra import (
    Spectrum,
    hoyer_sparsity,
    interference_energy,
    mean_cosine,
    spectrum,
)
from safr_study.evaluation.superposition import (
    CapacityMeans,
    SuperpositionMeter,
    TokenCapacities,
    capacity_means,
    capacity_table,
    important_tokens,
)

__all__ = [
    "CapacityMeans",
    "Deleted",
    "Evaluated",
    "MeanKendall",
    "MeanOverTexts",
    "Measures",
    "Predictor",
    "Spectrum",
    "SuperpositionMeter",
    "TokenCapacities",
    "aopc",
    "area_under_curve",
    "capacity",
    "capacity_means",
    "capacity_table",
    "comprehensiveness",
    "delete_and_score",
    "deletion_counts",
    "evaluate_model",
    "flip_rate",
    "hide_tokens",
    "hoyer_sparsity",
    "important_tokens",
    "interference_energy",
    "kendall_tau_b",
    "leave_one_out",
    "log_odds",
    "log_probabilities",
    "log_probability",
    "mean_cosine",
    "mean_kendall",
    "measured_scores",
    "polysemanticity",
    "positions_in_text",
    "probabilities",
    "random_scores",
    "rank_tokens",
    "rationale_agreement",
    "recomputed_keep",
    "recomputed_ranks",
    "remove_tokens",
    "sample_rows",
    "sample_texts",
    "score_model",
    "spectrum",
    "sufficiency",
    "take_texts",
    "token_scores",
    "tokens_of",
    "without_bottom",
    "without_top",
    "word_counts",
]
