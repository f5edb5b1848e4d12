from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from safr_study.data import (
    Split,
    describe,
    encoded_corpus,
    known_datasets,
    load_corpus,
)
from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.settings import CorpusSpec

ROWS = [(f"text {row}", row % 2) for row in range(20)]


@pytest.fixture(autouse=True)
def _no_real_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAFR_STUDY_DATA", raising=False)


def _csv(path: Path, rows: list[tuple[object, object]], header: str = "text,label") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [header, *(f"{text},{label}" for text, label in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _load(path: Path, **settings: Any) -> Any:
    return load_corpus(CorpusSpec(dataset=str(path), **settings))


def _pairs(*splits: Split) -> list[tuple[str, int]]:
    return sorted(
        (text, int(label))
        for split in splits
        for text, label in zip(split.texts, split.labels, strict=True)
    )


def _fault(path: Path | str, **settings: Any) -> str:
    with pytest.raises(BadInput) as caught:
        load_corpus(CorpusSpec(dataset=str(path), **settings))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def _write(path: Path, rows: list[tuple[str, int]]) -> Path:
    """The rows in the format of the suffix, by the format's own library."""
    records = [{"text": text, "label": label} for text, label in rows]
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(records), encoding="utf-8")
    elif path.suffix in (".jsonl", ".ndjson"):
        path.write_text("".join(json.dumps(r) + "\n" for r in records), encoding="utf-8")
    else:
        sep = {".csv": ",", ".tsv": "\t"}[path.suffix]
        lines = [sep.join(("text", "label")), *(sep.join((t, str(y))) for t, y in rows)]
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".parquet"])
def test_every_kind_of_file_gives_the_same_corpus(suffix: str, tmp_path: Path) -> None:
    corpus = _load(_write(tmp_path / f"mine{suffix}", ROWS))
    assert corpus.class_names == ("0", "1")
    assert _pairs(corpus.train, corpus.dev) == sorted(ROWS)
    assert np.bincount(corpus.dev.labels).tolist() == [2, 2]
    assert corpus.test is None
    assert corpus.source == str(tmp_path / f"mine{suffix}")


def test_names_with_brackets_stars_and_spaces_are_no_patterns(tmp_path: Path) -> None:
    path = _csv(tmp_path / "a [x] *" / ".my file [1].csv", ROWS)
    assert _pairs(_load(path).train) != []


def test_a_folder_of_files_has_its_own_splits(tmp_path: Path) -> None:
    parts = {"train": ROWS[:10], "valid": ROWS[10:14], "test": ROWS[14:]}
    for suffix, (name, rows) in zip((".csv", ".jsonl", ".parquet"), parts.items(), strict=True):
        _write(tmp_path / f"{name}{suffix}", rows)
    (tmp_path / "README.md").write_text("no data")
    corpus = _load(tmp_path)
    assert [_pairs(s) for s in (corpus.train, corpus.dev, corpus.test)] == [
        sorted(rows) for rows in parts.values()
    ]
    assert corpus.train.texts == [text for text, _ in ROWS[:10]]


