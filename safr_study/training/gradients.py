"""The gradient of the embedding, without a table of zeros for each step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class EmbeddingGradient:
    """Gives an embedding its dense gradient in one buffer that is used again at each step.

    A step touches the rows of a batch's words, yet autograd would make a table of zeros as large
    as the vocabulary each time: 97 MB for 94,778 words of 256 numbers. Inside ``collecting`` the
    backward pass gives the rows alone, and ``dense`` lays them into the buffer for an optimiser
    with dense semantics.
    """

    def __init__(self, embedding: nn.Embedding) -> None:
        self._embedding = embedding
        self._buffer = torch.zeros_like(embedding.weight, requires_grad=False)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Backward passes of lookups made inside give sparse gradients."""
        before = self._embedding.sparse
        self._embedding.sparse = True
        try:
            yield
        finally:
            self._embedding.sparse = before

    @contextmanager
    def dense(self) -> Iterator[None]:
        """Inside, the embedding's ``grad`` is dense; afterwards it is ``None``.

        Each lookup must have been of distinct rows, as the last of equal ones would count alone.
        """
        weight = self._embedding.weight
        sparse = weight.grad
        if sparse is None or not sparse.is_sparse:
            yield
            return
        rows: Tensor = sparse._indices()[0]
        self._buffer.index_copy_(0, rows, sparse._values())
        weight.grad = self._buffer
        try:
            yield
        finally:
            weight.grad = None
            self._buffer.index_fill_(0, rows, 0.0)
