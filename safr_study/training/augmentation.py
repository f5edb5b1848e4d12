"""Training texts that are shortened at random, so that a model has seen such texts.

Of Zheng et al. (2024), "F-Fidelity", arXiv 2410.02970: an evaluation that deletes words asks a
model about texts unlike those of its training; one that was trained on random deletions knows them.
"""

from __future__ import annotations

import numpy as np

from safr_study.data import EncodedSplit, remove_tokens
from safr_study.evaluation.deletion import random_scores, rank_tokens, without_top

_STREAMS = 3
"""Random numbers of an epoch: of tokens, of which texts, and of how much of them."""


def shortened(
    split: EncodedSplit, *, share: float, bound: float, seed: int, epoch: int
) -> EncodedSplit:
    """A split some of whose texts have lost random tokens; the rest closes ranks.

    Each text is shortened with probability ``share``, and then loses round(u n) of its n tokens,
    u uniform in [0, ``bound``): all of a short text, at times. What a text loses depends on (seed,
    its row, epoch) alone.

    Args:
        split: whole texts; of pairs the words of both are deleted alike.
        share: in [0, 1]; 0 gives the split itself.
        bound: in (0, 1].
        seed: of the training.
        epoch: its number.
    """
    if not share:
        return split
    texts = np.arange(split.examples + 1)
    # The share of 1 sets these numbers apart from those of any evaluation.
    of_tokens, chosen, lost = (
        random_scores(offsets, 1.0, _STREAMS * epoch + stream, seed=seed)
        for stream, offsets in enumerate((split.offsets, texts, texts))
    )
    counts = np.rint(bound * lost * (chosen < share) * split.lengths).astype(np.int64)
    ranks = rank_tokens(of_tokens, split.offsets)
    return remove_tokens(split, without_top(ranks, split.offsets, counts))
