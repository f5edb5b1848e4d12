"""Scores by which tokens are ranked: capacity, and the controls next to it (definitions, 3.9)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from safr_study.data import EncodedSplit, remove_tokens
from safr_study.evaluation.capacity import TEXTS_AT_ONCE, capacity
from safr_study.evaluation.deletion import (
    positions_in_text,
    random_scores,
    rank_tokens,
    take_texts,
    tokens_of,
)
from safr_study.evaluation.prediction import Predictor
from safr_study.model import SafrOutput
from safr_study.settings import CapacityLayer, Ranking, layer_place

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONTROL_DRAW = -1
"""Draw of the ranking ``random``: no random deletion has it."""


def measured_scores(
    predictor: Predictor, split: EncodedSplit, rankings: Collection[Ranking], layer: CapacityLayer
) -> tuple[Floats, dict[Ranking, Floats]]:
    """Logits of the texts, and those of the rankings that the same pass gives.

    Args:
        predictor: of the model.
        split: the whole texts, at least one.
        rankings: which ones; all but ``capacity``, ``keep_probability`` and ``norm`` are left out.
        layer: whose rows give capacity and norm.

    Returns:
        logits `[N, C]`, and scores `[T]`, higher = deleted first; ``keep_probability`` is left
        out without VMASK.

    Raises:
        TrialFailure: a logit or a score is not finite.
        BadInput: the model has no such block.
    """

    def of(output: SafrOutput) -> dict[str, Tensor]:
        rows = capacity_rows(output, layer)
        found = {}
        if "capacity" in rankings:
            found["capacity"] = capacity(rows, output.positions.words)
        if "norm" in rankings:
            found["norm"] = _norms(rows)
        if "keep_probability" in rankings and output.keep_probability is not None:
            found["keep_probability"] = output.keep_probability
        return found

    logits, measures = predictor.measure(split, of)
    return logits, {name: measures[name] for name in rankings if name in measures}


def capacity_rows(output: SafrOutput, layer: CapacityLayer) -> Tensor:
    """The tokens' capacity vectors `[B, L, D]`.

    Raises:
        BadInput: the model has no such block.
    """
    place = layer_place(layer)
    of_blocks: Sequence[Tensor] = getattr(output, f"{place.name}_relu")
    return of_blocks[place.index(len(of_blocks))]


def token_scores(
    predictor: Predictor,
    split: EncodedSplit,
    rankings: Iterable[Ranking],
    *,
    measured: Mapping[Ranking, Floats],
    train_counts: Ints | None,
    seed: int,
    full: Ints,
) -> dict[Ranking, Floats]:
    """The score of every token in each ranking; higher = deleted first.

    ``capacity``: C_i. ``keep_probability``: VMASK's soft gate. ``norm``: |h_i|. ``position``:
    earlier = higher. ``inverse_frequency``: 1 / (1 + count in the training texts), that of the
    unknown word being the count of all unknown tokens. ``random``: uniform in [0, 1).
    ``gradient_x_input``: |sum over E of embedding * d logit(y)/d embedding|, y = the class
    predicted for the whole text, soft gate; it takes a forward and a backward pass.

    Args:
        predictor: of a `SafrClassifier`.
        split: the whole texts, at least one.
        rankings: which ones, each once.
        measured: those of `measured_scores`.
        train_counts: `[V]`, from `word_counts`; ``None`` leaves ``inverse_frequency`` out.
        seed: ``EvaluationConfig.seed``; of ``random``.
        full: `[N]`, the classes predicted for the whole texts.

    Returns:
        scores `[T]` by ranking, in the order asked for; what was not measured is left out.

    Raises:
        TrialFailure: a score is not finite.
    """
    rankings, found = tuple(rankings), dict(measured)
    if "inverse_frequency" in rankings and train_counts is not None:
        found["inverse_frequency"] = 1.0 / (1 + train_counts[split.tokens]).astype(np.float64)
    if "position" in rankings:
        found["position"] = -positions_in_text(split.offsets).astype(np.float64)
    if "random" in rankings:
        found["random"] = random_scores(split.offsets, 0.0, CONTROL_DRAW, seed=seed)
    if "gradient_x_input" in rankings:
        found["gradient_x_input"] = predictor.gradient_x_input(split, full)
    return {name: found[name] for name in rankings if name in found}


def word_counts(train: EncodedSplit, vocabulary_size: int) -> Ints:
    """How often each word id occurs in the training texts `[V]`."""
    return np.bincount(train.tokens, minlength=vocabulary_size).astype(np.int64)


def recomputed_ranks(
    predictor: Predictor, split: EncodedSplit, counts: Ints, layer: CapacityLayer
) -> Ints:
    """Ranks by capacity, measured again after every token removed (option ``recompute``).

    Each text loses its token of highest capacity, ties by position; then the capacity of the
    others is measured on what is left, and so on. All texts advance together: max(counts) passes
    over those that still have tokens to lose.

    Args:
        predictor: of the model.
        split: the whole texts.
        counts: `[N]`, tokens to rank in each text, 0 <= counts[i] <= n.
        layer: whose rows are the capacity vectors.

    Returns:
        `[T]`, the turn in which a token is removed, from 0; the tokens that stay come behind, by
        position. Deleting fewer than `counts` is a part of it.

    Raises:
        TrialFailure: a logit or a capacity is not finite.
    """
    turns = int(counts.max(initial=0))
    turn_of = np.full(len(split.tokens), turns)
    for turn in range(turns):
        losing = np.flatnonzero(counts > turn)
        places = tokens_of(split.offsets, losing)
        kept = turn_of[places] == turns
        left = remove_tokens(take_texts(split, losing), kept)
        scores = measured_scores(predictor, left, {"capacity"}, layer)[1]
        turn_of[places[kept][rank_tokens(scores["capacity"], left.offsets) == 0]] = turn
    return rank_tokens(-turn_of.astype(np.float64), split.offsets)


def _norms(rows: Tensor) -> Tensor:
    """Euclidean norms `[B, L]` in float64 of rows `[B, L, D]`."""
    few_at_once = (rows[i : i + TEXTS_AT_ONCE] for i in range(0, len(rows), TEXTS_AT_ONCE))
    return torch.cat(
        [torch.linalg.vector_norm(few, dim=-1, dtype=torch.float64) for few in few_at_once]
    )
