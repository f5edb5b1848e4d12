"""The training loss, term by term: the regularisers of SAFR, of VMASK and their rivals.

    L = L_CE + lambda_imp L_importance + lambda_inter L_interaction + beta L_information
        + lambda_l1 L_l1 + lambda_ortho L_orthogonality
    P_i = sum_{j != i} (h_i / (1e-5 + |h_i|) . h_j)^2,   L_importance = mean_i sqrt(P_i / E)
    I = A A^T (or its square), I_ii = 0,                 L_interaction = mean_ij A_ij (1 - I_ij)
    L_l1 = mean_ij |a_ij|,  L_orthogonality = mean_{i != j} cos(w_i, w_j)^2

Shapes: B texts, L positions, E width of the embedding, H heads, D neurons of FFN1; h_i is a row
after VMASK, a_ij the activation of neuron j at token i, w_j that neuron's weights.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from safr_study.model import kernels
from safr_study.model.kernels.penalties import NORM_EPSILON, dot_interaction
from safr_study.model.kernels.penalties import importance as fast_importance
from safr_study.model.piece_layout import ByWord
from safr_study.model.positions import Positions
from safr_study.model.safr import SafrOutput
from safr_study.settings import Penalties, Preset


def loss_terms(
    output: SafrOutput,
    labels: Tensor,
    ids: Tensor,
    penalties: Penalties,
    preset: Preset,
    class_weights: Tensor | None = None,
    ffn1_weights: Sequence[Tensor] = (),
) -> dict[str, Tensor]:
    """The loss above and its terms, scalars by name.

    ``total`` is the cross-entropy plus the weighted penalties; then ``cross_entropy``, and those of
    ``importance``, ``interaction``, ``vmask_information``, ``l1`` and ``orthogonality`` that are
    computed, unweighted. A penalty of weight 0 is not computed; without VMASK the first three are
    not. Several blocks: L_interaction, L_l1 and L_orthogonality are means over them.
    Half-precision values are taken to float32 first.

    Args:
        output: values of the model for ``ids``.
        labels: ``[B]`` int64.
        ids: ``[B, L]`` int64, PAD = 0.
        penalties: weights and forms.
        preset: ``masked`` or ``reference``.
        class_weights: ``[C]``, weight of a text's cross-entropy by its class; the mean is over the
            number of texts, not over their weights, which would undo them in a batch of one class.
        ffn1_weights: ``[D, E]`` of each block, for L_orthogonality alone.
    """
    keep = output.keep_probability
    weights = penalty_weights(penalties, vmask=keep is not None)
    with torch.autocast(ids.device.type, enabled=False):
        at = output.positions
        counted = at.words if preset == "masked" else torch.ones_like(at.words)
        total = _cross_entropy(_full(output.logits), labels, class_weights)
        terms = {"cross_entropy": total}
        if weights["importance"]:
            terms["importance"] = importance_loss(_full(output.masked_embeddings), counted)
        if weights["interaction"]:
            of_blocks = [
                interaction_loss(
                    between_words(_full(attention), at),
                    at.words,
                    padding_aware=preset == "masked",
                    interference=penalties.interference,
                    scale=penalties.interaction_scale,
                    second=at.second if penalties.interaction_pairs == "across" else None,
                )
                for attention in output.attention
            ]
            terms["interaction"] = _mean(of_blocks)
        if keep is not None and weights["vmask_information"]:
            terms["vmask_information"] = vmask_information(_full(keep), counted)
        if weights["l1"]:
            at_ffn1, marks = output.ffn1_post_relu, counted
            if isinstance(at_ffn1, ByWord):
                marks, at_ffn1 = at_ffn1.layout.pieces_of(counted, False), at_ffn1.values
            terms["l1"] = _mean([activation_l1(_full(each), marks) for each in at_ffn1])
        if weights["orthogonality"]:
            terms["orthogonality"] = _mean([orthogonality(_full(each)) for each in ffn1_weights])
        for name, weight in weights.items():
            if weight and name in terms:
                total = total + weight * terms[name]
    return {"total": total, **terms}


def penalty_weights(penalties: Penalties, *, vmask: bool) -> dict[str, float | None]:
    """Weight of each penalty, by the name of its term; ``None`` without the VMASK that it needs."""
    of_vmask = {
        "importance": penalties.lambda_imp,
        "interaction": penalties.lambda_inter,
        "vmask_information": penalties.vmask_beta,
    }
    return {
        **(of_vmask if vmask else dict.fromkeys(of_vmask)),
        "l1": penalties.lambda_l1,
        "orthogonality": penalties.lambda_ortho,
    }


def importance_loss(rows: Tensor, counted: Tensor) -> Tensor:
    """L_importance: mean over the counted tokens of sqrt(P_i / E).

    P_i = sum_{j != i} (h_i / (1e-5 + |h_i|) . h_j)^2 over the counted j (the paper's eq. 2).
    A text of one token contributes 0 and counts. Where P_i = 0 the gradient is 0.

    Args:
        rows: ``[B, L, E]``, the output of VMASK.
        counted: ``[B, L]`` bool: the real tokens, or all positions in ``reference``.

    Returns:
        A scalar, at least 0; 0 when nothing is counted.
    """
    if kernels.FAST:
        return fast_importance(rows, counted)
    directions = rows / (NORM_EPSILON + torch.linalg.vector_norm(rows, dim=-1, keepdim=True))
    pairs = counted[:, :, None] & counted[:, None] & ~_eye(rows.shape[1], rows.device)
    # A norm, as its gradient is 0 at 0, where that of the root of a sum of squares is infinite.
    roots = torch.linalg.vector_norm((directions @ rows.mT) * pairs, dim=-1)  # [B, L], sqrt(P_i)
    mean: Tensor = roots.sum() / counted.sum().clamp(min=1) / math.sqrt(rows.shape[-1])
    return mean


def between_words(attention: Tensor, at: Positions) -> Tensor:
    """Attention ``[B, H, L, L]`` with the rows and columns of SEP at 0; that of single texts."""
    if at.second is None:
        return attention
    words = at.words.to(attention.dtype)
    return attention * words[:, None, :, None] * words[:, None, None]


def interaction_loss(
    attention: Tensor,
    counted: Tensor,
    *,
    padding_aware: bool,
    interference: Literal["dot", "squared"] = "dot",
    scale: Literal["cell", "row"] = "cell",
    second: Tensor | None = None,
) -> Tensor:
    """L_interaction: mean of A_ij (1 - I_ij), I = A A^T, or its square, with diagonal 0.

    Padding-aware: for each text the mean over heads and its n (n - 1) real pairs i != j (0 for
    n <= 1), then over the batch. Otherwise the mean over the batch, heads and all L x L cells,
    the diagonal included. With ``second`` the mean is over the 2 n_1 n_2 pairs of which one is in
    the first and one in the second text; I_ij is a sum over the words of both as ever.

    Args:
        attention: ``[B, H, L, L]``; padding-aware, rows and columns of PAD must be zero.
        counted: ``[B, L]`` bool, the real tokens.
        padding_aware: which reduction; ``second`` needs it.
        interference: ``dot`` as in the authors' code, ``squared`` as in the paper.
        scale: ``row`` multiplies each text by n - 1 (by L when not padding-aware), with ``second``
            by the mean number of partners, 2 n_1 n_2 / n.
        second: ``[B, L]`` bool, the positions of the second text of a pair.
    """
    batch, heads, length, _ = attention.shape
    if padding_aware:
        n = counted.sum(dim=1).to(attention.dtype)
        cells = n if scale == "row" else n * (n - 1)
        if second is not None and scale == "cell":
            of_second = (counted & second).sum(dim=1)
            cells = 2 * (n - of_second) * of_second
    else:
        n = attention.new_full((batch,), length)
        cells = n if scale == "row" else n * n
    weights = 1.0 / (batch * heads * cells.clamp(min=1))
    apart = None
    if second is not None:
        of_first, of_second = counted & ~second, counted & second
        one_way = of_first[:, :, None] & of_second[:, None]
        apart = (one_way | one_way.mT).to(attention.dtype)  # [B, L, L]
    if interference == "dot" and kernels.FAST:
        loss = dot_interaction(attention, weights, apart)
    else:
        pairs = attention.masked_fill(_eye(length, attention.device), 0.0)
        pairs = pairs if apart is None else pairs * apart[:, None]
        shared = attention @ attention.mT
        shared = shared.square() if interference == "squared" else shared
        loss = ((pairs * (1.0 - shared)).sum(dim=(1, 2, 3)) * weights).sum()
    if not padding_aware:
        loss = loss + (attention.diagonal(dim1=2, dim2=3).sum(dim=(1, 2)) * weights).sum()
    return loss


def vmask_information(keep_probability: Tensor, counted: Tensor) -> Tensor:
    """Mean over the counted tokens of p log p + (1 - p) log(1 - p), the negative entropy.

    Args:
        keep_probability: ``[B, L]`` in [0, 1]; where it is saturated the gradient is 0.
        counted: ``[B, L]`` bool.

    Returns:
        A scalar in [-log 2, 0]; 0 when nothing is counted.
    """
    epsilon = torch.finfo(keep_probability.dtype).eps
    p = keep_probability.clamp(epsilon, 1.0 - epsilon)
    terms = p * torch.log(p) + (1.0 - p) * torch.log1p(-p)
    return terms.masked_fill(~counted, 0.0).sum() / counted.sum().clamp(min=1)


def activation_l1(activations: Tensor, counted: Tensor) -> Tensor:
    """L_l1: mean of |a_ij| over the counted positions and all neurons.

    Args:
        activations: ``[B, L, D]``, what enters FFN2; of an encoder ``[B, P, D]``, of pieces.
        counted: ``[B, L]`` bool: the words, or all positions in ``reference``; ``[B, P]`` the
            pieces of words.

    Returns:
        A scalar, at least 0; 0 when nothing is counted.
    """
    sums = activations.abs().sum(dim=-1) * counted
    mean: Tensor = sums.sum() / counted.sum().clamp(min=1) / activations.shape[-1]
    return mean


def orthogonality(weights: Tensor) -> Tensor:
    """L_orthogonality: mean squared cosine of two different rows of a matrix ``[D, E]``.

    The regulariser of Rodriguez et al. (ICLR 2017, arXiv 1611.01967), as a mean. In [0, 1], and
    at least (D - E) / (E (D - 1)) where D > E (Welch 1974); rows at random have about 1 / E. A row
    of zeros is orthogonal to all; of a single row it is 0.
    """
    rows = F.normalize(weights, dim=-1)
    if kernels.FAST and len(rows) > rows.shape[1]:
        # |U U^T|^2 = |U^T U|^2, of E x E cells instead of D x D.
        own = torch.linalg.vecdot(rows, rows).square().sum()
        total = (rows.mT @ rows).square().sum() - own
    else:
        cosines = rows @ rows.mT
        total = cosines.masked_fill(_eye(len(rows), rows.device), 0.0).square().sum()
    mean: Tensor = total / max(1, len(rows) * (len(rows) - 1))
    return mean


def _mean(of_blocks: Sequence[Tensor]) -> Tensor:
    return of_blocks[0] if len(of_blocks) == 1 else torch.stack(tuple(of_blocks)).mean()


def _cross_entropy(logits: Tensor, labels: Tensor, class_weights: Tensor | None) -> Tensor:
    if class_weights is None:
        return F.cross_entropy(logits, labels)
    weight = class_weights.to(logits.dtype)
    return F.cross_entropy(logits, labels, weight=weight, reduction="none").mean()


def _eye(length: int, device: torch.device) -> Tensor:
    return torch.eye(length, dtype=torch.bool, device=device)


def _full(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()
