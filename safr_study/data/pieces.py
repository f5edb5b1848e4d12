"""The pieces into which a pretrained encoder's tokenizer cuts words, each word by itself.

What is left of a text after a deletion therefore needs no new tokenization.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from safr_study.data.corpus import Ints
from safr_study.settings import UNK, EncoderShape

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TOKENIZER = "tokenizer.json"
"""File of an encoder's tokenizer, as its makers publish it, and of the models over it."""
SPECIAL_WORDS = ("<pad>", "<unk>")
"""Words of the ids 0 and 1."""
SPECIAL_WORDS_OF_PAIRS = (*SPECIAL_WORDS, "<sep>")
"""Words of the ids 0 to 2 of a corpus of pairs; the last stands between two texts."""
Tokens = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True, eq=False)
class WordPieces:
    """The pieces of each word of a corpus."""

    encoder: str
    """Folder or hub id of the encoder, as the user gave it."""
    sha256: str
    """Digest of its files."""
    shape: EncoderShape
    offsets: Ints
    """``[V + 1]``: word i has ``pieces[offsets[i]:offsets[i + 1]]``; PAD has none."""
    pieces: Ints
    """Ids of all the pieces."""


class PieceTokenizer:
    """Words and their pieces, to which the words of new texts are added as they come.

    A word's id is its place in the order in which it came; no number depends on it.

    Args:
        tokenizer: the encoder's.
        shape: of the encoder; its hidden piece is that of the unknown word, and of a word that
            the tokenizer drops.
        pairs: whether the id 2 stands between two texts.
    """

    def __init__(self, tokenizer: Tokenizer, shape: EncoderShape, *, pairs: bool = False) -> None:
        self._tokenizer, self._hidden, self._unknown = tokenizer, shape.hidden, shape.unknown
        self.shape = shape
        self._between = shape.between if pairs else None
        self.lock = Lock()
        """Held while the ids must stay what they are."""
        self.forget()

    def forget(self) -> None:
        """Know no word; the ids given out so far are void."""
        between = self._between or ()
        self.words = list(special_words(pairs=self._between is not None))
        """Words by id."""
        self._known: set[str] = set()
        ends = [1 + len(between)] if between else []
        self.offsets: Ints = np.array([0, 0, 1, *ends], dtype=np.int64)
        """``[V + 1]``, as of ``WordPieces``."""
        self.pieces: Ints = np.array([self._hidden, *between], dtype=np.int64)

    def spelled(self) -> npt.NDArray[np.bool_]:
        """Whether each word `[V]` has a piece that is not the unknown one."""
        if self._unknown is None:
            spelled = np.ones(len(self.words), dtype=np.bool_)
        else:
            known = np.concatenate(([0], np.cumsum(self.pieces != self._unknown)))
            spelled = np.diff(known[self.offsets]) > 0
        spelled[: UNK + 1] = False  # What separates a pair is never asked about.
        return spelled

    def learn(self, words: Iterable[str]) -> None:
        """Add the words that are new."""
        new = [word for word in dict.fromkeys(words) if word not in self._known]
        found = self._tokenizer.encode_batch(
            [[word] for word in new], is_pretokenized=True, add_special_tokens=False
        )
        lists = [one.ids or [self._hidden] for one in found]
        ends = self.offsets[-1] + np.cumsum([len(one) for one in lists], dtype=np.int64)
        flat = np.fromiter(itertools.chain.from_iterable(lists), dtype=np.int64)
        self.words += new
        self._known.update(new)
        self.offsets = np.concatenate((self.offsets, ends))
        self.pieces = np.concatenate((self.pieces, flat))


def special_words(*, pairs: bool) -> tuple[str, ...]:
    """The words of the first ids of a corpus, of single texts or of pairs."""
    return SPECIAL_WORDS_OF_PAIRS if pairs else SPECIAL_WORDS


def read_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer for words one by one.

    Raises:
        ValueError: the file cannot be read.
    """
    from tokenizers import Tokenizer, pre_tokenizers

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # The library raises this very class.
        raise ValueError(str(error)) from None
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if isinstance(tokenizer.pre_tokenizer, pre_tokenizers.ByteLevel):
        # A word in a text has a space before it, and its pieces are those of " word".
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    return tokenizer


def fitting(
    tokens: Tokens, offsets: Ints, sizes: Ints | None, room: int | Ints
) -> tuple[Tokens, Ints]:
    """Texts cut to a room; a word that would be cut is left out whole, and so are those after it.

    Args:
        tokens: ``[T]``, ids of words.
        offsets: ``[N + 1]``, of the texts.
        sizes: ``[T]``, pieces of the words; ``None``: one each.
        room: of each text, or ``[N]``.
    """
    counts = np.ones(len(tokens), np.int64) if sizes is None else sizes
    before = np.concatenate(([0], np.cumsum(counts)))
    in_text = before[1:] - np.repeat(before[offsets[:-1]], np.diff(offsets))
    fits = in_text <= np.repeat(np.broadcast_to(room, len(offsets) - 1), np.diff(offsets))
    return tokens[fits], np.concatenate(([0], np.cumsum(fits)))[offsets]