def test_a_saved_folder_keeps_class_names_and_selected_rows(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features(
        {
            "sentence": datasets.Value("string"),
            "label": datasets.ClassLabel(names=["zebra", "ant"]),
        }
    )
    whole = datasets.Dataset.from_dict(
        {"sentence": [text for text, _ in ROWS], "label": [label for _, label in ROWS]},
        features=features,
    )
    parts = datasets.DatasetDict(
        train=whole.select(range(10)), dev=whole.select([18, 11]), test=whole.select(range(12, 16))
    )
    parts.save_to_disk(str(tmp_path / "parts"), num_proc=None)
    whole.save_to_disk(str(tmp_path / "whole"))
    corpus = _load(tmp_path / "parts")
    assert corpus.class_names == ("zebra", "ant")
    assert corpus.dev.texts == ["text 18", "text 11"]
    assert corpus.dev.labels.tolist() == [0, 1]
    assert corpus.test is not None
    assert corpus.test.examples == 4
    single = _load(tmp_path / "whole")
    assert _pairs(single.train, single.dev) == sorted(ROWS)


def test_texts_stay_what_the_file_says(tmp_path: Path) -> None:
    rows = [("null", "a"), ("1.50", "b"), ("NA", "a"), ("007", "b"), ("True", "a"), ("nan", "b")]
    _csv(tmp_path / "train.csv", rows)
    _csv(tmp_path / "dev.csv", rows)
    assert _load(tmp_path).train.texts == [text for text, _ in rows]


def test_a_byte_order_mark_and_quoted_line_breaks_are_understood(tmp_path: Path) -> None:
    body = 'text,label\n"one, ""two""\nthree",x\nfour,y\nfive,x\nsix,y\n'
    (tmp_path / "train.csv").write_bytes(b"\xef\xbb\xbf" + body.encode())
    (tmp_path / "dev.csv").write_text(body)
    assert _load(tmp_path).train.texts[0] == 'one, "two"\nthree'


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        ([10, 9, 2, 10, 9, 2], ("2", "9", "10")),
        (["10", "9", "-1", "10", "9", "-1"], ("-1", "9", "10")),
        (["b", "a", "b", "a"], ("a", "b")),
        ([True, False, True, False], ("False", "True")),
        ([1.0, 0.0, 1.0, 0.0], ("0", "1")),
    ],
)
def test_class_names_are_sorted_numbers_by_value(
    labels: list[object], names: tuple[str, ...], tmp_path: Path
) -> None:
    table = pa.table({"text": [f"t{i}" for i in range(len(labels))], "label": labels})
    for split in ("train", "dev"):
        pq.write_table(table, tmp_path / f"{split}.parquet")
    corpus = _load(tmp_path)
    assert corpus.class_names == names
    assert [names[label] for label in corpus.train.labels] == [
        str(int(y)) if isinstance(y, float) else str(y) for y in labels
    ]


def test_four_classes_and_an_empty_text_that_is_counted(tmp_path: Path) -> None:
    rows: list[tuple[object, object]] = [(f"w{i % 7} n{i}", "wxyz"[i % 4]) for i in range(80)]
    rows[8] = ("", "w")
    corpus = encoded_corpus(CorpusSpec(dataset=str(_csv(tmp_path / "four.csv", rows))))
    assert corpus.class_names == ("w", "x", "y", "z")
    assert np.bincount(corpus.dev.labels).tolist() == [4, 4, 4, 4]
    assert corpus.counts["empty_train"] + corpus.counts["empty_dev"] == 1
    assert describe(corpus) == (
        f"{tmp_path}/four.csv: 64 train / 16 dev, 4 classes, 7 words, 1 empty text kept"
    )


def test_missing_texts_are_kept_as_empty(tmp_path: Path) -> None:
    table = pa.table({"text": ["a", None, "b", "c"], "label": [0, 1, 0, 1]})
    for split in ("train", "dev"):
        pq.write_table(table, tmp_path / f"{split}.parquet")
    assert _load(tmp_path).train.texts == ["a", "", "b", "c"]


@pytest.mark.parametrize("missing", [None, -1])
def test_a_test_split_without_labels_is_left_out_and_said(
    missing: int | None, tmp_path: Path
) -> None:
    for split, rows in (("train", ROWS[:10]), ("validation", ROWS[10:])):
        _write(tmp_path / f"{split}.parquet", rows)
    table = pa.table({"text": ["a", "b"], "label": pa.array([missing, missing], pa.int64())})
    pq.write_table(table, tmp_path / "test.parquet")
    corpus = encoded_corpus(CorpusSpec(dataset=str(tmp_path)))
    assert corpus.test is None
    assert corpus.counts["unlabelled_test"] == 2
    assert describe(corpus).endswith("test left out (labels are missing)")


