"""Delete tokens by a ranking, predict again, and compare: the scores of one deletion."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safr_study.data import EncodedSplit
from safr_study.evaluation import faithfulness, statistics
from safr_study.evaluation.deletion import (
    deletion_counts,
    random_scores,
    rank_tokens,
    without_bottom,
    without_top,
)
from safr_study.records import DeletionScores

Classes = NDArray[np.int64]
Floats = NDArray[np.float64]
Keep = NDArray[np.bool_]
Predict = Callable[[Keep], Floats]
"""Logits `[N, C]` of the texts with the tokens deleted where the mask `[T]` is false."""

SATURATION_SHARE = 0.95
"""One class with more than this share of the predictions: they have collapsed."""


@dataclass(frozen=True, slots=True, eq=False)
class Deleted:
    """The scores of one deletion, and what was predicted after it."""

    scores: DeletionScores
    top: Classes
    """`[N]`, the class predicted without the top tokens."""
    random: Classes | None
    """`[B, N]`, without random ones; ``None``: not drawn."""


def delete_and_score(
    predict: Predict,
    split: EncodedSplit,
    *,
    top: Keep,
    ranks: NDArray[np.int64],
    k: float,
    full: Floats,
    draws: int = 0,
    seed: int = 0,
    bottom: bool = False,
    alone: bool = False,
    majority: float | None = None,
    predict_each: Predict | None = None,
) -> Deleted:
    """Measure what deleting the top share k of a ranking does.

    Args:
        predict: the model.
        split: the whole texts.
        top: `[T]`, false for the tokens that are deleted as the top.
        ranks: `[T]`, 0 = the top; for the bottom deletion.
        k: share of the tokens, in [0, 1].
        full: `[N, C]`, logits of the whole texts.
        draws: random deletions of the same size to compare with; 0: none.
        seed: of the random deletions.
        bottom: whether to delete the bottom too.
        alone: whether to keep the top alone too.
        majority: accuracy of the most frequent class, for headroom.
        predict_each: of masks `[B, T]` at once, logits `[B, N, C]`; ``None``: one after the other.
    """
    labels = split.labels
    counts = deletion_counts(split.lengths, k)
    logits = predict(top)
    classes, whole = logits.argmax(axis=1), full.argmax(axis=1)
    right_full, right_top = whole == labels, classes == labels
    log_p = faithfulness.log_probability(full, whole)
    log_p_top = faithfulness.log_probability(logits, whole)
    kept = faithfulness.comprehensiveness(np.exp(log_p), np.exp(log_p_top))
    dominant = int(np.bincount(classes).max()) / len(classes)
    scores: dict[str, float | bool | None] = {
        "accuracy_top": statistics.accuracy(right_top),
        "srs": statistics.srs(right_full, right_top),
        "srs_se": statistics.srs_se(right_full, right_top),
        "mcnemar_p": statistics.mcnemar_exact_p(right_full, right_top),
        "comprehensiveness": kept.mean,
        "comprehensiveness_se": kept.se,
        "log_odds": faithfulness.log_odds(log_p, log_p_top).mean,
        "flip_rate": faithfulness.flip_rate(whole, classes).mean,
        "dominant_share": dominant,
        "saturated": dominant > SATURATION_SHARE,
    }
    random = None
    if draws:
        keeps = np.stack([_without_random(split, counts, k, draw, seed) for draw in range(draws)])
        each = predict_each or (lambda keeps: np.stack([predict(keep) for keep in keeps]))
        random = each(keeps).argmax(axis=2)
        scores |= _beside_random(random == labels, right_top, majority)
    if bottom:
        least = predict(without_bottom(ranks, split.offsets, counts)).argmax(axis=1) == labels
        scores |= {
            "accuracy_bottom": statistics.accuracy(least),
            "contrast": statistics.contrast(least, right_top),
            "contrast_se": statistics.contrast_se(least, right_top),
        }
    if alone:
        log_p_alone = faithfulness.log_probability(predict(~top), whole)
        enough = faithfulness.sufficiency(np.exp(log_p), np.exp(log_p_alone))
        scores |= {"sufficiency": enough.mean, "sufficiency_se": enough.se}
    share = float(counts.sum()) / max(1, len(split.tokens))
    found = DeletionScores(k=k, realised_share=share, **scores)  # type: ignore[arg-type]
    return Deleted(found, classes, random)


def _without_random(
    split: EncodedSplit, counts: NDArray[np.int64], k: float, draw: int, seed: int
) -> Keep:
    ranks = rank_tokens(random_scores(split.offsets, k, draw, seed=seed), split.offsets)
    return without_top(ranks, split.offsets, counts)


def _beside_random(
    right_random: NDArray[np.bool_], right_top: NDArray[np.bool_], majority: float | None
) -> dict[str, float | bool | None]:
    accuracy = statistics.accuracy(right_random)
    excess = statistics.srs_excess(right_random, right_top)
    return {
        "accuracy_random": accuracy,
        "accuracy_random_se": faithfulness.mean_over_texts(100.0 * right_random.mean(axis=0)).se,
        "srs_excess": excess,
        "srs_excess_se": statistics.srs_excess_se(right_random, right_top),
        "headroom": None if majority is None else statistics.headroom(excess, accuracy, majority),
    }
