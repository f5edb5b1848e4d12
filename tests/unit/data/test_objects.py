"""A data set given as an object becomes a file of the home, named by its content."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

import safr_study as ss
from safr_study import api
from safr_study.data import CHUNK_ROWS, load_corpus
from safr_study.data.objects import keep_object
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec, StudySpec

COUNT = CHUNK_ROWS // 2
FRAME = pd.DataFrame(
    {
        "text": [f"text {number}" if number else None for number in range(COUNT)],
        "label": ["good" if number % 3 else "bad" for number in range(COUNT)],
    }
)


def texts_of(path: Path) -> list[str]:
    corpus = load_corpus(CorpusSpec(dataset=str(path)))
    return sorted([*corpus.train.texts, *corpus.dev.texts])


def test_the_same_content_is_the_same_file_written_once(tmp_path: Path) -> None:
    path = keep_object(FRAME, tmp_path)
    assert path.name.startswith("data-")
    assert texts_of(path) == sorted(FRAME["text"].fillna(""))
    written = path.stat().st_mtime_ns
    # Index, types that mean the same, and how it lies in memory do not matter.
    shuffled = FRAME.iloc[::-1].iloc[::-1]
    table = datasets.Dataset.from_pandas(FRAME.iloc[::-1], preserve_index=False)
    for same in (
        FRAME.copy(), FRAME.set_axis(range(7, 7 + COUNT)), shuffled,
        FRAME.astype({"label": "category"}), datasets.Dataset.from_pandas(FRAME),
        table.select(range(COUNT - 1, -1, -1)),
        datasets.concatenate_datasets(
            [datasets.Dataset.from_pandas(FRAME[:9]), datasets.Dataset.from_pandas(FRAME[9:])]
        ),
    ):  # fmt: skip
        if isinstance(same, datasets.Dataset):
            same = same.select_columns(["text", "label"])
        assert keep_object(same, tmp_path) == path
    assert path.stat().st_mtime_ns == written
    others = (
        FRAME[1:], FRAME.iloc[::-1], FRAME.rename(columns={"label": "class"}),
        FRAME.assign(text="a"), {"train": FRAME},
    )  # fmt: skip
    assert len({keep_object(other, tmp_path) for other in others} | {path}) == 6
    assert not [one.name for one in tmp_path.iterdir() if one.name.startswith(".")]


def test_splits_and_names_of_classes_are_kept(tmp_path: Path) -> None:
    names = datasets.ClassLabel(names=["worse", "better"])
    table = datasets.Dataset.from_dict(
        {"text": [f"a {n}" for n in range(40)], "label": [0, 1] * 20},
        features=datasets.Features({"text": datasets.Value("string"), "label": names}),
    )
    path = keep_object(datasets.DatasetDict(train=table, test=table.select(range(8))), tmp_path)
    corpus = load_corpus(CorpusSpec(dataset=str(path)))
    assert corpus.class_names == ("worse", "better")
    assert corpus.test is not None
    assert corpus.test.texts == [f"a {n}" for n in range(8)]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ([("a", 1)], "a list is no data set"),
        ({"train": "a"}, "a str is no data set"),
        ({}, "no split"),
        (pd.DataFrame({"text": ["a", 1, ["b"]]}), "cannot be written as Parquet"),
        (pd.DataFrame([["a", "b"]], columns=["text", "text"]), "'text' twice"),
    ],
)
def test_what_is_no_data_set_is_refused_with_a_sentence(
    data: Any, says: str, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match=says):
        keep_object(data, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_search_on_an_object_is_one_on_its_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[StudySpec] = []

    class Stop(Exception):
        pass

    def run_search(spec: StudySpec, *_: Any, **__: Any) -> None:
        asked.append(spec)
        raise Stop

    monkeypatch.setattr(api, "run_search", run_search)
    path = keep_object(FRAME, tmp_path / "data")
    for given in (FRAME, datasets.Dataset.from_pandas(FRAME), path, str(path)):
        with pytest.raises(Stop):
            ss.search(given, home=tmp_path, quiet=True)
    assert len(set(map(str, asked))) == 1
    assert asked[0].corpus.dataset == str(path)
    assert asked[0].corpus.tokenizer == "words"
