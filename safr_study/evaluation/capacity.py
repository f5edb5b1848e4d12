"""Capacity of a text's tokens: how much of its own direction each one keeps."""

from __future__ import annotations

import torch
from torch import Tensor

TEXTS_AT_ONCE = 16
"""Texts whose rows are held in float64 at once: bounds the memory at paper-sized layers."""


def capacity(rows: Tensor, mask: Tensor, *, others: Tensor | None = None) -> Tensor:
    """Capacity of each token among the tokens of its own text.

    C_i = (h_i . h_i)^2 / sum_j (h_i . h_j)^2 over the real tokens j (SAFR paper, equation 3),
    computed in float64. A token with |h_i| = 0 has C_i = 0; a text's only token has C_i = 1.

    Args:
        rows: hidden vectors `[B, L, D]`, any floating dtype.
        mask: `[B, L]` bool, true for real tokens.
        others: `[B, L]` bool, the positions j of the sum when they are not the real tokens alone
            (with PAD, for a comparison with the paper); true wherever `mask` is.

    Returns:
        `[B, L]` float64 in [0, 1]; 0 where the mask is false.
    """
    summed = mask if others is None else others
    starts = range(0, max(1, len(rows)), TEXTS_AT_ONCE)
    few = (slice(start, start + TEXTS_AT_ONCE) for start in starts)
    found = torch.cat([_capacity(rows[texts], summed[texts]) for texts in few])
    return found.masked_fill(~mask, 0.0)


def _capacity(rows: Tensor, mask: Tensor) -> Tensor:
    exact = rows.to(torch.float64).masked_fill(~mask.unsqueeze(2), 0.0)
    squares = (exact @ exact.mT).square()  # [b, L, L]
    own = squares.diagonal(dim1=1, dim2=2)
    total = squares.sum(dim=2)
    return torch.where(own > 0, own / total.where(own > 0, 1.0), 0.0)
