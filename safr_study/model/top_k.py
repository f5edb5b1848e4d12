"""Top-k of FFN1: of each token only the neurons with the largest activations stay.

    a'_j = a_j where |a_j| is one of the K largest of its token, else 0;  K = max(1, round(share D))

Li et al. (ICLR 2023, arXiv 2210.06313), after ReLU, where |a_j| = a_j. Shapes: D neurons.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from safr_study.model import kernels


def kept_neurons(share: float, neurons: int) -> int | None:
    """K of this share, in (0, 1], of D neurons; ``None``: all."""
    return None if share == 1.0 else max(1, round(share * neurons))


def top_k(activations: Tensor, kept: int | None) -> Tensor:
    """Activations ``[..., D]``, 0 but for the K of each row with the largest |a_j|.

    Of equal ones the first neurons stay. What is dropped gets no gradient.

    Args:
        activations: after the activation function.
        kept: K in [1, D]; ``None``: all, unchanged.
    """
    if kept is None:
        return activations
    sizes = activations.detach().abs()
    chosen = _largest_fast(sizes, kept) if kernels.FAST else _largest(sizes, kept)
    # A product, so that what is not finite stays so; with numbers, which is quicker than with bool.
    return activations * chosen.to(activations.dtype)


def _largest(sizes: Tensor, kept: int) -> Tensor:
    order = sizes.sort(dim=-1, descending=True, stable=True).indices[..., :kept]
    return torch.zeros_like(sizes, dtype=torch.bool).scatter_(-1, order, True) & (sizes > 0)


def _largest_fast(sizes: Tensor, kept: int) -> Tensor:
    """The result of ``_largest``, by the K-th largest of each row: no row is sorted."""
    least = _kth_largest(sizes, kept).clamp(min=torch.finfo(sizes.dtype).smallest_normal)
    chosen = sizes >= least
    beyond = chosen.sum(dim=-1, keepdim=True) - kept
    # A GPU would wait for the answer.
    if sizes.is_cuda or bool((beyond > 0).any()):
        equal = sizes == least
        last = equal.sum(dim=-1, keepdim=True) - beyond
        chosen &= ~(equal & (equal.cumsum(dim=-1) > last))
    return chosen


def _kth_largest(sizes: Tensor, kept: int) -> Tensor:
    """``[..., 1]``."""
    if sizes.is_cuda or sizes.dtype == torch.bfloat16:
        return sizes.topk(kept, dim=-1, sorted=False).values.amin(dim=-1, keepdim=True)
    # A third of the time that torch's own takes.
    place = sizes.shape[-1] - kept
    return torch.from_numpy(np.partition(sizes.numpy(), place, axis=-1)[..., place, None])
