"""Logits alone, for the many passes of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from safr_study.model.attention import mix
from safr_study.model.linear import linear
from safr_study.model.safr import PAD, SafrClassifier
from safr_study.model.transformer import Block

TABLE = 2**24
"""Elements of the largest table of the vocabulary that is kept."""
_WORDS_AT_ONCE = 1024


class Inference:
    """A classifier in evaluation mode, with what depends on the word alone computed once.

    VMASK's gate sees nothing but the word. Queries, keys and values of the first block are linear
    in word plus position, so each of the two has a table where the vocabulary is small enough.
    The logits are those of the model but for the rounding of sums in another order.

    Args:
        model: its weights must stay as they are; its mode plays no part.
    """

    @torch.inference_mode()
    def __init__(self, model: SafrClassifier) -> None:
        self._model = model
        words, width = model.embedding.weight.shape
        # Of the model's precision: a root of float32 would spoil a model of float64.
        scale = model.embedding.weight.new_full((words, 1), math.sqrt(width))
        if model.vmask is not None:
            for start in range(0, words, _WORDS_AT_ONCE):
                some = slice(start, start + _WORDS_AT_ONCE)
                odds = model.vmask(model.embedding.weight[some] * math.sqrt(width))
                scale[some] *= torch.sigmoid(odds)[:, None]
        self._scale = scale
        self._tables: tuple[Tensor, Tensor, Tensor] | None = None
        if 3 * width * words <= TABLE:
            weight, bias = cast("Block", model.layers[0]).attention.projection()
            rows = model.embedding.weight * scale
            at_positions = linear(model.positions, weight, bias)
            self._tables = rows, linear(rows, weight, torch.zeros_like(bias)), at_positions

    @torch.inference_mode()
    def __call__(self, ids: Tensor) -> Tensor:
        """Logits ``[B, C]`` of ids ``[B, L]`` int64, PAD = 0."""
        model, real, words = self._model, ids != PAD, ids.reshape(-1)
        positions = model.positions[: ids.shape[1]]
        if self._tables is None:
            rows = model.embedding.weight.index_select(0, words)
            rows *= self._scale.index_select(0, words)
        else:
            rows = self._tables[0].index_select(0, words)
        x = rows.view(*ids.shape, -1).add_(positions)
        for number, layer in enumerate(cast("Iterable[Block]", model.layers)):
            attention = layer.attention
            if number == 0 and self._tables is not None:
                masks = attention.masks(real, None, x.dtype)
                mixed, _ = mix(self._first_parts(ids, attention.heads), *masks)
            else:
                mixed, _ = attention.attend(attention.project(x), real)
            x = layer.norm1(attention.out(mixed).add_(x))
            x = layer.norm2(layer.ff.linear2(layer.ff.linear1(x).relu_()).add_(x))
        logits: Tensor = model.fc(model.pool(x, real))
        return logits

    def _first_parts(self, ids: Tensor, heads: int) -> Tensor:
        """Queries, keys and values of the first block, `[3, B, H, L, d]`."""
        assert self._tables is not None
        _, words, positions = self._tables
        batch, length = ids.shape
        width = words.shape[1] // 3 // heads
        of_words = words.index_select(0, ids.reshape(-1)).view(batch, length, 3, heads, width)
        of_positions = positions[:length].view(length, 3, heads, width)
        parts = words.new_empty(3, batch, heads, length, width)
        # The sum is written in its last order: no copy beside it.
        return torch.add(
            of_words.permute(2, 0, 3, 1, 4), of_positions.permute(1, 2, 0, 3)[:, None], out=parts
        )
