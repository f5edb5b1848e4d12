"""Agreement of a ranking of the tokens with a gold rationale (definitions, section 3.8)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from safr_study.evaluation.deletion import rank_tokens
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
    lengths = np.diff(offsets)
    text = np.repeat(np.arange(len(lengths)), lengths)
    gold_tokens = np.bincount(text, weights=gold != 0, minlength=len(lengths))
    counting = (gold_tokens > 0) & (gold_tokens < lengths)
    if not counting.any():
        return {}
    of_counting = counting[text]
    texts = _Texts(scores[of_counting], gold[of_counting] != 0, lengths[counting])
    return {
        "rationale_texts": Measure(len(texts.lengths)),
        "average_precision": mean_over_texts(texts.average_precision()),
        "auroc": mean_over_texts(texts.auroc()),
        "precision_at_gold": mean_over_texts(texts.precision_at_gold()),
    }


class _Texts:
    """Ragged scores and gold marks of texts that each have a token of either kind."""

    def __init__(self, scores: Floats, gold: Marks, lengths: Ints) -> None:
        self.lengths = lengths
        self._scores = scores
        self._gold = gold
        self._offsets = np.concatenate(([0], np.cumsum(lengths)))
        self._text = np.repeat(np.arange(len(lengths)), lengths)
        self._ranks = rank_tokens(scores, self._offsets)
        self._gold_tokens = self._sums(gold)

    def average_precision(self) -> Floats:
        """Mean over the gold tokens of the precision at their place in the ranking, `[N]`."""
        ranked = np.empty_like(self._gold)
        ranked[self._starts() + self._ranks] = self._gold
        found = np.cumsum(ranked)
        found_before = np.concatenate(([0], found))[self._starts()]
        places = np.arange(1, len(ranked) + 1) - self._starts()  # From 1 in each text.
        return self._sums(ranked * (found - found_before) / places) / self._gold_tokens

    def auroc(self) -> Floats:
        """Share of (gold, other) pairs in the right order, a tie one half, `[N]`.

        The Mann-Whitney U of the gold tokens' mid-ranks, over the number of pairs.
        """
        order = np.lexsort((self._scores, self._text))
        ascending = self._scores[order]
        opens = np.ones(len(order), dtype=bool)  # Whether a token opens a run of equal scores.
        opens[1:] = (ascending[1:] != ascending[:-1]) | (np.diff(self._text) != 0)
        run = np.cumsum(opens) - 1
        places = np.arange(1, len(order) + 1) - self._starts()
        mid_ranks = (np.bincount(run, weights=places) / np.bincount(run))[run]
        gold, others = self._gold_tokens, self.lengths - self._gold_tokens
        of_gold = self._sums(mid_ranks * self._gold[order])
        return (of_gold - gold * (gold + 1) / 2) / (gold * others)

    def precision_at_gold(self) -> Floats:
        """Share of gold tokens among the first |gold| of the ranking, `[N]`."""
        first = self._ranks < self._gold_tokens[self._text]
        return self._sums(self._gold & first) / self._gold_tokens

    def _starts(self) -> Ints:
        """`[T]`: where the text of each token begins."""
        starts: Ints = self._offsets[self._text]
        return starts

    def _sums(self, values: NDArray[np.generic]) -> Floats:
        weights = values.astype(np.float64)
        sums = np.bincount(self._text, weights=weights, minlength=len(self.lengths))
        return sums.astype(np.float64)
