"""The words of texts as people type them, and where each is."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.data import Corpus, Split, WordSplitter, encode_corpus, word_defaults
from safr_study.settings import UNK, CorpusSpec, TokenizerName

WORDS = WordSplitter("words", lowercase=True)
FILM = ["a", "gripping", ",", "funny", "film", "."]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("A gripping, funny film.", FILM),
        ("  a GRIPPING,funny\n\tfilm.", FILM),
        ("“A gripping, funny film.”", ['"', *FILM, '"']),
        (
            "3.5 of 1,000 at 10:30, 50%",
            ["3.5", "of", "1,000", "at", "10", ":", "30", ",", "50", "%"],
        ),
        ("It’s a rock'n'roll 'film'", ["it's", "a", "rock'n'roll", "'", "film", "'"]),
        ("don't! U.S. 3. (x)", ["don't", "!", "u", ".", "s", ".", "3", ".", "(", "x", ")"]),
        ("well-made — 90s…", ["well", "-", "made", "-", "90s", "."]),
        ("👨‍👩‍👧 👍🏽!", ["👨‍👩‍👧", "👍🏽", "!"]),
        ("Фильм супер, 电影很好", ["фильм", "супер", ",", "电", "影", "很", "好"]),
        ("cafe\u0301 café", ["café", "café"]),
        ("a\u200bb\x00\x1c\xa0c", ["a", "b", "c"]),
        ("", []),
        (" \n ", []),
    ],
)
def test_words_are_found_as_people_see_them(text: str, words: list[str]) -> None:
    assert WORDS.words(text) == words
    placed = WORDS.placed(text)
    assert [word.text for word in placed] == words
    for word in placed:
        typed = text[word.start : word.end]
        assert _loosely(typed) == _loosely(word.text)


def _loosely(text: str) -> str:
    plain = unicodedata.normalize("NFC", text).lower()
    return plain.translate(str.maketrans("’“”—…", '\'""-.'))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("この映画は、とても面白い！", [*"この映画は、とても面白い！"]),
        ("スーパー a film 3.5", ["スー", "パー", "a", "film", "3.5"]),
        ("ดีมาก ๆ", ["ดี", "ม", "า", "ก", "ๆ"]),
        ("电影很好, it's", [*"电影很好", ",", "it's"]),
        ("Фильм don't", ["фильм", "don't"]),
    ],
)
def test_each_sign_of_a_script_without_blanks_is_a_word_where_that_is_asked_for(
    text: str, words: list[str]
) -> None:
    splitter = WordSplitter("characters", lowercase=True)
    assert splitter.words(text) == words
    assert [text[word.start : word.end].lower() for word in splitter.placed(text)] == words


def test_the_words_of_stored_models_stay_as_they_were() -> None:
    # Runs of kana and of Thai are words there, as the vocabularies of earlier studies have them.
    assert WORDS.words("この映画はとても面白い") == [
        "この",
        "映",
        "画",
        "はとても",
        "面",
        "白",
        "い",
    ]
    assert WORDS.words("ดีมาก ๆ") == ["ดีมาก", "ๆ"]


def test_case_is_kept_where_it_is_asked_for() -> None:
    assert WordSplitter("words").words("A Film.") == ["A", "Film", "."]
    assert WordSplitter("whitespace", lowercase=True).words("A Film.") == ["a", "film."]


@given(st.text())
def test_white_space_words_are_those_of_split(text: str) -> None:
    splitter = WordSplitter()
    assert splitter.words(text) == text.split()
    placed = splitter.placed(text)
    assert [word.text for word in placed] == text.split()
    assert all(text[word.start : word.end] == word.text for word in placed)


@pytest.mark.parametrize("tokenizer", ["words", "characters"])
@given(st.text(st.characters(codec="utf-8")))
def test_words_are_in_order_do_not_overlap_and_leave_only_blanks_out(
    tokenizer: TokenizerName, text: str
) -> None:
    placed = WordSplitter(tokenizer, lowercase=True).placed(text)
    ends = [0, *(word.end for word in placed)]
    starts = [*(word.start for word in placed), len(text)]
    gaps = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    assert all(end <= start for end, start in zip(ends, starts, strict=True))
    for sign in "".join(gaps):
        assert sign.isspace() or unicodedata.category(sign)[0] in "CZM", repr(sign)


def corpus(tokenizer: str, *, lowercase: bool = True) -> CorpusSpec:
    return CorpusSpec.parse(
        {"dataset": "x.csv", "min_count": 1, "tokenizer": tokenizer, "lowercase": lowercase}
    )


def made(texts: list[str], rationale: list[list[int]] | None = None) -> Split:
    marks = None if rationale is None else [np.array(row, dtype=np.int8) for row in rationale]
    return Split(texts, np.arange(len(texts)) % 2, marks)


def test_punctuation_and_case_make_no_word_unknown() -> None:
    train = made(["a gripping film", "funny , it is .", '" ! '])
    dev = made(["A gripping, funny film.", "“FUNNY”, IS IT!"])
    data = Corpus("x.csv", "here", ("0", "1"), train, dev)
    encoded = encode_corpus(data, corpus("words"))
    assert not (encoded.dev.tokens == UNK).any()
    assert encoded.counts["unknown_dev"] == 0
    plain = encode_corpus(data, corpus("whitespace", lowercase=False))
    assert plain.counts["unknown_dev"] == 6
    assert plain.fingerprint != encoded.fingerprint


def test_a_mark_of_a_rationale_is_that_of_all_parts_of_its_token() -> None:
    texts = ["A dull, slow  film.", "well-made!", ""]
    train = made(texts, [[0, 1, 0, 1], [1], []])
    encoded = encode_corpus(Corpus("x.csv", "here", ("0", "1"), train, train), corpus("words"))
    assert encoded.train.rationale is not None
    assert encoded.train.rationale.tolist() == [0, 1, 1, 0, 1, 1, 1, 1, 1, 1]


def test_data_of_the_paper_keep_its_words_and_others_are_split() -> None:
    for name in ("sst2", "imdb", "planted", "planted:noise"):
        assert word_defaults(name) == {"tokenizer": "whitespace", "lowercase": False}
    for name in ("/home/me/reviews.csv", "org/reviews"):
        assert word_defaults(name) == {"tokenizer": "words", "lowercase": True}
