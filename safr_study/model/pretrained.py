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
from typing import Any, NamedTuple, Protocol, overload

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

SPECIAL = 2
"""Pieces of a text that are of no word: its beginning and its end."""


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


def piece_counts(model: nn.Module) -> NDArray[np.int64] | None:
    """Number of pieces of each word ``[V]`` of a model over an encoder; ``None`` from scratch."""
    if not isinstance(model, PretrainedClassifier):
        return None
    counts: NDArray[np.int64] = np.diff(model.table.offsets.cpu().numpy())
    return counts


def of_encoder(model: nn.Module, **arguments: Any) -> dict[str, Any]:
    """Arguments of a pass that a model over an encoder takes; none for one from scratch."""
    return arguments if isinstance(model, PretrainedClassifier) else {}


@dataclass(frozen=True, slots=True, eq=False)
class _Layout:
    """Where the pieces of a batch are; its shapes follow from B, L and P alone."""

    pieces: Tensor
    """``[B, P]``: piece ids, the beginning, the words', the end, then padding."""
    real: Tensor
    """``[B, P]`` bool, all but padding."""
    word: Tensor
    """``[B, P]``: number of the word of each piece in its text; L for special pieces and padding"""
    counts: Tensor
    """``[B, L]``: pieces of each word."""

    def words(self, values: Tensor) -> Tensor:
        """Means ``[B, L, F]`` over each word's pieces of values ``[B, P, F]``; 0 for PAD."""
        batch, length = self.counts.shape
        size = values.shape[-1]
        # What is of no word is added up in a row behind the words, which is left out.
        sums = values.new_zeros(batch * (length + 1), size)
        sums = sums.index_add(0, self._places, values.reshape(-1, size))
        return sums.view(batch, length + 1, size)[:, :length] / self.counts.clamp(min=1)[..., None]

    def pieces_of(self, values: Tensor, special: float | bool) -> Tensor:
        """The value of its word for each piece ``[B, P]``, of values ``[B, L]``."""
        padded = F.pad(values, (0, 1), value=special)
        return padded.reshape(-1).index_select(0, self._places).view(self.word.shape)

    def attention(self, attention: Tensor) -> Tensor:
        """Attention from word to word ``[B, H, L, L]``, of that of pieces ``[B, H, P, P]``."""
        numbers = torch.arange(self.counts.shape[1], device=self.word.device)
        belongs = (self.word[:, None] == numbers[:, None]).to(attention.dtype)[:, None]
        mean = belongs / self.counts[:, None, :, None].clamp(min=1)  # [B, 1, L, P]
        return mean @ attention @ belongs.mT

    @property
    def _places(self) -> Tensor:
        """Place of each piece's word in ``[B * (L + 1)]``, ``[B * P]``."""
        rows = torch.arange(len(self.word), device=self.word.device)[:, None]
        return (self.word + rows * (self.counts.shape[1] + 1)).view(-1)


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
        at = self._laid_out(ids, pieces, shown)
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
        by_word = _AttentionByWord(at, attention.values)
        return SafrOutput(placed, logits, words, masked, keep, by_word, *of_words)

    @property
    def table(self) -> PieceTable:
        """The pieces of each word, on the model's device."""
        return PieceTable(self._offsets, self._pieces)

    @table.setter
    def table(self, table: PieceTable) -> None:
        device = self._offsets.device
        self._offsets, self._pieces = table.offsets.to(device), table.pieces.to(device)

    def _laid_out(
        self, ids: Tensor, pieces: int | None = None, shown: Tensor | None = None
    ) -> _Layout:
        shape, (offsets, table) = self.shape, self.table
        starts = offsets[ids]
        counts = offsets[ids + 1] - starts  # [B, L]
        ends = torch.cumsum(counts, dim=1)
        lengths = ends[:, -1:]  # pieces of each text
        # Nothing else here has a size that depends on the data, so that a GPU waits for nothing.
        most = int(lengths.max()) if pieces is None else pieces
        number = torch.arange(-1, most + SPECIAL - 1, device=ids.device).expand(len(ids), -1)
        of_word = (number >= 0) & (number < lengths)  # [B, P]
        word = torch.searchsorted(ends, number.contiguous(), right=True)
        word = word.masked_fill(~of_word, ids.shape[1])
        first = F.pad(starts - ends + counts, (0, 1))  # of each word: its start less those before
        place = (first.gather(1, word) + number).masked_fill(~of_word, 0)
        found = table[place]
        if shown is not None:
            found = found.masked_fill(~F.pad(shown, (0, 1)).gather(1, word), shape.hidden)
        special = torch.where(number == lengths, shape.end, shape.pad)
        special = torch.where(number < 0, shape.begin, special)
        real = number <= lengths
        return _Layout(torch.where(of_word, found, special), real, word, counts)

    def _placed(
        self, embedded: Tensor, at: _Layout, placed: Positions, noise: torch.Generator | None
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
