"""Random draws of training, from a generator that the caller owns."""

from __future__ import annotations

import torch
from torch import Tensor


def dropout(x: Tensor, share: float, noise: torch.Generator | None) -> Tensor:
    """Set a random share of the elements to zero and scale the others by 1 / (1 - share).

    Args:
        x: any shape.
        share: in [0, 1), to a resolution of 1/65536.
        noise: on the device of ``x``; ``None`` returns ``x`` unchanged.
    """
    if noise is None or share == 0.0:
        return x
    dropped = round(share * _LEVELS)
    # Kept as numbers of x's type: a product with truth values is five times slower on the CPU.
    kept = torch.empty_like(x, requires_grad=False)
    torch.ge(_uniform_int16(x, noise), dropped - _LEVELS // 2, out=kept)
    return x * kept.mul_(_LEVELS / (_LEVELS - dropped))


def logistic_like(x: Tensor, noise: torch.Generator) -> Tensor:
    """Draws of the standard logistic distribution, shaped as ``x``.

    The difference of two independent standard Gumbel variables has this distribution, so one
    draw decides a gate of two classes.
    """
    uniform = torch.empty_like(x).uniform_(generator=noise)
    uniform = uniform.clamp_(torch.finfo(x.dtype).tiny, 1.0 - torch.finfo(x.dtype).eps)
    return torch.logit(uniform)


_LEVELS = 2**16


def _uniform_int16(x: Tensor, noise: torch.Generator) -> Tensor:
    # One 64-bit draw serves four elements: four times as fast as bernoulli_ on the CPU.
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=noise)
    return words.view(torch.int16)[: x.numel()].view(x.shape)
