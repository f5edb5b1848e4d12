"""SRS and the other metrics of a deletion, with their standard errors; their curves over k.

Every argument named ``right...`` is a bool array `[M]` over the texts of a split, one and the same
order in all; results are percentage points (definitions, section 3).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from safr_study.data import EncodedSplit
from safr_study.evaluation import faithfulness
from safr_study.evaluation.deletion import (
    Choice,
    deletion_counts,
    random_scores,
    without_top,
)
from safr_study.evaluation.prediction import Predictor
from safr_study.records import Measure
from safr_study.settings import EvaluationConfig, Side, Wanted, at_k

Right = NDArray[np.bool_]

HEADROOM_FLOOR = 2.0
"""Percentage points above the majority accuracy below which headroom says nothing."""


def accuracy(right: Right) -> float:
    """Share predicted right; of several draws `[B, M]`, the mean over them.

    One division, so that 417 of 500 are 83.4, and not 83.39999999999999.
    """
    return 100.0 * np.count_nonzero(right) / right.size


def accuracy_se(right: Right) -> float:
    """Binomial standard error of `accuracy`."""
    share = float(right.mean())
    return 100.0 * math.sqrt(share * (1.0 - share) / len(right))


def srs(right_full: Right, right_top: Right) -> float:
    """SRS = 100 mean(c - c_T): accuracy lost without the top tokens."""
    lost, gained = _flips(right_full, right_top)
    return 100.0 * (lost - gained) / len(right_full)


def srs_se(right_full: Right, right_top: Right) -> float:
    """Standard error of one run's SRS: 100 sqrt(b + d - (b - d)^2 / M) / M.

    b texts went from right to wrong, d from wrong to right.
    """
    lost, gained = _flips(right_full, right_top)
    texts = len(right_full)
    variance = lost + gained - (lost - gained) ** 2 / texts
    return 100.0 * math.sqrt(max(variance, 0)) / texts


def mcnemar_exact_p(right_full: Right, right_top: Right) -> float:
    """Two-sided exact McNemar test that deletion changes accuracy.

    Twice the binomial tail of min(b, d) among b + d fair flips, at most 1.
    """
    lost, gained = _flips(right_full, right_top)
    flips = lost + gained
    tail = sum(math.comb(flips, i) for i in range(min(lost, gained) + 1))
    return min(1.0, 2 * tail / (1 << flips))


def gain(right_other: Right, right_top: Right) -> Measure:
    """Accuracy after another deletion of the same size, less that without the top tokens.

    100 (Acc_other - Acc_top): SRS_excess next to random deletions, contrast next to that of the
    bottom tokens. One run's standard error is paired: 100 sd(z) / sqrt(M), z_m = mean_b c_other -
    c_top, with the sample standard deviation (M - 1); ``None`` for a single text.

    Args:
        right_other: `[M]`, or `[B, M]`, one row per draw.
        right_top: `[M]`.
    """
    value, texts = accuracy(right_other) - accuracy(right_top), len(right_top)
    if texts < 2:
        return Measure(value)
    paired = np.atleast_2d(right_other).mean(axis=0) - right_top
    return Measure(value, 100.0 * float(paired.std(ddof=1)) / math.sqrt(texts))


def headroom(excess: float, accuracy_random: float, majority_accuracy: float) -> float | None:
    """SRS_excess as a share of what could be lost: excess / (Acc_random - majority accuracy).

    All three in percentage points; ``None`` when the denominator is under `HEADROOM_FLOOR`.
    """
    room = accuracy_random - majority_accuracy
    return excess / room if room >= HEADROOM_FLOOR else None


def _flips(right_full: Right, right_top: Right) -> tuple[int, int]:
    """b, d: texts that went from right to wrong, and from wrong to right."""
    lost = np.count_nonzero(right_full & ~right_top)
    gained = np.count_nonzero(~right_full & right_top)
    return int(lost), int(gained)


def area_under_curve(realised_shares: Sequence[float], values: Sequence[float]) -> float | None:
    """Mean height of a curve over the share of the tokens deleted.

    The trapezoid rule from (0, 0) over the realised shares, divided by the last of them: in the
    unit of `values`, and comparable between data sets whose shares end at different places.
    Shares may repeat, as short texts round two k to the same number of tokens.

    Args:
        realised_shares: sum(q) / sum(n) of each k, in [0, 1], in ascending order; that of k = 0
            may be left out.
        values: the metric at each k, 0 where nothing is deleted.

    Returns:
        ``None`` when nothing is deleted at any k: there is no curve then.
    """
    shares = np.array([0.0, *realised_shares])
    heights = np.array([0.0, *values])
    if shares[-1] == 0:
        return None
    return float(np.trapezoid(heights, shares) / shares[-1])


Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Deleted:
    """Measures of one deletion, and what was predicted after it."""

    values: dict[str, Measure]
    """Measures by name, as in `Scores.values`."""
    top: Ints
    """`[N]`, the class predicted without the top tokens."""
    random: Ints | None
    """`[B, N]`, without random ones; ``None``: not drawn."""


def delete_and_score(
    predictor: Predictor,
    split: EncodedSplit,
    config: EvaluationConfig,
    want: Wanted,
    *,
    scores: Floats,
    k: float,
    full: Floats,
    removed: Ints | None = None,
) -> Deleted:
    """Measure what deleting the top share k of a ranking does.

    Args:
        predictor: of the model.
        split: the whole texts.
        config: what deleting a token means, and the random deletions.
        want: whether to delete random tokens and the bottom too, and to keep the top alone.
        scores: `[T]`, the highest at the top; ties by position.
        k: share of the tokens, in [0, 1]; of those that ``config`` lets a deletion choose from.
        full: `[N, C]`, logits of the whole texts.
        removed: `[T]`, ranks by which the top is deleted where it is not by ``scores``.
    """
    labels = split.labels
    choice = Choice.of(split, config.delete)
    counts, ranks = deletion_counts(choice.lengths, k), choice.ranks(scores)

    def predict(keep: NDArray[np.bool_]) -> Floats:
        left: Floats = predictor.logits_of_each(split, keep[None], config.mode, known=full)[0]
        return left

    turns = ranks if removed is None else choice.ranks(-removed.astype(np.float64))
    top = without_top(turns, choice.offsets, counts)
    logits = predict(top)
    classes, whole = logits.argmax(axis=1), full.argmax(axis=1)
    right_full, right_top = whole == labels, classes == labels
    log_p = faithfulness.log_probability(full, whole)
    log_p_top = faithfulness.log_probability(logits, whole)
    measures = {
        "realised_share": Measure(float(counts.sum()) / max(1, int(choice.lengths.sum()))),
        "accuracy_top": Measure(accuracy(right_top)),
        "srs": Measure(srs(right_full, right_top), srs_se(right_full, right_top)),
        "mcnemar_p": Measure(mcnemar_exact_p(right_full, right_top)),
        "comprehensiveness": faithfulness.probability_drop(np.exp(log_p), np.exp(log_p_top)),
        "log_odds": Measure(faithfulness.log_odds(log_p, log_p_top).value),
        "flip_rate": Measure(faithfulness.flip_rate(whole, classes).value),
        "dominant_share": Measure(int(np.bincount(classes).max()) / len(classes)),
    }
    random = None
    if want.random:
        draws = range(config.draws)
        drawn = (random_scores(split.offsets, k, draw, seed=config.seed) for draw in draws)
        places = (choice.ranks(scores) for scores in drawn)
        keeps = np.stack([without_top(place, choice.offsets, counts) for place in places])
        random = predictor.logits_of_each(split, keeps, config.mode, known=full).argmax(axis=2)
        right_random = random == labels
        of_random = accuracy(right_random)
        each = faithfulness.mean_over_texts(100.0 * right_random.mean(axis=0))
        excess = gain(right_random, right_top)
        measures |= {"accuracy_random": Measure(of_random, each.se), "srs_excess": excess}
        room = headroom(excess.value, of_random, split.majority_accuracy)
        if room is not None:
            measures["headroom"] = Measure(room)
    if want.bottom:
        rest = np.diff(choice.offsets) - counts
        but_bottom = ~without_top(ranks, choice.offsets, rest)
        least = predict(but_bottom).argmax(axis=1) == labels
        measures["accuracy_bottom"] = Measure(accuracy(least))
        measures["contrast"] = gain(least, right_top)
    if want.alone:
        log_p_alone = faithfulness.log_probability(predict(~top | ~choice.tokens), whole)
        measures["sufficiency"] = faithfulness.probability_drop(np.exp(log_p), np.exp(log_p_alone))
    return Deleted({at_k(kind, k): one for kind, one in measures.items()}, classes, random)


def srs_by_side(
    predictor: Predictor,
    split: EncodedSplit,
    config: EvaluationConfig,
    *,
    scores: Floats,
    k: float,
    full: Floats,
) -> dict[str, Measure]:
    """SRS of deleting the top share k of either side of pairs, by a ranking of the words of both.

    Args:
        predictor: of the model.
        split: whole pairs.
        config: what deleting a token means.
        scores: `[T]`, the highest at the top.
        k: share of a side's tokens, in [0, 1].
        full: `[N, C]`, logits of the whole pairs.

    Returns:
        ``srs_first@K`` and ``srs_second@K``.
    """
    sides: tuple[Side, ...] = ("first", "second")
    keeps = []
    for side in sides:
        choice = Choice.of(split, side)
        counts = deletion_counts(choice.lengths, k)
        keeps.append(without_top(choice.ranks(scores), choice.offsets, counts))
    left = predictor.logits_of_each(split, np.stack(keeps), config.mode, known=full)
    right, right_left = (each.argmax(axis=-1) == split.labels for each in (full, left))
    return {
        at_k(f"srs_{side}", k): Measure(srs(right, of_side), srs_se(right, of_side))
        for side, of_side in zip(sides, right_left, strict=True)
    }
