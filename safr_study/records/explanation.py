"""What a model made of one text: its prediction, and each word's place in a layer."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from safr_study.records.plain import to_plain
from safr_study.settings import BEFORE_THE_BLOCKS

Array = NDArray[np.float64]

MOST_PICTURED = 40
"""Words in a picture; beyond these it is too full to read."""
TOP_SHARE = 0.3
"""k of the top words that are marked (the default k of SRS)."""

_MOST_AFTER = 300
"""Characters that are shown of the text that the model did not read."""
# The non-linearity of FFN1 is that of the model.
_NAMES = {
    "embedding": "embedding",
    "vmask": "VMASK",
    "attention": "attention",
    "ffn1_pre": "FFN1 before {}",
    "ffn1_post": "FFN1 after {}",
    "ffn2": "FFN2",
    "block": "block output",
}
_TURNS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
"""Invisible signs that turn the direction of what follows, beyond the word's end too."""


@dataclass(frozen=True, slots=True)
class ModelSource:
    """Which model explained, so that the numbers can be made again."""

    reference: str
    """Reference as the user gave it: a folder, or a name in the registry."""
    sha256: str
    """Digest of its weights."""
    epoch: int
    """Epoch of the state, from 1."""
    preset: str
    """``masked`` or ``reference``."""
    dataset: str
    """Name of the data set of its training."""
    corpus_fingerprint: str
    max_len: int
    """Words that it reads of a text."""
    blocks: int
    vmask: bool
    safr_study: str
    """Version of this package that made the numbers."""
    activation: str = "ReLU"
    """Name of the non-linearity of FFN1."""


@dataclass(frozen=True, slots=True)
class ExplainedWord:
    """One word of the text that the model saw, with its numbers in the chosen layer."""

    position: int
    """Position in the text, from 0."""
    before: str
    """Text between the word before it, or the beginning, and this one, as typed."""
    text: str
    """Word as typed."""
    known: bool
    """``False``: not in the vocabulary; the model sees the unknown word in its place."""
    capacity: float
    """C_i of the definitions, in [0, 1]."""
    rank: int
    """0 = the highest capacity of the text; ties by position."""
    top: bool
    """Whether it is in the top 30 % by capacity (q = round-half-even(0.3 n)) that SRS(30)
    deletes."""
    keep_probability: float | None
    """VMASK's soft gate, in [0, 1]; ``None`` without VMASK."""

    @property
    def shown(self) -> str:
        """The word for people: what would disturb a terminal or a page becomes a sign."""
        return visible(self.text)

    @property
    def shown_before(self) -> str:
        """The text before the word for people."""
        return visible(self.before)