def test_leaf_sentiment_becomes_the_rationale(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["good old film", "bad"],
            "label": [1, 0],
            "leaf_sentiment": pa.array([[4, 2, 2], [1]], pa.list_(pa.int8())),
        }
    )
    for split in ("train", "dev"):
        pq.write_table(table, tmp_path / f"{split}.parquet")
    corpus = _load(tmp_path)
    assert [marks.tolist() for marks in corpus.train.rationale] == [[1, 0, 0], [1]]
    pq.write_table(table.set_column(0, "text", [["good film", "bad"]]), tmp_path / "dev.parquet")
    assert "row 0 of the dev split has 3 values" in _fault(tmp_path)


def test_columns_are_chosen_by_flag_or_by_usual_name(tmp_path: Path) -> None:
    path = _csv(tmp_path / "a.csv", [("p", "q,x"), ("r", "s,y")] * 4, header="sentence,body,target")
    assert set(_load(path).train.texts) == {"p", "r"}
    assert set(_load(path, text_column="body").train.texts) == {"q", "s"}
    assert _fault(path, text_column="boddy") == (
        "text-column: there is no column 'boddy': the columns are sentence, body, target"
    )
    assert _fault(path, label_column="sentence").startswith("label-column: 'sentence' is the text")


def test_a_doubtful_column_asks_for_the_flag(tmp_path: Path) -> None:
    both = _csv(tmp_path / "both.csv", [("p", "q,x"), ("r", "s,y")], header="text,review,label")
    none = _csv(tmp_path / "none.csv", [("p", "x"), ("r", "y")], header="words,label")
    assert "both text and review may be it" in _fault(both)
    assert _fault(none).endswith("the columns are words, label; name one with --text-column")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty"),
        (b"text,label\n", "has no rows"),
        (b"text,label\na,1\nb,c,0\n", "row 1 has 3 fields, the header 2"),
        (b"text,label\na, b,1\nb,c,0\n", "row 0 has 3 fields, the header 2"),
        (b'text,label\n"a,1\nb,0\n', "EOF inside string"),
        ("text,label\ncafé,1\nb,0\n".encode("latin-1"), "can't decode byte 0xe9"),
        (b"text,label\na,1\nb,1\n", "all training labels are '1'"),
        (b"text,label\na,1\nb,\nc,0\n", "1 of 3 labels of the train split are missing"),
        (b"text,label\na,1\nb\nc,0\n", "1 of 3 labels of the train split are missing"),
        (b"text,label\n,1\n ,0\n,1\n,0\n", "all texts of the train split are empty"),
        (b"text,label\na,1\nb,1\nc,0\n", "class '0' has 1 training example"),
    ],
)
def test_a_bad_csv_is_one_sentence(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)
    assert sentence in _fault(path)


@pytest.mark.parametrize("name", ["bad.jsonl", "bad.json", "bad.parquet"])
@pytest.mark.parametrize("content", [b"", b"\n", b'{"text": "a", "lab'])
def test_a_broken_file_of_another_kind_is_one_sentence(
    name: str, content: bytes, tmp_path: Path
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert _fault(path).startswith(f"dataset: {path} ")


def test_labels_that_are_no_labels_are_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "ratings.parquet"
    pq.write_table(pa.table({"text": ["a", "b"], "label": [1.5, 2.0]}), path)
    assert _fault(path).startswith("label-column: 'label' holds 1.5")
    pq.write_table(pa.table({"text": [["a"], ["b"]], "label": [1, 2]}), path)
    assert _fault(path).startswith(
        "text-column: row 0 of the train split holds no text but a value of type list"
    )


def test_a_dev_label_that_train_lacks_is_one_sentence(tmp_path: Path) -> None:
    _csv(tmp_path / "train.csv", ROWS)
    _csv(tmp_path / "dev.csv", [("a", 0), ("b", 7)])
    assert "the dev split has labels that train lacks: 7" in _fault(tmp_path)


def test_folders_that_cannot_be_used_are_one_sentence(tmp_path: Path) -> None:
    assert "neither a saved data set nor a file train.csv" in _fault(tmp_path)
    _csv(tmp_path / "train.csv", ROWS)
    _write(tmp_path / "train.jsonl", ROWS)
    assert "holds both train.csv and train.jsonl" in _fault(tmp_path)
    (tmp_path / "state.json").write_text("{")
    assert "cannot be read" in _fault(tmp_path)


@pytest.mark.parametrize(
    "name", ["/no/such.csv", "./nothing", "gone.parquet", "a/b/c", "~nobody-here/x", "x" * 300]
)
def test_a_missing_path_is_one_sentence(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _fault(name).startswith("dataset: ")


def test_a_file_of_no_known_kind_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "data.xlsx").write_bytes(b"x")
    assert "is of no known kind" in _fault(tmp_path / "data.xlsx")


def test_a_local_copy_comes_before_the_hub_and_a_path_before_both(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path / "data"))
    _write(tmp_path / "data" / "sst2" / "train.parquet", ROWS)
    _write(tmp_path / "data" / "owner" / "set" / "train.parquet", ROWS)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sst2").mkdir()
    corpus = load_corpus(CorpusSpec(dataset="sst2"))
    assert corpus.source == str(tmp_path / "data" / "sst2")
    assert corpus.class_names == ("negative", "positive")
    assert load_corpus(CorpusSpec(dataset="owner/set")).source.endswith("data/owner/set")
    _write(tmp_path / "sst2" / "train.parquet", ROWS)
    assert load_corpus(CorpusSpec(dataset="sst2")).source == "sst2"


