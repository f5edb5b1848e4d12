"""A fixed part of a split, where the whole would cost too much."""

from __future__ import annotations

from safr_study.data import EncodedSplit
from safr_study.evaluation.deletion import take_texts
from safr_study.evaluation.leave_one_out import sample_rows


def sample_texts(split: EncodedSplit, size: int, *, seed: int) -> EncodedSplit:
    """Some texts as a split of their own, the same at each call; all where ``size`` is enough.

    Args:
        split: N texts.
        size: texts wanted.
        seed: ``EvaluationConfig.seed``.
    """
    return take_texts(split, sample_rows(split.examples, size, seed))
