"""Normalised AOPC: where a ranking lies between the worst and the best order of a text's words.

    AOPC(order) = mean over j = 1..n of p(y|x) - p(y|x without the first j words of the order)
    NAOPC = (AOPC - lower) / (upper - lower)

y is the class predicted on x, lower and upper are the AOPC of the worst and of the best order
(definitions, section 10; Edin et al., arXiv 2408.08137). So it does not depend on how far a model's
probabilities move at all, which AOPC does, and may be compared across models. Sets of words are
bit masks: bit i is word i. Shapes: N texts, n words of one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from safr_study.data import EncodedSplit
from safr_study.evaluation.deletion import (
    positions_in_text,
    rank_tokens,
    sample_rows,
    take_texts,
    tokens_of,
)
from safr_study.evaluation.faithfulness import mean_over_texts
from safr_study.evaluation.prediction import Predictor
from safr_study.records import Measure
from safr_study.settings import EvaluationConfig

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Drops = Callable[[Ints, Ints], Floats]
"""p(y|x) - p(y|x without a set of words) of each of some texts (by number) and masks."""

EXACT_WORDS = 10
"""Words up to which every subset is tried."""
BEAM = 5
"""Subsets of each size that are followed up in longer texts."""
LEAST_RANGE = 1e-6
"""Distance of the limits below which nothing moves a text's prediction."""
_TOKENS_AT_ONCE = 2**19
"""Tokens of the copies that are made at once: bounds the memory."""


def normalised_aopc(
    predictor: Predictor,
    split: EncodedSplit,
    config: EvaluationConfig,
    *,
    scores: Floats,
    full: Floats,
) -> dict[str, Measure]:
    """NAOPC of a ranking on a fixed sample of short texts.

    Args:
        predictor: of the model.
        split: the whole texts.
        config: how words are deleted, and which texts are measured.
        scores: ``[T]``; ties by position.
        full: ``[N, C]``, logits of the whole texts.

    Returns:
        ``naopc`` and ``naopc_sufficiency`` (the lowest words first: lower is better), in [0, 1];
        ``naopc_lower`` and ``naopc_upper``, the mean limits; ``naopc_texts``, those that count:
        not the ones whose limits are the same. Nothing where none counts.

    Raises:
        TrialFailure: a logit is not finite.
    """
    short = np.flatnonzero((split.lengths > 1) & (split.lengths <= config.naopc_words))
    rows = short[sample_rows(len(short), config.naopc_texts, config.seed)]
    if not len(rows):
        return {}
    texts = take_texts(split, rows)
    ranks = rank_tokens(scores[tokens_of(split.offsets, rows)], texts.offsets)
    drops = _deletions(predictor, texts, config, full[rows])
    found = []
    for text, (lower, upper) in enumerate(limits(texts.lengths, drops)):
        order = np.argsort(ranks[texts.offsets[text] : texts.offsets[text + 1]])
        ends = [aopc(order, text, drops), aopc(order[::-1], text, drops)]
        # Beam search may miss an order that is better than all it has seen.
        lower, upper = min(lower, *ends), max(upper, *ends)
        if upper - lower >= LEAST_RANGE:
            found.append((*((end - lower) / (upper - lower) for end in ends), lower, upper))
    if not found:
        return {}
    names = ("naopc", "naopc_sufficiency", "naopc_lower", "naopc_upper")
    of_texts = zip(names, np.array(found).T, strict=True)
    values = {name: mean_over_texts(column) for name, column in of_texts}
    return values | {"naopc_texts": Measure(len(found))}


def aopc(order: Ints, text: int, drops: Drops) -> float:
    """Mean drop over the first 1, 2, ... n words of an order ``[n]``."""
    masks = np.bitwise_or.accumulate(np.int64(1) << order)
    return float(drops(np.full(len(order), text), masks).mean())


def limits(sizes: Sequence[int] | Ints, drops: Drops) -> list[tuple[float, float]]:
    """AOPC of the worst and of the best order of each text.

    Exact up to `EXACT_WORDS` words, by beam search above: the true range is then at least as wide.

    Args:
        sizes: n of each text, at least 1.
        drops: asked for many texts and subsets at a time.
    """
    few = [text for text, size in enumerate(sizes) if size <= EXACT_WORDS]
    found = dict(zip(few, _exact(few, sizes, drops), strict=True))
    many = [text for text in range(len(sizes)) if text not in found]
    found |= zip(many, beam_limits(many, sizes, drops), strict=True)
    return [found[text] for text in range(len(sizes))]


