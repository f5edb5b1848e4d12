"""A corpus as integers in ragged arrays: what all trials of a study share."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from safr_study.data.catalogue import KNOWN, slugify
from safr_study.data.checks import check_concerns, repeated_phrase
from safr_study.data.corpus import Concern, Corpus, Ints, Marks, Split
from safr_study.data.encoder_files import find_encoder
from safr_study.data.pieces import Tokens, WordPieces, special_words
from safr_study.data.word_ids import (
    Bytes,
    build_vocabulary,
    encode_rationale,
    encode_rows,
    pack_vocabulary,
)
from safr_study.data.words import WordSplitter
from safr_study.errors import BadInput
from safr_study.settings import UNK, CorpusSpec
from safr_study.settings.metrics import majority_accuracy

MAX_LEN = 128
"""Tokens kept of each text, where neither the user nor the data set says."""
SplitName = Literal["train", "dev", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "dev", "test")
_PARTS = ("tokens", "offsets", "labels", "rationale", "groups", "second")


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSplit:
    """N texts of T tokens in all, one after the other; the arrays are read-only."""

    tokens: Tokens
    """``[T]`` ids."""
    offsets: Ints
    """``[N + 1]``: text i, or pair i, is ``tokens[offsets[i]:offsets[i + 1]]``."""
    labels: Ints
    """``[N]``."""
    rationale: Marks | None = None
    """``[T]``, 1 = evidence."""
    groups: Ints | None = None
    """``[N]``: texts that belong together have the same number."""
    second: Marks | None = None
    """``[T]``, 1 = of the second text of a pair, 0 = of the first, which comes before; ``None``:
    single texts. What separates the two is no token of a split."""

    @property
    def examples(self) -> int:
        """Number of texts N."""
        return len(self.labels)

    @property
    def lengths(self) -> Ints:
        """``[N]`` tokens of each text."""
        return np.diff(self.offsets)

    @property
    def positions(self) -> Ints:
        """``[N]`` positions that each takes in a batch: one more where it is a pair."""
        return self.lengths + (self.second is not None)

    def as_read(self, texts: Literal["both", "second"]) -> EncodedSplit:
        """The pairs as a training reads them: both texts, or no word of the first."""
        if texts == "both" or self.second is None:
            return self
        return remove_tokens(self, self.second == 1)

    @property
    def majority_accuracy(self) -> float:
        """Accuracy of always naming the most frequent class, percentage points."""
        return majority_accuracy(np.bincount(self.labels).tolist())


def remove_tokens(split: EncodedSplit, keep: npt.NDArray[np.bool_]) -> EncodedSplit:
    """The texts with their kept tokens alone, which close ranks (mode ``remove``).

    Those of a pair stay on their sides.

    Args:
        split: the texts.
        keep: `[T]`, false for the tokens to delete.

    Returns:
        As many texts with the same labels; some may be empty.
    """
    kept_before = np.concatenate(([0], np.cumsum(keep, dtype=np.int64)))
    return replace(
        split,
        tokens=split.tokens[keep],
        offsets=kept_before[split.offsets],
        rationale=None if split.rationale is None else split.rationale[keep],
        second=None if split.second is None else split.second[keep],
    )


@dataclass(frozen=True, slots=True, eq=False)
class EncodedCorpus:
    """Everything that training and evaluation read of a data set: a few flat arrays."""

    name: str
    """Name as the user gave it."""
    slug: str
    """The name for files and registries."""
    source: str
    """Where it was found, one phrase."""
    fingerprint: str
    """SHA-256 of all the content, hexadecimal; name and source are no part of it."""
    class_names: tuple[str, ...]
    max_len: int
    """No text has more tokens; a pair has one less at most, or with an encoder pieces."""
    vocabulary_bytes: Bytes
    """The words by id, UTF-8, one per line."""
    counts: Mapping[str, int]
    """Facts to report: ``vocabulary``, and for each split ``examples_``, ``tokens_``, ``empty_``
    (texts), ``truncated_`` (texts), ``unknown_`` (tokens); ``unlabelled_test``. Where there are
    any, ``left_out_`` (rows labelled -1) and ``repeated_`` (texts that are in a split before). Of
    pairs ``second_tokens_`` too; a pair is empty where one of its texts is."""
    train: EncodedSplit
    dev: EncodedSplit
    test: EncodedSplit | None = None
    pieces: WordPieces | None = None
    """Pieces of the words, for a model over a pretrained encoder."""
    concerns: tuple[Concern, ...] = ()
    """What is doubtful about data of the user's own."""

    @property
    def vocabulary(self) -> tuple[str, ...]:
        """Words by id; unpacked at each call."""
        return tuple(self.vocabulary_bytes.tobytes().decode().split("\n"))

    @property
    def vocabulary_size(self) -> int:
        """Number of ids, padding and unknown included."""
        return self.counts["vocabulary"]

    @property
    def pairs(self) -> bool:
        """Whether its texts are pairs."""
        return self.train.second is not None

    def as_read(self, texts: Literal["both", "second"]) -> EncodedCorpus:
        """The corpus as a training reads it: with both texts of each pair, or the second alone."""
        read: dict[str, Any] = {name: split.as_read(texts) for name, split in self.splits.items()}
        return replace(self, **read)

    @property
    def splits(self) -> dict[str, EncodedSplit]:
        """The splits that there are, by name."""
        every = {"train": self.train, "dev": self.dev, "test": self.test}
        return {name: split for name, split in every.items() if split is not None}

    def split(self, name: str) -> EncodedSplit:
        """The split of this name.

        Raises:
            BadInput: there is none.
        """
        if name not in self.splits:
            have = ", ".join(self.splits)
            raise BadInput("split", f"{self.name} has no {name} split; it has {have}")
        return self.splits[name]

    def class_counts(self, name: str) -> list[int]:
        """Number of a split's texts of each class."""
        labels = self.split(name).labels
        return [int(count) for count in np.bincount(labels, minlength=len(self.class_names))]


