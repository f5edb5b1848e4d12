"""The pieces of a batch of words: where each is, and values of words from those of pieces.

Shapes: V words, B texts, L words of the longest text, P pieces of the longest with special ones,
F numbers of a value, H heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, overload

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from safr_study.settings import EncoderShape

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


@dataclass(frozen=True, slots=True, eq=False)
class PieceLayout:
    """Where the pieces of a batch are; its shapes follow from B, L and P alone."""

    pieces: Tensor
    """``[B, P]``: piece ids, the beginning, the words', the end, then padding."""
    real: Tensor
    """``[B, P]`` bool, all but padding."""
    word: Tensor
    """``[B, P]``: number of the word of each piece in its text; L for special pieces and padding"""
    counts: Tensor
    """``[B, L]``: pieces of each word."""

    def first(self, values: Tensor) -> Tensor:
        """Values ``[B, L, F]`` of each word's first piece, of ``[B, P, F]``; 0 for PAD."""
        place = 1 + torch.cumsum(self.counts, dim=1) - self.counts  # behind the beginning
        place = place.clamp(max=values.shape[1] - 1)[..., None].expand(-1, -1, values.shape[-1])
        return values.gather(1, place) * (self.counts > 0)[..., None]

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
        belongs = (self.word[:, None] == numbers[:, None]).to(attention.dtype)  # [B, L, P]
        mean = belongs / self.counts[..., None].clamp(min=1)
        # All heads of a text in one product: many small ones take twice as long.
        batch, heads, pieces, _ = attention.shape
        length = self.counts.shape[1]
        sums = attention.flatten(1, 2) @ belongs.mT  # [B, H P, L]
        by_piece = sums.view(batch, heads, pieces, length).transpose(1, 2).flatten(2)
        return (mean @ by_piece).view(batch, length, heads, length).transpose(1, 2)

    @property
    def _places(self) -> Tensor:
        """Place of each piece's word in ``[B * (L + 1)]``, ``[B * P]``."""
        rows = torch.arange(len(self.word), device=self.word.device)[:, None]
        return (self.word + rows * (self.counts.shape[1] + 1)).view(-1)


def lay_out(
    ids: Tensor,
    table: PieceTable,
    shape: EncoderShape,
    pieces: int | None = None,
    shown: Tensor | None = None,
) -> PieceLayout:
    """The pieces of words ``[B, L]`` and the special ones around them.

    Args:
        ids: of words, PAD = 0; on the device of the table.
        table: pieces of each word.
        shape: of the encoder; has the special pieces.
        pieces: room for those of a text's words; ``None``: as many as the longest has.
        shown: ``[B, L]`` bool; each piece of the other words is the hidden one.
    """
    offsets, every = table
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
    found = every[place]
    if shown is not None:
        found = found.masked_fill(~F.pad(shown, (0, 1)).gather(1, word), shape.hidden)
    special = torch.where(number == lengths, shape.end, shape.pad)
    special = torch.where(number < 0, shape.begin, special)
    real = number <= lengths
    return PieceLayout(torch.where(of_word, found, special), real, word, counts)


@dataclass(frozen=True, slots=True, eq=False)
class ByWord(Sequence[Tensor]):
    """One kind of value of each block, as means over the pieces of words ``[B, L, F]``."""

    layout: PieceLayout
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


class FirstPieces(ByWord):
    """One kind of value of each block, as those of the words' first pieces."""

    def of_words(self, values: Tensor) -> Tensor:
        """Values of words, of those of pieces."""
        return self.layout.first(values)


class AttentionByWord(ByWord):
    """The attention of each block from word to word ``[B, H, L, L]``."""

    def of_words(self, values: Tensor) -> Tensor:
        """Values of words, of those of pieces."""
        return self.layout.attention(values)
