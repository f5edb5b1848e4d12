"""Texts as the ids of their words, and the vocabulary that gives the ids."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from safr_study.data.corpus import Ints, Marks, Split, Text, each_text
from safr_study.data.pairs import rooms_of_pairs, second_marks
from safr_study.data.pieces import SPECIAL_WORDS, Tokens, fitting, special_words
from safr_study.data.words import WordSplitter
from safr_study.settings import UNK, EncoderShape

Bytes = npt.NDArray[np.uint8]


class EncodedRows(NamedTuple):
    """N texts or pairs of T words in all."""

    tokens: Tokens
    """``[T]`` ids."""
    offsets: Ints
    """``[N + 1]``."""
    second: Marks | None
    """``[T]``, of pairs."""
    kept: Ints
    """Words of every text ``[N]``, of pairs ``[2 N]``."""
    full: Ints
    """Those before the cut."""

    @property
    def words(self) -> Ints:
        """Words of each row ``[N]`` before the cut."""
        of_row: Ints = self.full.reshape(len(self.offsets) - 1, -1).sum(axis=1)
        return of_row

    @property
    def cut(self) -> npt.NDArray[np.bool_]:
        """Whether each row ``[N]`` lost a word."""
        lost = (self.full > self.kept).reshape(len(self.offsets) - 1, -1)
        of_row: npt.NDArray[np.bool_] = np.logical_or.reduce(lost, axis=1)
        return of_row

    def only_seconds(self) -> EncodedRows:
        """The pairs with no word of their first texts."""
        assert self.second is not None
        of_second = self.second == 1
        kept, full = (lengths * (np.arange(len(lengths)) % 2) for lengths in (self.kept, self.full))
        offsets = np.concatenate(([0], np.cumsum(kept[1::2])))
        return EncodedRows(self.tokens[of_second], offsets, self.second[of_second], kept, full)


class _Pieces(Protocol):
    @property
    def shape(self) -> EncoderShape: ...
    @property
    def offsets(self) -> Ints: ...


def encode_rows(
    rows: Sequence[Text],
    vocabulary: Sequence[str],
    max_len: int,
    splitter: WordSplitter,
    *,
    pairs: bool,
    pieces: _Pieces | None,
) -> EncodedRows:
    """Ids of the words of texts or of pairs, as many as there is room for.

    Of a text too long the first words are kept, of a pair those that `rooms_of_pairs` leaves to
    either text. ``max_len`` counts what separates a pair, and of an encoder its special pieces.

    Args:
        rows: N texts, or N pairs of them.
        vocabulary: words by id, as ``EncodedCorpus.vocabulary``.
        max_len: words of a row, with ``pieces`` pieces.
        splitter: cuts a text into words.
        pairs: whether the rows are pairs.
        pieces: of the words of the vocabulary.
    """
    # A word has a piece at least, so no text has more words than pieces.
    tokens, offsets, full = encode_texts(
        each_text(rows), vocabulary, max_len, splitter, first=len(special_words(pairs=pairs))
    )
    if not pairs and pieces is None:
        return EncodedRows(tokens, offsets, None, np.diff(offsets), full)
    sizes = None if pieces is None else np.diff(pieces.offsets)[tokens]
    room = max_len - (0 if pieces is None else 2)
    if not pairs:
        tokens, offsets = fitting(tokens, offsets, sizes, room)
        return EncodedRows(tokens, offsets, None, np.diff(offsets), full)
    room -= 1 if pieces is None else len(pieces.shape.between)
    before = offsets if sizes is None else np.concatenate(([0], np.cumsum(sizes)))[offsets]
    tokens, offsets = fitting(tokens, offsets, sizes, rooms_of_pairs(np.diff(before), room))
    kept = np.diff(offsets)
    return EncodedRows(tokens, offsets[::2], second_marks(kept), kept, full)


def encode_texts(
    texts: Iterable[str],
    vocabulary: Sequence[str],
    max_len: int,
    splitter: WordSplitter = WordSplitter(),  # noqa: B008 (frozen)
    *,
    first: int = len(SPECIAL_WORDS),
) -> tuple[Tokens, Ints, Ints]:
    """Ids of the first ``max_len`` words of each text.

    Args:
        texts: N texts.
        vocabulary: words by id, as ``EncodedCorpus.vocabulary``.
        max_len: tokens kept of each text.
        splitter: cuts a text into words.
        first: id of the first word that a text may have.

    Returns:
        tokens ``[T]``, offsets ``[N + 1]``, and the lengths ``[N]`` before the cut.
    """
    ids = {word: number for number, word in enumerate(vocabulary[first:], start=first)}
    words = [splitter.words(text) for text in texts]
    full = np.fromiter(map(len, words), dtype=np.int64, count=len(words))
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.minimum(full, max_len))])
    flat = itertools.chain.from_iterable(row[:max_len] for row in words)
    tokens = np.fromiter(
        map(ids.get, flat, itertools.repeat(UNK)), dtype=np.int32, count=int(offsets[-1])
    )
    return tokens, offsets, full


def encode_rationale(split: Split, lengths: Ints, splitter: WordSplitter) -> Marks | None:
    """Marks ``[T]`` of the first words of every text, so many; ``None`` where there are none.

    A word that is a part of a white-space token has the mark of that token.
    """
    rows = split.rationale_of_each
    if rows is None:
        return None
    if splitter.tokenizer != "whitespace":
        rows = [
            marks[_token_of_each_word(text, splitter)]
            for text, marks in zip(split.each, rows, strict=True)
        ]
    cut = [marks[:length] for marks, length in zip(rows, lengths, strict=True)]
    return np.concatenate(cut).astype(np.int8)


def _token_of_each_word(text: str, splitter: WordSplitter) -> Ints:
    """Number of the white-space token that each word is a part of."""
    ends = [token.end for token in WordSplitter().placed(text)]
    starts = [word.start for word in splitter.placed(text)]
    return np.searchsorted(ends, np.array(starts, dtype=np.int64), side="right")


def build_vocabulary(
    texts: Iterable[str],
    min_count: int,
    splitter: WordSplitter = WordSplitter(),  # noqa: B008 (frozen)
    *,
    pairs: bool = False,
) -> tuple[str, ...]:
    """The words seen ``min_count`` times or more, by falling count, then by the alphabet.

    Returns:
        words by id; the first two stand for padding and for unknown words, and of pairs the third
        for what separates the texts.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(splitter.words(text))
    kept = [(-count, word) for word, count in counts.items() if count >= min_count]
    return (*special_words(pairs=pairs), *(word for _, word in sorted(kept)))


def pack_vocabulary(words: tuple[str, ...]) -> Bytes:
    """One array for all words, cheap to store and to share; no word holds a line break."""
    return np.frombuffer("\n".join(words).encode(), dtype=np.uint8)
