"""Data that are read, but with which a study begins only where that is allowed."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.data import Corpus, Split, check_concerns, describe, encoded_corpus, load_corpus
from safr_study.data.checks import concerns_of, repeated_texts
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec, TokenizerName

SPEC = CorpusSpec(dataset="mine.csv")


def split(*sizes: int, word: str = "train") -> Split:
    """So many different texts of each class."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    return Split([f"{word} {row}" for row in range(len(labels))], labels)


def corpus(train: Split, dev: Split, test: Split | None = None) -> Corpus:
    names = tuple(f"class {label}" for label in range(1 + int(train.labels.max())))
    return Corpus("mine.csv", "here", names, train, dev, test)


def concerns(made: Corpus, spec: CorpusSpec = SPEC) -> list[tuple[str, str | None]]:
    """What is wrong, and what allows it."""
    found = concerns_of(made, repeated_texts(made, spec), spec)
    return [(concern.problem, concern.permission) for concern in found]


def folder(path: Path, **tables: dict[str, list[Any]]) -> CorpusSpec:
    """One Parquet file for each split."""
    for name, columns in tables.items():
        pq.write_table(pa.table(columns), path / f"{name}.parquet")
    return CorpusSpec(dataset=str(path), min_count=1)


@pytest.mark.parametrize(
    ("train", "dev", "problems"),
    [
        ((10, 10), (97, 3), []),
        ((10, 9), (97, 3), ["class 'class 1' has 9 texts in train, fewer than 10"]),
        ((10, 10), (98, 2), ["class 'class 1' has 2 texts in dev, fewer than 3"]),
        ((10, 10), (100, 0), ["class 'class 1' has 0 texts in dev, fewer than 3"]),
        (
            (10, 1, 2, 3),
            (97, 3, 3, 3),
            ["class 'class 1' has 1 text in train, fewer than 10 (and 2 others likewise)"],
        ),
        (
            (10, 10),
            (96, 3),
            [
                "the dev split has 99 texts, so the standard error of accuracy is up to "
                "5.03 points, more than 5"
            ],
        ),
    ],
)
def test_small_data_are_told_from_those_at_the_bound(
    train: tuple[int, ...], dev: tuple[int, ...], problems: list[str]
) -> None:
    made = corpus(split(*train), split(*dev, word="dev"))
    assert concerns(made) == [(problem, "allow_small") for problem in problems]


@pytest.mark.parametrize(("repeated", "refused"), [(20, False), (21, True)])
@pytest.mark.parametrize("name", ["dev", "test"])
def test_a_fifth_of_dev_or_test_may_be_in_train(name: str, repeated: int, refused: bool) -> None:
    late = split(50, 50, word="late")
    train = split(50, 50)
    late = dataclasses.replace(late, texts=[*train.texts[:repeated], *late.texts[repeated:]])
    parts = {"dev": split(50, 50, word="dev"), name: late}
    made = corpus(train, **parts)
    assert repeated_texts(made, SPEC) == {name: repeated}
    problems = concerns(made)
    assert bool(problems) is refused
    if refused:
        assert problems[0][1] == "allow_duplicates"
        assert problems[0][0].endswith("too, 21.0 % of them, more than 20 %")


@pytest.mark.parametrize(
    ("names", "problem"),
    [
        (("1", "01"), "classes '1' and '01' look alike"),
        (("m2", "m²", "x"), "classes 'm2' and 'm²' look alike"),
        (("1.5", "1.50", "x", "X"), "classes '1.5' and '1.50' look alike (and 1 other likewise)"),
        (("0", "1", "10", "nan", "inf"), None),
        (("a", "á", "b"), None),
    ],
)
def test_classes_that_look_alike_are_a_warning(names: tuple[str, ...], problem: str | None) -> None:
    whole = Split([f"text {n}" for n in range(400)], np.arange(400) % len(names))
    made = Corpus("mine.csv", "here", names, whole, split(*[100] * len(names), word="dev"))
    assert concerns(made) == ([] if problem is None else [(problem, None)])


THAI = "หนัง เรื่อง นี้ ดี มาก ฉัน ชอบ"