def encode_corpus(corpus: Corpus, spec: CorpusSpec) -> EncodedCorpus:
    """Build the vocabulary from the training texts alone, and encode every split with it.

    With a pretrained encoder the vocabulary has the words of all splits, as it knows the pieces of
    every word; a text is cut before the first word whose pieces have no room.

    Raises:
        BadInput: no word is frequent enough to enter the vocabulary; or the encoder cannot be
            used, or has fewer positions than ``max_len``.
    """
    known = KNOWN.get(spec.dataset)
    max_len = spec.max_len or (known.max_len if known else MAX_LEN)
    splitter = WordSplitter.of(spec)
    pairs = corpus.train.seconds is not None
    pieces = None
    if spec.encoder is None:
        vocabulary = build_vocabulary(corpus.train.each, spec.min_count, splitter, pairs=pairs)
        spelled = np.arange(len(vocabulary)) != UNK
    else:
        texts = [s.each for s in (corpus.train, corpus.dev, corpus.test) if s is not None]
        vocabulary = build_vocabulary(itertools.chain(*texts), 1, splitter, pairs=pairs)
        encoder = find_encoder(spec.encoder)
        longest = encoder.shape.longest
        if spec.max_len is not None and spec.max_len > longest:
            raise BadInput(
                "max-len", f"{spec.max_len} is more than the {longest} positions of {spec.encoder}"
            )
        max_len = min(max_len, longest)
        learned = encoder.tokenizer(pairs=pairs)
        learned.learn(vocabulary[len(special_words(pairs=pairs)) :])
        spelled = learned.spelled()
        pieces = WordPieces(
            spec.encoder, encoder.sha256, encoder.shape, learned.offsets, learned.pieces
        )
    if len(vocabulary) == len(special_words(pairs=pairs)):
        # What keeps every study from beginning says better why.
        check_concerns((concern for concern in corpus.concerns if concern.stops), spec)
        raise BadInput(
            "text-column",
            f"the vocabulary has 0 words: none is {spec.min_count} times in the "
            f"{corpus.train.examples:,} training texts; give more of them, or another column",
        )
    packed = pack_vocabulary(vocabulary)
    counts = {"vocabulary": len(vocabulary), "unlabelled_test": corpus.unlabelled_test}
    encoded: dict[str, EncodedSplit] = {}
    for name in SPLIT_NAMES:
        split: Split | None = getattr(corpus, name)
        if split is None:
            continue
        read = encode_rows(split.rows, vocabulary, max_len, splitter, pairs=pairs, pieces=pieces)
        labels = split.labels.astype(np.int64)
        rationale = encode_rationale(split, read.kept, splitter)
        encoded[name] = EncodedSplit(
            read.tokens, read.offsets, labels, rationale, split.groups, read.second
        )
        for part in _PARTS:
            if (array := getattr(encoded[name], part)) is not None:
                array.setflags(write=False)
        of_row = (split.examples, -1)
        counts |= {
            f"examples_{name}": split.examples,
            f"tokens_{name}": len(read.tokens),
            f"empty_{name}": int(np.count_nonzero((read.full == 0).reshape(of_row).any(axis=1))),
            f"truncated_{name}": int(np.count_nonzero(read.cut)),
            f"unknown_{name}": int(np.count_nonzero(~spelled[read.tokens])),
        }
        if read.second is not None:
            counts[f"second_tokens_{name}"] = int(np.count_nonzero(read.second))
    counts |= {f"left_out_{name}": count for name, count in corpus.left_out.items()}
    counts |= {f"repeated_{name}": count for name, count in corpus.repeated.items()}
    return EncodedCorpus(
        name=corpus.name,
        slug=slugify(corpus.name),
        source=corpus.source,
        fingerprint=_fingerprint(encoded, packed, corpus.class_names, max_len, pieces),
        class_names=corpus.class_names,
        max_len=max_len,
        vocabulary_bytes=packed,
        counts=counts,
        pieces=pieces,
        concerns=corpus.concerns,
        **encoded,
    )


