"""How one model is trained."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from safr_study.settings.base import Settings
from safr_study.settings.model import ModelShape, Penalties, Preset


class TrainConfig(Settings):
    """Everything that decides the numbers of one training run, beside the corpus."""

    preset: Preset = "masked"
    """Padding-aware semantics, or those of the authors' released code."""
    shape: ModelShape = ModelShape()
    penalties: Penalties = Penalties()
    learning_rate: float = Field(default=1e-4, gt=0.0, le=10.0)
    """Of Adam."""
    batch_size: int = Field(default=32, ge=1, le=1_000_000)
    """Texts per step."""
    epochs: int = Field(default=20, ge=1, le=100_000)
    """At most; early stopping may end before."""
    patience: int = Field(default=3, ge=1)
    """Epochs without a better dev accuracy (or an equal one at a lower dev loss) before the end."""
    seed: int = Field(default=0, ge=0, lt=2**63)
    """Of initialisation, order of batches, dropout and gates."""
    threads: int = Field(default=1, ge=1)
    """CPU threads of the computation; part of the result, as it orders the sums."""
    precision: Literal["auto", "float32"] = "auto"
    """``auto``: bfloat16 autocast on CUDA, float32 on the CPU; penalties are float32 always."""
