from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from registered import registered_home
from run_results import run_result
from stored_study import FACTS, begin, finished_study, study_spec

from safr_study.checkpoint.manifest import verify_model
from safr_study.errors import BadInput
from safr_study.features.search.plan import check_same_study
from safr_study.home import Home, open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import confirmed_runs, record_run
from safr_study.ledger.storage import open_database
from safr_study.records import Replicate
from safr_study.settings import CorpusSpec
from safr_study.tracking.pull import pull
from safr_study.tracking.runs import find_or_make_experiment
from safr_study.tracking.store import open_store


def moved(home: Home, to: Path) -> Home:
    """The home in another place; the old one is gone."""
    to.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(home.root, to)
    return open_home(to)


def test_the_models_of_a_ledger_are_where_its_home_is_now(tmp_path: Path) -> None:
    home = open_home(tmp_path / "checkpoints" / "old")
    ledger = finished_study(home, study_spec(), {0: (80.0, 10.0), 1: (70.0, 12.0)})
    model = ledger.trial(0).checkpoint
    assert model is not None
    result = run_result(Replicate(3, (79.0, 9.0)), checkpoint=model)
    record_run(ledger, replace(result, trial=0, seed=3))
    there = moved(home, tmp_path / "new" / "my home")
    found = Ledger.open(there, None, "s")
    assert found is not None
    for trial in found.trials():
        assert trial.checkpoint is not None
        assert Path(trial.checkpoint.uri).is_relative_to(there.root)
        assert verify_model(Path(trial.checkpoint.uri)) == trial.checkpoint
    assert found.trial(1) == found.trials()[1]
    (run,) = confirmed_runs(found).values()
    assert run.checkpoint == found.trial(0).checkpoint
    assert not home.root.exists()


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        ("/old/checkpoints/s-1/00000/model", "{}/checkpoints/s-1/00000/model"),
        ("/checkpoints/s-1/old/checkpoints/s-1/00001/model", "{}/checkpoints/s-1/00001/model"),
        ("/old/checkpoints/s-2/00000/model", "/old/checkpoints/s-2/00000/model"),
        ("s3://bucket/checkpoints/s-1/00000/model", "s3://bucket/checkpoints/s-1/00000/model"),
        ("/somewhere/else", "/somewhere/else"),
    ],
)
def test_a_checkpoint_elsewhere_stays_where_it_is(
    tmp_path: Path, place: str, expected: str
) -> None:
    assert Home(tmp_path).checkpoint("s-1", place) == expected.format(tmp_path)


def test_a_ledger_in_a_database_which_may_serve_several_homes_keeps_its_places(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path}/x.db"
    home = open_home(tmp_path / "old")
    ledger = finished_study(home, study_spec(), {0: (80.0, 10.0)}, url)
    place = ledger.trial(0).checkpoint
    moved(home, tmp_path / "new")
    found = Ledger.load(open_database(url), "s")
    assert found is not None
    assert found.trial(0).checkpoint == place


@pytest.mark.parametrize("reads", [True, False])
def test_a_moved_store_gives_its_models_and_writes_nothing_in_the_old_place(
    tmp_path: Path, reads: bool
) -> None:
    """Who only reads may not change the store, and needs not."""
    home = moved(registered_home(tmp_path / "artifacts"), tmp_path / "new" / "my home")
    before = home.tracking_database.read_bytes()
    store = open_store(home, reads=reads)
    folder = pull(store, "safr-planted@knee", tmp_path / "pulled")
    assert verify_model(folder).sha256 == verify_model(tmp_path / "artifacts" / "c" / "0").sha256
    assert (home.tracking_database.read_bytes() == before) == reads
    if not reads:
        (old,) = store.client.search_runs(
            [find_or_make_experiment(store, "planted")], "tags.`safr.kind` = 'study'"
        )
        new = store.client.create_run(find_or_make_experiment(store, "planted"))
        for run in (old, new):
            assert run.info.artifact_uri.startswith(f"{home.artifacts.as_uri()}/")
        store.client.log_text(new.info.run_id, "text", "added.txt")
        assert len(list(home.artifacts.rglob("added.txt"))) == 1
    assert not (tmp_path / "artifacts" / "home").exists()


def test_data_are_known_by_their_content_and_not_by_their_place(tmp_path: Path) -> None:
    spec = study_spec(corpus=CorpusSpec(dataset="/old/reviews.csv"))
    ledger = begin(open_home(tmp_path / "home"), spec)
    there = study_spec(corpus=CorpusSpec(dataset="/new/reviews.csv"))
    check_same_study(ledger, there, FACTS.corpus_fingerprint)
    with pytest.raises(BadInput, match=r"corpus.dataset: /old/reviews.csv before"):
        check_same_study(ledger, there, "0" * 64)
    with pytest.raises(BadInput, match=r"corpus.dataset: /old/reviews.csv before, imdb now"):
        check_same_study(
            ledger, study_spec(corpus=CorpusSpec(dataset="imdb")), FACTS.corpus_fingerprint
        )
    other = study_spec(corpus=CorpusSpec(dataset="/new/reviews.csv", max_len=9))
    with pytest.raises(BadInput, match="max_len"):
        check_same_study(ledger, other, FACTS.corpus_fingerprint)