@pytest.mark.parametrize(
    ("text", "tokenizer", "stops"),
    [
        (THAI, "words", False),
        (THAI, "whitespace", False),
        (THAI.replace(" ", ""), "words", True),
        (THAI.replace(" ", ""), "characters", False),
        ("这部电影非常好看我很喜欢", "whitespace", True),
        ("这部电影非常好看我很喜欢", "words", False),
        ("この映画はとても面白かったです", "words", False),
        ("この映画はとても面白かったです", "whitespace", True),
        ("Donaudampfschifffahrtsgesellschaft " * 2, "words", False),
        ("internationalization 这", "whitespace", False),
    ],
)
def test_sentences_that_would_be_words_stop_every_study(
    text: str, tokenizer: TokenizerName, stops: bool
) -> None:
    texts = Split([f"{text} {n}" for n in range(200)], np.arange(200) % 2)
    dev = dataclasses.replace(texts, texts=[f"{text} x{n}" for n in range(200)])
    spec = CorpusSpec(
        dataset="mine.csv", tokenizer=tokenizer, allow_small=True, allow_duplicates=True
    )
    found = concerns_of(corpus(texts, dev), {}, spec)
    assert [concern.stops for concern in found] == [True] * stops
    if stops:
        with pytest.raises(BadInput, match=r"no blanks between words: .*--tokenizer characters"):
            check_concerns(found, spec)


WORDS = st.sampled_from(["good film", " good  film", "GOOD film", "bad", "", " "])


@given(
    *(st.lists(WORDS, min_size=1, max_size=8) for _ in range(3)),
    st.booleans(),
)
def test_repeated_texts_are_counted_as_by_comparing_each_with_each(
    train: list[str], dev: list[str], test: list[str], lowercase: bool
) -> None:
    def key(text: str) -> list[str]:
        return (text.lower() if lowercase else text).split()

    def count(late: list[str], early: list[str]) -> int:
        return sum(
            bool(key(one)) and any(key(one) == key(other) for other in early) for one in late
        )

    splits = (Split(texts, np.zeros(len(texts), np.int64)) for texts in (train, dev, test))
    made = corpus(*splits)
    expected = {"dev": count(dev, train), "test": count(test, train + dev)}
    found = repeated_texts(made, SPEC.model_copy(update={"lowercase": lowercase}))
    assert found == {name: number for name, number in expected.items() if number}


def test_a_permission_lets_its_own_concern_through_and_no_other() -> None:
    few = split(5, 5)
    found = concerns_of(corpus(few, few), {"dev": 10}, SPEC)
    for allowed, said in (
        ({}, r"^dataset: class 'class 0' has 5 texts in train, .* or go on with --allow-small$"),
        ({"allow_small": True}, r"^dataset: 10 dev texts .* or go on with --allow-duplicates$"),
        ({"allow_duplicates": True}, r"^dataset: class .* or go on with --allow-small$"),
    ):
        with pytest.raises(BadInput, match=said):
            check_concerns(found, SPEC.model_copy(update=allowed))
    both = SPEC.model_copy(update={"allow_small": True, "allow_duplicates": True})
    check_concerns(found, both)


def test_limits_that_are_chosen_concern_nobody_and_what_is_repeated_is_counted_within_them(
    tmp_path: Path,
) -> None:
    texts = [f"text {row}" for row in range(600)]
    spec = folder(
        tmp_path,
        train={"text": texts, "label": [0, 1] * 300},
        dev={"text": [*texts[:40], *(f"late {row}" for row in range(360))], "label": [0, 1] * 200},
    )
    whole = encoded_corpus(spec)
    assert whole.concerns == ()
    assert describe(whole).endswith("40 dev texts are in train too")
    limited = spec.model_copy(update={"train_limit": 8, "dev_limit": 4})
    corpus = encoded_corpus(limited, tmp_path / "cache")
    assert corpus.concerns == ()
    plain = load_corpus(limited)
    assert corpus.counts.get("repeated_dev", 0) == len({*plain.dev.texts} & {*plain.train.texts})


def test_a_count_of_the_whole_says_so_beside_one_within_the_limits(tmp_path: Path) -> None:
    texts = [f"text {row}" for row in range(600)]
    spec = folder(
        tmp_path,
        train={"text": texts, "label": [0, 1] * 300},
        dev={"text": texts[:400], "label": [0, 1] * 200},
    )
    for asked, start in ((spec, "400 dev"), (spec.model_copy(update={"dev_limit": 40}), "of all")):
        corpus = encoded_corpus(asked)
        (concern,) = corpus.concerns
        assert concern.sentence.startswith(start)
        assert "400 dev texts are in train too, 100.0 % of them" in concern.sentence
        within = asked.dev_limit or 400
        assert describe(corpus).endswith(f"{within} dev texts are in train too")


