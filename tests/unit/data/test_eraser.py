"""Data sets in the form of the ERASER benchmark, and ``movies`` by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_encoder import tiny_encoder

from safr_study.data import encode_corpus, load_corpus
from safr_study.data.loading import find_source
from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.settings import CorpusSpec

DOCUMENTS = {
    "neg_0.txt": "a  dull film\n. not\u00a0good at all\n",
    "pos_0.txt": "a funny\tand gripping one\n\n",
    "pos_1.txt": "nothing is marked here",
}
"""White space other than spaces and line breaks is part of a word, as the benchmark counts."""
SPANS = {"neg_0.txt": [[(1, 3)], [(4, 5), (6, 7)]], "pos_0.txt": [[(1, 2)]], "pos_1.txt": []}


def annotation(name: str, **changes: Any) -> str:
    evidences = [
        [{"docid": name, "start_token": a, "end_token": b, "text": "x"} for a, b in group]
        for group in SPANS.get(name, [])
    ]
    label = name.partition("_")[0].upper()
    made = {"annotation_id": name, "classification": label, "evidences": evidences, "query": "?"}
    return json.dumps({**made, **changes})


def write(folder: Path, lines: list[str]) -> Path:
    (folder / "docs").mkdir(parents=True)
    for name, text in DOCUMENTS.items():
        (folder / "docs" / name).write_text(text, "utf-8")
    (folder / "train.jsonl").write_text("\n".join(lines) + "\n", "utf-8")
    (folder / "val.jsonl").write_text("\n".join(lines[:2]) + "\n", "utf-8")
    return folder


def test_spans_of_evidence_become_marks_of_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path))
    folder = write(tmp_path / "movies", [annotation(name) for name in DOCUMENTS])
    corpus = load_corpus(CorpusSpec(dataset="movies"))
    assert corpus.source == str(folder)
    assert corpus.class_names == ("negative", "positive")
    assert corpus.train.texts == [
        "a dull film . notgood at all",
        "a funnyand gripping one",
        "nothing is marked here",
    ]
    assert corpus.train.labels.tolist() == [0, 1, 1]
    assert corpus.train.rationale is not None
    assert [row.tolist() for row in corpus.train.rationale] == [
        [0, 1, 1, 0, 1, 0, 1],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
    ]
    assert corpus.dev.examples == 2
    # The cache knows the data by the documents too.
    before = find_source(CorpusSpec(dataset="movies")).identity
    (folder / "docs" / "pos_1.txt").write_text("nothing was marked here", "utf-8")
    assert find_source(CorpusSpec(dataset="movies")).identity != before


BAD: dict[str, tuple[Callable[[], str], str]] = {
    "no JSON": (lambda: "{", "line 2 of train.jsonl is no annotation of ERASER"),
    "no evidences": (lambda: "{}", "line 2 of train.jsonl is no annotation of ERASER"),
    "no list": (lambda: annotation("pos_0.txt", evidences=3), "is no annotation of ERASER"),
    "beyond the text": (
        lambda: annotation(
            "pos_0.txt", evidences=[[{"docid": "pos_0.txt", "start_token": 2, "end_token": 5}]]
        ),
        "has evidence from word 2 to 5 of 4",
    ),
    "two documents": (
        lambda: annotation(
            "pos_0.txt",
            evidences=[
                [{"docid": name, "start_token": 0, "end_token": 1}]
                for name in ("pos_0.txt", "neg_0.txt")
            ],
        ),
        "has evidence in 2 documents",
    ),
    "no document": (lambda: annotation("gone.txt"), "names the document 'gone.txt', which"),
    "outside": (lambda: annotation("../train.jsonl"), "names the document '../train.jsonl'"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_broken_annotation_is_one_sentence(fault: str, tmp_path: Path) -> None:
    line, sentence = BAD[fault]
    folder = write(tmp_path / "set", [annotation("neg_0.txt"), line()])
    with pytest.raises(BadInput) as caught:
        load_corpus(CorpusSpec(dataset=str(folder)))
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_movies_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAFR_STUDY_DATA", raising=False)
    with pytest.raises(ServiceUnreachable, match=r"unpack https://\S+/movies\.tar\.gz in "):
        load_corpus(CorpusSpec(dataset="movies"))


def test_movies_is_read_to_512_and_an_encoder_to_its_positions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path))
    folder = write(tmp_path / "movies", [annotation(name) for name in DOCUMENTS])
    words = ["monosemantic" if number % 3 else "a" for number in range(600)]
    (folder / "docs" / "neg_0.txt").write_text(" ".join(words), "utf-8")
    long = annotation(
        "neg_0.txt",
        evidences=[
            [{"docid": "neg_0.txt", "start_token": first, "end_token": first + 2}]
            for first in range(0, 600, 5)
        ],
    )
    (folder / "train.jsonl").write_text("\n".join([long, annotation("pos_0.txt")]), "utf-8")
    marks = np.arange(600) % 5 < 2
    spec = CorpusSpec(dataset="movies", min_count=1)
    whole = encode_corpus(load_corpus(spec), spec)
    assert whole.max_len == 512
    assert whole.train.rationale is not None
    assert whole.train.rationale[:512].tolist() == marks[:512].tolist()
    assert whole.train.lengths.tolist() == [512, 4]
    # An encoder of 64 positions: words of several pieces each, cut where a whole one has no room.
    encoder = tiny_encoder("bert", tmp_path / "bert")
    spec = CorpusSpec(dataset="movies", encoder=str(encoder))
    cut = encode_corpus(load_corpus(spec), spec)
    assert (cut.max_len, cut.pieces is None) == (64, False)
    length = int(cut.train.lengths[0])
    assert 5 < length < 60
    assert cut.train.rationale is not None
    assert cut.train.rationale[:length].tolist() == marks[:length].tolist()
    with pytest.raises(BadInput, match="512 is more than the 64 positions"):
        encode_corpus(load_corpus(spec), spec.model_copy(update={"max_len": 512}))