@pytest.mark.parametrize("name", ["sst2", "imdb", "sst2-treebank", "movies", "owner/set", "bare"])
def test_what_is_nowhere_says_what_was_tried_and_how_to_give_a_copy(name: str) -> None:
    with pytest.raises(ServiceUnreachable) as caught:
        load_corpus(CorpusSpec(dataset=name))
    sentence = str(caught.value)
    assert "SAFR_STUDY_DATA is not set" in sentence
    assert f"SAFR_STUDY_DATA/{name}/<split>.parquet" in sentence
    assert "\n" not in sentence


def test_known_datasets_say_where_they_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where = {name: place for name, _, place in known_datasets()}
    assert where["planted:redundant"] == "built in"
    assert where["sst2"] == "hub SetFit/sst2"
    assert "SAFR_STUDY_DATA/sst2-treebank" in where["sst2-treebank"]
    (tmp_path / "imdb").mkdir()
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path))
    assert ("imdb", str(tmp_path / "imdb")) in {(n, p) for n, _, p in known_datasets()}


def test_reading_a_file_leaves_nothing_behind_and_says_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    # A cache of this test alone: others read files at the same time.
    monkeypatch.setattr(datasets.config, "HF_CACHE_HOME", str(tmp_path / "cache"))
    path = _csv(tmp_path / "data" / "mine.csv", ROWS)
    _load(path)
    _fault(tmp_path / "data" / "gone.csv")
    assert [part.name for part in (tmp_path / "data").iterdir()] == ["mine.csv"]
    assert not (tmp_path / "cache").exists()
    assert capfd.readouterr() == ("", "")


def test_the_package_imports_without_the_datasets_library() -> None:
    code = (
        "import sys, safr_study.data; sys.exit(sum(m in sys.modules for m in ('datasets','torch')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("sst2", (6920, 872, 1821)),
        ("sst2-treebank", (6244, 825, 1743)),
        ("movies", (1600, 200, 199)),
    ],
)
def test_real_sizes(
    name: str, sizes: tuple[int, ...], real_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFR_STUDY_DATA", str(real_data))
    corpus = load_corpus(CorpusSpec(dataset=name))
    assert corpus.test is not None
    assert (corpus.train.examples, corpus.dev.examples, corpus.test.examples) == sizes
    assert (corpus.train.rationale is not None) == (name != "sst2")


def test_real_imdb_is_split_evenly(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFR_STUDY_DATA", str(real_data))
    corpus = load_corpus(CorpusSpec(dataset="imdb"))
    assert corpus.test is not None
    assert np.bincount(corpus.train.labels).tolist() == [10_000, 10_000]
    assert np.bincount(corpus.dev.labels).tolist() == [2_500, 2_500]
    assert np.bincount(corpus.test.labels).tolist() == [12_500, 12_500]
