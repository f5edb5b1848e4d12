"""The training loss, term by term.

    L = L_CE + lambda_imp L_importance + lambda_inter L_interaction + beta L_information

Shapes: B texts, L positions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from safr_study.model.penalties import importance_loss, interaction_loss, vmask_information
from safr_study.model.safr import SafrOutput
from safr_study.settings import PAD, Penalties, Preset


@dataclass(frozen=True, slots=True, eq=False)
class LossTensors:
    """Scalars; ``None`` where a term was not computed."""

    total: Tensor
    """Cross-entropy plus the weighted penalties."""
    cross_entropy: Tensor
    importance: Tensor | None
    """Unweighted, as the two below."""
    interaction: Tensor | None
    vmask_information: Tensor | None


def loss_terms(
    output: SafrOutput,
    labels: Tensor,
    ids: Tensor,
    penalties: Penalties,
    preset: Preset,
    *,
    every: bool = False,
) -> LossTensors:
    """The loss above and its terms.

    A penalty of weight 0 is not computed; without VMASK none is. Several blocks: L_interaction
    is the mean over them. Half-precision values are taken to float32 first.

    Args:
        output: values of the model for ``ids``.
        labels: ``[B]`` int64.
        ids: ``[B, L]`` int64, PAD = 0.
        penalties: weights and forms.
        preset: ``masked`` or ``reference``.
        every: compute the penalties of weight 0 too (they stay out of the total).
    """
    with torch.autocast(ids.device.type, enabled=False):
        real = ids != PAD
        counted = real if preset == "masked" else torch.ones_like(real)
        total = cross_entropy = F.cross_entropy(_full(output.logits), labels)
        importance = interaction = information = None
        keep = output.keep_probability
        if keep is not None and (every or penalties.lambda_imp):
            importance = importance_loss(_full(output.masked_embeddings), counted)
        if keep is not None and (every or penalties.lambda_inter):
            interaction = _mean(
                [
                    interaction_loss(
                        _full(attention),
                        real,
                        padding_aware=preset == "masked",
                        interference=penalties.interference,
                        scale=penalties.interaction_scale,
                    )
                    for attention in output.attention
                ]
            )
        if keep is not None and (every or penalties.vmask_beta):
            information = vmask_information(_full(keep), counted)
        for weight, term in (
            (penalties.lambda_imp, importance),
            (penalties.lambda_inter, interaction),
            (penalties.vmask_beta, information),
        ):
            if weight and term is not None:
                total = total + weight * term
    return LossTensors(total, cross_entropy, importance, interaction, information)


def _full(x: Tensor) -> Tensor:
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _mean(terms: list[Tensor]) -> Tensor:
    return terms[0] if len(terms) == 1 else torch.stack(terms).mean()
