"""Agreement of a ranking of the tokens with a gold rationale (definitions, section 3.8)."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from safr_study.evaluation.faithfulness import mean_over_texts
from safr_study.records import Measure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Marks = NDArray[np.bool_]


def rationale_agreement(
    scores: Floats, gold: NDArray[np.integer], offsets: Ints
) -> dict[str, Measure]:
    """How well the scores find the gold tokens: means over texts, each in [0, 1].

    Only texts with 0 < |gold| < n count: for the others the measures are undefined, or always 1.
    Average precision and precision@|gold| judge the ranking that deletion uses, so equal scores
    are ordered by position; in AUROC a tied pair counts one half. A random ranking has an AUROC
    of 1/2 and a precision@|gold| of |gold| / n on average.

    Args:
        scores: `[T]`, finite; higher = more important.
        gold: `[T]`, 1 = part of the rationale, 0 = not.
        offsets: `[N + 1]`.

    Returns:
        ``average_precision``, ``auroc``, ``precision_at_gold`` and ``rationale_texts``, the number
        of texts that count; nothing when none does.
    """
    found = [
        _of_text(scores[first:end], gold[first:end] != 0)
        for first, end in pairwise(offsets)
        if 0 < np.count_nonzero(gold[first:end]) < end - first
    ]
    names = ("average_precision", "auroc", "precision_at_gold")
    by_name = zip(names, np.array(found).T, strict=True) if found else ()
    measures = {name: mean_over_texts(values) for name, values in by_name}
    return {"rationale_texts": Measure(len(found)), **measures} if found else {}


def _of_text(scores: Floats, gold: Marks) -> tuple[float, float, float]:
    """Average precision, AUROC and precision@|gold| of a text that has tokens of either kind.

    Args:
        scores: `[n]`.
        gold: `[n]`.
    """
    ranked = gold[np.argsort(-scores, kind="stable")]
    count = np.count_nonzero(gold)
    # The mean over the gold tokens of the precision at their place in the ranking.
    precision = np.arange(1, count + 1) / (np.flatnonzero(ranked) + 1)
    # The share of (gold, other) pairs in the right order, a tie one half.
    others = np.sort(scores[~gold])
    below, upto = (np.searchsorted(others, scores[gold], side) for side in ("left", "right"))
    auroc = float((below + upto).sum()) / (2 * count * len(others))
    return float(precision.mean()), auroc, float(ranked[:count].mean())
