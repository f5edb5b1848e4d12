"""Rows of an embedding, each looked up once.

The gradient of a row that is looked up once has one part, so that a sparse gradient needs no sum,
and the optimiser can leave the other rows alone (``training.adam.EmbeddingAdam``).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def looked_up(embedding: nn.Embedding, ids: Tensor) -> Tensor:
    """Rows ``[..., E]`` of ids ``[...]``."""
    rows, place = distinct(ids)
    return gathered(embedding(rows), place)


def distinct(ids: Tensor) -> tuple[Tensor, Tensor | None]:
    """The distinct ids ``[N]`` and the place of each of ``ids`` among them; or ids and ``None``.

    On a GPU looking for the distinct ones would wait for it, and cost more than it saves.
    """
    return torch.unique(ids, return_inverse=True) if ids.device.type == "cpu" else (ids, None)


def gathered(rows: Tensor, place: Tensor | None) -> Tensor:
    """Rows ``[N, E]`` at their places ``[...]``; ``rows`` where there are none."""
    # F.embedding gathers, because its backward is much faster than that of indexing.
    return rows if place is None else F.embedding(place, rows)
