"""The regularisers with fewer products and temporaries; see `model.losses`.

Shapes: B texts, H heads, L positions, E width of the embedding.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from safr_study.model.kernels.attention import texts_at_once
from safr_study.model.kernels.onednn import by_onednn, onednn_product, onednn_sum, products

NORM_EPSILON = 1e-5
"""Added to the norm that divides a row: h / (1e-5 + |h|)."""


class _Importance(torch.autograd.Function):
    """s sum_i |g_i| / (1e-5 + |h_i|), where g_i = (h_i . h_j) over j != i, s = 1 / (count sqrt(E)).

    With u_i = s / (1e-5 + |h_i|), w_i = u_i / |g_i|, 0 where g_i = 0, the gradient for h_i is
    sum_j (w_i + w_j) G_ij h_j - s |g_i| / (1e-5 + |h_i|)^2 h_i / |h_i|: one product more.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, counted: Tensor) -> Tensor:
        marks = counted.to(rows.dtype)
        gram = products(rows, rows)  # [B, L, L]
        gram.diagonal(dim1=1, dim2=2).zero_()
        gram.mul_(marks[:, None]).mul_(marks[:, :, None])
        interference = torch.linalg.vector_norm(gram, dim=-1)
        norms = torch.linalg.vector_norm(rows, dim=-1)
        share = 1.0 / (marks.sum().clamp(min=1) * math.sqrt(rows.shape[-1]))
        terms = interference / (NORM_EPSILON + norms)  # [B, L]
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(rows, gram, interference, norms, share)
        total: Tensor = terms.sum() * share
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        rows, gram, interference, norms, share = ctx.saved_tensors
        pull = gradient * share / (NORM_EPSILON + norms)
        weights = torch.where(interference > 0, pull / interference, 0.0)
        slope = gram * (weights[:, :, None] + weights[:, None])
        own = torch.where(norms > 0, -pull * interference / (NORM_EPSILON + norms) / norms, 0.0)
        slope.diagonal(dim1=1, dim2=2).copy_(own)
        return products(slope, rows.mT), None


class _DotInteraction(torch.autograd.Function):
    """sum_b w_b sum_{h, i != j} A_ij (1 - (A A^T)_ij).

    Its gradient w (1 - I - offdiag(A A^T) - offdiag(A + A^T) A) costs one product more, where
    autograd would take two and keep every factor. With pairs of its own, a symmetric matrix M of 0
    and 1 with diagonal 0, the sum and offdiag are over those: M * (...) in the place of offdiag.
    """

    @staticmethod
    def forward(ctx: Any, attention: Tensor, weights: Tensor, pairs: Tensor | None) -> Tensor:
        attention = attention.contiguous()
        wanted = ctx.needs_input_grad[0]
        slope = torch.empty_like(attention) if wanted else None
        single = by_onednn(attention, attention.shape[2] * attention.shape[3])
        slacks = _slacks_by_matrix if single else _slacks
        total: Tensor = (slacks(attention, weights, pairs, slope) * weights).sum()
        if slope is not None:
            ctx.save_for_backward(slope)
        return total

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (slope,) = ctx.saved_tensors
        return slope * gradient, None, None


def _slacks(
    attention: Tensor, weights: Tensor, pairs: Tensor | None, slope: Tensor | None
) -> Tensor:
    """sum_{h, i != j} A_ij (1 - (A A^T)_ij) of each text, ``[B]``.

    Args:
        attention: ``[B, H, L, L]``.
        weights: ``[B]``.
        pairs: ``[B, L, L]``, the pairs i, j that count; ``None``: all but i = j.
        slope: ``[B, H, L, L]``, gets the gradient times the weight.
    """
    sums = []
    for some in texts_at_once(attention):
        texts = attention[some]
        matrices = texts.flatten(0, 1)  # [b H, L, L]
        slack = torch.empty_like(texts) if slope is None else slope[some]
        flat = slack.flatten(0, 1)
        of_text = None if pairs is None else pairs[some, None]
        torch.baddbmm(matrices.new_ones(()), matrices, matrices.mT, alpha=-1.0, out=flat)
        _keep_pairs(slack, of_text)
        sums.append(torch.linalg.vecdot(texts.flatten(1), slack.flatten(1)))
        if slope is not None:
            both = matrices + matrices.mT
            _keep_pairs(both.view(texts.shape), of_text)
            torch.baddbmm(flat, both, matrices, alpha=-1.0, out=flat)
            slack.mul_(weights[some, None, None, None])
    return torch.cat(sums)


def _keep_pairs(values: Tensor, pairs: Tensor | None) -> None:
    """Set values ``[..., L, L]`` to 0 but for the pairs, in their memory."""
    if pairs is None:
        values.diagonal(dim1=-2, dim2=-1).zero_()
    else:
        values.mul_(pairs)


def _slacks_by_matrix(
    attention: Tensor, weights: Tensor, pairs: Tensor | None, slope: Tensor | None
) -> Tensor:
    """The result of ``_slacks``, by oneDNN, one matrix after the other."""
    minus_one = attention.new_full(attention.shape[-1:], -1.0)
    sums = attention.new_empty(attention.shape[:2])
    for text, matrices in enumerate(attention):
        of_text = None if pairs is None else pairs[text]
        for head, matrix in enumerate(matrices):
            negative = onednn_product(matrix, matrix, minus_one)
            _keep_pairs(negative, of_text)
            sums[text, head] = torch.dot(matrix.flatten(), negative.flatten())
            if slope is not None:
                both = matrix + matrix.t()
                _keep_pairs(both, of_text)
                gradient = onednn_sum(negative, both, matrix.t())
                torch.mul(gradient, -weights[text], out=slope[text, head])
    return -sums.sum(dim=1)


importance: Callable[[Tensor, Tensor], Tensor] = _Importance.apply
"""`model.losses.importance_loss` of rows ``[B, L, E]`` and counted ``[B, L]``."""
dot_interaction: Callable[[Tensor, Tensor, Tensor | None], Tensor] = _DotInteraction.apply
"""The double sum of `model.losses.interaction_loss`, of attention ``[B, H, L, L]``, the weights
``[B]`` of the texts, and the pairs ``[B, L, L]`` that count where these are not all i != j."""
