"""How a trained model is measured."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from safr_study.settings.base import Settings

CapacityLayer = Literal["ffn1_pre_relu", "ffn1_post_relu"]
DeletionMode = Literal["remove", "unk", "attn", "gate"]
Ranking = Literal[
    "capacity",
    "keep_probability",
    "norm",
    "inverse_frequency",
    "position",
    "random",
    "gradient_x_input",
]
LAYERS = ("embedding", "vmask", "attention", "ffn1_pre", "ffn1_post", "ffn2", "block")
"""Layers whose superposition is measured; the first two once, the others in every block."""
CURVE_SHARES = (0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5)
"""k of the deletion curves (definitions, section 3.5)."""


class EvaluationConfig(Settings):
    """Settings of the deletion evaluation."""

    draws: int = Field(default=10, ge=1)
    """B: random deletions per text."""
    capacity_layer: CapacityLayer = "ffn1_pre_relu"
    """Layer of the last block whose rows are the tokens' capacity vectors."""
    batch_size: int = Field(default=128, ge=1)
    """Texts per evaluation batch: fixed by the settings, so that numbers repeat exactly."""
    seed: int = Field(default=0, ge=0)
    """Seed of the random deletions; shared by all the models of a study."""
    mode: DeletionMode = "remove"
    """What deleting a token means: ``remove`` (the rest closes ranks), ``unk`` (the unknown word in
    its place), ``attn`` (dropped from attention and pooling, positions kept) or ``gate`` (VMASK's
    gate set to 0)."""
    recompute: bool = False
    """Rank anew after every deleted token, instead of once on the full text."""
    sample_texts: int = Field(default=500, ge=1)
    """Fixed texts of the split for leave-one-out."""
    sample_tokens: int = Field(default=5_000, ge=1)
    """Tokens of the fixed texts of the superposition measures, about so many."""
