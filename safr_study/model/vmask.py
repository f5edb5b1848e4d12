"""VMASK: a keep probability for each word (Chen and Ji, EMNLP 2020).

    (z_0, z_1) = W_2 tanh(W_1 e + b_1) + b_2,  p(keep) = sigmoid(z_1 - z_0)

Training multiplies the word by a hard sample of it, evaluation by p itself. Shapes: E width of the
embedding e.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from safr_study.model.kernels.onednn import Linear, linear
from safr_study.settings import ModelShape


class VMask(nn.Module):
    """Linear, tanh, linear to two classes; class 1 keeps the word."""

    def __init__(self, shape: ModelShape) -> None:
        super().__init__()
        self.linear_layer = Linear(shape.embed_dim, shape.mask_hidden_dim)
        self.hidden2p = nn.Linear(shape.mask_hidden_dim, 2)

    def forward(self, embeddings: Tensor) -> Tensor:
        """Log-odds ``[...]`` of keeping each scaled embedding ``[..., E]``."""
        first, second = self.linear_layer, self.hidden2p
        hidden = linear(embeddings, first.weight, first.bias, tanh=True)
        # The difference of the classes' weights first: half the work, and a vector is quicker.
        odds: Tensor = hidden @ (second.weight[1] - second.weight[0])
        return odds + (second.bias[1] - second.bias[0])


def gates(
    log_odds: Tensor,
    real: Tensor | None,
    *,
    temperature: float,
    noise: torch.Generator | None,
    between: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Keep probability and gate, shaped as ``log_odds``; both 0 where ``real`` is false.

    Args:
        log_odds: any shape.
        real: marks of the words; ``None``: all are.
        between: marks of what belongs to no word: both are 1 there.
        temperature: above 0.
        noise: the gate is a hard sample; ``None``: it is the keep probability.
    """

    def known(gate: Tensor) -> Tensor:
        gate = gate if real is None else gate * real
        return gate if between is None else gate.masked_fill(between, 1.0)

    keep = known(torch.sigmoid(log_odds))
    if noise is None:
        return keep, keep
    return keep, known(hard_gate(log_odds, temperature=temperature, noise=noise))


def hard_gate(log_odds: Tensor, *, temperature: float, noise: torch.Generator) -> Tensor:
    """A sample in {0, 1} of the Gumbel-softmax gate, with the gradient of its soft form.

    Straight-through estimator (Jang et al. 2017): the value is [s > 1/2], the gradient that of
    s = sigmoid((log_odds + logistic noise) / temperature).

    Args:
        log_odds: any shape.
        temperature: above 0.
        noise: on the device of ``log_odds``.
    """
    soft = torch.sigmoid((log_odds + logistic_like(log_odds, noise)) / temperature)
    return (soft > 0.5).to(soft.dtype) + (soft - soft.detach())


def logistic_like(x: Tensor, noise: torch.Generator) -> Tensor:
    """Draws of the standard logistic distribution, shaped as ``x``.

    The difference of two independent standard Gumbel variables has this distribution, so one
    draw decides a gate of two classes.
    """
    uniform = torch.empty_like(x).uniform_(generator=noise)
    uniform = uniform.clamp_(torch.finfo(x.dtype).tiny, 1.0 - torch.finfo(x.dtype).eps)
    return torch.logit(uniform)
