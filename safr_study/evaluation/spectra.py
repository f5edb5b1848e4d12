"""Superposition measures of the rows of one text (definitions, section 4).

H `[..., n, D]` holds the rows of n >= 1 tokens, of one text or of several with as many tokens.
Everything is computed in float64. A measure is NaN where it is undefined (H = 0, no pair of
tokens): whoever takes a mean leaves that text or token out.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Spectrum(NamedTuple):
    """How many directions the rows of a text use; NaN where H = 0.

    Each is a float64 `[...]` from 1 to min(n, D), free of the scale of H.
    """

    participation_ratio: Tensor
    """(sum s^2)^2 / sum s^4 over the singular values s of H."""
    effective_rank: Tensor
    """exp(entropy of s / sum s) (Roy and Vetterli 2007)."""
    stable_rank: Tensor
    """|H|_F^2 / s_1^2, s_1 the largest of them."""


def spectrum(rows: Tensor) -> Spectrum:
    """Measures of the singular values of H `[..., n, D]`."""
    # Of H itself: the eigenvalues of the Gram matrix lose half of the digits of a small one.
    values = torch.linalg.svdvals(rows.to(torch.float64))  # [..., min(n, D)], descending
    relative = values / values[..., :1]
    energy = relative.square()
    shares = relative / relative.sum(dim=-1, keepdim=True)
    return Spectrum(
        participation_ratio=energy.sum(dim=-1).square() / energy.square().sum(dim=-1),
        effective_rank=torch.special.entr(shares).sum(dim=-1).exp(),
        stable_rank=energy.sum(dim=-1),
    )


def interference_energy(rows: Tensor) -> Tensor:
    """Share of sum G^2 off the diagonal, G = H H^T, for H `[..., n, D]`.

    Returns:
        `[...]` float64 in [0, 1): 0 when all rows are orthogonal, or there is but one; NaN where
        H = 0.
    """
    exact = rows.to(torch.float64)
    gram = exact @ exact.mT
    own = torch.diag_embed(gram.diagonal(dim1=-2, dim2=-1))
    return (gram - own).square().sum(dim=(-2, -1)) / gram.square().sum(dim=(-2, -1))


def mean_cosine(rows: Tensor) -> Tensor:
    """Mean |cos(h_i, h_j)| over the pairs i < j of rows that are not zero, for H `[..., n, D]`.

    Returns:
        `[...]` float64 in [0, 1]; NaN where there is no such pair.
    """
    exact = rows.to(torch.float64)
    norms = torch.linalg.vector_norm(exact, dim=-1, keepdim=True)
    directions = exact / norms.where(norms > 0, 1.0)
    cosines = (directions @ directions.mT).abs().clamp(max=1.0).triu(diagonal=1)
    nonzero = (norms > 0).sum(dim=(-2, -1))
    mean: Tensor = cosines.sum(dim=(-2, -1)) / (nonzero * (nonzero - 1) / 2)
    return mean


def hoyer_sparsity(rows: Tensor) -> Tensor:
    """(sqrt(D) - |h|_1 / |h|_2) / (sqrt(D) - 1) of each row of H `[..., D]` (Hoyer 2004).

    Returns:
        `[...]` float64 in [0, 1]: 0 when all entries are equally large, 1 when only one is not
        zero; NaN where h = 0 or D = 1.
    """
    exact = rows.to(torch.float64)
    ratio = torch.linalg.vector_norm(exact, ord=1, dim=-1) / torch.linalg.vector_norm(exact, dim=-1)
    width = rows.shape[-1]
    if width == 1:
        return torch.full_like(ratio, math.nan)
    sparsity: Tensor = (math.sqrt(width) - ratio) / (math.sqrt(width) - 1.0)
    return sparsity.clamp(0.0, 1.0)
