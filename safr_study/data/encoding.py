"""A corpus as integers in ragged arrays: what all trials of a study share."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from safr_study.data.catalogue import KNOWN, slugify
from safr_study.data.checks import repeated_phrase
from safr_study.data.corpus import Concern, Corpus, Ints, Marks, Split
from safr_study.data.encoder_files import find_encoder
from safr_study.data.pieces import SPECIAL_WORDS, Tokens, WordPieces, fitting
from safr_study.data.words import WordSplitter
from safr_study.errors import BadInput
from safr_study.settings import UNK, CorpusSpec
from safr_study.settings.metrics import majority_accuracy

MAX_LEN = 128
"""Tokens kept of each text, where neither the user nor the data set says."""
Bytes = npt.NDArray[np.uint8]
SplitName = Literal["train", "dev", "test"]
SPLIT_NAMES: tuple[SplitName, ...] = ("train", "dev", "test")
_PARTS = ("tokens", "offsets", "labels", "rationale", "groups")


@dataclass(frozen=True, slots=True, eq=False)
class EncodedSplit:
    """N texts of T tokens in all, one after the other; the arrays are read-only."""

    tokens: Tokens
    """``[T]`` ids."""
    offsets: Ints
    """``[N + 1]``: text i is ``tokens[offsets[i]:offsets[i + 1]]``."""
    labels: Ints
    """``[N]``."""
    rationale: Marks | None = None
    """``[T]``, 1 = evidence."""
    groups: Ints | None = None
    """``[N]``: texts that belong together have the same number."""

    @property
    def examples(self) -> int:
        """Number of texts N."""
        return len(self.labels)

    @property
    def lengths(self) -> Ints:
        """``[N]`` tokens of each text."""
        return np.diff(self.offsets)

    @property
    def majority_accuracy(self) -> float:
        """Accuracy of always naming the most frequent class, percentage points."""
        return majority_accuracy(np.bincount(self.labels).tolist())


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
    """No text has more tokens."""
    vocabulary_bytes: Bytes
    """The words by id, UTF-8, one per line."""
    counts: Mapping[str, int]
    """Facts to report: ``vocabulary``, and for each split ``examples_``, ``tokens_``, ``empty_``
    (texts), ``truncated_`` (texts), ``unknown_`` (tokens); ``unlabelled_test``. Where there are
    any, ``left_out_`` (rows labelled -1) and ``repeated_`` (texts that are in a split before)."""
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
    pieces = None
    if spec.encoder is None:
        vocabulary = build_vocabulary(corpus.train.texts, spec.min_count, splitter)
        spelled = np.arange(len(vocabulary)) != UNK
    else:
        texts = [s.texts for s in (corpus.train, corpus.dev, corpus.test) if s is not None]
        vocabulary = build_vocabulary(itertools.chain(*texts), 1, splitter)
        encoder = find_encoder(spec.encoder)
        longest = encoder.shape.longest
        if spec.max_len is not None and spec.max_len > longest:
            raise BadInput(
                "max-len", f"{spec.max_len} is more than the {longest} positions of {spec.encoder}"
            )
        max_len = min(max_len, longest)
        learned = encoder.tokenizer()
        learned.learn(vocabulary[len(SPECIAL_WORDS) :])
        spelled = learned.spelled()
        pieces = WordPieces(
            spec.encoder, encoder.sha256, encoder.shape, learned.offsets, learned.pieces
        )
    if len(vocabulary) == len(SPECIAL_WORDS):
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
        # A word has a piece at least, so no text has more words than pieces.
        tokens, offsets, full = encode_texts(split.texts, vocabulary, max_len, splitter)
        if pieces is not None:
            tokens, offsets = fitting(tokens, offsets, pieces.offsets, max_len)
        labels = split.labels.astype(np.int64)
        rationale = encode_rationale(split, np.diff(offsets), splitter)
        groups = split.groups
        for array in (tokens, offsets, labels, rationale, groups):
            if array is not None:
                array.setflags(write=False)
        encoded[name] = EncodedSplit(tokens, offsets, labels, rationale, groups)
        counts |= {
            f"examples_{name}": split.examples,
            f"tokens_{name}": len(tokens),
            f"empty_{name}": int(np.count_nonzero(full == 0)),
            f"truncated_{name}": int(np.count_nonzero(full > np.diff(offsets))),
            f"unknown_{name}": int(np.count_nonzero(~spelled[tokens])),
        }
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


def encode_texts(
    texts: Iterable[str],
    vocabulary: Sequence[str],
    max_len: int,
    splitter: WordSplitter = WordSplitter(),  # noqa: B008 (frozen)
) -> tuple[Tokens, Ints, Ints]:
    """Ids of the first ``max_len`` words of each text.

    Args:
        texts: N texts.
        vocabulary: words by id, as ``EncodedCorpus.vocabulary``.
        max_len: tokens kept of each text.
        splitter: cuts a text into words.

    Returns:
        tokens ``[T]``, offsets ``[N + 1]``, and the lengths ``[N]`` before the cut.
    """
    first = len(SPECIAL_WORDS)
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
    """Marks ``[T]`` of the first words of each text, so many; ``None`` where there are none.

    A word that is a part of a white-space token has the mark of that token.
    """
    if split.rationale is None:
        return None
    if splitter.tokenizer == "whitespace":
        rows = split.rationale
    else:
        rows = [
            marks[_token_of_each_word(text, splitter)]
            for text, marks in zip(split.texts, split.rationale, strict=True)
        ]
    cut = [marks[:length] for marks, length in zip(rows, lengths, strict=True)]
    return np.concatenate(cut).astype(np.int8)


def _token_of_each_word(text: str, splitter: WordSplitter) -> Ints:
    """Number of the white-space token that each word is a part of."""
    ends = [token.end for token in WordSplitter().placed(text)]
    starts = [word.start for word in splitter.placed(text)]
    return np.searchsorted(ends, np.array(starts, dtype=np.int64), side="right")


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
        f"{corpus.vocabulary_size - len(SPECIAL_WORDS):,} words"
        + (" in all splits" if corpus.pieces is not None else ""),
    ]
    empty = sum(counts.get(f"empty_{name}", 0) for name in SPLIT_NAMES)
    if empty:
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


def build_vocabulary(
    texts: Iterable[str],
    min_count: int,
    splitter: WordSplitter = WordSplitter(),  # noqa: B008 (frozen)
) -> tuple[str, ...]:
    """The words seen ``min_count`` times or more, by falling count, then by the alphabet.

    Returns:
        words by id; the first two stand for padding and for unknown words.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(splitter.words(text))
    kept = [(-count, word) for word, count in counts.items() if count >= min_count]
    return (*SPECIAL_WORDS, *(word for _, word in sorted(kept)))


def pack_vocabulary(words: tuple[str, ...]) -> Bytes:
    """One array for all words, cheap to store and to share; no word holds a line break."""
    return np.frombuffer("\n".join(words).encode(), dtype=np.uint8)
