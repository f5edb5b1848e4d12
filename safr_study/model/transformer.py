"""The post-LN encoder block of the Transformer (Vaswani et al. 2017), with its inner values."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from safr_study.model.linear import Linear
from safr_study.model.noise import dropout

MASKED_SCORE = -1e9
"""Attention score of a PAD key."""
INVISIBLE_SCORE = 2 * MASKED_SCORE
"""Attention score of an invisible key: below PAD's, so that a query without any real key to see,
which spreads its attention evenly over PAD, still does not see it."""


class BlockValues(NamedTuple):
    """What one block computed."""

    attention: Tensor
    """``[B, H, L, L]``; rows are queries."""
    attention_output: Tensor
    """``[B, L, E]``, after the output projection, before dropout, residual and norm."""
    ffn1_pre_relu: Tensor
    """``[B, L, D]``."""
    ffn1_post_relu: Tensor
    """``[B, L, D]``."""
    ffn2: Tensor
    """``[B, L, E]``, before dropout, residual and norm."""
    block: Tensor
    """``[B, L, E]``, the block's output."""


class MultiHeadAttention(nn.Module):
    """Scaled dot-product self-attention.

    Args:
        embed_dim: E.
        heads: H; divides E.
        mask_queries: give PAD queries no attention at all (rows of zeros).
    """

    def __init__(self, *, embed_dim: int, heads: int, mask_queries: bool) -> None:
        super().__init__()
        self.heads = heads
        self.mask_queries = mask_queries
        self.query = Linear(embed_dim, embed_dim)
        self.key = Linear(embed_dim, embed_dim)
        self.value = Linear(embed_dim, embed_dim)
        self.out = Linear(embed_dim, embed_dim)

    def forward(
        self, x: Tensor, real: Tensor, visible: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Output ``[B, L, E]`` and attention ``[B, H, L, L]`` of x ``[B, L, E]``.

        ``real [B, L]`` marks the tokens; a text without any spreads its attention evenly.
        ``visible [B, L]`` marks the positions that take part; ``None``: all.
        """
        batch, length, width = x.shape
        query, key, value = (
            projection(x).view(batch, length, self.heads, width // self.heads).transpose(1, 2)
            for projection in (self.query, self.key, self.value)
        )
        scores = query @ key.transpose(-1, -2) / math.sqrt(width // self.heads)
        scores = scores.masked_fill(~real[:, None, None, :], MASKED_SCORE)
        queries = real
        if visible is not None:
            scores = scores.masked_fill(~visible[:, None, None, :], INVISIBLE_SCORE)
            queries = real & visible
        attention = torch.softmax(scores, dim=-1)
        if self.mask_queries:
            attention = attention * queries[:, None, :, None]
        heads = (attention @ value).transpose(1, 2).reshape(batch, length, width)
        return self.out(heads), attention


class FeedForward(nn.Module):
    """FFN1 (E to D, ReLU) and FFN2 (D to E).

    Args:
        embed_dim: E.
        hidden_dim: D.
    """

    def __init__(self, *, embed_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.linear1 = Linear(embed_dim, hidden_dim)
        self.linear2 = Linear(hidden_dim, embed_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """FFN1 before and after ReLU ``[B, L, D]``, and FFN2 ``[B, L, E]``."""
        before = self.linear1(x)
        after = torch.relu(before)
        return before, after, self.linear2(after)


class Block(nn.Module):
    """norm(x + attention(x)), then norm(x + ffn(x)).

    Args:
        embed_dim: E.
        ffn_dim: D.
        heads: H; divides E.
        dropout: share, in [0, 1), after the attention and after the FFN.
        mask_queries: give PAD queries no attention at all.
    """

    def __init__(
        self, *, embed_dim: int, ffn_dim: int, heads: int, dropout: float, mask_queries: bool
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.attention = MultiHeadAttention(
            embed_dim=embed_dim, heads=heads, mask_queries=mask_queries
        )
        self.ff = FeedForward(embed_dim=embed_dim, hidden_dim=ffn_dim)
        self.norm1 = nn.LayerNorm(embed_dim)
        self.norm2 = nn.LayerNorm(embed_dim)

    def forward(
        self,
        x: Tensor,
        real: Tensor,
        noise: torch.Generator | None,
        visible: Tensor | None = None,
    ) -> BlockValues:
        """Values of x ``[B, L, E]`` with real and visible ``[B, L]``; dropout only with ``noise``.

        ``visible``: the positions that take part in the attention; ``None``: all.
        """
        attended, attention = self.attention(x, real, visible)
        x = self.norm1(x + dropout(attended, self.dropout, noise))
        before, after, fed = self.ff(x)
        return BlockValues(
            attention=attention,
            attention_output=attended,
            ffn1_pre_relu=before,
            ffn1_post_relu=after,
            ffn2=fed,
            block=self.norm2(x + dropout(fed, self.dropout, noise)),
        )
