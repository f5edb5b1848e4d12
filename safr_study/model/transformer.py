"""The post-LN encoder block of the Transformer (Vaswani et al. 2017), with its inner values.

    y = LN(x + dropout(attention(x))),  block(x) = LN(y + dropout(W_2 relu(W_1 y + b_1) + b_2))

In a model with Top-k the K largest neurons of each token alone enter W_2 (`top_k`).

Shapes: B texts, L positions, E width, D neurons of FFN1, H heads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from safr_study.model import kernels
from safr_study.model.attention import MultiHeadAttention
from safr_study.model.dropout import dropout
from safr_study.model.kernels.onednn import Linear, perceptron
from safr_study.model.top_k import kept_neurons, top_k
from safr_study.settings import ModelShape


class BlockValues(NamedTuple):
    """What one block computed."""

    attention: Tensor
    """``[B, H, L, L]``; rows are queries."""
    attention_output: Tensor
    """``[B, L, E]``, after the output projection, before dropout, residual and norm."""
    ffn1_pre_relu: Tensor | None
    """``[B, L, D]``; ``None`` in training, where the fast form keeps neither this nor the next."""
    ffn1_post_relu: Tensor | None
    """``[B, L, D]``, after top-k: what enters FFN2."""
    ffn2: Tensor
    """``[B, L, E]``, before dropout, residual and norm."""
    block: Tensor
    """``[B, L, E]``, the block's output."""


class FeedForward(nn.Module):
    """FFN1 (E to D, ReLU, the largest K neurons) and FFN2 (D to E)."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.linear1 = Linear(shape.embed_dim, shape.ffn_dim)
        self.linear2 = Linear(shape.ffn_dim, shape.embed_dim)
        self.kept = kept_neurons(shape.ffn_topk, shape.ffn_dim)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """FFN1 before and after ReLU ``[B, L, D]``, and FFN2 ``[B, L, E]``."""
        before = self.linear1(x)
        after = top_k(torch.relu(before), self.kept)
        return before, after, self.linear2(after)


class Block(nn.Module):
    """norm(x + attention(x)), then norm(x + ffn(x)), with dropout after each of the two.

    Args:
        shape: sizes, and the share of dropout.
        mask_queries: give PAD queries no attention at all.
    """

    def __init__(self, shape: ModelShape, *, mask_queries: bool) -> None:
        super().__init__()
        self.dropout = shape.dropout
        self.attention = MultiHeadAttention(shape, mask_queries=mask_queries)
        self.ff = FeedForward(shape)
        self.norm1 = nn.LayerNorm(shape.embed_dim)
        self.norm2 = nn.LayerNorm(shape.embed_dim)

    def forward(
        self,
        x: Tensor,
        real: Tensor,
        noise: torch.Generator | None,
        visible: Tensor | None = None,
        *,
        ffn1: bool = False,
    ) -> BlockValues:
        """Values of x ``[B, L, E]`` with real and visible ``[B, L]``; dropout only with ``noise``.

        ``visible``: the positions that take part in the attention; ``None``: all. ``ffn1``: whether
        FFN1's values are wanted in training too.
        """
        attended, attention = self.attention(x, real, visible)
        x = self.norm1(x + dropout(attended, self.dropout, noise))
        before = after = None
        if noise is not None and kernels.FAST and not ffn1:
            fed = perceptron(x, self.ff.linear1, self.ff.linear2, self.ff.kept)
        else:
            before, after, fed = self.ff(x)
        x = self.norm2(x + dropout(fed, self.dropout, noise))
        return BlockValues(attention, attended, before, after, ffn2=fed, block=x)


def noise_of(model: nn.Module, noise: torch.Generator | None) -> torch.Generator | None:
    """The source of dropout and gates in training mode; ``None`` in evaluation mode.

    Raises:
        ValueError: training mode without ``noise``.
    """
    if model.training and noise is None:
        raise ValueError("training mode needs a noise generator")
    return noise if model.training else None


def sinusoids(length: int, width: int) -> Tensor:
    """Table of positions ``[length, width]``: sin(p / 10000^(2i/width)) and cosine, interleaved.

    Section 3.5; computed in float32 whatever the model's dtype, as in the authors' code.

    Args:
        length: positions, from 0.
        width: even.
    """
    position = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(10000.0) / width))
    table = torch.empty(length, width, dtype=torch.float32)
    table[:, 0::2] = torch.sin(position * rate)
    table[:, 1::2] = torch.cos(position * rate)
    return table
