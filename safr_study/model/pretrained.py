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

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple, Protocol, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from safr_study.model.attention import INVISIBLE_SCORE, MASKED_SCORE
from safr_study.model.kernels.onednn import Linear
from safr_study.model.positions import Positions, positions_of, segments
from safr_study.model.safr import SafrOutput
from safr_study.model.transformer import dropout, noise_of
from safr_study.model.vmask import VMask, gates
from safr_study.settings import EncoderShape, ModelShape


class PieceTable(NamedTuple):
    """The pieces of each word of a vocabulary, one after the other."""

    offsets: Tensor
    """``[V + 1]`` int64: word i has ``pieces[offsets[i]:offsets[i + 1]]``; PAD has none."""
    pieces: Tensor
    """``[sum]`` int64."""


class _Pieces(Protocol):
    @property
    def offsets(self) -> NDArray[np.int64]: ...

    @property
    def pieces(self) -> NDArray[np.int64]: ...


def piece_table(words: _Pieces) -> PieceTable:
    """The table of words and their pieces ``[V + 1]``, ``[sum]`` that are arrays of numpy."""
    return PieceTable(torch.tensor(words.offsets), torch.tensor(words.pieces))


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Where the pieces of a batch are."""

    pieces: Tensor
    """``[B, P]``: piece ids, the beginning, the words', the end, then padding."""
    real: Tensor
    """``[B, P]`` bool, all but padding."""
    place: Tensor
    """``[n]``: places in ``[B * P]`` of the n pieces that are of words."""
    word: Tensor
    """``[n]``: place in ``[B * L]`` of the word of each."""
    counts: Tensor
    """``[B, L]``: pieces of each word."""

    def words(self, values: Tensor) -> Tensor:
        """Means ``[B, L, F]`` over each word's pieces of values ``[B, P, F]``; 0 for PAD."""
        size = values.shape[-1]
        sums = values.new_zeros(self.counts.numel(), size)
        sums = sums.index_add(0, self.word, values.reshape(-1, size).index_select(0, self.place))
        means = sums / self.counts.reshape(-1, 1).clamp(min=1)
        return means.view(*self.counts.shape, size)

    def pieces_of(self, values: Tensor, special: float | bool) -> Tensor:
        """The value of its word for each piece ``[B, P]``, of values ``[B, L]``."""
        spread = values.new_full((self.pieces.numel(),), special)
        spread = spread.index_put((self.place,), values.reshape(-1).index_select(0, self.word))
        return spread.view(self.pieces.shape)

    def attention(self, attention: Tensor) -> Tensor:
        """Attention from word to word ``[B, H, L, L]``, of that of pieces ``[B, H, P, P]``."""
        batch, length = self.counts.shape
        belongs = attention.new_zeros(batch * length, self.pieces.shape[1])
        belongs[self.word, self.place % self.pieces.shape[1]] = 1.0
        belongs = belongs.view(batch, 1, length, self.pieces.shape[1])
        mean = belongs / self.counts.view(batch, 1, length, 1).clamp(min=1)
        return mean @ attention @ belongs.mT


@dataclass(frozen=True, slots=True, eq=False)
class _ByWord(Sequence[Tensor]):
    """One kind of value of each block, as means over the pieces of words ``[B, L, F]``."""

    layout: _Layout
    values: tuple[Tensor, ...]
    """``[B, P, F]`` of each block."""

    def __len__(self) -> int:
        return len(self.values)

    @overload
    def __getitem__(self, block: int) -> Tensor: ...
    @overload
    def __getitem__(self, block: slice) -> Sequence[Tensor]: ...
    def __getitem__(self, block: int | slice) -> Tensor | Sequence[Tensor]:
        if isinstance(block, slice):
            return [self.of_words(values) for values in self.values[block]]
        return self.of_words(self.values[block])

    def of_words(self, values: Tensor) -> Tensor:
        """Values of words, of those of pieces."""
        return self.layout.words(values)


