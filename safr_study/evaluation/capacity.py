"""Capacity and polysemanticity of a text's tokens: how much of its own direction each one keeps."""

from __future__ import annotations

import torch
from torch import Tensor

_TEXTS_AT_ONCE = 16
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
    found = torch.cat([_capacity(*texts) for texts in _few_at_once(rows, summed)])
    return found.masked_fill(~mask, 0.0)


def polysemanticity(rows: Tensor, mask: Tensor) -> Tensor:
    """Polysemanticity of each token among the tokens of its own text.

    P_i = sum over j != i of (h_i / |h_i| . h_j)^2 over the real tokens j (SAFR paper, equation 2),
    computed in float64. A token with |h_i| = 0 has P_i = 0.

    Args:
        rows: hidden vectors `[B, L, D]`, any floating dtype.
        mask: `[B, L]` bool, true for real tokens.

    Returns:
        `[B, L]` float64, at least 0; 0 where the mask is false.
    """
    return torch.cat([_polysemanticity(*texts) for texts in _few_at_once(rows, mask)])


def _few_at_once(rows: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
    starts = range(0, max(1, len(rows)), _TEXTS_AT_ONCE)
    few = [slice(start, start + _TEXTS_AT_ONCE) for start in starts]
    return [(rows[texts], mask[texts]) for texts in few]


def _capacity(rows: Tensor, mask: Tensor) -> Tensor:
    squares = _gram(rows, mask).square()  # [b, L, L]
    own = squares.diagonal(dim1=1, dim2=2)
    total = squares.sum(dim=2)
    return torch.where(own > 0, own / total.where(own > 0, 1.0), 0.0)


def _polysemanticity(rows: Tensor, mask: Tensor) -> Tensor:
    gram = _gram(rows, mask)
    norms = gram.diagonal(dim1=1, dim2=2)  # |h_i|^2
    others = gram - torch.diag_embed(norms)
    return torch.where(norms > 0, others.square().sum(dim=2) / norms.where(norms > 0, 1.0), 0.0)


def _gram(rows: Tensor, mask: Tensor) -> Tensor:
    """Dot products `[b, L, L]` in float64; rows of masked tokens count as zero."""
    exact = rows.to(torch.float64).masked_fill(~mask.unsqueeze(2), 0.0)
    return exact @ exact.mT