def test_concerns_come_back_from_the_cache_and_permissions_share_its_entry(tmp_path: Path) -> None:
    texts = [f"text {row}" for row in range(30)]
    spec = folder(tmp_path, train={"text": texts, "label": [0, 1] * 15})
    first = encoded_corpus(spec, tmp_path / "cache")
    assert [concern.permission for concern in first.concerns] == ["allow_small"]
    allowed = spec.model_copy(update={"allow_small": True})
    again = encoded_corpus(allowed, tmp_path / "cache")
    assert again.concerns == first.concerns
    assert len([path for path in (tmp_path / "cache").iterdir() if path.is_dir()]) == 1


def test_the_papers_data_concern_nobody_however_small(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sst2").mkdir()
    spec = folder(tmp_path / "sst2", train={"text": ["a"] * 10, "label": [0, 1] * 5})
    assert encoded_corpus(spec).concerns
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path))
    known = encoded_corpus(spec.model_copy(update={"dataset": "sst2"}))
    assert known.concerns == ()
    assert describe(known) == "sst2: 8 train / 2 dev, 2 classes, 1 words"


@pytest.mark.parametrize("declared", [False, True])
def test_rows_labelled_minus_one_are_left_out_one_by_one(tmp_path: Path, declared: bool) -> None:
    import datasets

    texts = ["a b", "c", "d e", "f", "g h", "i"]
    marks = [[0, 1], [1], [1, 0], [0], [0, 0], [1]]
    labels = {
        # Only declared names tell that -1 is no class of train.
        "train": [1, 0, -1, 0, 1, 0] if declared else [1, 0, 1, 0, 1, 0],
        "validation": [1, -1, -1, 0, 1, 0],
        "test": [-1, 1, 0, 1, 0, 1],
    }
    parts = {
        name: datasets.Dataset.from_dict({"text": texts, "label": given, "rationale": marks})
        for name, given in labels.items()
    }
    if declared:
        names = datasets.ClassLabel(names=["no", "yes"])
        parts = {name: part.cast_column("label", names) for name, part in parts.items()}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "set"))
    spec = CorpusSpec(dataset=str(tmp_path / "set"), min_count=1)
    read = load_corpus(spec)
    assert read.class_names == (("no", "yes") if declared else ("0", "1"))
    for name, part in (("train", read.train), ("validation", read.dev), ("test", read.test)):
        kept = [row for row, label in enumerate(labels[name]) if label >= 0]
        assert part is not None
        assert part.texts == [texts[row] for row in kept]
        assert part.labels.tolist() == [labels[name][row] for row in kept]
        assert part.rationale is not None
        assert [row.tolist() for row in part.rationale] == [marks[row] for row in kept]
    expected = {"train": 1} if declared else {}
    assert dict(read.left_out) == {**expected, "dev": 2, "test": 1}
    line = describe(encoded_corpus(spec))
    assert "2 of dev left out (labelled -1), " in line
    assert ("1 of train left out (labelled -1)" in line) is declared


def test_a_test_split_of_minus_one_alone_is_left_out_whole(tmp_path: Path) -> None:
    labelled = {"text": ["a", "b", "c", "d"], "label": [0, 1, 0, 1]}
    hidden = {"text": ["e", "f"], "label": [-1, -1]}
    read = load_corpus(folder(tmp_path, train=labelled, dev=labelled, test=hidden))
    assert (read.test, read.unlabelled_test, dict(read.left_out)) == (None, 2, {})


@pytest.mark.parametrize(
    ("labels", "warned"), [([-1, 0, 1], True), ([-1, 1], False), ([-1, 9, 10], False)]
)
def test_a_class_minus_one_beside_numbers_from_zero_is_pointed_at(
    tmp_path: Path, labels: list[int], warned: bool
) -> None:
    rows = 600 // len(labels)
    texts = [f"text {row}" for row in range(rows * len(labels))]
    spec = folder(tmp_path, train={"text": texts, "label": labels * rows})
    read = load_corpus(spec)
    assert len(read.class_names) == len(labels)
    problems = ["label -1 is taken for a class beside 0, 1"] if warned else []
    assert [concern.problem for concern in read.concerns] == problems
    check_concerns(read.concerns, spec)


@pytest.mark.parametrize("labels", [["Pos", "Neg"], ["a", "b "], ["good", "goods"], ["1", "11"]])
def test_labels_that_differ_in_more_than_case_and_spaces_are_classes(
    tmp_path: Path, labels: list[str]
) -> None:
    read = load_corpus(folder(tmp_path, train={"text": ["a", "b"] * 4, "label": labels * 4}))
    assert read.class_names == tuple(sorted(label.strip() for label in labels))