class _AttentionByWord(_ByWord):
    """The attention of each block from word to word ``[B, H, L, L]``."""

    def of_words(self, values: Tensor) -> Tensor:
        return self.layout.attention(values)


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
    """norm(x + attention(x)), then norm(x + ffn(x)), as the pretrained weights were trained."""

    def __init__(self, shape: EncoderShape) -> None:
        super().__init__()
        width = shape.embed_dim
        self.heads, self.dropout = shape.heads, shape.dropout
        self.attention_dropout, self.output_dropout = shape.attention_dropout, shape.output_dropout
        self.activation = _ACTIVATIONS[shape.activation]
        self.query, self.key, self.value, self.out = (Linear(width, width) for _ in range(4))
        self.linear1, self.linear2 = Linear(width, shape.ffn_dim), Linear(shape.ffn_dim, width)
        self.norm1 = nn.LayerNorm(width, eps=shape.norm_epsilon)
        self.norm2 = nn.LayerNorm(width, eps=shape.norm_epsilon)

    def forward(
        self, x: Tensor, hidden: Tensor, noise: torch.Generator | None, *, inner: bool = True
    ) -> EncoderValues:
        """Values of x ``[B, P, E]``; ``hidden [B, P]`` is added to the scores of each key.

        Without ``inner`` the attention is torch's own fused one, and is not to be had.
        """
        batch, length, width = x.shape
        by_head = (batch, length, self.heads, width // self.heads)
        query, key, value = (
            layer(x).view(by_head).transpose(1, 2) for layer in (self.query, self.key, self.value)
        )
        if inner or noise is not None:
            scores = query @ key.mT / math.sqrt(by_head[-1]) + hidden[:, None, None]
            attention = torch.softmax(scores, dim=-1)
            mixed = dropout(attention, self.attention_dropout, noise) @ value
        else:
            attention = value.new_empty(0)
            mixed = F.scaled_dot_product_attention(query, key, value, hidden[:, None, None])
        attended = self.out(mixed.transpose(1, 2).reshape(batch, length, width))
        x = self.norm1(x + dropout(attended, self.output_dropout, noise))
        before = self.linear1(x)
        after = self.activation(before)
        fed = self.linear2(after)
        x = self.norm2(x + dropout(fed, self.dropout, noise))
        return EncoderValues(attention, attended, before, after, fed, x)


class PretrainedClassifier(nn.Module):
    """Pieces, VMASK over words, positions, the encoder's blocks, mean pooling, linear classifier.

    Args:
        encoder: sizes of the encoder.
        shape: VMASK's sizes and the gate's temperature; its other fields are the encoder's.
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
        self.gumbel_temperature = shape.gumbel_temperature
        self.embedding = nn.Embedding(encoder.pieces, encoder.piece_dim, padding_idx=encoder.pad)
        self.position = nn.Embedding(encoder.positions, encoder.piece_dim)
        self.segment = (
            nn.Embedding(encoder.segments, encoder.piece_dim) if encoder.segments else None
        )
        self.norm = nn.LayerNorm(encoder.piece_dim, eps=encoder.norm_epsilon)
        same = encoder.piece_dim == encoder.embed_dim
        self.project = None if same else Linear(encoder.piece_dim, encoder.embed_dim)
        self.layers = nn.ModuleList(EncoderBlock(encoder) for _ in range(encoder.layers))
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
        inner: bool = True,
    ) -> SafrOutput:
        """Classify words ``[B, L]`` int64, PAD = 0; arguments as of ``SafrClassifier``.

        ``inner``: whether the blocks' values are wanted; without them a pass needs less time and
        memory. Those of words are computed when they are looked at.
        """
        noise = noise_of(self, noise)
        placed = positions_of(ids, pairs=self.pairs)
        at = self._laid_out(ids)
        embedded = self.embedding(at.pieces)  # [B, P, E]
        if scale is not None:
            embedded = embedded * at.pieces_of(scale, 1.0)[..., None]
        words = at.words(embedded)  # [B, L, E]
        keep = None
        if self.vmask is not None:
            log_odds = self.vmask(words).to(words.dtype)
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
        seen = at.real if visible is None else at.real & at.pieces_of(visible, True)
        hidden = torch.where(at.real, 0.0, MASKED_SCORE).to(x.dtype)
        if visible is not None:
            hidden = hidden.masked_fill(at.real & ~seen, INVISIBLE_SCORE)
        blocks: list[EncoderValues] = []
        for layer in self.layers:
            values = layer(x, hidden, noise, inner=inner)
            x = values.block
            blocks += [values] if inner else []
        logits = self.fc(self._pooled(x, at, placed, visible))
        kinds = zip(*blocks, strict=True) if inner else [()] * len(EncoderValues._fields)
        attention, *of_words = (_ByWord(at, tuple(kind)) for kind in kinds)
        return SafrOutput(
            placed,
            logits,
            words,
            masked,
            keep,
            _AttentionByWord(at, attention.values),
            *of_words,
        )

    @property
    def table(self) -> PieceTable:
        """The pieces of each word, on the model's device."""
        return PieceTable(self._offsets, self._pieces)

    @table.setter
    def table(self, table: PieceTable) -> None:
        device = self._offsets.device
        self._offsets, self._pieces = table.offsets.to(device), table.pieces.to(device)

    def _laid_out(self, ids: Tensor) -> _Layout:
        shape, (offsets, table) = self.shape, self.table
        flat = ids.reshape(-1)
        starts = offsets[flat]
        counts = offsets[flat + 1] - starts
        word = torch.repeat_interleave(counts)  # [n]
        own = torch.arange(len(word), device=ids.device)
        before = torch.cumsum(counts, 0) - counts
        found = table[starts[word] + own - before[word]]
        lengths = counts.view(ids.shape).sum(dim=1)  # pieces of each text
        text = word // ids.shape[1]
        column = 1 + own - (torch.cumsum(lengths, 0) - lengths)[text]
        width = int(lengths.max()) + 2
        place = text * width + column
        pieces = torch.full((len(ids), width), shape.pad, device=ids.device)
        pieces[:, 0] = shape.begin
        pieces.view(-1)[place] = found
        pieces.scatter_(1, (lengths + 1)[:, None], shape.end)
        real = torch.arange(width, device=ids.device) < (lengths + 2)[:, None]
        return _Layout(pieces, real, place, word, counts.view(ids.shape))

    def _placed(
        self, embedded: Tensor, at: _Layout, placed: Positions, noise: torch.Generator | None
    ) -> Tensor:
        """The input of the first block ``[B, P, E]``."""
        first = self.shape.first_position
        x = embedded + self.position.weight[first : first + embedded.shape[1]]
        if self.segment is not None and placed.between is not None and self.shape.segments > 1:
            between = at.pieces_of(placed.between, False)
            after = (between.cumsum(dim=1) > 0) & ~between
            x = x + segments(after, self.segment.weight)
        elif self.segment is not None:
            x = x + self.segment.weight[0]
        x = dropout(self.norm(x), self.shape.dropout, noise)
        return x if self.project is None else self.project(x)

    def _pooled(self, x: Tensor, at: _Layout, placed: Positions, visible: Tensor | None) -> Tensor:
        """Mean ``[B, E]`` over the pieces of the words that are seen; 0 without any."""
        seen = placed.words if visible is None else placed.words & visible
        shares = at.pieces_of(seen.to(x.dtype), 0.0)
        shares = shares / shares.sum(dim=1, keepdim=True).clamp(min=1)
        return torch.bmm(shares[:, None], x)[:, 0]


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
