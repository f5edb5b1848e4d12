"""The SAFR classifier over a pretrained encoder (BERT, DistilBERT, RoBERTa, ELECTRA).

    e_p = embedding(piece),  e_i = mean_{p in i} e_p,  h_i = gate(e_i) e_i,
    x_0 = dropout(LN(gate(e_i) e_p + position_p + segment)),  x_k = block_k(x_{k-1}),
    logits = W mean_{pieces of words} x_K + b

The unit is the word (definitions, section 7): a word's pieces share its gate, its vector in a layer
is the mean of theirs, and its attention to a word the mean over its pieces of the sum over those.
A pair of texts is read as the encoder reads pairs: the pieces of SEP, its word between the two, are
special ones, and what comes after them has segment 1 where the encoder has segments.

Shapes: V words, B texts, L words of the longest text, P pieces of the longest with the two special
ones, E width, D neurons of FFN1, H heads, C classes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from safr_study.model.attention import attended, masked_keys
from safr_study.model.dropout import dropout
from safr_study.model.embedding import distinct, looked_up
from safr_study.model.kernels.onednn import Linear, linear
from safr_study.model.piece_layout import (
    AttentionByWord,
    ByWord,
    FirstPieces,
    PieceLayout,
    PieceTable,
    lay_out,
)
from safr_study.model.positions import Positions, positions_of, segments
from safr_study.model.safr import SafrOutput
from safr_study.model.top_k import kept_neurons, top_k
from safr_study.model.transformer import noise_of
from safr_study.model.vmask import VMask, gates
from safr_study.settings import EncoderShape, ModelShape


def piece_counts(model: nn.Module) -> NDArray[np.int64] | None:
    """Number of pieces of each word ``[V]`` of a model over an encoder; ``None`` from scratch."""
    if not isinstance(model, PretrainedClassifier):
        return None
    counts: NDArray[np.int64] = np.diff(model.table.offsets.cpu().numpy())
    return counts


def of_encoder(model: nn.Module, **arguments: Any) -> dict[str, Any]:
    """Arguments of a pass that a model over an encoder takes; none for one from scratch."""
    return arguments if isinstance(model, PretrainedClassifier) else {}


class EncoderValues(NamedTuple):
    """What one block computed of the pieces; as in ``transformer.BlockValues``."""

    attention: Tensor
    attention_output: Tensor
    ffn1_pre: Tensor
    ffn1_post: Tensor
    ffn2: Tensor
    block: Tensor


_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
    "relu": torch.relu,
}


class EncoderBlock(nn.Module):
    """norm(x + attention(x)), then norm(x + ffn(x)), as the pretrained weights were trained.

    Args:
        shape: sizes.
        topk: share of FFN1's neurons that each piece keeps, see `top_k`.
    """

    def __init__(self, shape: EncoderShape, *, topk: float) -> None:
        super().__init__()
        width = shape.embed_dim
        self.heads, self.dropout = shape.heads, shape.dropout
        self.attention_dropout, self.output_dropout = shape.attention_dropout, shape.output_dropout
        self.activation = _ACTIVATIONS[shape.activation]
        self.kept = kept_neurons(topk, shape.ffn_dim)
        self.query, self.key, self.value, self.out = (Linear(width, width) for _ in range(4))
        self.linear1, self.linear2 = Linear(width, shape.ffn_dim), Linear(shape.ffn_dim, width)
        self.norm1 = nn.LayerNorm(width, eps=shape.norm_epsilon)
        self.norm2 = nn.LayerNorm(width, eps=shape.norm_epsilon)

    def forward(
        self,
        x: Tensor,
        keys: tuple[Tensor | None, Tensor | None],
        noise: torch.Generator | None,
        *,
        inner: bool = True,
    ) -> EncoderValues:
        """Values of x ``[B, P, E]``; ``keys`` are those of `masked_keys`.

        Without ``inner`` the attention is torch's own fused one, and is not to be had.
        """
        parts = (self.query, self.key, self.value)
        # One product instead of three.
        weight = torch.cat([part.weight for part in parts])
        projected = linear(x, weight, torch.cat([part.bias for part in parts]))
        if inner or noise is not None:
            mixed, attention = attended(
                projected, self.heads, *keys, None, self.attention_dropout, noise
            )
        else:
            by_head = projected.view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
            query, key, value = by_head
            hidden = None if keys[1] is None else keys[1][:, None, None]
            attention = projected.new_empty(0)
            mixed = (
                F.scaled_dot_product_attention(query, key, value, hidden).transpose(1, 2).flatten(2)
            )
        output = self.out(mixed)
        x = self.norm1(x + dropout(output, self.output_dropout, noise))
        before = self.linear1(x)
        after = top_k(self.activation(before), self.kept)
        fed = self.linear2(after)
        x = self.norm2(x + dropout(fed, self.dropout, noise))
        return EncoderValues(attention, output, before, after, fed, x)


class PretrainedClassifier(nn.Module):
    """Pieces, VMASK over words, positions, the encoder's blocks, mean pooling, linear classifier.

    Args:
        encoder: sizes of the encoder.
        shape: VMASK's sizes, the gate's temperature, top-k of FFN1, and what stands for a text and
            for a word; its other fields are the encoder's.
        classes: C.
        table: pieces of each word; can be replaced by another for other texts.
        pairs: whether texts are pairs, with SEP between the two.
    """

    _offsets: Tensor
    _pieces: Tensor

    def __init__(
        self,
        encoder: EncoderShape,
        shape: ModelShape,
        *,
        classes: int,
        table: PieceTable,
        pairs: bool = False,
    ) -> None:
        super().__init__()
        self.shape = encoder
        self.pairs = pairs
        self.register_buffer("_offsets", table.offsets, persistent=False)
        self.register_buffer("_pieces", table.pieces, persistent=False)
        self.gumbel_temperature, self.pooling = shape.gumbel_temperature, shape.pooling
        of_ffn1 = FirstPieces if shape.word_vector == "first" else ByWord
        self._kinds = (AttentionByWord, ByWord, of_ffn1, of_ffn1, ByWord, ByWord)
        self.embedding = nn.Embedding(encoder.pieces, encoder.piece_dim, padding_idx=encoder.pad)
        self.position = nn.Embedding(encoder.positions, encoder.piece_dim)
        self.segment = (
            nn.Embedding(encoder.segments, encoder.piece_dim) if encoder.segments else None
        )
        self.norm = nn.LayerNorm(encoder.piece_dim, eps=encoder.norm_epsilon)
        same = encoder.piece_dim == encoder.embed_dim
        self.project = None if same else Linear(encoder.piece_dim, encoder.embed_dim)
        self.layers = nn.ModuleList(
            EncoderBlock(encoder, topk=shape.ffn_topk) for _ in range(encoder.layers)
        )
        self.fc = nn.Linear(encoder.embed_dim, classes)
        of_pieces = shape.model_copy(update={"embed_dim": encoder.piece_dim})
        self.vmask = VMask(of_pieces) if shape.vmask else None

    def forward(
        self,
        ids: Tensor,
        *,
        noise: torch.Generator | None = None,
        gate: Tensor | None = None,
        visible: Tensor | None = None,
        scale: Tensor | None = None,
        shown: Tensor | None = None,
        pieces: int | None = None,
        inner: bool = True,
    ) -> SafrOutput:
        """Classify words ``[B, L]`` int64, PAD = 0.

        Values of words are computed when they are looked at.

        Args:
            ids: of words; see ``table``.
            noise: as of ``SafrClassifier``, like the three below.
            gate: multiplies the gate of each word.
            visible: the other words are no keys and are left out of the pooling.
            scale: multiplies the embedding of each word's pieces.
            shown: ``[B, L]`` bool; each piece of the other words is the hidden one.
            pieces: room for those of a text's words, at least as many as any has; ``None``: as many
                as the longest has, for which a GPU is waited for.
            inner: whether the blocks' values are wanted; a pass without needs less time and memory.
        """
        noise = noise_of(self, noise)
        placed = positions_of(ids, pairs=self.pairs)
        at = lay_out(ids, self.table, self.shape, pieces, shown)
        embedded = looked_up(self.embedding, at.pieces)  # [B, P, E]
        if scale is not None:
            embedded = embedded * at.pieces_of(scale, 1.0)[..., None]
        words = at.words(embedded)  # [B, L, E]
        keep = None
        if self.vmask is not None:
            log_odds = self._log_odds(
                words, None if scale is not None or shown is not None else ids
            )
            keep, drawn = gates(
                log_odds,
                placed.real,
                temperature=self.gumbel_temperature,
                noise=noise,
                between=placed.between,
            )
            gate = drawn if gate is None else drawn * gate
        masked = words if gate is None else words * gate[..., None]
        if gate is not None:
            embedded = embedded * at.pieces_of(gate.to(words.dtype), 1.0)[..., None]
        x = self._placed(embedded, at, placed, noise)
        seen = None if visible is None else at.pieces_of(visible, True)
        keys = masked_keys(at.real, seen, x.dtype)
        blocks: list[EncoderValues] = []
        for layer in self.layers:
            values = layer(x, keys, noise, inner=inner)
            x = values.block
            blocks += [values] if inner else []
        logits = self.fc(self._pooled(x, at, placed, visible))
        every = zip(*blocks, strict=True) if inner else [()] * len(self._kinds)
        by_word = [kind(at, tuple(values)) for kind, values in zip(self._kinds, every, strict=True)]
        return SafrOutput(placed, logits, words, masked, keep, *by_word)

    @property
    def table(self) -> PieceTable:
        """The pieces of each word, on the model's device."""
        return PieceTable(self._offsets, self._pieces)

    @table.setter
    def table(self, table: PieceTable) -> None:
        device = self._offsets.device
        self._offsets, self._pieces = table.offsets.to(device), table.pieces.to(device)

    def _log_odds(self, words: Tensor, ids: Tensor | None) -> Tensor:
        """VMASK's ``[B, L]`` of words ``[B, L, E]``.

        Args:
            words: their vectors.
            ids: ``[B, L]``, where equal words have equal vectors; ``None``: they may differ.
        """
        assert self.vmask is not None
        rows, place = words, None
        if ids is not None:
            found, place = distinct(ids)
        if place is not None:
            # It runs once for each distinct word, on one of the places where that is.
            places = torch.arange(place.numel(), device=place.device)
            one = torch.empty_like(found).scatter_(0, place.flatten(), places)
            rows = words.flatten(0, 1).index_select(0, one)
        log_odds: Tensor = self.vmask(rows).to(words.dtype)
        return log_odds if place is None else F.embedding(place, log_odds[:, None])[..., 0]

    def _placed(
        self, embedded: Tensor, at: PieceLayout, placed: Positions, noise: torch.Generator | None
    ) -> Tensor:
        """The input of the first block ``[B, P, E]``."""
        first = self.shape.first_position
        x = embedded + self.position.weight[first : first + embedded.shape[1]]
        if self.segment is not None and placed.between is not None and self.shape.has_sides:
            between = at.pieces_of(placed.between, False)
            after = (between.cumsum(dim=1) > 0) & ~between
            x = x + segments(after, self.segment.weight)
        elif self.segment is not None:
            x = x + self.segment.weight[0]
        x = dropout(self.norm(x), self.shape.dropout, noise)
        return x if self.project is None else self.project(x)

    def _pooled(
        self, x: Tensor, at: PieceLayout, placed: Positions, visible: Tensor | None
    ) -> Tensor:
        """``[B, E]``: the mean over the pieces of the words that are seen, 0 without any; or the
        beginning's."""
        if self.pooling == "cls":
            return x[:, 0]
        seen = placed.words if visible is None else placed.words & visible
        shares = at.pieces_of(seen.to(x.dtype), 0.0)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1)
        return torch.bmm(shares[:, None], x)[:, 0]


def freeze_encoder(model: PretrainedClassifier) -> None:
    """Let the encoder's weights get no gradients: classifier and VMASK alone are trained."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name.startswith(("fc.", "vmask.")))


def build_pretrained(
    encoder: EncoderShape,
    shape: ModelShape,
    *,
    classes: int,
    table: PieceTable,
    seed: int,
    weights: Mapping[str, Tensor],
    pairs: bool = False,
) -> PretrainedClassifier:
    """A float32 model on the CPU, in training mode, with an encoder's weights.

    Classifier and VMASK are drawn from ``seed`` alone; torch's global generator is left as it was.

    Args:
        encoder: sizes of the encoder.
        shape: of VMASK and its gate.
        classes: C.
        table: pieces of each word.
        seed: at least 0.
        weights: by name; all but those of classifier and VMASK.
        pairs: whether texts are pairs.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        model = PretrainedClassifier(encoder, shape, classes=classes, table=table, pairs=pairs)
    model.load_state_dict({**model.state_dict(), **weights})
    return model
