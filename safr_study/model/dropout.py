"""Dropout from a generator of its own, by numbers of 16 bits."""

from __future__ import annotations

import torch
from torch import Tensor

_LEVELS = 2**16
"""Numbers of 16 bits, the resolution of dropout."""


def dropout(x: Tensor, share: float, noise: torch.Generator | None) -> Tensor:
    """Set a random share of the elements to zero and scale the others by 1 / (1 - share).

    Args:
        x: any shape.
        share: in [0, 1), to a resolution of 1/65536.
        noise: on the device of ``x``; ``None`` returns ``x`` unchanged.
    """
    kept = kept_parts(x, share, noise)
    return x if kept is None else x * kept


def kept_parts(x: Tensor, share: float, noise: torch.Generator | None) -> Tensor | None:
    """What `dropout` multiplies ``x`` by, 0 or 1 / (1 - share); ``None``: it changes nothing."""
    if noise is None or share == 0.0:
        return None
    # One 64-bit draw serves four elements: four times as fast as bernoulli_ on the CPU.
    words = torch.empty(-(-x.numel() // 4), dtype=torch.int64, device=x.device)
    words.random_(-(2**63), None, generator=noise)
    uniform = words.view(torch.int16)[: x.numel()].view(x.shape)
    dropped = round(share * _LEVELS)
    # Kept as numbers of x's type: a product with truth values is five times slower on the CPU.
    kept = torch.empty_like(x, requires_grad=False)
    torch.ge(uniform, dropped - _LEVELS // 2, out=kept)
    return kept.mul_(_LEVELS / (_LEVELS - dropped))
