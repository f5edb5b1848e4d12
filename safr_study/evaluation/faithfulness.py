"""How far the predicted probability follows a ranking of the tokens; what each alone is worth.

Sections 3.6 and 3.7 of the definitions. Everywhere y is the class predicted for the whole text x,
and an array `[N]` holds one number per text of a split, in one and the same order in all.
"""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import special

from safr_study.data import EncodedSplit
from safr_study.evaluation.deletion import positions_in_text, take_texts
from safr_study.evaluation.prediction import Predictor
from safr_study.records import Measure
from safr_study.settings import DeletionMode

Floats = NDArray[np.float64]

_TOKENS_AT_ONCE = 2**21
"""Tokens of the copies that are made at once: bounds the memory."""


def mean_over_texts(values: Floats) -> Measure:
    """Mean of one finite value per text `[N]`, N at least 1, with its standard error.

    The error is the sample standard deviation / sqrt(N); ``None`` for a single text.
    """
    texts = len(values)
    spread = float(values.std(ddof=1)) / math.sqrt(texts) if texts > 1 else None
    return Measure(float(values.mean()), spread)


def log_probability(logits: Floats, classes: NDArray[np.int64]) -> Floats:
    """log p(class | x) in nats, finite however small the probability is.

    Args:
        logits: `[N, C]`.
        classes: `[N]`, the class of each text.

    Returns:
        `[N]`, at most 0: the log-softmax of the logits at the classes.
    """
    chosen: Floats = special.log_softmax(logits, axis=1)[np.arange(len(classes)), classes]
    return chosen


def probability_drop(p_full: Floats, p_left: Floats) -> Measure:
    """100 mean[p(y|x) - p(y|what is left of x)], percentage points in [-100, 100].

    Comprehensiveness where the top-k tokens are deleted (what they were needed for: higher is
    better), sufficiency where they alone are left (what they do not give: lower is better), both
    of DeYoung et al. (ACL 2020).

    Args:
        p_full: `[N]`, p(y|x).
        p_left: `[N]`, p(y|what is left of x).
    """
    return mean_over_texts(100.0 * (p_full - p_left))


def log_odds(log_p_full: Floats, log_p_without: Floats) -> Measure:
    """mean log(p(y|x without T_k) / p(y|x)), in nats; lower is better.

    Taken from log-probabilities, so that a probability that underflows has a finite value.

    Args:
        log_p_full: `[N]`, log p(y|x); see `log_probability`.
        log_p_without: `[N]`, log p(y|x without its top-k tokens).
    """
    return mean_over_texts(log_p_without - log_p_full)


def flip_rate(full: NDArray[np.int64], without: NDArray[np.int64]) -> Measure:
    """100 mean[the prediction changes], percentage points in [0, 100].

    Args:
        full: `[N]`, classes predicted for the whole texts.
        without: `[N]`, those without the top-k tokens.
    """
    return mean_over_texts(100.0 * (full != without))


def leave_one_out(
    predictor: Predictor,
    split: EncodedSplit,
    logits: NDArray[np.float64],
    mode: DeletionMode = "remove",
) -> NDArray[np.float64]:
    """p(y|x) - p(y|x without token i) of every token, y = the class predicted for the whole text.

    A text of n tokens is run n times, batched with the others of its length.

    Args:
        predictor: of the model.
        split: the whole texts.
        logits: `[N, C]` of the whole texts.
        mode: what deleting a token means.

    Returns:
        `[T]` in [-1, 1].

    Raises:
        TrialFailure: a logit is not finite.
    """
    classes = logits.argmax(axis=1)
    p_full = special.softmax(logits, axis=1)[np.arange(len(logits)), classes]
    text = np.repeat(np.arange(split.examples), split.lengths)  # [T]
    p_without = [np.empty(0)]
    for rows in _portions(split.lengths):
        texts = take_texts(split, rows)
        if len(texts.tokens):
            its_class = np.repeat(classes[rows], texts.lengths)
            p_without.append(_without_each(predictor, texts, its_class, mode))
    lost: NDArray[np.float64] = p_full[text] - np.concatenate(p_without)
    return lost


def _portions(lengths: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Rows in portions whose copies, one per token, hold few enough tokens."""
    tokens = lengths**2
    portion = (np.cumsum(tokens) - tokens) // _TOKENS_AT_ONCE
    return np.split(np.arange(len(lengths)), np.flatnonzero(np.diff(portion)) + 1)


def _without_each(
    predictor: Predictor, split: EncodedSplit, classes: NDArray[np.int64], mode: DeletionMode
) -> NDArray[np.float64]:
    """p(class of token t | its text without t) `[T]`, for `classes [T]`."""
    copies = take_texts(split, np.repeat(np.arange(split.examples), split.lengths))
    keep = np.ones(len(copies.tokens), dtype=np.bool_)
    keep[copies.offsets[:-1] + positions_in_text(split.offsets)] = False
    p_without = special.softmax(predictor.logits(copies, keep, mode), axis=1)
    chosen: NDArray[np.float64] = p_without[np.arange(len(classes)), classes]
    return chosen


def kendall_tau_b(scores: Floats, reference: Floats, offsets: NDArray[np.int64]) -> Floats:
    """Rank correlation of two scores over the tokens of each text.

    tau_b = (concordant - discordant) / sqrt((pairs - ties in one) (pairs - ties in the other))
    (Kendall 1945).

    Args:
        scores: `[T]`, finite; capacity, say.
        reference: `[T]`, finite; p(y|x) - p(y|x without the token), say.
        offsets: `[N + 1]`.

    Returns:
        `[N]` in [-1, 1]; NaN where tau-b is undefined: fewer than two tokens, or all of them
        tied in one of the two scores.
    """
    return np.array([_tau_b(scores[a:b], reference[a:b]) for a, b in pairwise(offsets)])


def mean_kendall(taus: Floats) -> dict[str, Measure]:
    """Mean over texts of `kendall_tau_b`, the undefined (NaN) left out.

    Args:
        taus: `[N]`.

    Returns:
        ``kendall_tau`` in [-1, 1], and ``kendall_texts``, the number of texts that have a tau;
        nothing when none has.
    """
    defined = taus[~np.isnan(taus)]
    if not len(defined):
        return {}
    return {"kendall_tau": mean_over_texts(defined), "kendall_texts": Measure(len(defined))}


def _tau_b(scores: Floats, reference: Floats) -> float:
    ours, theirs = _orders(scores), _orders(reference)
    # Each pair is counted twice, above and below the diagonal, on both sides of the fraction.
    untied = np.count_nonzero(ours) * np.count_nonzero(theirs)
    if not untied:
        return math.nan
    return int((ours * theirs).sum(dtype=np.int64)) / math.sqrt(untied)


def _orders(values: Floats) -> NDArray[np.int8]:
    """`[n, n]`: 1, 0 or -1 as value i is above, equal to or below value j."""
    above = (values[:, None] > values).astype(np.int8)
    return above - above.T
