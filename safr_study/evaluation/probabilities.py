"""Probabilities of the classes, from logits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """p(class | x) in [0, 1]: the softmax of finite logits `[N, C]` over C."""
    shares: NDArray[np.float64] = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares


def log_probabilities(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """log p(class | x) in nats `[N, C]`, finite however small the probability is."""
    below: NDArray[np.float64] = logits - logits.max(axis=1, keepdims=True)
    below -= np.log(np.exp(below).sum(axis=1, keepdims=True))
    return below
