"""What stands at the positions of a batch: words, PAD, and between the texts of a pair SEP.

Shapes: B texts or pairs, L positions, E width.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from safr_study.settings import PAD, SEP


class Positions(NamedTuple):
    """Marks ``[B, L]``, bool."""

    real: Tensor
    """Everything but PAD: what takes part in attention."""
    words: Tensor
    """Words alone: what is gated, pooled, ranked and regularised."""
    second: Tensor | None = None
    """What comes after SEP; ``None``: single texts, which have no SEP."""

    @property
    def between(self) -> Tensor | None:
        """SEP; ``None``: single texts."""
        return None if self.second is None else self.real & ~self.words


def positions_of(ids: Tensor, *, pairs: bool) -> Positions:
    """Marks of ids ``[B, L]``; each row of pairs has one SEP, which belongs to the first text."""
    real = ids != PAD
    if not pairs:
        return Positions(real, real)
    between = ids == SEP
    return Positions(real, real & ~between, (between.cumsum(dim=1) > 0) & ~between)


def segments(second: Tensor, weight: Tensor) -> Tensor:
    """Segment embedding ``[B, L, E]``: row 1 of ``weight [2, E]`` where ``second``, else row 0."""
    # Not a lookup: its backward would add up the rows one by one.
    return torch.where(second[..., None], weight[1], weight[0])