def _exact(
    texts: Sequence[int], sizes: Sequence[int] | Ints, drops: Drops
) -> list[tuple[float, float]]:
    counts = [1 << int(sizes[text]) for text in texts]
    if not counts:
        return []
    of_all = drops(np.repeat(texts, counts), np.concatenate([np.arange(count) for count in counts]))
    return [exact_limits(one) for one in np.split(of_all, np.cumsum(counts)[:-1])]


def exact_limits(drops: Floats) -> tuple[float, float]:
    """AOPC of the worst and of the best order, from the drops of all subsets ``[2^n]``.

    An order is a chain of subsets, each with one word more, and its AOPC the mean over the chain:
    the limits are the shortest and the longest path from the empty set to the whole.
    """
    masks = np.arange(len(drops))
    words = np.arange(len(drops).bit_length() - 1)
    members = (masks[:, None] >> words & 1).astype(np.bool_)  # [2^n, n]
    sizes = members.sum(axis=1)
    # The longest path to each subset, by the drops and by their negatives.
    paths = np.stack((-drops, drops))
    paths[:, 0] = 0.0
    for size in words + 1:
        some = np.flatnonzero(sizes == size)
        before = paths[:, some[:, None] ^ (1 << words)]
        paths[:, some] += np.where(members[some], before, -np.inf).max(axis=2)
    lower, upper = paths[:, -1] / len(words)
    return -float(lower), float(upper)


def beam_limits(
    texts: Sequence[int], sizes: Sequence[int] | Ints, drops: Drops, width: int = BEAM
) -> list[tuple[float, float]]:
    """AOPC of the worst and of the best order that beam search finds, of some of the texts.

    From the empty set on each subset that is kept grows by each word; the ``width`` subsets with
    the largest (smallest) sum along their chain are kept. All texts advance together.
    """
    known: dict[tuple[int, int], float] = {}
    beams = {(text, sign): {0: 0.0} for text in texts for sign in (-1.0, 1.0)}
    for _ in range(max((int(sizes[text]) for text in texts), default=0)):
        grown = {key: _grown(beam, int(sizes[key[0]])) for key, beam in beams.items()}
        new = sorted(
            {(t, mask) for (t, _), masks in grown.items() for mask in masks} - known.keys()
        )
        if new:
            rows, masks = np.array(new).T
            known |= zip(new, drops(rows, masks).tolist(), strict=True)
        for (text, sign), children in grown.items():
            sums = {mask: sum_ + sign * known[text, mask] for mask, sum_ in children.items()}
            best = sorted(sums, key=lambda mask: (-sums[mask], mask))[:width]
            if best:
                beams[text, sign] = {mask: sums[mask] for mask in best}
    return [
        (
            -max(beams[text, -1.0].values()) / int(sizes[text]),
            max(beams[text, 1.0].values()) / int(sizes[text]),
        )
        for text in texts
    ]


def _grown(beam: dict[int, float], size: int) -> dict[int, float]:
    """The subsets with one word more, each with the largest sum that leads to it."""
    children: dict[int, float] = {}
    for mask, sum_ in beam.items():
        for word in range(size):
            child = mask | 1 << word
            if child != mask:
                children[child] = max(children.get(child, -np.inf), sum_)
    return children


def _deletions(
    predictor: Predictor, texts: EncodedSplit, config: EvaluationConfig, full: Floats
) -> Drops:
    """The drops of a model on some texts."""
    classes = full.argmax(axis=1)
    whole = special.softmax(full, axis=1)[np.arange(len(full)), classes]

    def drops(rows: Ints, masks: Ints) -> Floats:
        found = [np.empty(0)]
        portions = (np.cumsum(texts.lengths[rows]) - 1) // _TOKENS_AT_ONCE
        for some in np.split(np.arange(len(rows)), np.flatnonzero(np.diff(portions)) + 1):
            copies = take_texts(texts, rows[some])
            bits = np.repeat(masks[some], copies.lengths) >> positions_in_text(copies.offsets)
            logits = predictor.logits(copies, (bits & 1) == 0, config.mode)
            left = special.softmax(logits, axis=1)[np.arange(len(some)), classes[rows[some]]]
            found.append(whole[rows[some]] - left)
        drop: Floats = np.concatenate(found)
        return drop

    return drops
