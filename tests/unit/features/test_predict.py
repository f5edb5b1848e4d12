"""A file of texts predicted: the rows, their numbers, and what leaves nothing behind."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from tiny_model import CLASSES, WORDS, save_tiny_model

import safr_study as ss
from safr_study.cli.app import main
from safr_study.data import rows as reading
from safr_study.data.rows import text_chunks
from safr_study.errors import BadInput, StudyInterrupted
from safr_study.evaluation.explanation import explain_text
from safr_study.features.evaluate import evaluate
from safr_study.features.explain import explain as explaining
from safr_study.features.predict import predict as predicting
from safr_study.features.predict.predict import predict_file
from safr_study.features.study_base.stores import open_stores
from safr_study.settings import CorpusSpec

TEXTS = ["the film was good and bad", "zebra", "", 'a "film" , is\ngood', "good " * 40, "bad"]
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(params=["masked", "reference"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return save_tiny_model(tmp_path / "model", preset=request.param)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Run ``safr-study predict`` in this process: exit code, output, errors."""
    monkeypatch.chdir(tmp_path)

    def called(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["safr-study", "predict", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return called


def drawn_texts(count: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    known = [*WORDS[2:], "unheard"]
    return [" ".join(rng.choice(known, rng.integers(0, 24))) for _ in range(count)]


def write(path: Path, texts: list[str | None], column: str = "text") -> Path:
    """The texts as a file of the suffix's kind, beside another column."""
    table = pd.DataFrame({"id": range(len(texts)), column: texts})
    match path.suffix:
        case ".csv" | ".tsv":
            table.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
        case ".parquet":
            table.to_parquet(path)
        case ".json":
            path.write_text(json.dumps(table.to_dict("records"), indent=1), "utf-8")
        case _:
            table.to_json(path, orient="records", lines=True)
    return path


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("kind", ["csv", "tsv", "json", "jsonl", "ndjson", "parquet"])
def test_each_kind_of_file_gives_its_texts_in_order(kind: str, tmp_path: Path) -> None:
    texts: list[str | None] = [*TEXTS, None, "ünïcode — “quoted” 電影 🎬", *drawn_texts(2500)]
    chunks = list(text_chunks(str(write(tmp_path / f"t.{kind}", texts))))
    assert [len(chunk) for chunk in chunks] == [1024, 1024, len(texts) - 2048]
    assert [text for chunk in chunks for text in chunk] == [text or "" for text in texts]


def test_a_list_of_objects_is_read_in_blocks_of_any_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = ['é{"]', "🎬" * 50, "", *TEXTS]
    path = write(tmp_path / "t.json", texts)
    path.write_text("\ufeff " + json.dumps([{"text": text} for text in texts], ensure_ascii=False))
    for size in (1, 3, 7, 64):
        monkeypatch.setattr(reading, "_BLOCK", size)
        assert list(text_chunks(str(path))) == [texts]


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_the_numbers_are_those_of_each_text_alone(kind: str, model: Path, tmp_path: Path) -> None:
    texts = [*TEXTS, *drawn_texts(200)]
    stores = open_stores(tmp_path / "home")
    out = tmp_path / f"out.{kind}"
    done = predict_file(str(model), str(write(tmp_path / "t.csv", texts)), out, stores, words=100)
    read: Any = {
        "csv": read_csv,
        "jsonl": lambda path: [json.loads(line) for line in path.read_text("utf-8").splitlines()],
        "parquet": lambda path: pq.read_table(path).to_pylist(),
    }[kind]
    rows = read(out)
    loaded = explaining.load(str(model), stores)
    for number, (text, row) in enumerate(zip(texts, rows, strict=True)):
        alone = explain_text(loaded, text, reference="")
        assert int(row["row"]) == number
        assert row["label"] == alone.prediction
        shares = [alone.probability, *dict(alone.probabilities).values()]
        top = sorted((word for word in alone.words if word.top), key=lambda word: word.rank)
        columns = ["probability", *(f"p({name})" for name in CLASSES)]
        if kind == "csv":
            assert [row[name] for name in columns] == [f"{one:.6f}" for one in shares]
            assert row["words"] == " ".join(f"{w.text}:{w.capacity:.4f}" for w in top)
        elif kind == "jsonl":
            assert [row[name] for name in columns] == [round(one, 6) for one in shares]
            assert row["words"] == [[w.text, round(w.capacity, 4)] for w in top]
        else:
            assert [row[name] for name in columns] == shares
            assert [one["word"] for one in row["words"]] == [w.text for w in top]
            assert [one["capacity"] for one in row["words"]] == pytest.approx(
                [w.capacity for w in top], rel=1e-12
            )
    assert done.rows == len(texts)
    assert sum(done.labels.values()) == len(texts)
    assert done.empty == sum(not text.split() for text in texts)
    assert done.cut == sum(len(text.split()) > 16 for text in texts)
    # Negative control: float32 in batches gives other digits.
    loaded.model.to(torch.float32)
    in_float32 = explain_text(loaded, texts[0], reference="").probabilities
    assert dict(in_float32) != {name: rows[0][f"p({name})"] for name in CLASSES}


def test_its_accuracy_and_loss_are_those_of_evaluate(model: Path, tmp_path: Path) -> None:
    texts = [*TEXTS, *drawn_texts(300)]
    labels = [CLASSES[number % 3] for number in range(len(texts))]
    folder = tmp_path / "data"
    folder.mkdir()
    for split in ("train", "validation"):
        pd.DataFrame({"text": texts, "label": labels}).to_csv(folder / f"{split}.csv", index=False)
    stores = open_stores(tmp_path / "home")
    scores = evaluate(
        str(model), CorpusSpec.parse({"dataset": str(folder)}), stores, quick=True
    ).scores
    out = tmp_path / "out.csv"
    predict_file(str(model), str(folder / "validation.csv"), out, stores)
    rows = read_csv(out)
    right = [row["label"] == label for row, label in zip(rows, labels, strict=True)]
    assert f"{100 * np.mean(right):.2f}" == f"{scores.value('accuracy'):.2f}"
    losses = [-np.log(float(row[f"p({label})"])) for row, label in zip(rows, labels, strict=True)]
    assert f"{np.mean(losses):.4f}" == f"{scores.value('log_loss'):.4f}"


def test_python_takes_lists_series_frames_and_data_sets(model: Path) -> None:
    loaded = ss.load(model)
    texts = [*TEXTS, *drawn_texts(100)]
    listed = loaded.predict(texts, words=2)
    assert list(listed.columns) == [
        *("text", "label", "probability"), *(f"p({name})" for name in CLASSES), "words"
    ]  # fmt: skip
    assert list(listed["text"]) == texts
    for text, row in zip(texts[:20], listed.to_dict("records"), strict=False):
        alone = loaded.explain(text)
        assert {name: row[f"p({name})"] for name in CLASSES} == alone.probabilities
        top = alone.words[alone.words["top"].astype(bool)].sort_values("rank")["word"]
        assert [word for word, _ in row["words"]] == list(top[:2])
    index = [f"id{number}" for number in range(len(texts))]
    series = pd.Series(texts, index=index)
    frame = pd.DataFrame({"other": 1, "review": texts}, index=index)
    for given in (series, frame):
        column = "review" if given is frame else None
        found = loaded.predict(given, text_column=column, words=2)
        assert list(found.index) == index
        pd.testing.assert_frame_equal(found.reset_index(drop=True), listed)
    table = datasets.Dataset.from_dict({"text": texts})
    pd.testing.assert_frame_equal(loaded.predict(table, words=2), listed)
    pd.testing.assert_frame_equal(loaded.predict(iter(texts), words=2), listed)


def test_a_missing_text_is_an_empty_one_and_anything_else_is_named(model: Path) -> None:
    loaded = ss.load(model)
    empty = loaded.predict([""]).drop(columns="text")
    for missing in (
        [None], [float("nan")], pd.Series([None]), pd.Series([pd.NA], dtype="string"),
        pd.DataFrame({"text": [np.nan]}), datasets.Dataset.from_dict({"text": [None]}),
    ):  # fmt: skip
        pd.testing.assert_frame_equal(loaded.predict(missing).drop(columns="text"), empty)
    for bad, says in (
        (["good", 3], "row 1 holds no text"), ([["good"]], "row 0 holds no text"),
        (["a\0"], "row 0 holds a NUL"), (["good", "\ud800"], "row 1 is not valid UTF-8"),
        (["x" * 1_000_001], "row 0 has 1,000,001 characters"),
        (pd.DataFrame({"a": ["good"]}), "text-column"), (3, "list of texts"),
    ):  # fmt: skip
        with pytest.raises(BadInput, match=says):
            loaded.predict(bad)


BROKEN: dict[str, tuple[str, bytes, str]] = {
    "UTF-8 of CSV": ("t.csv", b"text\ngood\n\xff\n", "row 1 is not valid UTF-8"),
    "UTF-8 of lines": ("t.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n', "row 1 is not valid UTF-8"),
    "UTF-8 of a list": ("t.json", b'[{"text": "a"}, {"text": "\xff"}]', "row 1 is not valid UTF-8"),
    "half a character": ("t.jsonl", b'{"text": "\\ud800"}\n', "row 0 is not valid UTF-8"),
    "NUL": ("t.csv", b"text\ngood\ngood\na\0b\n", "row 2 holds a NUL"),
    "too long": ("t.jsonl", b'{"text": "%s"}' % (b"x" * 1_000_001), "row 0 has 1,000,001 char"),
    "an unclosed quote": ("t.csv", b'text\na\n"' + b"good\n" * 300_000, "row 1 cannot be read"),
    "too many fields": ("t.csv", b"id,text\n1,a\n2,b,c\n", "row 1 has 3 fields, the header 2"),
    "a list": ("t.jsonl", b'{"text": "a"}\n{"text": ["b"]}\n', "row 1 holds no text"),
    "an object": ("t.json", b'[{"text": {"a": 1}}]', "row 0 holds no text"),
    "no object": ("t.jsonl", b'{"text": "a"}\n["b"]\n', "row 1 is no whole JSON object"),
    "a cut line": ("t.jsonl", b'{"text": "a"}\n{"text": "b', "row 1 is no whole JSON object"),
    "a cut list": ("t.json", b'[{"text": "a"}, {"text": "b', "row 1 is no whole JSON object"),
    "an open list": ("t.json", b'[{"text": "a"}', "',' is missing"),
    "no comma": ("t.json", b'[{"text": "a"} {"text": "b"}]', "',' is missing"),
    "no Parquet": ("t.parquet", b"PAR1 no", "cannot be read as Parquet"),
    "nothing": ("t.csv", b"", "is empty"),
    "a header with a name twice": ("t.csv", b"text,text\na,b\n", "are text (1), text (2)"),
    "no column": ("t.csv", b"a,b\n1,2\n", "text-column: none of text, "),
    "another suffix": ("t.txt", b"good\n", "ends in none of .csv"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_row_is_named_and_nothing_is_written(name: str, run: Run, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    file, content, says = BROKEN[name]
    (tmp_path / file).write_bytes(content)
    code, said, error = run("model", file, "--out", "o.csv")
    assert (code, said) == (2, "")
    assert says in error
    assert error.count("\n") == 1
    assert {path.name for path in tmp_path.iterdir()} <= {"model", file, ".safr-study"}


def test_parquet_of_lists_and_of_bytes_is_refused(run: Run, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    for values in ([["a"]], [b"a"]):
        pq.write_table(pa.table({"text": values}), tmp_path / "t.parquet")
        code, _, error = run("model", "t.parquet", "--out", "o.csv")
        assert code == 2
        assert "row 0 holds no text" in error
    bad = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff"]).buffers())
    pq.write_table(pa.table({"text": bad}), tmp_path / "t.parquet")
    assert "row 0 is not valid UTF-8" in run("model", "t.parquet", "--out", "o.csv")[2]


def test_the_file_of_before_stays_unless_it_is_to_be_replaced(run: Run, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    write(tmp_path / "t.csv", list(TEXTS))
    out = tmp_path / "o.csv"
    out.write_text("mine")
    code, _, error = run("model", "t.csv", "--out", "o.csv")
    assert (code, out.read_text()) == (2, "mine")
    assert "--force" in error
    assert run("model", "t.csv", "--out", "o.csv", "--force")[0] == 0
    assert len(read_csv(out)) == len(TEXTS)
    for arguments, says in (
        (("t.csv", "--out", "t.csv", "--force"), "is the file of the texts"),
        (("t.csv", "--out", "o.xlsx"), "ends in none of .csv"),
        (("t.csv", "--out", "no/o.csv"), "is no folder"),
        (("t.csv", "--out", "p.csv", "--text-column", "nothing"), "text-column: there is no"),
        (("none.csv", "--out", "p.csv"), "there is no file 'none.csv'"),
        (("-", "--out", "p.csv", "--text-column", "a"), "no columns"),
    ):
        code, _, error = run("model", *arguments)
        assert code == 2
        assert says in error
    assert not (tmp_path / "p.csv").exists()


def test_ctrl_c_leaves_nothing_and_ends_with_its_code(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_model(tmp_path / "model")
    write(tmp_path / "t.csv", drawn_texts(1500))
    calls: list[int] = []
    real = predicting.predict_texts

    def interrupted(*arguments: Any, **named: Any) -> Any:
        calls.append(len(list(tmp_path.glob(".o.csv.*"))))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return real(*arguments, **named)

    monkeypatch.setattr(predicting, "predict_texts", interrupted)
    code, said, error = run("model", "t.csv", "--out", "o.csv")
    assert (code, said, calls) == (StudyInterrupted.exit_code, "", [1, 1])
    assert "nothing was written" in error
    assert [path.name for path in tmp_path.iterdir() if "o.csv" in path.name] == []


def test_the_summary_counts_what_was_read(run: Run, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    write(tmp_path / "t.jsonl", [*TEXTS, None], "review")
    code, said, error = run(
        "model", "t.jsonl", "--out", "o.jsonl", "--text-column", "review", "--json", "--words", "0"
    )
    assert code == 0
    document = json.loads(said)
    assert (document["rows"], document["empty"], document["cut"]) == (7, 2, 1)
    assert set(document["labels"]) == set(CLASSES)
    assert "wrote o.jsonl" in error
    lines = [json.loads(line) for line in (tmp_path / "o.jsonl").read_text("utf-8").splitlines()]
    assert list(lines[0]) == ["row", "label", "probability", *(f"p({c})" for c in CLASSES)]
    code, said, _ = run("model", "t.jsonl", "--out", "o.csv", "--text-column", "review")
    assert "7 rows in" in said
    assert "2 texts without a word; 1 text cut to 16 words" in said


def test_standard_input_is_one_text_a_line(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_tiny_model(tmp_path / "model")

    class Input:
        buffer = io.BytesIO("\ufeffgood film\r\n\nbad".encode())

    monkeypatch.setattr(sys, "stdin", Input)
    assert run("model", "-", "--out", "o.csv")[0] == 0
    write(tmp_path / "t.csv", ["good film", "", "bad"])
    assert run("model", "t.csv", "--out", "p.csv")[0] == 0
    assert (tmp_path / "o.csv").read_bytes() == (tmp_path / "p.csv").read_bytes()


def test_a_file_without_rows_gives_one_without_rows(run: Run, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model")
    (tmp_path / "t.csv").write_text("text\n")
    (tmp_path / "t.jsonl").write_text("")
    for file in ("t.csv", "t.jsonl"):
        for kind in ("csv", "jsonl", "parquet"):
            assert run("model", file, "--out", f"o.{kind}", "--force")[0] == 0
    assert pq.read_table(tmp_path / "o.parquet").num_rows == 0


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no peak memory to read")
@pytest.mark.parametrize("kind", ["csv", "json", "jsonl", "parquet"])
def test_the_memory_is_that_of_a_tenth_of_the_rows(kind: str, tmp_path: Path) -> None:
    save_tiny_model(tmp_path / "model", max_len=128)
    # Not ru_maxrss, which a process takes over from the one that starts it.
    code = (
        "import re, sys\n"
        "from pathlib import Path\n"
        "from safr_study.features.predict.predict import predict_file\n"
        "from safr_study.features.study_base.stores import open_stores\n"
        "predict_file('model', sys.argv[1], Path(sys.argv[2]), open_stores('home'))\n"
        "status = Path('/proc/self/status').read_text()\n"
        "print(re.search(r'VmHWM:\\s+(\\d+)', status)[1])\n"
    )
    peaks = []
    for count in (10_000, 100_000):
        file = write(tmp_path / f"{count}.{kind}", list(drawn_texts(count)))
        done = subprocess.run(
            [sys.executable, "-c", code, str(file), f"{count}.{kind}.parquet"],
            capture_output=True, text=True, check=True, cwd=tmp_path,
        )  # fmt: skip
        peaks.append(int(done.stdout))
    # kB: the texts alone take 12 MB more, the rows of their predictions several times that.
    assert peaks[1] - peaks[0] < 30_000, peaks
