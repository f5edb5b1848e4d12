"""What one training was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class LossTerms:
    """Mean loss of one epoch by term; the penalties unweighted, ``None`` where not computed.

    A penalty is not computed without VMASK or at weight 0.
    """

    total: float
    cross_entropy: float
    importance: float | None
    interaction: float | None
    vmask_information: float | None = None


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One epoch of training."""

    epoch: int
    """Number of the epoch, from 1."""
    train: LossTerms
    dev_accuracy: float
    """Percentage points."""
    dev_loss: float
    """Mean cross-entropy on dev."""
    gate_openness: float | None
    """Mean keep-probability over the real dev tokens, in [0, 1]; ``None`` without VMASK."""
    mean_norm: float
    """Mean Euclidean norm of the (masked) embeddings of the real dev tokens."""
    best: bool
    """Whether this epoch is the best so far."""
    seconds: float
    """Wall time of the epoch, dev evaluation included."""
    effective_importance: float | None = None
    """lambda_imp |grad L_importance| / |grad L_CE| on one fixed batch; ``None`` at weight 0."""
    effective_interaction: float | None = None
    """The same of lambda_inter and L_interaction."""
    effective_information: float | None = None
    """The same of vmask_beta and VMASK's information loss."""
    objectives: tuple[float, ...] | None = None
    """Objectives at a rung, on a fixed subsample of dev, in the study's order."""
    system: Mapping[str, float] | None = None
    """What the epoch took of its machine, on request, by MLflow's names of system metrics."""


@dataclass(frozen=True, slots=True)
class EffectiveWeights:
    """Effective weights lambda |grad of the term| / |grad of the cross-entropy|, at least 0.

    ``None`` where a term is not computed (weight 0, no VMASK), and where the ratio is no number:
    once every text of the batch is fitted perfectly, the gradient of the cross-entropy is 0.
    """

    importance: float | None = None
    interaction: float | None = None
    information: float | None = None


@dataclass(frozen=True, slots=True)
class CheckpointRef:
    """Location of a trained state, and the checksum that shows whether it is whole."""

    uri: str
    """Absolute path of the folder."""
    sha256: str
    """Digest of the weights file, hexadecimal."""
    epoch: int
    """Epoch of the state."""


def epoch_from_plain(plain: Mapping[str, Any]) -> EpochReport:
    """The inverse of ``to_plain`` for an epoch."""
    objectives = plain.get("objectives")
    return EpochReport(
        **{
            **plain,
            "train": LossTerms(**plain["train"]),
            "objectives": None if objectives is None else tuple(objectives),
        }
    )
