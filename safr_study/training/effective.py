"""How much each penalty pulls at the model, next to the cross-entropy (definitions, section 1)."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from safr_study.data import Batch, EncodedSplit, batch_of, piece_lengths
from safr_study.model import Classifier, SafrClassifier, penalty_weights, piece_counts
from safr_study.records.run import EffectiveWeights
from safr_study.settings import TrainConfig
from safr_study.training.steps import losses_of, trained

TEXTS = 32
"""Texts of the fixed batch: the default batch size, so that its gradients are those of a step."""
PIECES = 2**12
"""Most positions of that batch over an encoder: the backward passes keep every block's values, of
long texts more than a machine has (0.9 GB for 512 pieces of a text through six blocks)."""
SEED = 0
"""Seed of the texts and of the noise: no part of a trial, so that all trials of a corpus
compare."""


def effective_weights(
    config: TrainConfig,
    split: EncodedSplit,
    model: Classifier,
    *,
    device: torch.device,
    pad_to: int | None,
    class_weights: Tensor | None = None,
) -> EffectiveWeights:
    """Measure on one fixed batch, in training mode with fixed noise.

    The norms are Euclidean, over all parameters; over an encoder, both over those that the penalty
    reaches: its other weights, millions that only the cross-entropy moves, would hide a penalty
    that closes the gates. One forward pass and a backward pass per term; parameters, their
    ``grad``, the mode and all other random generators stay as they are.

    Args:
        config: of the training; its penalties and its precision.
        split: the training texts; the batch depends on them alone.
        model: on ``device``.
        device: of the model.
        pad_to: length of the batch; ``None``: that of its longest text.
        class_weights: of the training's cross-entropy, on ``device``; see `balanced_weights`.
    """
    weights = penalty_weights(config.penalties, vmask=model.vmask is not None)
    if not any(weights.values()):
        return EffectiveWeights()
    drawn = np.random.default_rng(SEED).permutation(split.examples)[:TEXTS]
    pieces = piece_counts(model)
    if pieces is not None:
        longest = np.maximum.accumulate(piece_lengths(split, pieces)[drawn])
        fitting = np.count_nonzero(longest * np.arange(1, len(drawn) + 1) <= PIECES)
        drawn = drawn[: max(1, fitting)]
    ordered = drawn[np.argsort(split.lengths[drawn], kind="stable")]
    batch = batch_of(split, ordered, pad_to, pieces)
    terms = _terms(config, batch, model, device, class_weights)
    norms: dict[str, list[Tensor | None]] = {}
    while terms:
        # Nothing else refers to a term, so that what only its gradient needs goes with it.
        name, term = terms.popitem()
        norms[name] = _gradient_norms(term, model, last=not terms)
        del term
    task = norms.pop("cross_entropy")

    def ratio(weight: float, norms: list[Tensor | None]) -> float | None:
        reaches = any(norm is not None for norm in norms)
        somewhere = reaches and not isinstance(model, SafrClassifier)
        return _ratio(weight * _total(norms), _total(task, norms if somewhere else None))

    return EffectiveWeights(
        *(ratio(weight, norms[name]) if weight else None for name, weight in weights.items())
    )


def _terms(
    config: TrainConfig,
    batch: Batch,
    model: Classifier,
    device: torch.device,
    class_weights: Tensor | None,
) -> dict[str, Tensor]:
    """The cross-entropy and the penalties that are computed, by name."""
    noise = torch.Generator(device).manual_seed(SEED)
    training, sparse = model.training, model.embedding.sparse
    model.train()
    # The gradient of the rows that are looked up: a dense one is as large as the vocabulary.
    model.embedding.sparse = True
    try:
        ids, labels = (torch.from_numpy(part).to(device) for part in (batch.ids, batch.labels))
        terms = losses_of(config, ids, labels, model, noise, class_weights, batch.pieces)
    finally:
        model.train(training)
        model.embedding.sparse = sparse
    del terms["total"]
    return terms


def _gradient_norms(term: Tensor, model: Classifier, *, last: bool) -> list[Tensor | None]:
    """Norm of the gradient of each trained parameter; ``None`` where the term does not reach it."""
    if not term.requires_grad:
        # A penalty on weights that are not trained.
        return [None] * len(trained(model))
    # Not backward: that would write into the parameters' grad.
    gradients = torch.autograd.grad(term, trained(model), retain_graph=not last, allow_unused=True)
    norms: list[Tensor | None] = []
    for gradient in gradients:
        if gradient is not None and gradient.is_sparse:
            # On the CPU the model looks up each word once, so the rows are distinct already.
            on_cpu = gradient.device.type == "cpu"
            gradient = (gradient if on_cpu else gradient.coalesce())._values()
        norms.append(
            None if gradient is None else torch.linalg.vector_norm(gradient, dtype=torch.float64)
        )
    return norms


def _total(norms: list[Tensor | None], where: list[Tensor | None] | None = None) -> float:
    """Norm of a gradient over all parameters, or over those that ``where`` has one of."""
    reached = norms if where is None else where
    pairs = zip(norms, reached, strict=True)
    counted = [norm for norm, other in pairs if norm is not None and other is not None]
    return float(torch.linalg.vector_norm(torch.stack(counted))) if counted else 0.0


def _ratio(pull: float, task: float) -> float | None:
    ratio = pull / task if 0 < task < math.inf else math.nan
    return ratio if math.isfinite(ratio) else None
