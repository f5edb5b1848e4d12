"""Rationales read from a column of a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safr_study.data import encode_corpus, load_corpus, loading
from safr_study.data.objects import keep_object
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec

MARKED = st.lists(
    st.lists(
        st.tuples(st.sampled_from(["Good,", "film.", "don't", "3.5", "!"]), st.integers(0, 1))
    ),
    min_size=4,
    max_size=8,
).filter(lambda rows: any(rows[::2]) and any(rows[1::2]))
"""Words with their marks, of each text; a text may have none."""
FORMS: dict[str, Callable[[list[int]], object]] = {
    "list": list,
    "flags": lambda marks: [bool(mark) for mark in marks],
    "decimals": lambda marks: [float(mark) for mark in marks],
    "text": lambda marks: " ".join(map(str, marks)),
    "JSON": json.dumps,
}


def read(folder: Path, texts: list[str], rationale: list[Any], **settings: Any) -> Any:
    labels = [row % 2 for row in range(len(texts))]
    table = pa.table({"text": texts, "label": labels, "rationale": rationale})
    for name in ("train", "dev"):
        pq.write_table(table, folder / f"{name}.parquet")
    return load_corpus(CorpusSpec(dataset=str(folder), **settings))


@pytest.mark.parametrize("form", FORMS)
@settings(max_examples=15, deadline=None)
@given(rows=MARKED)
def test_marks_come_back_from_every_form(
    form: str, rows: list[list[tuple[str, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    texts = [" ".join(word for word, _ in row) for row in rows]
    marks = [[mark for _, mark in row] for row in rows]
    given = [FORMS[form](row) for row in marks]
    corpus = read(tmp_path_factory.mktemp("marked"), texts, given)
    assert [row.tolist() for row in corpus.train.rationale] == marks
    assert all(row.dtype == np.int8 for row in corpus.train.rationale)
    # With punctuation split off each part has the mark of its word.
    spec = CorpusSpec(dataset="x.csv", tokenizer="words", lowercase=True, min_count=1)
    encoded = encode_corpus(corpus, spec)
    parts = {"Good,": 2, "film.": 2, "don't": 1, "3.5": 1, "!": 1}
    expected = [mark for row in rows for word, mark in row for _ in range(parts[word])]
    assert encoded.dev.rationale is not None
    assert encoded.dev.rationale.tolist() == expected


def test_marks_come_from_tables_and_from_the_hub_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ["a good one", "bad", "so good", "a bad one"]
    marks = [[0, 1, 0], [1], [0, 1], [0, 1, 0]]
    frame = pd.DataFrame(
        {"text": texts, "label": [1, 0, 1, 0], "rationale": [np.array(row) for row in marks]}
    )
    splits = {"train": frame, "validation": frame}
    table = datasets.Dataset.from_dict(
        {"text": texts, "label": [1, 0, 1, 0], "rationale": marks},
        features=datasets.Features(
            {
                "text": datasets.Value("string"),
                "label": datasets.ClassLabel(names=["bad", "good"]),
                "rationale": datasets.Sequence(datasets.ClassLabel(names=["no", "yes"])),
            }
        ),
    )
    for data in (splits, dict.fromkeys(splits, table)):
        corpus = load_corpus(CorpusSpec(dataset=str(keep_object(data, tmp_path))))
        assert corpus.dev.rationale is not None
        assert [row.tolist() for row in corpus.dev.rationale] == marks
    monkeypatch.setattr(
        loading, "read_hub", lambda *_, **__: (dict.fromkeys(splits, table), "hub owner/set")
    )
    corpus = load_corpus(CorpusSpec(dataset="owner/set"))
    assert (corpus.source, corpus.class_names) == ("hub owner/set", ("bad", "good"))
    assert corpus.train.rationale is not None
    assert [row.tolist() for row in corpus.train.rationale] == marks


def test_a_csv_file_may_have_rationales_and_a_text_none_of_its_words(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text('text,label,rationale\na b,0,0 1\nc d,1,"[1, 0]"\n' + "a b,0,0 0\nc d,1,0 0\n")
    corpus = load_corpus(CorpusSpec(dataset=str(path)))
    assert corpus.train.rationale is not None
    assert corpus.dev.rationale is not None
    rows = [*corpus.train.rationale, *corpus.dev.rationale]
    assert sorted(row.tolist() for row in rows) == [[0, 0], [0, 0], [0, 1], [1, 0]]


def test_a_rationale_goes_before_the_sentiment_of_the_treebank(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["a b", "c d"] * 2,
            "label": [0, 1] * 2,
            "rationale": [[0, 1]] * 4,
            "leaf_sentiment": [[3, 2]] * 4,
        }
    )
    for columns, expected in ((table, [0, 1]), (table.drop_columns("rationale"), [1, 0])):
        pq.write_table(columns, tmp_path / "x.parquet")
        corpus = load_corpus(CorpusSpec(dataset=str(tmp_path / "x.parquet")))
        assert corpus.train.rationale is not None
        assert corpus.train.rationale[0].tolist() == expected


def test_a_column_that_is_read_as_text_is_no_rationale(tmp_path: Path) -> None:
    texts = ["it says so", "so it is"] * 2
    corpus = read(tmp_path, ["x"] * 4, texts, text_column="rationale")
    assert corpus.train.texts == texts
    assert corpus.train.rationale is None


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("0 -1", "row 2 of the train split has '0 -1' as rationale; give a 0 or 1 for each word"),
        ("0 nan", "has '0 nan' as rationale"),
        ("0 1e400", "has '0 1e400' as rationale"),
        ("[0, 1", None),
        ("0,1", None),
        ("2 1", "has '2 1' as rationale"),
        ("01", "has 1 values of rationale for 2 words"),
        ("0", "has 1 values of rationale for 2 words"),
        (None, "has 0 values of rationale for 2 words"),
    ],
)
def test_what_is_no_rationale_is_one_sentence(tmp_path: Path, bad: Any, said: str | None) -> None:
    texts, marks = ["a b"] * 4, ["0 1", "1 0", bad, "0 0"]
    if said is None:
        assert read(tmp_path, texts, marks).train.rationale[2].tolist() == [0, 1]
        return
    with pytest.raises(BadInput) as caught:
        read(tmp_path, texts, marks)
    assert said in str(caught.value)
