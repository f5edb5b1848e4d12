from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.data import Corpus, Split, describe, encode_corpus, encode_texts, slugify
from safr_study.data.encoding import build_vocabulary, pack_vocabulary
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec

TEXTS = st.lists(st.text(alphabet=st.characters(codec="utf-8"), max_size=40), max_size=12)
SPEC = CorpusSpec(dataset="mine.csv", min_count=1, max_len=4)


def _corpus(train: list[str], dev: list[str], name: str = "mine.csv") -> Corpus:
    def split(texts: list[str]) -> Split:
        return Split(texts, np.arange(len(texts), dtype=np.int64) % 2)

    return Corpus(name, "here", ("no", "yes"), split(train), split(dev), None)


@given(texts=TEXTS, max_len=st.integers(1, 6))
def test_ids_lead_back_to_the_words(texts: list[str], max_len: int) -> None:
    vocabulary = build_vocabulary(texts, min_count=1)
    tokens, offsets, full = encode_texts(texts, vocabulary, max_len)
    rows = [
        [vocabulary[token] for token in tokens[start:end]]
        for start, end in itertools.pairwise(offsets)
    ]
    assert rows == [text.split()[:max_len] for text in texts]
    assert full.tolist() == [len(text.split()) for text in texts]
    assert (tokens.dtype, offsets.dtype) == (np.int32, np.int64)


@given(texts=TEXTS, min_count=st.integers(1, 3))
def test_the_vocabulary_is_ordered_by_count_then_word_and_packs_without_loss(
    texts: list[str], min_count: int
) -> None:
    vocabulary = build_vocabulary(texts, min_count)
    counts = Counter(word for text in texts for word in text.split())
    expected = sorted(
        (word for word in counts if counts[word] >= min_count),
        key=lambda word: (-counts[word], word),
    )
    assert vocabulary == ("<pad>", "<unk>", *expected)
    assert pack_vocabulary(vocabulary).tobytes().decode().split("\n") == list(vocabulary)


def test_an_encoded_corpus_in_full() -> None:
    corpus = encode_corpus(_corpus(["a b a", "", "c a b a a"], ["b z", "c"]), SPEC)
    assert corpus.vocabulary == ("<pad>", "<unk>", "a", "b", "c")
    assert corpus.vocabulary_size == 5
    assert corpus.train.tokens.tolist() == [2, 3, 2, 4, 2, 3, 2]
    assert corpus.train.offsets.tolist() == [0, 3, 3, 7]
    assert corpus.train.lengths.tolist() == [3, 0, 4]
    assert corpus.dev.tokens.tolist() == [3, 1, 4]
    assert corpus.test is None
    assert dict(corpus.counts) == {
        "vocabulary": 5,
        "unlabelled_test": 0,
        "examples_train": 3,
        "tokens_train": 7,
        "empty_train": 1,
        "truncated_train": 1,
        "unknown_train": 0,
        "examples_dev": 2,
        "tokens_dev": 3,
        "empty_dev": 0,
        "truncated_dev": 0,
        "unknown_dev": 1,
    }
    assert corpus.train.majority_accuracy == pytest.approx(200 / 3)
    assert describe(corpus) == "mine.csv: 3 train / 2 dev, 2 classes, 3 words, 1 empty text kept"


def test_rationale_is_truncated_with_its_text() -> None:
    marks = [np.array([0, 1, 0, 0, 1], dtype=np.int8), np.array([1], dtype=np.int8)]
    train = Split(["a b c d e", "a"], np.array([0, 1]), marks)
    plain = _corpus(["a"], ["a", "b"])
    corpus = encode_corpus(Corpus("x", "y", ("0", "1"), train, plain.dev, None), SPEC)
    assert corpus.train.rationale is not None
    assert corpus.train.rationale.tolist() == [0, 1, 0, 0, 1]
    assert corpus.train.rationale.dtype == np.int8
    assert corpus.train.lengths.tolist() == [4, 1]


def test_an_absent_test_split_is_one_sentence() -> None:
    corpus = encode_corpus(_corpus(["a", "b"], ["a", "b"]), SPEC)
    with pytest.raises(BadInput, match=r"^split: mine.csv has no test split; it has train, dev$"):
        corpus.split("test")


def test_shared_arrays_cannot_be_changed() -> None:
    corpus = encode_corpus(_corpus(["a", "b"], ["a", "b"]), SPEC)
    with pytest.raises(ValueError, match="read-only"):
        corpus.train.tokens[0] = 1


@given(row=st.integers(0, 5), position=st.integers(0, 2))
def test_the_fingerprint_changes_with_one_token_and_not_with_the_name(
    row: int, position: int
) -> None:
    words = [["a", "b", "c"] for _ in range(6)]
    plain = [" ".join(text) for text in words]
    words[row][position] = {"a": "b", "b": "c", "c": "a"}[words[row][position]]
    changed = [" ".join(text) for text in words]
    base = encode_corpus(_corpus(plain, plain), SPEC).fingerprint
    assert encode_corpus(_corpus(plain, plain, name="/else/where.csv"), SPEC).fingerprint == base
    assert encode_corpus(_corpus(changed, plain), SPEC).fingerprint != base
    assert encode_corpus(_corpus(plain, changed), SPEC).fingerprint != base


def test_the_fingerprint_tells_word_boundaries_labels_classes_and_length_apart() -> None:
    corpora = [
        encode_corpus(_corpus(["a b", "c"], ["a", "b"]), SPEC),
        encode_corpus(_corpus(["a", "b c"], ["a", "b"]), SPEC),
        encode_corpus(_corpus(["c", "a b"], ["a", "b"]), SPEC),
        encode_corpus(_corpus(["a b", "d"], ["a", "b"]), SPEC),
        encode_corpus(_corpus(["a b", "c"], ["a", "b"]), SPEC.model_copy(update={"max_len": 5})),
    ]
    assert len({corpus.fingerprint for corpus in corpora}) == len(corpora)


@pytest.mark.parametrize(
    ("dataset", "slug"),
    [
        ("imdb", "imdb"),
        ("planted:redundant", "planted-redundant"),
        ("/a/b/My data.csv", "my-data"),
        ("org/name", "org-name"),
        ("./folder/", "folder"),
        ("reviews.v2.jsonl", "reviews.v2"),
        ("/tmp/électro", "lectro"),
        ("/", "corpus"),
    ],
)
def test_slugs(dataset: str, slug: str) -> None:
    assert slugify(dataset) == slug


@pytest.mark.parametrize(("dataset", "max_len"), [("imdb", 256), ("sst2", 128), ("x/y", 128)])
def test_the_default_length_depends_on_the_data_set(dataset: str, max_len: int) -> None:
    corpus = _corpus(["w " * 300, "a"], ["a", "b"])
    encoded = encode_corpus(corpus, CorpusSpec(dataset=dataset))
    assert encoded.train.lengths.max() == encoded.max_len == max_len
