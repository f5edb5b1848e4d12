"""A study that is handed on is the same study elsewhere, and says nothing of where it was."""

from __future__ import annotations

import hashlib
import json
import re
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from postgres_server import database
from registered import registered_home
from stored_study import FACTS, ask, begin, complete, files, finished_study, study_spec
from study_holder import holder
from synthetic_confirmation import drawn_runs
from tiny_model import save_tiny_model

import safr_study
from safr_study.checkpoint.manifest import MODEL, verify_model
from safr_study.errors import BadInput, CorruptCheckpoint
from safr_study.features.explain.explain import explain, load
from safr_study.features.hand_on.export import export_study
from safr_study.features.hand_on.import_study import import_study
from safr_study.features.search.plan import check_same_study
from safr_study.features.search.status import study_status
from safr_study.features.study_base.results import rank_ledger
from safr_study.features.study_base.stores import Stores, open_stores
from safr_study.home import Home, open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.notes import Delivery, command_of, remember_command
from safr_study.ledger.run_store import (
    confirmed_runs,
    readings_of_test,
    record_reading,
    record_run,
    record_test,
)
from safr_study.settings import CorpusSpec
from safr_study.tracking.registry import list_models
from safr_study.tracking.store import open_store

SEEDS = [7, 8]
VALUES = {0: (80.0, 10.0), 1: (70.0, 25.0), 2: (75.0, 20.0)}
SECRET = "hunter2secret"
TEXT = "the film was good"


def given_study(home: Home, url: str | None = None) -> Ledger:
    """Three complete trials, one that failed, a confirmation; over a file, run from a shell."""
    spec = study_spec("s", trials=4, corpus=CorpusSpec(dataset="/data of me/reviews.csv"))
    ledger = finished_study(home, spec, VALUES, url)
    (failed,) = ask(ledger)
    ledger.fail(failed, f"{home.root}/checkpoints/x: No space left (password={SECRET})")
    runs = drawn_runs({0: (0.8, 0.7), 1: (0.7, 0.4), 2: (0.75, 0.5)}, SEEDS)
    record_reading(ledger, list(runs), {"knee": 2}, "2026-01-03T00:00:00+00:00")
    for seed, (key, run) in enumerate(runs.items(), start=10):
        folder = home.checkpoints(ledger.uid) / "confirm" / f"{key[0]:05d}-{key[1]}" / MODEL
        model = verify_model(save_tiny_model(folder, seed=seed, spec=spec.corpus))
        record_run(ledger, replace(run, checkpoint=model))
        assert run.test is not None
        record_test(ledger, key, run.test, str(run.test_read))
    places = ("--home", "/my/home", f"--storage=postgresql://me:{SECRET}@db/x")
    data = ("--dataset", spec.corpus.dataset, "--study", "s", "--space=/my/space.yaml")
    remember_command(ledger, ["search", *places, *data, "--trials", "4"])
    ledger.set_run_ids({0: "a" * 32})
    return ledger


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return open_home(tmp_path_factory.mktemp("from") / "home")


@pytest.fixture(scope="module")
def ledger(home: Home) -> Ledger:
    return given_study(home)


