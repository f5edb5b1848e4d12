"""Rank, delete, predict, score: the deletion evaluation of one model on one split."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from safr_study.data import EncodedSplit
from safr_study.errors import BadInput
from safr_study.evaluation import statistics
from safr_study.evaluation.deletion import (
    deletion_counts,
    random_scores,
    rank_tokens,
    remove_tokens,
    without_top,
)
from safr_study.evaluation.prediction import Predictor
from safr_study.model import SafrClassifier
from safr_study.records import DeletionScores, Scores
from safr_study.settings import EvaluationConfig, Preset

Classes = NDArray[np.int64]
Classifier = Callable[[EncodedSplit], Classes]
"""Predicted classes `[N]` of a split's texts."""

SATURATION_SHARE = 0.95
"""One class with more than this share of the predictions: they have collapsed."""


def score_model(
    model: SafrClassifier,
    split: EncodedSplit,
    *,
    split_name: str,
    classes: int,
    config: EvaluationConfig,
    ks: Sequence[float],
    random_draws: bool,
    preset: Preset,
    device: torch.device,
) -> Scores:
    """Measure a model: accuracy, loss, and what deleting its top tokens by capacity costs.

    One pass gives predictions, loss and the ranking of the tokens; one more is made per k, and
    `config.draws` more with `random_draws`. Nothing depends on the caller: batches are fixed by
    the split and `config`, the global random state is neither read nor changed.

    Args:
        model: its weights are on `device`; left in the mode that it was in.
        split: the texts, with at least one.
        split_name: ``dev`` or ``test``, for the record.
        classes: C.
        config: batches, layer and draws.
        ks: shares of the tokens to delete, each in [0, 1].
        random_draws: whether to measure random deletions and SRS_excess too.
        preset: ``reference`` pads every batch to the model's maximum length, as its numbers
            depend on the padding.
        device: where the model's weights are.

    Raises:
        TrialFailure: a logit or a capacity is not finite.
        BadInput: no texts, a k outside [0, 1], or a model of other classes.
    """
    if not split.examples:
        raise BadInput("split", f"{split_name} holds no texts to evaluate on")
    pad_to = len(model.positions) if preset == "reference" else None
    predictor = Predictor(model, config.batch_size, pad_to, device)
    logits, capacities = predictor.logits_and_capacity(split, config.capacity_layer)
    if logits.shape[1] != classes:
        raise BadInput(
            "split",
            f"{split_name} has {classes} classes, the model predicts {logits.shape[1]}; "
            "evaluate it on the data set that it was trained for",
        )
    full = logits.argmax(axis=1)
    ranks = rank_tokens(capacities, split.offsets)
    right = full == split.labels
    return Scores(
        split=split_name,
        examples=split.examples,
        accuracy=statistics.accuracy(right),
        accuracy_se=statistics.accuracy_se(right),
        majority_accuracy=100.0 * int(np.bincount(split.labels).max()) / split.examples,
        loss=_cross_entropy(logits, split.labels),
        deletions=tuple(
            score_ranking(
                predictor.classes,
                split,
                ranks,
                k=k,
                full=full,
                draws=config.draws if random_draws else 0,
                seed=config.seed,
            )
            for k in sorted(set(ks))
        ),
    )


def score_ranking(
    classify: Classifier,
    split: EncodedSplit,
    ranks: NDArray[np.int64],
    *,
    k: float,
    full: Classes,
    draws: int,
    seed: int,
) -> DeletionScores:
    """Measure what deleting the top share k of any ranking costs.

    Args:
        classify: predicts the classes of the texts with tokens removed.
        split: the whole texts.
        ranks: `[T]`, 0 = deleted first; from `rank_tokens`.
        k: share of the tokens, in [0, 1].
        full: `[N]`, the classes predicted for the whole texts.
        draws: random deletions to compare with; 0: none.
        seed: of the random deletions.
    """
    counts = deletion_counts(split.lengths, k)

    def without(some_ranks: NDArray[np.int64]) -> Classes:
        if not counts.any():
            return full
        return classify(remove_tokens(split, without_top(some_ranks, split.offsets, counts)))

    top = without(ranks)
    random = [
        without(rank_tokens(random_scores(split.offsets, k, draw, seed=seed), split.offsets))
        for draw in range(draws)
    ]
    return deletion_scores(
        k=k,
        realised_share=float(counts.sum()) / max(1, len(split.tokens)),
        labels=split.labels,
        full=full,
        top=top,
        random=np.stack(random) if random else None,
    )


def deletion_scores(
    *,
    k: float,
    realised_share: float,
    labels: NDArray[np.int64],
    full: Classes,
    top: Classes,
    random: Classes | None,
) -> DeletionScores:
    """The metrics of one deletion from what was predicted before and after it.

    Args:
        k: share of the tokens asked for.
        realised_share: share really deleted.
        labels: `[N]`.
        full: `[N]`, predictions on the whole texts.
        top: `[N]`, predictions without the top tokens.
        random: `[B, N]`, predictions without random tokens, or ``None``.
    """
    right_full, right_top = full == labels, top == labels
    right_random = None if random is None else random == labels
    dominant = int(np.bincount(top).max()) / len(top)
    return DeletionScores(
        k=k,
        realised_share=realised_share,
        accuracy_top=statistics.accuracy(right_top),
        srs=statistics.srs(right_full, right_top),
        srs_se=statistics.srs_se(right_full, right_top),
        accuracy_random=None if right_random is None else statistics.accuracy(right_random),
        srs_excess=None if right_random is None else statistics.srs_excess(right_random, right_top),
        srs_excess_se=(
            None if right_random is None else statistics.srs_excess_se(right_random, right_top)
        ),
        dominant_share=dominant,
        saturated=dominant > SATURATION_SHARE,
    )


def _cross_entropy(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean cross-entropy in nats."""
    highest = logits.max(axis=1)
    log_sum = highest + np.log(np.exp(logits - highest[:, None]).sum(axis=1))
    return float((log_sum - logits[np.arange(len(labels)), labels]).mean())
