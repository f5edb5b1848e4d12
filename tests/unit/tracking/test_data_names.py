"""Data sets whose files are called alike, in one tracking store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from stored_study import FACTS, finished_study
from stored_study import study_spec as stored_spec
from synthetic_study import PROVENANCE, study_spec, tracked_study

from safr_study.cli.progress import plan_lines
from safr_study.data import encoded_corpus
from safr_study.features.search.plan import plan_study
from safr_study.features.study_base.stores import Stores
from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import open_storage
from safr_study.settings import CorpusSpec
from safr_study.tracking.data_names import free_name, named_apart
from safr_study.tracking.store import Store, open_store
from safr_study.tracking.writer import StudyWriter

A, B = "aa" * 32, "bb" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return open_store(open_home(tmp_path / "home"))


def study(store: Store, name: str, data: str, source: str, fingerprint: str) -> None:
    """A study's run over data that are called so."""
    tracked = replace(
        tracked_study(study_spec(name, dataset=data)),
        provenance=replace(PROVENANCE, corpus_fingerprint=fingerprint),
        corpus_facts={"source": source},
    )
    writer = StudyWriter(store, tracked)
    writer.start()
    writer.abandon()


def test_each_data_set_has_one_name_and_no_other_has_it(store: Store) -> None:
    def name(source: str, fingerprint: str, slug: str = "reviews") -> str:
        return free_name(store, slug, source=source, fingerprint=fingerprint)

    assert name("/a/reviews.csv", A) == "reviews"
    study(store, "s1", "reviews", "/a/reviews.csv", A)
    assert name("/b/reviews.csv", B) == "reviews-2"
    study(store, "s2", "reviews-2", "/b/reviews.csv", B)
    # The same file with other limits or more rows, and a file that was moved.
    assert name("/a/reviews.csv", "cc" * 32) == "reviews"
    assert name("/b/reviews.csv", "cc" * 32) == "reviews-2"
    assert name("/moved/reviews.csv", A) == "reviews"
    assert name("/moved/reviews.csv", B) == "reviews-2"
    assert name("/c/reviews.csv", "cc" * 32) == "reviews-3"
    # Another file that is called as one of these.
    assert name("/a/reviews-2.csv", "dd" * 32, "reviews-2") == "reviews-2-2"
    # From the hub, then from its cache.
    study(store, "s3", "org-x", "hub org/x", A)
    assert name("Hugging Face cache of org/x", "ee" * 32, "org-x") == "org-x"
    assert name("/data/org-x.csv", "ee" * 32, "org-x") == "org-x-2"


def test_a_study_that_begins_takes_its_name_and_says_it(store: Store, tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    path = tmp_path / "评论.csv"
    path.write_text("text,label\n" + "".join(f"some words {n},{n % 2}\n" for n in range(900)))
    corpus = CorpusSpec(dataset=str(path), allow_duplicates=True)
    spec = stored_spec("s", corpus=corpus)
    fingerprint = encoded_corpus(corpus).fingerprint
    facts = replace(
        FACTS, slug="corpus", corpus_fingerprint=fingerprint, corpus={"source": str(path)}
    )
    assert named_apart(facts, spec.corpus.dataset, store) == facts
    study(store, "s1", "corpus", "/b/电影.csv", A)
    named = named_apart(facts, spec.corpus.dataset, store)
    assert named == replace(facts, slug="corpus-2")
    known = stored_spec("k", corpus=CorpusSpec(dataset="planted"))
    assert named_apart(facts, known.corpus.dataset, store) == facts
    storage = open_storage(home, None, "s", create=True)
    assert storage is not None
    Ledger.create(storage, spec, named)
    lines = plan_lines(plan_study(spec, Stores(home), cpus=1.0, gpus=0.0))
    (line,) = [line for line in lines if line.startswith("warning: 'corpus' is the name of other")]
    assert "experiment safr/corpus-2, model safr-corpus-2; rename the file" in line


def test_a_study_of_before_keeps_its_name(tmp_path: Path) -> None:
    ledger = finished_study(open_home(tmp_path / "home"), stored_spec("s"), {0: (80.0, 5.0)})
    assert ledger.facts.slug == FACTS.slug
