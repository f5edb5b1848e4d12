"""The words of a text: the unit that is ranked, deleted, explained and marked by a rationale.

Three ways to find them, by name, as ``CorpusSpec.tokenizer``. ``whitespace`` is the paper's: what
is between white space, as it is typed. ``words`` is for texts as people write them: marks of
punctuation and symbols are words of their own, while numbers (3.5, 1,000) and contractions (don't)
stay whole. There Unicode is composed (NFC), and typographic quotes and dashes are plain ones.
``characters`` is the same, but each sign of a script that puts no blanks between words is one.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from safr_study.settings import CorpusSpec, TokenizerName

if TYPE_CHECKING:
    from tokenizers.normalizers import Normalizer
    from tokenizers.pre_tokenizers import PreTokenizer

_HAN = r"\p{Han}"
# A sound that is held is written with the sign before it.
_WITHOUT_BLANKS = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}][\p{M}ー]*"


def _pattern(sign: str) -> str:
    """What a word is, where some signs are one each."""
    letter = rf"(?:(?!{sign})[\p{{L}}\p{{M}}\p{{N}}_])"
    return (
        # A script without spaces: each sign is one.
        rf"{sign}"
        # An apostrophe before a letter, or a point or comma between digits, is inside.
        rf"|{letter}+(?:(?:'(?=\p{{L}})|(?<=\d)[.,](?=\d)){letter}+)*"
        # Any other sign as it is seen: an emoji of several characters is one.
        r"|(?![\s\p{Cc}\p{Cf}\p{Z}])\X"
    )


_PLAIN = str.maketrans("‘’‚‛′“”„‟«»″‐‑‒–—―…", '\'\'\'\'\'"""""""------.')
"""One character each, so that places in the text stay the same."""


class Word(NamedTuple):
    """One word and where it is in its text."""

    text: str
    """Form that the vocabulary has: normalised."""
    start: int
    """Place of its first character in the text as it was typed."""
    end: int
    """Place after its last."""


@dataclass(frozen=True, slots=True)
class WordSplitter:
    """Cuts texts into words."""

    tokenizer: TokenizerName = "whitespace"
    lowercase: bool = False

    @classmethod
    def of(cls, spec: CorpusSpec) -> WordSplitter:
        """The one by which a data set is read, and so every text for its models."""
        return cls(spec.tokenizer, spec.lowercase)

    def words(self, text: str) -> list[str]:
        """The normalised words."""
        if self.tokenizer == "whitespace":
            return (text.lower() if self.lowercase else text).split()
        return [word.text for word in self.placed(text)]

    def placed(self, text: str) -> list[Word]:
        """The words with their places in the text as it was typed."""
        if self.tokenizer == "whitespace":
            return [
                Word(word.lower() if self.lowercase else word, start, start + len(word))
                for word, start in _between_spaces(text)
            ]
        sign = _WITHOUT_BLANKS if self.tokenizer == "characters" else _HAN
        return _by_sign(text, self.lowercase, sign)


def _between_spaces(text: str) -> list[tuple[str, int]]:
    found, start = [], 0
    for word in text.split():
        start = text.index(word, start)
        found.append((word, start))
        start += len(word)
    return found


def _by_sign(text: str, lowercase: bool, sign: str) -> list[Word]:
    from tokenizers import PreTokenizedString

    normalizer, splitter = _rules(lowercase, sign)
    cut = PreTokenizedString(text.translate(_PLAIN))
    cut.normalize(normalizer.normalize)
    splitter.pre_tokenize(cut)
    return [
        Word(word, start, _with_marks(text, end))
        for word, (start, end), _ in cut.get_splits(
            offset_referential="original", offset_type="char"
        )
    ]


def _with_marks(text: str, end: int) -> int:
    """The end of a word whose last letter was composed: the library leaves its marks out."""
    while end < len(text) and unicodedata.combining(text[end]):
        end += 1
    return end


@cache
def _rules(lowercase: bool, sign: str) -> tuple[Normalizer, PreTokenizer]:
    from tokenizers import Regex, normalizers, pre_tokenizers

    steps = [normalizers.NFC(), *([normalizers.Lowercase()] if lowercase else [])]
    splitter = pre_tokenizers.Split(Regex(_pattern(sign)), behavior="removed", invert=True)
    return normalizers.Sequence(steps), splitter
