"""Gate openness: the mean keep probability of VMASK over the real tokens of a split."""

from __future__ import annotations

import torch
from torch import Tensor


def tokens_kept(keep_probability: Tensor, real: Tensor) -> Tensor:
    """Expected number of real tokens that the gates keep: a float64 scalar on the same device.

    Args:
        keep_probability: soft gate ``[B, L]`` in [0, 1].
        real: ``[B, L]`` bool, true for real tokens.
    """
    return (keep_probability * real).sum(dtype=torch.float64)


def gate_openness(kept: float | None, tokens: int) -> float | None:
    """Gate openness in [0, 1]; ``None`` without VMASK, and for a split without any token.

    Args:
        kept: sum of the keep probabilities over the real tokens; ``None`` without VMASK.
        tokens: number of real tokens.
    """
    return None if kept is None or not tokens else kept / tokens
