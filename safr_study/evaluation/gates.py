"""Gate openness: the mean keep-probability of VMASK over the real tokens of a split."""

from __future__ import annotations


def gate_openness(kept: float | None, tokens: int) -> float | None:
    """Gate openness in [0, 1]; ``None`` without VMASK, and for a split without any token.

    Args:
        kept: sum of the keep-probabilities over the real tokens; ``None`` without VMASK.
        tokens: number of real tokens.
    """
    return None if kept is None or not tokens else kept / tokens
