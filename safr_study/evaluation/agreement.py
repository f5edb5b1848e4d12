"""Agreement of a ranking of the tokens with a gold rationale (definitions, section 3.8; ERASER).

ERASER is the benchmark of DeYoung et al. (ACL 2020, arXiv 1911.03429). Where it scores a rationale
of its own length, the first |gold| tokens of the ranking are that rationale here. Its token F1,
the mean over texts of 2 P R / (P + R), is then precision@|gold|: both rationales have |gold|
tokens, so P = R.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from safr_study.evaluation.faithfulness import mean_over_texts
from safr_study.records import Measure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Marks = NDArray[np.bool_]
LEAST_OVERLAP = 0.5
"""Intersection over union from which a span counts as a gold one, as in ERASER."""


def rationale_agreement(
    scores: Floats, gold: NDArray[np.integer], offsets: Ints
) -> dict[str, Measure]:
    """How well the scores find the gold tokens: means over texts, each in [0, 1].

    Only texts with 0 < |gold| < n count: for the others the measures are undefined, or always 1.
    Average precision and precision@|gold| judge the ranking that deletion uses, so equal scores
    are ordered by position; in AUROC a tied pair counts one half. A random ranking has an AUROC
    of 1/2 and a precision@|gold| of |gold| / n on average.

    IOU F1 is ERASER's: spans are the maximal runs of the first |gold| tokens of the ranking, and of
    the gold tokens; a span matches when its intersection over union with some gold span is at least
    `LEAST_OVERLAP`. With m of a text's s spans that match and g gold spans, P = mean(m / s),
    R = mean(m / g) over texts, and F1 = 2 P R / (P + R), as in its code (``partial_match_score``,
    macro). The standard error is that of the linear form of F1 about P and R.

    Args:
        scores: `[T]`, finite; higher = more important.
        gold: `[T]`, 1 = part of the rationale, 0 = not.
        offsets: `[N + 1]`.

    Returns:
        ``average_precision``, ``auroc``, ``precision_at_gold``, ``iou_f1`` and
        ``rationale_texts``, the number of texts that count; nothing when none does.
    """
    found = [
        _of_text(scores[first:end], gold[first:end] != 0)
        for first, end in pairwise(offsets)
        if 0 < np.count_nonzero(gold[first:end]) < end - first
    ]
    if not found:
        return {}
    average_precision, auroc, at_gold, span_precision, span_recall = np.array(found).T
    return {
        "rationale_texts": Measure(len(found)),
        "average_precision": mean_over_texts(average_precision),
        "auroc": mean_over_texts(auroc),
        "precision_at_gold": mean_over_texts(at_gold),
        "iou_f1": _f1_of_means(span_precision, span_recall),
    }


def area_under_roc(scores: Floats, positive: Marks) -> float:
    """Share of the pairs of a positive and another that are in order, a tie counting one half.

    Args:
        scores: `[n]`, finite.
        positive: `[n]`, true for some and false for some.
    """
    others = np.sort(scores[~positive])
    chosen = scores[positive]
    below, upto = (np.searchsorted(others, chosen, side) for side in ("left", "right"))
    return float((below + upto).sum()) / (2 * len(chosen) * len(others))


def _f1_of_means(precision: Floats, recall: Floats) -> Measure:
    """2 P R / (P + R) of the means P and R over texts `[N]`; 0 where both are.

    It is homogeneous in (P, R), so it is the mean of its own linear form, P' p + R' r with the
    derivatives P' = 2 R^2 / (P + R)^2 and R' = 2 P^2 / (P + R)^2.
    """
    p, r = float(precision.mean()), float(recall.mean())
    if not p + r:
        return mean_over_texts(precision)
    return mean_over_texts(2 * (r * r * precision + p * p * recall) / (p + r) ** 2)


def _of_text(scores: Floats, gold: Marks) -> tuple[float, ...]:
    """Average precision, AUROC, precision@|gold|, and precision and recall of spans.

    The text has tokens of either kind.

    Args:
        scores: `[n]`.
        gold: `[n]`.
    """
    order = np.argsort(-scores, kind="stable")
    ranked = gold[order]
    count = np.count_nonzero(gold)
    chosen = np.zeros(len(gold), dtype=np.bool_)
    chosen[order[:count]] = True
    # The mean over the gold tokens of the precision at their place in the ranking.
    precision = np.arange(1, count + 1) / (np.flatnonzero(ranked) + 1)
    auroc = area_under_roc(scores, gold)
    return float(precision.mean()), auroc, float(ranked[:count].mean()), *_of_spans(chosen, gold)


def _of_spans(chosen: Marks, gold: Marks) -> tuple[float, float]:
    """Matching spans of the chosen tokens `[n]` by their number, and by that of the gold ones."""
    (first, end), (gold_first, gold_end) = _runs(chosen), _runs(gold)
    shared = np.minimum(end[:, None], gold_end) - np.maximum(first[:, None], gold_first)
    shared = np.maximum(shared, 0)  # [spans, gold spans]
    union = (end - first)[:, None] + (gold_end - gold_first) - shared
    matches = np.count_nonzero((shared >= LEAST_OVERLAP * union).any(axis=1))
    return matches / len(first), matches / len(gold_first)


def _runs(marks: Marks) -> tuple[Ints, Ints]:
    """Where the maximal runs of marked tokens begin, and the places after their last tokens."""
    edges = np.diff(marks.astype(np.int8), prepend=0, append=0)
    return np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)