@pytest.fixture(scope="module")
def archive(home: Home, ledger: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("archive") / "s.zip"
    export_study("s", out, Stores(home))
    return out


@pytest.fixture(scope="module")
def there(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Home:
    """Another home, with the study."""
    root = tmp_path_factory.mktemp("to") / "new" / "home"
    import_study(archive, open_stores(root, begins=True))
    return open_home(root)


def members(archive: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(archive) as opened:
        return {info.filename: opened.read(info) for info in opened.infolist()}


def opened(home: Home, name: str = "s", url: str | None = None) -> Ledger:
    found = Ledger.open(home, url, name)
    assert found is not None
    return found


def test_the_study_is_the_same_elsewhere(home: Home, ledger: Ledger, there: Home) -> None:
    new = opened(there)
    assert new.uid == ledger.uid
    assert new.facts == replace(FACTS, corpus={**FACTS.corpus})
    old_trials, new_trials = ledger.trials(), new.trials()
    assert len(new_trials) == 4
    for old, one in zip(old_trials, new_trials, strict=True):
        # Its run is another one, as its MLflow is.
        assert replace(one, checkpoint=None, run_id=None, failure=None) == replace(
            old, checkpoint=None, run_id=None, failure=None
        )
        if old.checkpoint is not None:
            assert one.checkpoint is not None
            folder = Path(one.checkpoint.uri)
            assert folder == there.checkpoints(new.uid) / f"{one.number:05d}" / MODEL
            assert verify_model(folder) == replace(old.checkpoint, uri=str(folder))
    before, runs = confirmed_runs(ledger), confirmed_runs(new)
    assert len(runs) == len(before) == len(SEEDS) * len(VALUES)
    for key, run in runs.items():
        assert run.checkpoint is not None
        assert replace(run, checkpoint=None) == replace(before[key], checkpoint=None)
        assert verify_model(Path(run.checkpoint.uri)) == run.checkpoint
    assert readings_of_test(new) == readings_of_test(ledger)
    ranks = [(one.trial.number, one.front, one.knee) for one in rank_ledger(new).ranked]
    assert ranks == [(one.trial.number, one.front, one.knee) for one in rank_ledger(ledger).ranked]
    # Negative control: the ranking is no constant.
    assert [number for number, _, _ in ranks] != sorted(number for number, _, _ in ranks)
    for number in VALUES:
        ours, theirs = (
            explain(load(f"s#{number}", Stores(at)), TEXT, reference="x") for at in (home, there)
        )
        assert ours.words == theirs.words
        assert ours.probabilities == theirs.probabilities


def test_its_runs_and_versions_are_made_anew(there: Home, ledger: Ledger) -> None:
    store = open_store(there)
    assert {model.tags["trial"] for model in list_models(store)} == {"0", "1", "2"}
    runs = [trial.run_id for trial in opened(there).trials()]
    assert "a" * 32 not in runs
    assert [store.client.get_run(run).data.tags["safr.uid"] for run in runs if run] == [
        ledger.uid
    ] * 4
    assert study_status("s", Stores(there)).undelivered is None


def test_what_is_handed_on_again_is_the_same_to_the_last_byte(
    home: Home, there: Home, archive: Path, tmp_path: Path
) -> None:
    for at, name in ((home, "again.zip"), (there, "back.zip")):
        export_study("s", tmp_path / name, Stores(at))
        assert (tmp_path / name).read_bytes() == archive.read_bytes()
    with pytest.raises(BadInput, match=r"out: .*back.zip is there already"):
        export_study("s", tmp_path / "back.zip", Stores(there))
    assert export_study("s", tmp_path / "back.zip", Stores(there), force=True).models == 9


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """An empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/studies.db"
        return
    with database() as made:
        yield made


def test_a_database_gives_and_takes_the_same(archive: Path, tmp_path: Path, url: str) -> None:
    stores = open_stores(tmp_path / "home", storage=url, begins=True)
    done = import_study(archive, stores)
    assert (done.study, done.trials, done.models, done.synced.missing) == ("s", 4, 9, None)
    assert not stores.home.ledger("s").exists()
    assert export_study("s", tmp_path / "s.zip", stores).files == len(members(archive))
    assert (tmp_path / "s.zip").read_bytes() == archive.read_bytes()
    # Under another name it is another study, with models of its own.
    other = import_study(archive, stores, name="other")
    assert other.study == "other"
    keys = set()
    for name in ("s", "other"):
        with opened(stores.home, name, url) as there:
            keys.add(there.uid)
            assert f"--study {name}" in command_of(there)
    assert len(keys) == 2
    assert {path.name for path in stores.home.checkpoints("x").parent.iterdir()} == keys


def test_nothing_of_the_place_and_no_secret_is_in_it(archive: Path, home: Home) -> None:
    found = members(archive)
    texts = {name: content.decode() for name, content in found.items() if "safetensors" not in name}
    for name, text in texts.items():
        for word in (str(home.root), "data of me", "/my/", SECRET, "a" * 32, "postgresql"):
            assert word not in text, (name, word)
    journal = texts["ledger.journal"]
    assert "reviews.csv" in journal
    assert "No space left" in journal
    assert json.loads(found["checkpoints/00000/model/model.json"])["corpus"]["dataset"] == (
        "reviews.csv"
    )
    # Controls: the ledger that it is from has them.
    of_home = home.ledger("s").read_text("utf-8")
    assert str(home.root) in of_home
    assert "data of me" in of_home


def test_its_command_is_for_another_machine(there: Home) -> None:
    assert command_of(opened(there)) == (
        "safr-study search --dataset reviews.csv --study s --space=space.yaml --trials 4"
    )


def test_it_is_described_for_other_programs(archive: Path) -> None:
    found = members(archive)
    sums = found.pop("SHA256SUMS").decode()
    assert sums == "".join(
        f"{hashlib.sha256(found[name]).hexdigest()}  {name}\n" for name in sorted(found)
    )
    crate = json.loads(found.pop("ro-crate-metadata.json"))
    things: dict[str, Any] = {thing["@id"]: thing for thing in crate["@graph"]}
    about = things["ro-crate-metadata.json"]
    assert about["conformsTo"] == {"@id": "https://w3id.org/ro/crate/1.1"}
    assert things[about["about"]["@id"]]["@type"] == "Dataset"
    assert {one["@id"] for one in things["./"]["hasPart"]} == set(found)
    for name, content in found.items():
        assert things[name]["contentSize"] == str(len(content))
        assert things[name]["sha256"] == hashlib.sha256(content).hexdigest()
    assert things["#licence"]["name"] == "Not stated"
    assert things["#safr-study"]["version"] == safr_study.__version__
    # Whatever is pointed to is there.
    pointed = re.findall(r'\{"@id": "([^"h][^"]*)"\}', json.dumps(crate["@graph"]))
    assert set(pointed) <= set(things)
    data = json.loads(found["croissant.json"])
    assert data["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    assert data["identifier"] == f"sha256:{FACTS.corpus_fingerprint}"
    assert json.loads(found["manifest.json"])["study"] == "s"


def test_the_splits_are_in_the_fingerprint(tmp_path: Path) -> None:
    from safr_study.features.hand_on.metadata import croissant_of

    facts = replace(FACTS, corpus={"examples_train": 40, "examples_dev": 7, "source": "built in"})
    splits, texts = croissant_of(study_spec(), facts)["recordSet"]
    assert [tuple(row.values()) for row in splits["data"]] == [("train", 40), ("dev", 7)]
    assert [column["name"] for column in texts["field"]] == ["text", "label"]
    pairs = CorpusSpec(dataset="x.csv", text_column="a", second_column="b", label_column="y")
    columns = croissant_of(study_spec(corpus=pairs), facts)["recordSet"][1]["field"]
    assert [column["name"] for column in columns] == ["a", "b", "y"]


def test_a_search_goes_on_with_a_file_that_has_the_name(there: Home) -> None:
    ledger = opened(there)
    again = study_spec("s", trials=4, corpus=CorpusSpec(dataset="/elsewhere/reviews.csv"))
    check_same_study(ledger, again, FACTS.corpus_fingerprint)
    other = study_spec("s", trials=4, corpus=CorpusSpec(dataset="/elsewhere/others.csv"))
    with pytest.raises(BadInput, match=r"corpus.dataset: reviews.csv before"):
        check_same_study(ledger, other, FACTS.corpus_fingerprint)


def test_what_is_unfinished_or_gone_is_handed_on_as_it_is(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    ledger = begin(home, study_spec("u", trials=4))
    ask(ledger, 2)
    complete(ledger, 0, (80.0, 10.0))
    out = tmp_path / "u.zip"
    done = export_study("u", out, Stores(home))
    assert (done.models, done.missing) == (0, ("trial 0",))
    to = open_stores(tmp_path / "to", begins=True)
    assert import_study(out, to).synced.models == ()
    status = study_status("u", to)
    assert (status.complete, len(status.begun), status.waiting) == (1, 1, 2)
    assert Delivery.of(opened(to.home, "u")) == Delivery(None, None, ended=False)


def test_a_study_that_runs_or_is_damaged_is_not_handed_on(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    ledger = finished_study(home, study_spec("s"), {0: (80.0, 10.0)})
    out = tmp_path / "s.zip"
    with holder(home.root, "s"), pytest.raises(BadInput, match="'s' is being run"):
        export_study("s", out, Stores(home))
    with pytest.raises(BadInput, match=r"s.tar is no archive; end it in .zip"):
        export_study("s", tmp_path / "s.tar", Stores(home))
    with pytest.raises(BadInput, match="'t' is unknown here; there are: s"):
        export_study("t", out, Stores(home))
    folder = home.checkpoints(ledger.uid) / "00000" / MODEL
    save_tiny_model(folder, seed=5)
    with pytest.raises(CorruptCheckpoint, match="is not the model that trial 0 left"):
        export_study("s", out, Stores(home))
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


def test_other_data_of_the_name_keep_it_in_mlflow(archive: Path, tmp_path: Path) -> None:
    """The registry of this home has ``planted`` of other texts, from another place."""
    home = registered_home(tmp_path)
    before = files(home.artifacts)
    done = import_study(archive, Stores(home))
    assert {model.name for model in done.synced.models} == {"safr-planted-2"}
    assert opened(home).facts.slug == "planted-2"
    assert before.items() <= files(home.artifacts).items()
