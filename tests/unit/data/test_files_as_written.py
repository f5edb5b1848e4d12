"""Files as spreadsheets and scripts write them: values stay, and what is not used is no fault."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safr_study.data import Corpus, load_corpus
from safr_study.data.rows import text_chunks
from safr_study.data.tables import unique_names
from safr_study.settings import CorpusSpec

ROWS = [("a b", "1"), ("c d", "0")] * 4
DATES = ["2024-01-05", "2024-01-05 10:11:12", "2024-01-05T10:11:12Z", "10:11", "1e5", "007"]


def split(folder: Path, suffix: str, content: str, **settings: str) -> Corpus:
    """A folder whose train and dev splits are this file."""
    for name in ("train", "dev"):
        (folder / f"{name}{suffix}").write_text(content, encoding="utf-8")
    return load_corpus(CorpusSpec(dataset=str(folder), **settings))


@pytest.mark.parametrize("kind", ["lines", "list", "pretty", "one after the other"])
def test_texts_of_json_that_look_like_dates_or_numbers_stay(kind: str, tmp_path: Path) -> None:
    rows = [{"text": text, "label": n % 2} for n, text in enumerate(DATES)]
    content = {
        "lines": "\n".join(map(json.dumps, rows)),
        "list": json.dumps(rows),
        "pretty": json.dumps(rows, indent=2),
        "one after the other": "\n".join(json.dumps(row, indent=2) for row in rows),
    }[kind]
    assert split(tmp_path, ".json", content).train.texts == DATES
    assert list(text_chunks(str(tmp_path / "dev.json"))) == [DATES]


def test_a_key_that_only_some_rows_of_json_have_is_missing_in_the_others(tmp_path: Path) -> None:
    rows = [{"label": 0}, {"text": "a", "label": "1"}, {"text": "b", "label": 0, "more": [1]}]
    corpus = split(tmp_path, ".jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    assert corpus.train.texts == ["", "a", "b"]
    assert (corpus.class_names, corpus.train.labels.tolist()) == (("0", "1"), [0, 1, 0])


@pytest.mark.parametrize(
    ("header", "end"),
    [
        ("text,label", ","),
        ("text,label", ",,,"),
        ("text,label,,", ",,"),
        ("text,label,x,x", ",q,r"),
        ("text,label,,x,x,", ",1,q,r,"),
    ],
)
def test_columns_that_are_not_used_are_no_fault(header: str, end: str, tmp_path: Path) -> None:
    # The first row is shorter than the others, as where only some have empty cells at the end.
    lines = [header, "first,1", *(f"{text},{label}{end}" for text, label in ROWS)]
    corpus = split(tmp_path, ".csv", "\n".join(lines) + "\n")
    assert corpus.train.texts == ["first", *(text for text, _ in ROWS)]
    assert corpus.class_names == ("0", "1")
    assert list(text_chunks(str(tmp_path / "dev.csv"))) == [corpus.train.texts]


def test_one_of_two_columns_of_a_name_can_be_meant(tmp_path: Path) -> None:
    content = "body,body,label\n" + "".join(f"x,{text},{label}\n" for text, label in ROWS)
    corpus = split(tmp_path, ".csv", content, text_column="body (2)")
    assert corpus.train.texts == [text for text, _ in ROWS]


def test_names_of_columns_are_told_apart() -> None:
    assert unique_names(["a", "", "b", ""]) == ["a", "column 2", "b", "column 4"]
    assert unique_names(["x", "x", "y"]) == ["x (1)", "x (2)", "y"]
    for names in (["x", "x", "x (1)"], ["column 2", ""], ["", "column 1", "column 1"]):
        assert len(set(unique_names(names))) == len(names)


def test_parquet_with_dictionaries_and_a_repeated_name_is_read(tmp_path: Path) -> None:
    texts = pa.array([text for text, _ in ROWS]).dictionary_encode()
    labels = pa.array([label for _, label in ROWS]).dictionary_encode()
    more = pa.array(range(len(ROWS)))
    table = pa.Table.from_arrays([texts, labels, more, more], names=["text", "label", "x", "x"])
    pq.write_table(table, tmp_path / "train.parquet")
    pq.write_table(table, tmp_path / "dev.parquet")
    corpus = load_corpus(CorpusSpec(dataset=str(tmp_path)))
    assert corpus.train.texts == texts.to_pylist()
    assert corpus.class_names == ("0", "1")


def test_labels_with_and_without_a_fraction_are_one_number(tmp_path: Path) -> None:
    mixed = [("a", "1"), ("b", "1.0"), ("c", "0.00"), ("d", "0")]
    for name, rows in (("train", mixed), ("dev", [("a", "1.0"), ("b", "0.0")])):
        lines = ["text,label", *(f"{text},{label}" for text, label in rows)]
        (tmp_path / f"{name}.csv").write_text("\n".join(lines))
    corpus = load_corpus(CorpusSpec(dataset=str(tmp_path)))
    assert corpus.class_names == ("0", "1")
    assert corpus.train.labels.tolist() == [1, 1, 0, 0]
    assert corpus.dev.labels.tolist() == [1, 0]


def test_labels_that_all_have_a_fraction_keep_their_names(tmp_path: Path) -> None:
    # The names of studies that were begun over such a file.
    corpus = split(tmp_path, ".csv", "text,label\na,1.0\nb,0.0\n")
    assert corpus.class_names == ("0.0", "1.0")


@pytest.mark.parametrize(
    "text", ["one\ntwo", "so good, 1\nbad one, 0\nnice", "a,b,1\nc", "one,7\ntwo", "x,1\ny,z"]
)
def test_a_text_of_several_lines_is_a_text(text: str, tmp_path: Path) -> None:
    content = f'text,label\n"{text}",1\nfine,1\nmeh,0\nawful,0\n'
    assert split(tmp_path, ".csv", content).train.texts[0] == text


def test_a_folder_of_the_hub_that_cannot_be_made_is_not_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    (tmp_path / "file").touch()
    monkeypatch.setattr(datasets.config, "HF_CACHE_HOME", str(tmp_path / "file" / "cache"))
    for suffix, content in (
        (".csv", "text,label\na b,1\nc,0\n"),
        (".jsonl", '{"text": "a b", "label": 1}\n{"text": "c", "label": 0}\n'),
    ):
        folder = tmp_path / suffix
        folder.mkdir()
        assert split(folder, suffix, content).train.texts == ["a b", "c"]
