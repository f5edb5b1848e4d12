from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safr_study.data import (
    Corpus,
    EncodedCorpus,
    cache,
    encode_corpus,
    encoded_corpus,
    planted_corpus,
)
from safr_study.data.encoding import named_arrays
from safr_study.errors import BadInput
from safr_study.settings import CorpusSpec

SPEC = CorpusSpec(dataset="planted", train_limit=40, dev_limit=20)


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[CorpusSpec]:
    """The settings of every corpus that was really encoded."""
    done: list[CorpusSpec] = []

    def counted(corpus, spec):  # type: ignore[no-untyped-def]
        done.append(spec)
        return encode_corpus(corpus, spec)

    monkeypatch.setattr(cache, "encode_corpus", counted)
    return done


def _assert_equal(one: EncodedCorpus, other: EncodedCorpus) -> None:
    for field in dataclasses.fields(EncodedCorpus):
        first, second = getattr(one, field.name), getattr(other, field.name)
        if field.name not in ("train", "dev", "test", "vocabulary_bytes"):
            assert first == second
    expected, found = (named_arrays(c.vocabulary_bytes, c.splits) for c in (one, other))
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        assert array.dtype == found[name].dtype
        assert np.array_equal(array, found[name])


def _csv(path: Path, words: list[str]) -> Path:
    rows = [f"{word} {row % 3},{row % 2}" for row, word in enumerate(words)]
    path.write_text("\n".join(["text,label", *rows]) + "\n")
    return path


def test_an_entry_equals_the_corpus_and_is_made_once(
    tmp_path: Path, encodings: list[CorpusSpec]
) -> None:
    direct = encoded_corpus(SPEC)
    encodings.clear()
    first = encoded_corpus(SPEC, tmp_path)
    second = encoded_corpus(SPEC, tmp_path)
    assert len(encodings) == 1
    _assert_equal(direct, first)
    _assert_equal(direct, second)


@pytest.fixture(scope="module")
def plain() -> Corpus:
    return planted_corpus("planted", 0)


@settings(max_examples=10, deadline=None)
@given(rows=st.lists(st.text(st.characters(codec="utf-8"), max_size=20), min_size=4, max_size=9))
def test_any_texts_survive_the_round_trip(
    rows: list[str], plain: Corpus, tmp_path_factory: pytest.TempPathFactory
) -> None:
    split = dataclasses.replace(
        plain.dev, texts=[*rows, "word"], labels=plain.dev.labels[: len(rows) + 1], rationale=None
    )
    corpus = dataclasses.replace(plain, train=split, dev=split, test=None)
    encoded = encode_corpus(corpus, SPEC.model_copy(update={"min_count": 1}))
    entry = tmp_path_factory.mktemp("cache") / "entry"
    cache._write_entry(entry, encoded)
    read = cache._read_entry(entry)
    assert read is not None
    _assert_equal(encoded, read)


def test_arrays_are_plain_read_only_maps_that_ship_without_pickled_objects(tmp_path: Path) -> None:
    corpus = encoded_corpus(SPEC, tmp_path)
    for array in named_arrays(corpus.vocabulary_bytes, corpus.splits).values():
        assert type(array) is np.ndarray
        assert isinstance(array.base, np.memmap)
        assert not array.flags.writeable
        assert array.dtype != object


def test_every_setting_and_every_content_has_its_own_entry(
    tmp_path: Path, encodings: list[CorpusSpec]
) -> None:
    path = _csv(tmp_path / "mine.csv", ["good", "bad"] * 10)
    spec = CorpusSpec(dataset=str(path))
    first = encoded_corpus(spec, tmp_path / "cache")
    stamp = path.stat().st_mtime_ns
    _csv(path, ["good", "sad"] * 10)
    os.utime(path, ns=(stamp, stamp))
    changed = encoded_corpus(spec, tmp_path / "cache")
    assert "sad" in changed.vocabulary
    assert changed.fingerprint != first.fingerprint
    encoded_corpus(spec.model_copy(update={"split_seed": 1}), tmp_path / "cache")
    encoded_corpus(spec.model_copy(update={"min_count": 1}), tmp_path / "cache")
    assert len(encodings) == 4
    assert encoded_corpus(spec, tmp_path / "cache").fingerprint == changed.fingerprint
    assert len(encodings) == 4


def test_a_moved_file_keeps_its_fingerprint(tmp_path: Path) -> None:
    path = _csv(tmp_path / "one.csv", ["good", "bad"] * 10)
    first = encoded_corpus(CorpusSpec(dataset=str(path)))
    moved = path.rename(tmp_path / "two.csv")
    assert encoded_corpus(CorpusSpec(dataset=str(moved))).fingerprint == first.fingerprint


def _truncate(entry: Path) -> None:
    path = entry / "train.tokens.npy"
    path.write_bytes(path.read_bytes()[:-8])


def _flip(entry: Path) -> None:
    path = entry / "train.tokens.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))


def _remove(entry: Path) -> None:
    (entry / "dev.labels.npy").unlink()


def _cut_facts(entry: Path) -> None:
    (entry / "corpus.json").write_text('{"schema": 1')


def _other_version(entry: Path) -> None:
    facts = json.loads((entry / "corpus.json").read_text())
    (entry / "corpus.json").write_text(json.dumps({**facts, "schema": 99}))


@pytest.mark.parametrize("harm", [_truncate, _flip, _remove, _cut_facts, _other_version])
def test_a_broken_or_foreign_entry_is_made_again(  # type: ignore[no-untyped-def]
    harm, tmp_path: Path, encodings: list[CorpusSpec]
) -> None:
    whole = encoded_corpus(SPEC)
    encoded_corpus(SPEC, tmp_path)
    encodings.clear()
    (entry,) = (path for path in tmp_path.iterdir() if path.is_dir())
    harm(entry)
    _assert_equal(encoded_corpus(SPEC, tmp_path), whole)
    assert len(encodings) == 1
    _assert_equal(encoded_corpus(SPEC, tmp_path), whole)
    assert len(encodings) == 1
    assert [path for path in tmp_path.iterdir() if path.is_dir()] == [entry]


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(BadInput, match=r"^home: the corpus cache .* cannot be used"):
        encoded_corpus(SPEC, tmp_path / "file")
