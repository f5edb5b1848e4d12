"""What is measured on dev after each epoch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from safr_study.data import EncodedSplit, evaluation_batches
from safr_study.evaluation.gates import gate_openness
from safr_study.model import Classifier, of_encoder, piece_counts
from safr_study.settings import EvaluationConfig


@dataclass(frozen=True, slots=True)
class DevMeasures:
    """Measures of one model on the dev split, in evaluation mode."""

    accuracy: float
    """Percentage points."""
    loss: float
    """Mean cross-entropy."""
    gate_openness: float | None
    """Mean keep-probability over the real tokens, in [0, 1]; ``None`` without VMASK, and for a
    split without any token."""
    mean_norm: float
    """Mean Euclidean norm of the masked embeddings of the real tokens."""


def measure_dev(
    model: Classifier, split: EncodedSplit, *, device: torch.device, pad_to: int | None
) -> DevMeasures:
    """Measure, in the same batches as the default scoring: the two accuracies agree exactly.

    Args:
        model: on ``device``; is left in evaluation mode.
        split: at least one text.
        device: of the model.
        pad_to: length of every batch; ``None``: that of its longest text.
    """
    model.eval()
    # texts right, sum of cross-entropies, of keep-probabilities, of norms
    totals = torch.zeros(4, dtype=torch.float64, device=device)
    with torch.inference_mode():
        batches = evaluation_batches(
            split, EvaluationConfig().batch_size, pad_to=pad_to, pieces=piece_counts(model)
        )
        for batch in batches:
            ids = torch.from_numpy(batch.ids).to(device)
            labels = torch.from_numpy(batch.labels).to(device)
            output = model(ids, **of_encoder(model, pieces=batch.pieces))
            words = output.positions.words
            keep = output.keep_probability
            norms = torch.linalg.vector_norm(output.masked_embeddings, dim=-1)
            totals[0] += (output.logits.argmax(dim=1) == labels).sum()
            totals[1] += F.cross_entropy(output.logits, labels, reduction="sum")
            if keep is not None:
                totals[2] += (keep * words).sum(dtype=torch.float64)
            totals[3] += (norms * words).sum(dtype=torch.float64)
    right, loss, kept, norm = totals.tolist()
    tokens = len(split.tokens)
    return DevMeasures(
        accuracy=100.0 * right / split.examples,
        loss=loss / split.examples,
        gate_openness=gate_openness(None if model.vmask is None else kept, tokens),
        mean_norm=norm / max(1, tokens),
    )
