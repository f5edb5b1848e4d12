"""Whether a neuron stands for few words: its activation by word (definitions, section 10).

Shapes: t tokens, D neurons of FFN1 after the activation.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ALWAYS = 0.99
"""Share of the tokens above which a neuron that is active is always on."""


def word_types(tokens: NDArray[np.integer], *, seed: int) -> tuple[NDArray[np.int64], int]:
    """Number of the word type of each token, and of one after shuffling the words ``[T, 2]``.

    Also how many types there are; numbers are from 0.
    """
    kinds, types = np.unique(tokens, return_inverse=True)
    shuffled = np.random.default_rng(seed).permutation(types)
    return np.stack((types, shuffled), axis=1).astype(np.int64), len(kinds)


class TokenEntropy:
    """Entropy of each neuron's sum of \\|a\\| by word type, less that after shuffling the words.

    A neuron that stands for one word has little of the first; the second is what it has by the
    frequencies of the words alone. Neurons that are 0 at all tokens are left out.

    Args:
        types: number of word types.
    """

    def __init__(self, types: int) -> None:
        self._types = types
        self._sums: Tensor | None = None

    def add(self, activations: Tensor, types: Tensor) -> None:
        """Count tokens: activations ``[t, D]``, types ``[t, 2]`` as of `word_types`."""
        if self._sums is None:
            self._sums = activations.new_zeros(2, self._types, activations.shape[1])
        for sums, numbers in zip(self._sums, types.T, strict=True):
            sums.index_add_(0, numbers, activations.abs())

    @property
    def value(self) -> float | None:
        """Mean over neurons, nats; ``None`` where none is active."""
        if self._sums is None:
            return None
        total = self._sums.sum(dim=1, keepdim=True)  # [2, 1, D]
        active = (total > 0).all(dim=0)[0]
        if not active.any():
            return None
        entropy = torch.special.entr(self._sums / total)[:, :, active].sum(dim=1)  # [2, D]
        return float((entropy[0] - entropy[1]).mean())
