"""Logits alone, for the many passes of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor

from safr_study.model.kernels.attention import mix
from safr_study.model.kernels.onednn import USES_ONEDNN, Linear, by_onednn, linear, perceptron
from safr_study.model.positions import positions_of, segments
from safr_study.model.safr import SafrClassifier
from safr_study.model.top_k import top_k
from safr_study.model.transformer import Block, FeedForward
from safr_study.settings import SEP

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
        if model.pairs:
            # What separates a pair belongs to no word: its gate is 1.
            scale[SEP] = math.sqrt(width)
        self._scale = scale
        self._tables: tuple[Tensor, Tensor, Tensor] | None = None
        self._of_segments: Tensor | None = None
        if 3 * width * words <= TABLE:
            attention = cast("Block", model.layers[0]).attention
            weight, bias = attention.projection()
            rows = model.embedding.weight * scale
            by_head = (-1, 3, attention.heads, width // attention.heads)
            of_words = linear(rows, weight, torch.zeros_like(bias)).view(by_head).flatten(0, 2)
            of_positions = linear(model.positions, weight, bias).view(by_head)
            self._tables = rows, of_words, of_positions.permute(1, 2, 0, 3)[:, None].contiguous()
            if model.segment is not None:
                no_bias = torch.zeros_like(bias)
                self._of_segments = linear(model.segment.weight, weight, no_bias).view(by_head)

    @torch.inference_mode()
    def __call__(self, ids: Tensor) -> Tensor:
        """Logits ``[B, C]`` of ids ``[B, L]`` int64, PAD = 0."""
        model, words = self._model, ids.reshape(-1)
        at = positions_of(ids, pairs=model.pairs)
        positions = model.positions[: ids.shape[1]]
        if self._tables is None:
            rows = model.embedding.weight.index_select(0, words)
            rows *= self._scale.index_select(0, words)
        else:
            rows = self._tables[0].index_select(0, words)
        x = rows.view(*ids.shape, -1).add_(positions)
        if model.segment is not None and at.second is not None:
            x += segments(at.second, model.segment.weight)
        for number, layer in enumerate(cast("Iterable[Block]", model.layers)):
            attention = layer.attention
            if number == 0 and self._tables is not None:
                masks = attention.masks(at.real, None, x.dtype)
                mixed, _ = mix(self._first_parts(ids, at.second, attention.heads), *masks)
            else:
                mixed, _ = attention.attend(attention.project(x), at.real)
            x = layer.norm1(_added(x, attention.out, mixed))
            x = layer.norm2(_fed(x, layer.ff))
        logits: Tensor = model.fc(model.pool(x, at.words))
        return logits

    def _first_parts(self, ids: Tensor, second: Tensor | None, heads: int) -> Tensor:
        """Queries, keys and values of the first block, `[3, B, H, L, d]`."""
        assert self._tables is not None
        _, of_words, of_positions = self._tables
        parts = torch.arange(3 * heads, device=ids.device).view(3, 1, heads, 1)
        # Read in the order that is wanted: no copy afterwards.
        places = ids[None, :, None, :] * (3 * heads) + parts  # [3, B, H, L]
        found = of_words.index_select(0, places.reshape(-1)).view(*places.shape, -1)
        found.add_(of_positions[:, :, :, : ids.shape[1]])
        if self._of_segments is not None and second is not None:
            of_segments = self._of_segments.permute(1, 2, 0, 3)[:, None]  # [3, 1, H, 2, d]
            after, before = of_segments[:, :, :, 1:], of_segments[:, :, :, :1]
            found.add_(torch.where(second[:, None, :, None], after, before))
        return found


def _fed(x: Tensor, layer: FeedForward) -> Tensor:
    """``x`` plus the FFN of it, in the memory of ``x``."""
    if by_onednn(x, layer.linear1.weight.numel()):
        return x.add_(perceptron(x, layer.linear1, layer.linear2, layer.kept))
    return _added(x, layer.linear2, top_k(layer.linear1(x).relu_(), layer.kept))


def _added(x: Tensor, layer: Linear, values: Tensor) -> Tensor:
    """``x + layer(values)``, in the memory of ``x``."""
    if USES_ONEDNN and x.device.type == "cpu":
        return x.add_(layer(values))
    # The sum is made inside the product.
    x.flatten(0, 1).addmm_(values.flatten(0, 1), layer.weight.t()).add_(layer.bias)
    return x
