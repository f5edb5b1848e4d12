"""Attention with few temporaries over ``[B, H, L, L]``; see `model.attention.attend`.

Shapes: B texts, H heads, L positions, d = E / H numbers of a head.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from safr_study.model.dropout import kept_parts

_CELLS = 2**20
"""Elements of ``[B, H, L, L]`` that are worked on together: few enough for the cache."""
_VECTOR = 16
"""Numbers of float32 in the widest register."""


def mix(
    parts: Tensor,
    keys: Tensor | None,
    hidden: Tensor | None,
    queries: Tensor | None,
    kept: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Mixed values and attention of separate heads, without gradients.

    Args:
        parts: queries, keys and values ``[3, B, H, L, d]``, contiguous.
        keys: as in `model.attention.attend`, like the two below.
        hidden: score of the other keys.
        queries: 1 for the queries that attend.
        kept: ``[B, H, L, L]``, of dropout, which multiplies what mixes the values.
    """
    _, batch, heads, length, width = parts.shape
    attention = parts.new_empty(batch, heads, length, length)
    mixed = parts.new_empty(batch, length, heads, width)
    for some in texts_at_once(attention):
        query, key, value = (part[some].flatten(0, 1) for part in parts)
        scores = torch.empty_like(attention[some])
        flat = scores.flatten(0, 1)
        torch.baddbmm(flat, query, key.mT, beta=0.0, alpha=1.0 / math.sqrt(width), out=flat)
        if keys is not None and hidden is not None:
            torch.addcmul(hidden[some, None, None], scores, keys[some, None, None], out=scores)
        weights = attention[some]
        _softmax(scores, out=weights)
        if queries is not None:
            weights.mul_(queries[some, None, :, None])
        mixing = weights if kept is None else weights * kept[some]
        by_head = torch.bmm(mixing.flatten(0, 1), value)
        mixed[some] = by_head.view(*weights.shape[:3], width).transpose(1, 2)
    return mixed.flatten(2), attention


def texts_at_once(attention: Tensor) -> list[slice]:
    """Portions of the texts of ``[B, H, L, L]`` that are small enough for the cache."""
    batch, heads, length, _ = attention.shape
    size = max(1, _CELLS // max(1, heads * length**2))
    return [slice(start, start + size) for start in range(0, batch, size)]


def _softmax(scores: Tensor, out: Tensor) -> None:
    """Softmax over the last dimension; ``scores`` may be overwritten."""
    if scores.shape[-1] >= _VECTOR or not scores.numel():
        torch.softmax(scores, dim=-1, out=out)
        return
    # torch takes rows shorter than a vector register number by number, five times slower.
    scores -= scores.amax(dim=-1, keepdim=True)
    scores.exp_()
    torch.div(scores, scores.sum(dim=-1, keepdim=True), out=out)


class _Attention(torch.autograd.Function):
    """`model.attention.attend`, and its gradient from the attention alone."""

    @staticmethod
    def forward(
        ctx: Any,
        projected: Tensor,
        heads: int,
        keys: Tensor | None,
        hidden: Tensor | None,
        queries: Tensor | None,
        share: float = 0.0,
        noise: torch.Generator | None = None,
    ) -> tuple[Tensor, Tensor]:
        batch, length, width = projected.shape
        by_head = projected.view(batch, length, 3, heads, width // 3 // heads)
        parts = by_head.permute(2, 0, 3, 1, 4).contiguous()
        kept = kept_parts(parts.new_empty(batch, heads, length, length), share, noise)
        mixed, attention = mix(parts, keys, hidden, queries, kept)
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(parts, attention, keys, kept)
        return mixed, attention

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(
        ctx: Any, of_mixed: Tensor | None, of_attention: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        parts, attention, keys, kept = ctx.saved_tensors
        _, batch, heads, length, width = parts.shape
        scale = 1.0 / math.sqrt(width)
        gradient = parts.new_empty(batch, length, 3, heads, width)
        for some in texts_at_once(attention):
            query, key, value = (part[some].flatten(0, 1) for part in parts)
            weights = attention[some].flatten(0, 1)
            of_weights = None if of_attention is None else of_attention[some].flatten(0, 1)
            of_value = torch.zeros_like(value) if of_mixed is None else None
            if of_mixed is not None:
                by_head = of_mixed[some].view(-1, length, heads, width).transpose(1, 2)
                by_head = by_head.reshape(-1, length, width)
                if kept is None:
                    of_value = torch.bmm(weights.mT, by_head)
                    of_weights = (
                        torch.bmm(by_head, value.mT)
                        if of_weights is None
                        else torch.baddbmm(of_weights, by_head, value.mT)
                    )
                else:
                    some_kept = kept[some].flatten(0, 1)
                    of_value = torch.bmm((weights * some_kept).mT, by_head)
                    of_mixing = torch.bmm(by_head, value.mT).mul_(some_kept)
                    of_weights = of_mixing if of_weights is None else of_mixing.add_(of_weights)
            # Queries that do not attend have weights of zero, so nothing reaches their scores.
            assert of_weights is not None
            of_scores = torch._softmax_backward_data(of_weights, weights, -1, weights.dtype)
            if keys is not None:
                of_scores.view(-1, heads, length, length).mul_(keys[some, None, None])
            of_query = torch.baddbmm(query, of_scores, key, beta=0.0, alpha=scale)
            of_key = torch.baddbmm(key, of_scores.mT, query, beta=0.0, alpha=scale)
            for number, of_part in enumerate((of_query, of_key, of_value)):
                by_text = of_part.view(-1, heads, length, width)  # type: ignore[union-attr]
                gradient[some, :, number] = by_text.transpose(1, 2)
        return gradient.flatten(2), *(None,) * 6


attend: Callable[..., tuple[Tensor, Tensor]] = _Attention.apply
"""`model.attention.attend`, every argument given."""