@dataclass(frozen=True, slots=True, eq=False)
class LayerView:
    """The n words of the text in one layer; arrays are read-only."""

    layer: str
    """One of ``settings.LAYERS``."""
    block: int
    """Number of the block, from 0; 0 for the embedding and VMASK too."""
    capacity: Array
    """C_i `[n]`, in [0, 1]."""
    dot: Array
    """h_i . h_j `[n, n]`, symmetric."""

    @property
    def interference(self) -> Array:
        """I_ij = (h_i . h_j)^2 `[n, n]` (SAFR paper, equation 1)."""
        squares: Array = self.dot**2
        return squares

    @property
    def cosine(self) -> Array:
        """h_i . h_j / (|h_i| |h_j|) `[n, n]`, in [-1, 1]; NaN where a row is zero."""
        norms = np.sqrt(np.diagonal(self.dot))
        products = np.outer(norms, norms)
        cosines = np.full_like(self.dot, np.nan)
        np.divide(self.dot, products, out=cosines, where=products > 0)
        return np.clip(cosines, -1.0, 1.0)

    def title(self, source: ModelSource) -> str:
        """The layer for people, with its block (from 1) where the model has several."""
        name = _NAMES[self.layer].format(source.activation)
        return (
            name
            if source.blocks == 1 or self.layer in BEFORE_THE_BLOCKS
            else f"{name}, block {self.block + 1}"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Explanation:
    """One model's view of one text."""

    source: ModelSource
    prediction: str
    """The class; the first of equal probabilities."""
    probabilities: tuple[tuple[str, float], ...]
    """Each class with its probability, by label."""
    words: tuple[ExplainedWord, ...]
    """Those that the model saw, in the order of the text; may be empty."""
    words_cut: int
    """Words beyond ``source.max_len``, which it did not see."""
    after: str
    """Text after the last of ``words``, as typed."""
    view: LayerView
    """The chosen layer."""
    layers: tuple[LayerView, ...] = ()
    """All layers of all blocks in the order of the forward pass, if they were asked for."""
    texts: tuple[str, str] | None = None
    """Texts of a pair as typed; ``None``: a single text."""
    second_from: int | None = None
    """Position of the first word of the second text; ``None``: a single text. Of a pair the texts
    are one below the other."""

    def is_second(self, word: ExplainedWord) -> bool:
        """Whether a word is of the second text of a pair."""
        return self.second_from is not None and word.position >= self.second_from

    def strongest(self, most: int) -> list[tuple[int, int]]:
        """Positions of two words of the largest |cosine|, at most so many, the earlier word first.

        Of a pair of texts, two words of which one is in either text.
        """
        cosine = self.view.cosine
        first, second = np.triu_indices(len(cosine), 1)
        if self.second_from is not None:
            apart = (first < self.second_from) & (second >= self.second_from)
            first, second = first[apart], second[apart]
        strength = np.nan_to_num(np.abs(cosine[first, second]))
        order = np.argsort(-strength, kind="stable")[:most]
        return list(zip(first[order].tolist(), second[order].tolist(), strict=True))

    @property
    def pairs_of_words(self) -> int:
        """Number of those that `strongest` chooses from."""
        count = len(self.words)
        if self.second_from is None:
            return count * (count - 1) // 2
        return self.second_from * (count - self.second_from)

    @property
    def text(self) -> str:
        """The whole text as typed; the texts of a pair have a line break between them."""
        return "".join(word.before + word.text for word in self.words) + self.after

    @property
    def probability(self) -> float:
        """Probability of the predicted class."""
        return dict(self.probabilities)[self.prediction]

    @property
    def pictured(self) -> tuple[ExplainedWord, ...]:
        """The words that pictures show: the `MOST_PICTURED` of the highest capacity."""
        return self.highest(MOST_PICTURED)

    def highest(self, most: int) -> tuple[ExplainedWord, ...]:
        """The words of the highest capacity, at most so many, in the order of the text."""
        return tuple(word for word in self.words if word.rank < most)

    @property
    def shown_after(self) -> str:
        """The text after the last word for people, its beginning alone where it is long."""
        after = visible(self.after.rstrip())
        return after if len(after) <= _MOST_AFTER else f"{after[:_MOST_AFTER]}…"

    @property
    def layer_title(self) -> str:
        """The chosen layer for people."""
        return self.view.title(self.source)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is unusual about this text or model, one sentence each."""
        unknown = sum(not word.known for word in self.words)
        count = len(self.words)
        notes = []
        if not self.words and self.source.preset == "reference":
            notes.append("The text has no word: this is the model's answer to padding alone.")
        elif not self.words:
            notes.append("The text has no word: the bias of the classifier alone decides.")
        if self.words_cut:
            those = "the first " if self.second_from is None else ""
            notes.append(
                f"Only {those}{count} of {count + self.words_cut} words were read: "
                "this model takes no more."
            )
        if unknown and unknown == count:
            notes.append(
                "No word is in the model's vocabulary: it sees the same unknown word each time."
            )
        elif unknown:
            were = "word is" if unknown == 1 else "words are"
            notes.append(f"{unknown} {were} not in the model's vocabulary.")
        if not self.source.vmask:
            notes.append("The model has no VMASK: there are no keep-probabilities.")
        return tuple(notes)


def explanation_to_plain(explanation: Explanation) -> dict[str, Any]:
    """All the numbers as JSON values.

    Keys: ``text``, ``prediction``, ``probabilities`` (by class), ``model`` (its source), ``layer``,
    ``block`` (from 0), ``notes``, ``words_cut``, ``words`` (a list of `ExplainedWord`; ``rank`` 0
    is the highest capacity), ``pairs`` and ``layers``. ``pairs`` has the matrices ``dot``,
    ``cosine`` (null where a row is zero) and ``interference``, their rows and columns in the order
    of ``words``. Each of ``layers`` has ``layer``, ``block``, ``capacity`` and ``pairs``. Of two
    texts there are ``texts`` and ``second_from``, the position of the first word of the second.
    """
    pair = {"texts": explanation.texts, "second_from": explanation.second_from}
    return {
        "text": explanation.text,
        **(to_plain(pair) if explanation.texts is not None else {}),
        "prediction": explanation.prediction,
        "probabilities": dict(explanation.probabilities),
        "model": to_plain(explanation.source),
        "layer": explanation.view.layer,
        "block": explanation.view.block,
        "notes": list(explanation.notes),
        "words_cut": explanation.words_cut,
        "words": to_plain(explanation.words),
        "pairs": _pairs(explanation.view),
        "layers": [
            {
                "layer": view.layer,
                "block": view.block,
                "capacity": view.capacity.tolist(),
                "pairs": _pairs(view),
            }
            for view in explanation.layers
        ],
    }


def _pairs(view: LayerView) -> dict[str, Any]:
    cosine = view.cosine
    return {
        "dot": view.dot.tolist(),
        "cosine": [[None if math.isnan(x) else x for x in row] for row in cosine.tolist()],
        "interference": view.interference.tolist(),
    }


def visible(text: str) -> str:
    """A text for people, its spaces and lines as they are: what would disturb becomes a sign."""
    return "".join(map(_visible, text))


def _visible(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return character
    if code < 0x20:
        return chr(0x2400 + code)  # Unicode's pictures of control characters.
    hidden = (
        unicodedata.category(character) in ("Cc", "Cs")
        or unicodedata.bidirectional(character) in _TURNS
        or code & 0xFFFE == 0xFFFE  # No character at all; XML forbids it.
    )
    return "\N{REPLACEMENT CHARACTER}" if hidden else character
