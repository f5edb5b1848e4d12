"""Pairs of texts: read from two columns, cut to a common room, encoded, cut into batches."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from datasets import Dataset
from pairs import FIRSTS, SECONDS, split_of_pairs

from safr_study.data import batch_of, encode_corpus, evaluation_batches, training_batches
from safr_study.data.checks import repeated_texts
from safr_study.data.columns import corpus_of
from safr_study.data.pairs import rooms_of_pairs
from safr_study.errors import BadInput, BadInputs
from safr_study.settings import SEP, UNK, CorpusSpec

SPEC = CorpusSpec(dataset="x.csv", text_column="a", second_column="b", min_count=1)
LABELS = ["no", "yes", "no", "yes", "no"]


def table(firsts: tuple[str, ...] = FIRSTS, seconds: tuple[str, ...] = SECONDS) -> Dataset:
    return Dataset.from_dict({"a": list(firsts), "b": list(seconds), "label": LABELS})


def test_rooms_are_those_of_cutting_the_longer_text_word_by_word() -> None:
    def one_by_one(first: int, second: int, room: int) -> tuple[int, int]:
        while first + second > room:
            if first > second:
                first -= 1
            else:
                second -= 1
        return first, second

    for first, second, room in itertools.product(range(9), range(9), range(1, 12)):
        found = rooms_of_pairs(np.array([first, second]), room)
        assert tuple(found) == one_by_one(first, second, room), (first, second, room)
    assert rooms_of_pairs(np.array([2, 3]), -1).tolist() == [0, 0]


def test_two_columns_are_encoded_side_by_side_with_the_words_of_both() -> None:
    corpus = encode_corpus(corpus_of({"train": table(), "dev": table()}, SPEC, "here"), SPEC)
    assert corpus.pairs
    assert corpus.vocabulary[:3] == ("<pad>", "<unk>", "<sep>")
    words = corpus.vocabulary
    dev = corpus.dev
    assert dev.second is not None
    for row, (first, second) in enumerate(zip(FIRSTS, SECONDS, strict=True)):
        place = slice(dev.offsets[row], dev.offsets[row + 1])
        expected = [*first.split(), *second.split()]
        assert [words[token] for token in dev.tokens[place]] == expected
        marks = [0] * len(first.split()) + [1] * len(second.split())
        assert dev.second[place].tolist() == marks
    assert (corpus.counts["empty_dev"], corpus.counts["second_tokens_dev"]) == (2, 7)
    # A word that is written like the separator is a word.
    strange = table(("<sep> a", *FIRSTS[1:]))
    read = encode_corpus(corpus_of({"train": table(), "dev": strange}, SPEC, "here"), SPEC)
    assert read.dev.tokens[0] == UNK
    assert SEP not in read.dev.tokens


def test_a_pair_keeps_the_room_that_its_separator_leaves() -> None:
    spec = SPEC.model_copy(update={"max_len": 5})
    corpus = encode_corpus(corpus_of({"train": table(), "dev": table()}, spec, "here"), spec)
    assert corpus.dev.lengths.tolist() == [4, 4, 1, 4, 2]
    assert corpus.dev.positions.max() == 5
    assert corpus.counts["truncated_dev"] == 2
    kept = [corpus.vocabulary[token] for token in corpus.dev.tokens[:4]]
    assert kept == ["a", "b", "c", "d"]


def test_the_fingerprint_knows_the_sides() -> None:
    moved = ("a b", *FIRSTS[1:]), ("c c d", *SECONDS[1:])
    one, other = (
        encode_corpus(corpus_of({"train": t, "dev": t}, SPEC, "here"), SPEC)
        for t in (table(), table(*moved))
    )
    np.testing.assert_array_equal(one.train.tokens, other.train.tokens)
    assert one.fingerprint != other.fingerprint


def test_a_rationale_has_the_words_of_the_first_text_then_those_of_the_second() -> None:
    marks = [[0, 0, 1, 1, 0], [1, 0, 0, 1], [1], [0, 1, 0, 1, 0], [0, 1]]
    spec = SPEC.model_copy(update={"max_len": 5})
    tables = {"train": table().add_column("rationale", marks)}
    found = encode_corpus(corpus_of({**tables, "dev": tables["train"]}, spec, "here"), spec)
    assert found.train.rationale is not None
    # Of the first pair one word of three is cut, and of the fourth one of five.
    kept = [[0, 0, 1, 0], [1, 0, 0, 1], [1], [0, 1, 0, 1], [0, 1]]
    assert found.train.rationale.tolist() == [mark for row in kept for mark in row]


def test_the_same_texts_in_other_pairs_are_no_repetition() -> None:
    swapped = table(FIRSTS, (SECONDS[1], SECONDS[0], *SECONDS[2:]))
    corpus = corpus_of({"train": table(), "dev": swapped}, SPEC, "here")
    assert repeated_texts(corpus, SPEC) == {"dev": 3}


def test_a_batch_has_a_separator_in_each_pair_and_marks_of_the_words() -> None:
    split = split_of_pairs(([3, 4], [], [5]), ([6], [7, 8], []), [0, 1, 0])
    batch = batch_of(split, np.array([0, 1, 2]), None)
    assert batch.ids.tolist() == [[3, 4, SEP, 6], [SEP, 7, 8, 0], [5, SEP, 0, 0]]
    assert batch.words.tolist() == [
        [True, True, False, True],
        [False, True, True, False],
        [True, False, False, False],
    ]
    with pytest.raises(ValueError, match="shorter than a text of 4"):
        batch_of(split, np.array([0]), 3)
    empty = split_of_pairs(([], []), ([], [3]), [0, 1])
    assert batch_of(empty, np.array([0]), None).ids.tolist() == [[SEP]]
    for batches in (training_batches(split, 2, seed=0, epoch=1), evaluation_batches(split, 2)):
        rows = sorted(row for one in batches for row in one.index.tolist())
        assert rows == [0, 1, 2]


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        (
            {"text_column": "a", "second_column": "c"},
            "there is no column 'c': the columns",
        ),
        ({"text_column": "a", "second_column": "label"}, "'label' is the text column too"),
    ],
)
def test_columns_that_cannot_be(columns: dict[str, str], says: str) -> None:
    with pytest.raises(BadInput, match=says):
        corpus_of({"train": table()}, CorpusSpec(dataset="x.csv", **columns), "here")


def test_two_equal_columns_and_empty_second_texts_are_told() -> None:
    with pytest.raises(BadInputs, match="'a' is given as both text columns"):
        CorpusSpec.parse({"dataset": "x.csv", "text_column": "a", "second_column": "a"})
    with pytest.raises(BadInputs, match="a second text column needs a first"):
        CorpusSpec.parse({"dataset": "x.csv", "second_column": "a"})
    with pytest.raises(BadInput, match="all texts of the train split are empty in 'b'"):
        corpus_of({"train": table(seconds=("", " ", "", "", ""))}, SPEC, "here")