def describe(corpus: EncodedCorpus) -> str:
    """One line: name, sizes, classes, words, and what was unusual."""
    counts = corpus.counts
    sizes = [
        f"{counts[f'examples_{name}']:,} {name}"
        for name in SPLIT_NAMES
        if f"examples_{name}" in counts
    ]
    parts = [
        " / ".join(sizes),
        f"{len(corpus.class_names)} classes",
        f"{corpus.vocabulary_size - len(special_words(pairs=corpus.pairs)):,} words"
        + (" in all splits" if corpus.pieces is not None else ""),
    ]
    if corpus.pairs:
        words, second = counts["tokens_train"], counts["second_tokens_train"]
        means = [count / max(1, counts["examples_train"]) for count in (words - second, second)]
        parts.append(f"pairs of {means[0]:.1f} and {means[1]:.1f} words on average")
    empty = sum(counts.get(f"empty_{name}", 0) for name in SPLIT_NAMES)
    if empty:
        if corpus.pairs:
            parts.append(f"{empty:,} {'pair' if empty == 1 else 'pairs'} with an empty text kept")
        else:
            parts.append(f"{empty:,} empty {'text' if empty == 1 else 'texts'} kept")
    if counts["unlabelled_test"]:
        parts.append("test left out (labels are missing)")
    for name in SPLIT_NAMES:
        if left_out := counts.get(f"left_out_{name}", 0):
            parts.append(f"{left_out:,} of {name} left out (labelled -1)")
        if repeated := counts.get(f"repeated_{name}", 0):
            parts.append(repeated_phrase(name, repeated))
    return f"{corpus.name}: {', '.join(parts)}"


def _fingerprint(
    splits: Mapping[str, EncodedSplit],
    vocabulary: Bytes,
    class_names: tuple[str, ...],
    max_len: int,
    pieces: WordPieces | None,
) -> str:
    digest = hashlib.sha256(repr((class_names, max_len)).encode())
    if pieces is not None:
        digest.update(pieces.sha256.encode())
    for name, array in named_arrays(vocabulary, splits).items():
        # The length keeps the bytes of neighbouring arrays apart.
        digest.update(f"{name}:{len(array)}:".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def named_arrays(vocabulary: Bytes, splits: Mapping[str, EncodedSplit]) -> dict[str, np.ndarray]:
    """All arrays of a corpus by name, in a fixed order; absent ones are left out."""
    arrays: dict[str, np.ndarray] = {"vocabulary": vocabulary}
    for name, split in splits.items():
        for part in _PARTS:
            array = getattr(split, part)
            if array is not None:
                arrays[f"{name}.{part}"] = array
    return arrays
