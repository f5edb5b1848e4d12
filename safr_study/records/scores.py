"""What one trained model was measured to be.

Accuracies and everything derived from them are in percentage points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class DeletionScores:
    """What deleting a share k of the tokens of each text does (definitions, section 3).

    "Top" and "bottom" are by the ranking that was evaluated. ``None``: not measured.
    """

    k: float
    """Share of the tokens, in [0, 1]."""
    realised_share: float
    """sum(q) / sum(n): the share really deleted after rounding."""
    accuracy_top: float
    """Accuracy without the top-k tokens."""
    srs: float
    """Accuracy lost: full minus ``accuracy_top``; higher = the tokens mattered more."""
    srs_se: float
    """Standard error of ``srs`` from one run's examples."""
    accuracy_random: float | None = None
    """Mean accuracy over the random draws."""
    srs_excess: float | None = None
    """``accuracy_random`` - ``accuracy_top``."""
    srs_excess_se: float | None = None
    dominant_share: float = 0.0
    """Share of the deleted texts that are predicted as the most frequent class, in [0, 1]."""
    saturated: bool = False
    """``dominant_share`` above 0.95: SRS measures a collapsed prediction, not a good ranking."""
    accuracy_random_se: float | None = None
    """Standard error of ``accuracy_random`` from one run's examples."""
    mcnemar_p: float | None = None
    """Two-sided exact McNemar test that the deletion changes accuracy, in [0, 1]."""
    headroom: float | None = None
    """``srs_excess`` / (``accuracy_random`` - majority accuracy); ``None`` also where the
    denominator is under 2 points."""
    accuracy_bottom: float | None = None
    """Accuracy without the bottom-k tokens."""
    contrast: float | None = None
    """``accuracy_bottom`` - ``accuracy_top``: free of the length bias."""
    contrast_se: float | None = None
    comprehensiveness: float | None = None
    """100 mean[p(y|x) - p(y|x without the top)], y predicted on the full text; higher is better."""
    comprehensiveness_se: float | None = None
    sufficiency: float | None = None
    """100 mean[p(y|x) - p(y|top alone)]; lower is better."""
    sufficiency_se: float | None = None
    log_odds: float | None = None
    """mean log(p(y|x without the top) / p(y|x)), in nats; lower is better."""
    flip_rate: float | None = None
    """100 mean[the prediction changes without the top]."""


@dataclass(frozen=True, slots=True)
class CurveScores:
    """One number for all of the deletion curve, k in 0, .05, .1, .2, .3, .4, .5."""

    srs_auc: float | None
    """Area under SRS over the realised shares, divided by the last share; percentage points;
    ``None`` where nothing was deleted."""
    srs_excess_auc: float | None
    """The same of SRS_excess."""
    comprehensiveness_aopc: float
    """Mean comprehensiveness over the k above 0."""
    sufficiency_aopc: float | None
    """Mean sufficiency over the k above 0."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How well a ranking finds the gold rationale: means over texts, each in [0, 1]."""

    ranking: str
    texts: int
    """Texts with a rationale that is neither empty nor the whole text."""
    average_precision: float
    average_precision_se: float | None
    """Standard error over the texts; ``None`` for a single one, as below."""
    auroc: float
    auroc_se: float | None
    precision_at_gold: float
    """Share of gold tokens among the first |gold| of the ranking."""
    precision_at_gold_se: float | None


@dataclass(frozen=True, slots=True)
class ControlScores:
    """The deletion metrics of another ranking, beside those of capacity."""

    ranking: str
    deletions: tuple[DeletionScores, ...]


@dataclass(frozen=True, slots=True)
class LayerMeasures:
    """Superposition in one layer (definitions, section 4): means over texts, or over tokens.

    ``None`` where a measure is undefined in all texts: rows that are zero, texts of one token.
    """

    layer: str
    """One of ``settings.LAYERS``."""
    block: int
    """Number of the block, from 0; 0 for the embedding and VMASK too."""
    mean_capacity: float
    """Mean capacity over all tokens, in [0, 1]."""
    mean_capacity_important: float | None
    """Mean over the top 30 % of each text by keep-probability; ``None`` without VMASK."""
    mean_capacity_less_important: float | None
    """Mean over the other tokens."""
    total_capacity_share: float
    """sum_i C_i / min(n, D), mean over texts."""
    interference_energy: float | None
    """Off-diagonal share of sum G^2, in [0, 1]; G the Gram matrix of a text's rows."""
    mean_cosine: float | None
    """Mean |cos| over the pairs of a text, in [0, 1]."""
    participation_ratio: float | None
    """(sum s^2)^2 / sum s^4 over the singular values s, at least 1."""
    effective_rank: float | None
    """exp(entropy of s / sum s), at least 1."""
    stable_rank: float | None
    """|H|_F^2 / s_1^2, at least 1."""
    hoyer_sparsity: float | None
    """(sqrt(D) - |h|_1 / |h|_2) / (sqrt(D) - 1), mean over tokens, in [0, 1]."""
    active_share: float | None
    """Share of values above 0; after ReLU alone, as the next."""
    dead_share: float | None
    """Share of neurons that no token of the sample activates."""
    mean_norm: float
    """Mean Euclidean norm of the tokens' rows."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What one model was measured to be on one split."""

    split: str
    """``dev`` or ``test``."""
    examples: int
    accuracy: float
    accuracy_se: float
    """Binomial standard error, percentage points."""
    majority_accuracy: float
    """Accuracy of always naming the most frequent class of the split."""
    loss: float
    """Mean cross-entropy."""
    deletions: tuple[DeletionScores, ...] = ()
    """One per k, ascending; by capacity."""
    mode: str = "remove"
    """How tokens were deleted."""
    curve: CurveScores | None = None
    kendall_tau: float | None = None
    """Mean Kendall tau-b between capacity and leave-one-out, in [-1, 1]."""
    kendall_tau_se: float | None = None
    kendall_texts: int = 0
    """Texts that have a tau: two tokens or more, not all equal."""
    agreements: tuple[Agreement, ...] = ()
    """One per ranking, where the data have a rationale."""
    controls: tuple[ControlScores, ...] = ()
    superposition: tuple[LayerMeasures, ...] = ()
    gate_openness: float | None = None
    """Mean keep-probability over the split's tokens, in [0, 1]; ``None`` without VMASK."""

    @property
    def saturated(self) -> bool:
        """Whether any measured deletion collapsed the predictions."""
        return any(deletion.saturated for deletion in self.deletions)

    def deletion(self, k: float) -> DeletionScores:
        """The deletion at k.

        Raises:
            KeyError: it was not measured.
        """
        for deletion in self.deletions:
            if abs(deletion.k - k) < 1e-12:
                return deletion
        raise KeyError(k)


def scores_from_plain(plain: Mapping[str, Any]) -> Scores:
    """The inverse of ``to_plain`` for scores, those of an earlier version included."""
    curve = plain.get("curve")
    return Scores(
        **{
            **plain,
            "deletions": _deletions(plain["deletions"]),
            "curve": None if curve is None else CurveScores(**curve),
            "agreements": tuple(Agreement(**found) for found in plain.get("agreements", ())),
            "controls": tuple(
                ControlScores(control["ranking"], _deletions(control["deletions"]))
                for control in plain.get("controls", ())
            ),
            "superposition": tuple(
                LayerMeasures(**layer) for layer in plain.get("superposition", ())
            ),
        }
    )


def _deletions(plain: Any) -> tuple[DeletionScores, ...]:
    return tuple(DeletionScores(**deletion) for deletion in plain)
