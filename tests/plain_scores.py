"""Scores for tests that look at a trial's place, not at its numbers."""

from __future__ import annotations

from safr_study.records import DeletionScores, Scores


def plain_scores(*, saturated: bool = False) -> Scores:
    """Scores on dev with one deletion."""
    deletion = DeletionScores(
        k=0.3,
        realised_share=0.3,
        accuracy_top=50.0,
        srs=10.0,
        srs_se=1.0,
        dominant_share=0.99 if saturated else 0.6,
        saturated=saturated,
    )
    return Scores(
        split="dev",
        examples=100,
        accuracy=80.0,
        accuracy_se=4.0,
        majority_accuracy=50.0,
        loss=0.5,
        deletions=(deletion,),
    )
