"""Texts that belong together: their column, and ``imdb-cad`` by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from safr_study.data import encode_corpus, encoded_corpus, load_corpus
from safr_study.data.objects import keep_object
from safr_study.errors import BadInput
from safr_study.evaluation.deletion import sample_texts, take_texts
from safr_study.settings import CorpusSpec

PAIRS = 30
FRAME = pd.DataFrame(
    {
        "text": [f"a {'dull' if row % 2 else 'fine'} film {row // 2}" for row in range(2 * PAIRS)],
        "label": [row % 2 for row in range(2 * PAIRS)],
        "pair": [f"p{row // 2}" for row in range(2 * PAIRS)],
    }
)


def written(folder: Path, frame: pd.DataFrame, **settings: Any) -> CorpusSpec:
    return CorpusSpec(dataset=str(keep_object(frame, folder)), **settings)


def pairs_of(texts: list[str]) -> list[str]:
    return sorted(text.split()[-1] for text in texts)


def test_pairs_of_a_table_stay_together_and_reach_the_model(tmp_path: Path) -> None:
    spec = written(tmp_path, FRAME, group_column="pair", dev_limit=7, min_count=1)
    corpus = load_corpus(spec)
    assert corpus.train.examples == 48
    assert corpus.dev.examples == 6
    for split in (corpus.train, corpus.dev):
        assert split.groups is not None
        of_text = [text.split()[-1] for text in split.texts]
        same = np.equal.outer(of_text, of_text)
        assert np.array_equal(same, np.equal.outer(split.groups, split.groups))
    for encoded in (encode_corpus(corpus, spec), encoded_corpus(spec, tmp_path / "cache")):
        assert encoded.dev.groups is not None
        assert encoded.dev.groups.tolist() == corpus.dev.groups.tolist()
    assert len(encoded_corpus(spec, tmp_path / "cache").train.groups) == 48
    # Without the option nothing is known of pairs, and the fingerprints are those of old.
    alone = load_corpus(spec.model_copy(update={"group_column": None}))
    assert alone.dev.groups is None
    assert "group_column" not in written(tmp_path, FRAME).model_dump()


def test_a_sample_of_dev_has_whole_pairs(tmp_path: Path) -> None:
    frame = FRAME.assign(pair=[None if row < 50 else row // 2 for row in range(2 * PAIRS)])
    spec = written(tmp_path, frame, group_column="pair", min_count=1)
    split = encode_corpus(load_corpus(spec), spec).train
    small, large = (sample_texts(split, size, seed=0) for size in (3, 30))
    for sample in (small, large):
        sizes = np.unique(sample.groups, return_counts=True)[1]
        assert sizes.max() == 2
        # No pair is cut: of each group the sample has as many texts as the split.
        whole = split.groups[np.isin(split.groups, sample.groups)]
        assert len(whole) == sample.examples
    assert small.examples <= 3
    assert 29 <= large.examples <= 30
    assert set(small.groups.tolist()) <= set(large.groups.tolist())
    assert sample_texts(split, split.examples, seed=0).examples == split.examples
    assert take_texts(split, np.array([2, 0])).groups.tolist() == split.groups[[2, 0]].tolist()


@pytest.mark.parametrize(
    ("column", "asked", "sentence"),
    [
        (FRAME["pair"], "couple", "the train split has no column 'couple': the columns are"),
        (range(2 * PAIRS), "pair", "no two rows of a split have the same value of 'pair'"),
        ([[1]] * 2 * PAIRS, "pair", "row 0 of the train split has a value of type list in 'pair'"),
        (FRAME["pair"], "label", "'label' is the column of texts or labels; name another"),
        ([1] * 2 * PAIRS, "pair", "the groups cannot be cut so that train and dev"),
    ],
    ids=["missing", "all different", "lists", "used", "one group"],
)
def test_a_column_that_cannot_be_used_is_one_sentence(
    column: Any, asked: str, sentence: str, tmp_path: Path
) -> None:
    spec = written(tmp_path, FRAME.assign(pair=column), group_column=asked)
    with pytest.raises(BadInput, match=f"^group-column: .*{sentence[-20:]}") as caught:
        load_corpus(spec)
    assert sentence in str(caught.value)


def test_imdb_cad_has_its_pairs_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFR_STUDY_DATA", str(tmp_path))
    for split in ("train", "validation"):
        (tmp_path / "imdb-cad").mkdir(exist_ok=True)
        FRAME.to_parquet(tmp_path / "imdb-cad" / f"{split}.parquet")
    spec = CorpusSpec(dataset="imdb-cad", min_count=1)
    corpus = encode_corpus(load_corpus(spec), spec)
    assert (corpus.max_len, corpus.class_names) == (256, ("negative", "positive"))
    assert len(np.unique(corpus.dev.groups)) == PAIRS


def test_the_published_columns_can_be_named(tmp_path: Path) -> None:
    for name in ("train", "dev"):
        rows = "".join(
            f"{'Positive' if row % 2 else 'Negative'}\ta film {row}\t{row // 2}\n"
            for row in range(40)
        )
        (tmp_path / f"{name}.tsv").write_text(f"Sentiment\tText\tbatch_id\n{rows}")
    columns = {"text_column": "Text", "label_column": "Sentiment", "group_column": "batch_id"}
    corpus = load_corpus(CorpusSpec(dataset=str(tmp_path), **columns))
    assert len(np.unique(corpus.dev.groups)) == 20


def test_real_sizes_and_pairs(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAFR_STUDY_DATA", str(real_data))
    corpus = load_corpus(CorpusSpec(dataset="imdb-cad"))
    for split, pairs in ((corpus.train, 1707), (corpus.dev, 245), (corpus.test, 488)):
        assert split is not None
        assert split.groups is not None
        order = np.argsort(split.groups, kind="stable")
        assert len(np.unique(split.groups)) == pairs == split.examples // 2
        # Two texts of opposite label each.
        assert (split.labels[order].reshape(-1, 2).sum(axis=1) == 1).all()
