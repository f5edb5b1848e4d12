"""The measurement on film reviews with rationales: its lines, and the table of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tiny_encoder import tiny_encoder

from benchmarks.movies import MEASUREMENT, MODELS, main, markdown
from benchmarks.trained_models import Line, read_lines
from safr_study.errors import BadInput

WORDS = ("a", "gripping", "funny", "superpositioned", "neurons", "film", "3.5", "stars!")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Reviews whose first two words are the evidence."""
    rng = np.random.default_rng(0)
    for split, texts in (("train", 24), ("validation", 8), ("test", 8)):
        drawn = [rng.choice(WORDS[2:], size=rng.integers(6, 12)).tolist() for _ in range(texts)]
        labels = [number % 2 for number in range(texts)]
        table = {
            "text": [
                " ".join([WORDS[label]] * 2 + words)
                for label, words in zip(labels, drawn, strict=True)
            ],
            "label": labels,
            "rationale": [[1, 1] + [0] * len(words) for words in drawn],
        }
        (tmp_path / "data" / "movies").mkdir(parents=True, exist_ok=True)
        pq.write_table(pa.table(table), tmp_path / "data" / "movies" / f"{split}.parquet")
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path / "data"))
    return tmp_path


def test_what_is_there_is_not_trained_again_and_the_table_has_all(data: Path) -> None:
    encoder = tiny_encoder("bert", data / "tiny-bert")
    out = data / "movies.jsonl"
    command = [
        *("--encoder", str(encoder), "--epochs", "2", "--train-limit", "20", "--out", str(out)),
        *("--scratch", str(data / "scratch")),
    ]
    assert main([*command, "--models", "no VMASK"]) == 0
    (first,) = read_lines(out)
    assert (first.encoder, first.epochs, first.max_len) == ("tiny-bert", 2, 64)
    assert first.limits == {"train": 20, "dev": None, "test": None}
    assert first.train["learning_rate"] == 5e-5
    assert first.scores.values["rationale_texts"].value == 8
    assert Line.from_text(first.to_text()) == first
    # Torn by a kill: what is whole stays, and is not paid for again.
    with out.open("a") as file:
        file.write('{"schema": 1, "model"')
    assert main([*command, "--models", "no VMASK", "SAFR (0.1, 0.1)"]) == 0
    lines = read_lines(out)
    assert [line.model for line in lines] == ["no VMASK", "SAFR (0.1, 0.1)"]
    assert lines[0] == first
    assert list((data / "scratch" / "states").iterdir()) == []
    # Another seed, limit or setting is another training.
    (run,) = MEASUREMENT.runs(MEASUREMENT.arguments([*command, "--models", "no VMASK"]))
    assert run.key() == first.key
    for change in (["--seeds", "1"], ["--train-limit", "18"], ["--epochs", "3"]):
        (other,) = MEASUREMENT.runs(
            MEASUREMENT.arguments([*command, "--models", "no VMASK", *change])
        )
        assert other.key() != first.key
    table = out.with_suffix(".md").read_text("utf-8")
    assert table == markdown(lines)
    rows = [row for row in table.splitlines() if row.startswith("| tiny-bert")]
    assert len(rows) == 2 + 6 + 7
    precision = first.scores.values["average_precision"]
    assert f"| {precision.value:.3f} ± {precision.se:.3f} |" in rows[0]
    assert str(data) not in table + out.read_text("utf-8")


def test_the_table_is_in_the_order_of_the_models(data: Path) -> None:
    out = data / "movies.jsonl"
    command = ["--epochs", "1", "--train-limit", "8", "--out", str(out)]
    assert main([*command, "--models", "no VMASK", "--scratch", str(data / "scratch")]) == 0
    (line,) = read_lines(out)
    assert (line.encoder, line.max_len, dict(line.train)) == (None, 512, {"epochs": 1})
    many = [
        replace(line, model=model, encoder=encoder, seed=seed)
        for seed in (1, 0)
        for encoder in ("tiny", None)
        for model in reversed(MODELS)
    ]
    rows = [row.split(" | ")[:3] for row in markdown(many).splitlines() if "8 train texts" in row]
    assert rows[:4] == [
        ["| from scratch", "no VMASK (8 train texts)", "0"],
        ["| from scratch", "no VMASK (8 train texts)", "1"],
        ["| from scratch", "VMASK only (8 train texts)", "0"],
        ["| from scratch", "VMASK only (8 train texts)", "1"],
    ]


def test_limited_data_and_broken_lines_are_refused(tmp_path: Path) -> None:
    assert main(["--train-limit", "8"]) == 2
    broken = tmp_path / "m.jsonl"
    broken.write_text('{"schema": 9}\n')
    with pytest.raises(BadInput, match=r"line 1 of m\.jsonl cannot be read"):
        read_lines(broken)
