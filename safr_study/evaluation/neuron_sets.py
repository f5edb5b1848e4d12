"""Which neurons of a word are taken away, and which others for comparison (definitions, 9).

Shapes: W words, D neurons of FFN1, E width; a_j is a word's activation of neuron j after the
non-linearity, v_j the column of FFN2 that it multiplies.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

CANDIDATES = 64
"""Sets that are drawn to find one that is like the chosen one."""
KEPT = 10
"""Those of these sets that are compared with."""
CLOSE = 0.05
"""Relative difference up to which a set matches the chosen one."""


def holding_half(vectors: Tensor, columns: Tensor) -> Tensor:
    """N: the fewest neurons of each word that hold half of sum_j |a_j| |v_j|, ``[W, D]`` bool.

    Those with the largest |a_j| |v_j|, so no neuron that is 0; a word of zeros has none.

    Args:
        vectors: a ``[W, D]``.
        columns: v ``[E, D]``.
    """
    held = vectors.double().abs() * torch.linalg.vector_norm(columns.double(), dim=0)
    ordered, order = held.sort(dim=1, descending=True, stable=True)
    before = ordered.cumsum(dim=1) - ordered
    chosen = (before < held.sum(dim=1, keepdim=True) / 2) & (ordered > 0)
    return torch.zeros_like(chosen).scatter_(1, order, chosen)


def best_of(gaps: Tensor) -> tuple[Tensor, Tensor]:
    """The `KEPT` of the sets drawn that are most like the chosen one, and whether each matches.

    Those that match come first, in the order of drawing, then the nearest of the others.

    Args:
        gaps: ``[sets, ...]``, relative differences, in the order of drawing.

    Returns:
        ``[KEPT, ...]`` each: numbers of sets, and bool.
    """
    order = gaps.clamp(min=CLOSE).argsort(dim=0, stable=True)[:KEPT]
    return order, gaps.gather(0, order) <= CLOSE


def relative_gap(found: Tensor, wanted: Tensor) -> Tensor:
    """``|found - wanted| / wanted``; 0 where both are 0."""
    gap = (found - wanted).abs()
    return torch.where(gap > 0, gap / wanted, 0.0)


class OtherNeurons:
    """Other neurons of a word, as many as are chosen, whose |sum a_j v_j| is like theirs.

    `CANDIDATES` orders of all the neurons are drawn once; a word's set is the first in each order
    that is not chosen. The orders are of the neurons' ranks by how much they hold in the whole
    data, so that a set does not depend on how the neurons are numbered.

    Args:
        held: ``[D]``, mean |a_j| |v_j|.
        columns: v ``[E, D]``.
        seed: of the orders.
    """

    def __init__(self, held: Tensor, columns: Tensor, *, seed: int) -> None:
        drawn = np.random.default_rng(seed)
        orders = np.stack([drawn.permutation(len(held)) for _ in range(CANDIDATES)])
        ranked = held.argsort(descending=True, stable=True)
        self._orders = ranked[torch.from_numpy(orders).to(held.device)]  # [sets, D]
        self._turns = self._orders.argsort(dim=1)
        self._columns = columns

    def of(self, vectors: Tensor, chosen: Tensor) -> NeuronSets:
        """The sets of words with these vectors and chosen neurons ``[W, D]``."""
        free = ~chosen
        others = vectors * free
        wanted = torch.linalg.vector_norm((vectors * chosen) @ self._columns.t(), dim=1)
        count = chosen.sum(dim=1, dtype=torch.int32)
        ends, gaps = [], []
        for order, turns in zip(self._orders, self._turns, strict=True):
            taken = free.index_select(1, order).cumsum(dim=1, dtype=torch.int32)
            # The turn of the last one that is taken; of none, before the first.
            end = (taken < count[:, None]).sum(dim=1).masked_fill_(count == 0, -1)
            summed = others.masked_fill(turns > end[:, None], 0.0) @ self._columns.t()
            ends.append(end)
            gaps.append(relative_gap(torch.linalg.vector_norm(summed, dim=1), wanted))
        best, matches = best_of(torch.stack(gaps))
        return NeuronSets(self._turns, best, torch.stack(ends).gather(0, best), chosen, matches)


class NeuronSets:
    """Sets of other neurons of W words, and whether each is like the chosen ones."""

    def __init__(
        self, turns: Tensor, best: Tensor, ends: Tensor, chosen: Tensor, matches: Tensor
    ) -> None:
        self._turns, self._best, self._ends, self._chosen = turns, best, ends, chosen
        self.matches = matches
        """``[KEPT, W]`` bool."""

    def neurons(self, number: int) -> Tensor:
        """Set ``number``, below `KEPT`, of each word ``[W, D]`` bool."""
        taken = self._turns[self._best[number]] <= self._ends[number][:, None]
        return taken & ~self._chosen
