"""What takes the place of a neuron's activation: its mean, 0, or that at a random other token.

Shapes: S tokens at random, W words, T tokens of a split, D neurons of FFN1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safr_study.data import Batch, EncodedSplit
from safr_study.evaluation.deletion import random_scores, sample_rows, take_texts, tokens_of
from safr_study.evaluation.neurons import Site
from safr_study.evaluation.prediction import Predictor
from safr_study.settings import Replacement

Ints = NDArray[np.int64]

DRAWS = 10
"""Random tokens that take the place of each token, one after the other."""
MEAN_TOKENS = 50_000
"""Training tokens of which the means are, about so many."""
POSITIONS = 2**11
"""Most positions of a batch, of which many variants are computed: bounds the memory."""
_TOKEN_DRAW = -3
"""Draw of the random token of each text; see `random_scores`."""


def draws_of(replacement: Replacement) -> int:
    """How many times a replacement is drawn: once where there is nothing to draw."""
    return DRAWS if replacement == "resample" else 1


@dataclass(frozen=True, slots=True, eq=False)
class Replacements:
    """Values for the words of one split."""

    mean: Tensor
    """``[D]``."""
    held: Tensor
    """``[D]``, mean |a_j|."""
    others: Tensor
    """``[S, D]``, the activations at one random token of each text."""
    drawn: Tensor
    """``[T, DRAWS]``, rows of ``others`` of another text than the token's own."""

    def values(self, by: Replacement, draw: int, tokens: Tensor) -> Callable[[], Tensor]:
        """Values ``[w, D]`` for some tokens ``[w]`` of the split, made when they are asked for.

        Args:
            by: what takes their place.
            draw: below `DRAWS`; of no account but for ``resample``.
            tokens: their places in the split.
        """
        if by == "resample":
            return lambda: self.others[self.drawn[tokens, draw]]
        value = self.mean if by == "mean" else torch.zeros_like(self.mean)
        return lambda: value.expand(len(tokens), -1)


def read_replacements(
    predictor: Predictor,
    site: Site,
    texts: EncodedSplit,
    train: EncodedSplit | None,
    *,
    seed: int,
) -> Replacements | None:
    """Read the values off training texts, or where there are none off the texts themselves.

    Args:
        predictor: of the model.
        site: where activations are read.
        texts: the split whose words get other values.
        train: the training texts.
        seed: of all draws.

    Returns:
        ``None`` where no other text has a token.
    """
    source = texts if train is None else train
    if train is not None:
        size = int(MEAN_TOKENS / max(1.0, float(train.lengths.mean())))
        source = take_texts(train, sample_rows(train.examples, max(2, size), seed))
    full = np.flatnonzero(source.lengths)
    own = np.full(texts.examples, len(full))
    if train is None:
        own[full] = np.arange(len(full))
    # A text's own token is passed over, so there is one less to draw from.
    choices = len(full) - (train is None)
    if choices < 1:
        return None
    places = random_scores(np.arange(source.examples + 1), 0.0, _TOKEN_DRAW, seed=seed)
    random = source.offsets[full] + (places[full] * source.lengths[full]).astype(np.int64)
    number = np.full(len(source.tokens), -1)
    number[random] = np.arange(len(full))
    sums = others = None
    count = 0
    for batch, tokens in batches(predictor, source):
        vectors = site.read(batch).vectors
        if sums is None or others is None:
            sums = vectors.new_zeros(2, vectors.shape[1], dtype=torch.float64)
            others = vectors.new_zeros(len(full), vectors.shape[1])
        sums += torch.stack((vectors.sum(dim=0), vectors.abs().sum(dim=0)))
        count += len(vectors)
        taken = torch.from_numpy(number[tokens]).to(vectors.device)
        others[taken[taken >= 0]] = vectors[taken >= 0]
    assert sums is not None
    assert others is not None
    mean, held = (sums / max(1, count)).to(others.dtype)
    drawn = np.random.default_rng(seed).integers(0, choices, (len(texts.tokens), DRAWS))
    drawn += drawn >= np.repeat(own, texts.lengths)[:, None]
    return Replacements(mean, held, others, torch.from_numpy(drawn).to(mean.device))


def batches(predictor: Predictor, split: EncodedSplit) -> Iterator[tuple[Batch, Ints]]:
    """Batches of few positions, and the places of their words in the split ``[W]``."""
    for batch in predictor.batches(split, POSITIONS):
        yield batch, tokens_of(split.offsets, batch.index)
