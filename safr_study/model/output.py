"""What a forward pass computed: nothing stays on the module."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class SafrOutput:
    """All the values of one forward pass; B texts, L positions, the tuples one entry per block."""

    logits: Tensor
    """``[B, C]``."""
    embeddings: Tensor
    """``[B, L, E]``, scaled by sqrt(E)."""
    masked_embeddings: Tensor
    """``[B, L, E]``: the embeddings times the gate; equal to them without VMASK."""
    keep_probability: Tensor | None
    """``[B, L]`` in [0, 1], the soft gate, also in training; ``None`` without VMASK."""
    attention: tuple[Tensor, ...]
    """``[B, H, L, L]``; rows are queries."""
    attention_output: tuple[Tensor, ...]
    """``[B, L, E]``, after the output projection, before dropout, residual and norm."""
    ffn1_pre_relu: tuple[Tensor, ...]
    """``[B, L, D]``: the capacity vectors; none in training mode, as of the next."""
    ffn1_post_relu: tuple[Tensor, ...]
    """``[B, L, D]``."""
    ffn2: tuple[Tensor, ...]
    """``[B, L, E]``, before dropout, residual and norm."""
    block: tuple[Tensor, ...]
    """``[B, L, E]``, the output of the block."""
