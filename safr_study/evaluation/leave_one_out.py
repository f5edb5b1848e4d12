"""What each token alone is worth: the probability lost without it, on a sample of texts."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from safr_study.data import EncodedSplit
from safr_study.evaluation.deletion import positions_in_text, random_scores, take_texts
from safr_study.evaluation.faithfulness import probabilities
from safr_study.evaluation.prediction import Predictor
from safr_study.settings import DeletionMode

SAMPLE_DRAW = -2
"""Draw of the sample: no random deletion and no control ranking has it."""

_TOKENS_AT_ONCE = 2**21
"""Tokens of the copies that are made at once: bounds the memory."""


def sample_rows(examples: int, size: int, seed: int) -> NDArray[np.int64]:
    """Rows of a fixed sample of a split, ascending; every row where `size` is enough.

    A row's place in the draw depends on (seed, row) alone, so a smaller sample is part of a
    larger one.

    Args:
        examples: N.
        size: texts wanted, ``EvaluationConfig.sample_texts``.
        seed: ``EvaluationConfig.seed``.

    Returns:
        `[min(size, N)]`.
    """
    drawn = random_scores(np.arange(examples + 1), 0.0, SAMPLE_DRAW, seed=seed)
    return np.sort(np.argsort(-drawn, kind="stable")[:size])


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
    p_full = probabilities(logits)[np.arange(len(logits)), classes]
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
    p_without = probabilities(predictor.logits(copies, keep, mode))
    chosen: NDArray[np.float64] = p_without[np.arange(len(classes)), classes]
    return chosen


def sample_texts(split: EncodedSplit, size: int, *, seed: int) -> EncodedSplit:
    """Some texts as a split of their own, the same at each call; all where ``size`` is enough.

    Args:
        split: N texts.
        size: texts wanted.
        seed: ``EvaluationConfig.seed``.
    """
    return take_texts(split, sample_rows(split.examples, size, seed))
