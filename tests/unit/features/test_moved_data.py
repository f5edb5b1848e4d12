"""A study that nobody named is found again where its data were moved."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from stored_study import study_spec

from safr_study.data import encoded_corpus
from safr_study.features.search.build_spec import made_name
from safr_study.features.search.moved_data import under_known_name
from safr_study.features.search.plan import study_facts
from safr_study.features.study_base.stores import Stores
from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import open_storage
from safr_study.settings import CorpusSpec, StudySpec


def written(folder: Path, word: str = "film") -> Path:
    folder.mkdir()
    rows = [f"{'good' if i % 2 else 'bad'} {word} {i},{i % 2}" for i in range(300)]
    (folder / "reviews.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    return folder / "reviews.csv"


def unnamed(data: Path, **changes: object) -> StudySpec:
    spec = study_spec(corpus=CorpusSpec(dataset=str(data)), **changes)
    return spec.model_copy(update={"name": made_name(spec)})


def begun(spec: StudySpec, stores: Stores) -> None:
    storage = open_storage(stores.home, None, spec.name, create=True)
    assert storage is not None
    corpus = encoded_corpus(spec.corpus, stores.home.corpora)
    facts = replace(study_facts(spec, corpus), corpus_fingerprint=corpus.fingerprint)
    Ledger.create(storage, spec, facts)


def test_a_study_without_a_name_goes_on_where_its_data_were_moved(tmp_path: Path) -> None:
    stores = Stores(open_home(tmp_path / "home"))
    old = written(tmp_path / "old")
    before = unnamed(old)
    begun(before, stores)
    assert under_known_name(before, stores) == before
    new = shutil.move(tmp_path / "old", tmp_path / "new") / "reviews.csv"
    now = unnamed(new)
    assert now.name != before.name
    assert under_known_name(now, stores) == now.model_copy(update={"name": before.name})
    # More trials are the same study, other settings are not.
    more = unnamed(new, trials=50)
    assert under_known_name(more, stores).name == before.name
    other = unnamed(new, seed=7)
    assert under_known_name(other, stores) == other
    # Who names a study has it by that name.
    named = now.model_copy(update={"name": "mine"})
    assert under_known_name(named, stores) == named


def test_a_copy_and_other_texts_are_studies_of_their_own(tmp_path: Path) -> None:
    stores = Stores(open_home(tmp_path / "home"))
    begun(unnamed(written(tmp_path / "old")), stores)
    shutil.copytree(tmp_path / "old", tmp_path / "copy")
    copy = unnamed(tmp_path / "copy" / "reviews.csv")
    assert under_known_name(copy, stores) == copy
    shutil.rmtree(tmp_path / "old")
    other = unnamed(written(tmp_path / "other", word="book"))
    assert under_known_name(other, stores) == other
    assert under_known_name(copy, stores).name != copy.name
