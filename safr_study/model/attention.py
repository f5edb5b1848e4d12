"""Multi-head self-attention (Vaswani et al. 2017, section 3.2), with its weights.

    A_h = softmax(Q_h K_h^T / sqrt(d)),  out = W_o [A_1 V_1; ...; A_H V_H] + b_o

A PAD key has the score -1e9. Shapes: B texts, L positions, E width, H heads, d = E / H.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from safr_study.model import kernels
from safr_study.model.dropout import dropout
from safr_study.model.kernels.attention import attend as fast_attend
from safr_study.model.kernels.onednn import Linear, linear
from safr_study.settings import ModelShape

MASKED_SCORE = -1e9
"""Attention score of a PAD key."""
INVISIBLE_SCORE = 2 * MASKED_SCORE
"""Attention score of an invisible key: below PAD's, so that a query without any real key to see,
which spreads its attention evenly over PAD, still does not see it."""

Masks = tuple[Tensor | None, Tensor | None, Tensor | None]


class MultiHeadAttention(nn.Module):
    """Scaled dot-product self-attention.

    Args:
        shape: sizes.
        mask_queries: give PAD queries no attention at all (rows of zeros).
    """

    def __init__(self, shape: ModelShape, *, mask_queries: bool) -> None:
        super().__init__()
        self.heads = shape.heads
        self.mask_queries = mask_queries
        self.query, self.key, self.value, self.out = (
            Linear(shape.embed_dim, shape.embed_dim) for _ in range(4)
        )

    def forward(
        self, x: Tensor, real: Tensor, visible: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Output ``[B, L, E]`` and attention ``[B, H, L, L]`` of x ``[B, L, E]``.

        ``real [B, L]`` marks the tokens; a text without any spreads its attention evenly.
        ``visible [B, L]`` marks the positions that take part; ``None``: all.
        """
        mixed, attention = self.attend(self.project(x), real, visible)
        return self.out(mixed), attention

    def project(self, x: Tensor) -> Tensor:
        """Queries, keys and values of x ``[..., E]`` side by side, ``[..., 3 E]``."""
        # One product instead of three.
        return linear(x, *self.projection())

    def projection(self) -> tuple[Tensor, Tensor]:
        """Weight ``[3 E, E]`` and bias ``[3 E]`` of ``project``."""
        parts = (self.query, self.key, self.value)
        return torch.cat([part.weight for part in parts]), torch.cat([part.bias for part in parts])

    def attend(
        self, projected: Tensor, real: Tensor, visible: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mixed values ``[B, L, E]``, before the output projection, and attention."""
        return attended(projected, self.heads, *self.masks(real, visible, projected.dtype))

    def masks(self, real: Tensor, visible: Tensor | None, dtype: torch.dtype) -> Masks:
        """Keys, hidden and queries of `attend`, ``[B, L]`` each; ``None``: nothing is masked."""
        keys, hidden = masked_keys(real, visible, dtype)
        return keys, hidden, keys if self.mask_queries else None


def masked_keys(
    real: Tensor, visible: Tensor | None, dtype: torch.dtype
) -> tuple[Tensor | None, Tensor | None]:
    """Keys and hidden of `attend`, ``[B, L]`` each; ``None``: nothing is masked."""
    # On a GPU a look at the data would wait for it.
    if visible is None and real.device.type == "cpu" and bool(real.all()):
        return None, None
    seen = real if visible is None else real & visible
    hidden = torch.where(real, 0.0, MASKED_SCORE).to(dtype)
    if visible is not None:
        hidden = torch.where(visible, hidden, INVISIBLE_SCORE)
    return seen.to(dtype), hidden


def attended(
    projected: Tensor,
    heads: int,
    keys: Tensor | None,
    hidden: Tensor | None,
    queries: Tensor | None,
    share: float = 0.0,
    noise: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """`attend`, by its fast form where that may be: its softmax would be rounded in bfloat16."""
    exact = projected.dtype in (torch.float32, torch.float64)
    fast = projected.device.type == "cpu" and kernels.FAST and exact
    attending = fast_attend if fast else attend
    return attending(projected, heads, keys, hidden, queries, share, noise)


def attend(
    projected: Tensor,
    heads: int,
    keys: Tensor | None = None,
    hidden: Tensor | None = None,
    queries: Tensor | None = None,
    share: float = 0.0,
    noise: torch.Generator | None = None,
) -> tuple[Tensor, Tensor]:
    """Mixed values ``[B, L, E]`` and attention ``[B, H, L, L]`` by the equation above.

    Args:
        projected: ``[B, L, 3 E]``: queries, keys and values side by side.
        heads: H.
        keys: ``[B, L]``, 1 for the keys that are seen, 0 for others; ``None``: all are.
        hidden: ``[B, L]``, the score of the other keys, 0 for those that are seen; with ``keys``.
        queries: ``[B, L]``, 1 for the queries that attend, 0 for others; ``None``: all do.
        share: of the attention that is dropped before it mixes the values.
        noise: of dropout; ``None``: nothing is dropped.
    """
    batch, length, width = projected.shape
    query, key, value = (
        part.view(batch, length, heads, width // 3 // heads).transpose(1, 2)
        for part in projected.chunk(3, dim=-1)
    )
    scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
    if keys is not None and hidden is not None:
        scores = scores * keys[:, None, None] + hidden[:, None, None]
    attention = torch.softmax(scores, dim=-1)
    if queries is not None:
        attention = attention * queries[:, None, :, None]
    mixed = (dropout(attention, share, noise) @ value).transpose(1, 2)
    return mixed.reshape(batch, length, width // 3), attention
