"""Quality of the predicted classes and of their probabilities, beyond accuracy."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy import special

from safr_study.evaluation.agreement import area_under_roc
from safr_study.evaluation.faithfulness import log_probability, mean_over_texts
from safr_study.records import Confusion, Measure

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ECE_BINS = 15
"""Bins of equal width, as in Guo et al. (ICML 2017)."""


def class_measures(logits: Floats, labels: Ints) -> tuple[dict[str, Measure], Confusion]:
    """All measures of the predictions by name, and the confusion matrix.

    The means over classes leave out those that have no text; macro F1 counts such a class (as 0)
    where it is predicted. ``class_auroc`` is there for two classes alone, with texts of both.

    Args:
        logits: `[N, C]`, N at least 1.
        labels: `[N]`.

    Returns:
        ``macro_f1``, ``balanced_accuracy`` and ``ece`` (percentage points), ``brier`` (0 to 2),
        ``log_loss`` (nats) and ``class_auroc`` (0 to 1); counts by true and by predicted class.
    """
    classes = logits.shape[1]
    predicted = logits.argmax(axis=1)
    p = special.softmax(logits, axis=1)
    matrix = np.bincount(labels * classes + predicted, minlength=classes * classes)
    matrix = matrix.reshape(classes, classes)
    right, texts, calls = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    seen = texts + calls > 0
    f1 = 2 * right[seen] / (texts + calls)[seen]
    right, texts = right[texts > 0], texts[texts > 0]
    recall = right / texts
    # Recalls are shares of different texts: independent, each with its binomial variance.
    variance = float((recall * (1.0 - recall) / texts).sum())
    measures = {
        "macro_f1": Measure(100.0 * float(f1.mean())),
        "balanced_accuracy": Measure(
            100.0 * float(recall.mean()), 100.0 * math.sqrt(variance) / len(recall)
        ),
        "ece": Measure(calibration_error(p.max(axis=1), predicted == labels)),
        "brier": mean_over_texts(((p - np.eye(classes)[labels]) ** 2).sum(axis=1)),
        "log_loss": mean_over_texts(-log_probability(logits, labels)),
    }
    if classes == 2 and len(texts) == 2:
        # The difference of the logits orders the texts even where probabilities round to 1.
        measures["class_auroc"] = Measure(area_under_roc(logits[:, 1] - logits[:, 0], labels == 1))
    return measures, tuple(tuple(row) for row in matrix.tolist())


def group_consistency(right: NDArray[np.bool_], groups: Ints | None) -> dict[str, Measure]:
    """Share of the groups of texts that are right as a whole (Gardner et al., EMNLP 2020 Findings).

    100 mean over groups of min over its texts of [the text is right]: for pairs of an original and
    its revision, both must be. Texts without another one of their group do not count.

    Args:
        right: `[N]`.
        groups: `[N]`, the same number for texts that belong together; ``None``: there are none.

    Returns:
        ``consistency`` in percentage points, with the standard error over groups, and
        ``consistency_groups``, the number of groups that count; nothing when none does.
    """
    if groups is None:
        return {}
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    wrong = np.bincount(group, weights=~right, minlength=len(sizes))
    whole = (wrong == 0)[sizes > 1]
    if not len(whole):
        return {}
    return {
        "consistency": mean_over_texts(100.0 * whole),
        "consistency_groups": Measure(len(whole)),
    }


def calibration_error(top: Floats, right: NDArray[np.bool_]) -> float:
    """Expected calibration error: mean |accuracy - mean probability| over bins, by their texts.

    Args:
        top: `[N]`, probability of the predicted class, in (0, 1]; bins include their upper end.
        right: `[N]`, whether that is the label.

    Returns:
        Percentage points in [0, 100].
    """
    bins = np.clip(np.ceil(top * ECE_BINS) - 1, 0, ECE_BINS - 1).astype(np.int64)
    return 100.0 * float(np.abs(np.bincount(bins, right - top)).sum()) / len(top)
