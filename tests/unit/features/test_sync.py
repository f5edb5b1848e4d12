from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
import yaml
from stored_study import ask, begin, complete, epoch, finished_study, stop_early, study_spec
from study_holder import holder
from tracked_equality import Compared, compare

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.features.search.status import study_status
from safr_study.features.study_base.stores import Stores
from safr_study.features.sync import sync_study, unsynced
from safr_study.home import Home, open_home
from safr_study.ledger.notes import Delivery, delivery_begins, delivery_ends
from safr_study.settings import SearchSpace
from safr_study.tracking.registry import list_models
from safr_study.tracking.store import open_store

VALUES = {0: (80.0, 10.0), 1: (70.0, 25.0), 2: (75.0, 20.0)}


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def stores(home: Home) -> Stores:
    return Stores(home)


def test_a_study_whose_driver_is_gone_comes_from_its_ledger_alone(
    home: Home, stores: Stores
) -> None:
    ledger = finished_study(home, study_spec(trials=3), VALUES)
    done = sync_study("s", stores)
    assert (done.study, done.runs, done.missing) == ("s", 4, None)
    assert done.points > 0
    store = open_store(home)
    found = compare(store.client, ledger.uid, ledger.spec, ledger.trials())
    assert found == Compared(runs=4, points=found.points)
    models = list_models(store)
    assert sorted(model.tags["trial"] for model in models) == ["0", "1", "2"]
    assert {alias for model in models for alias in model.aliases} >= {"knee", "s-best-accuracy"}
    # Its run has all that a study's run has.
    (parent,) = store.client.search_runs(["1"], "tags.`safr.kind` = 'study'")
    assert parent.info.status == "FINISHED"
    assert parent.data.tags["corpus.train texts"] == "40"
    paths = {one.path for one in store.client.list_artifacts(parent.info.run_id)}
    assert paths >= {"front.html", "front.png", "hypervolume.png", "parallel-coordinates.png"}
    assert paths >= {"space.yaml", "study.log", "study.json", "tables"}
    page = Path(store.client.download_artifacts(parent.info.run_id, "front.html")).read_text()
    assert all(trial.label in page for trial in ledger.trials())
    space = Path(store.client.download_artifacts(parent.info.run_id, "space.yaml"))
    assert SearchSpace.parse(yaml.safe_load(space.read_text())) == ledger.spec.space
    # The table names the run of each trial.
    table = store.client.download_artifacts(parent.info.run_id, "tables/trials.json")
    named = pd.read_json(table, orient="split")
    assert named.set_index("trial")["run_id"].to_dict() == {
        trial.number: trial.run_id for trial in ledger.trials()
    }
    assert named["run_id"].notna().all()
    # Doing it again writes nothing.
    again = sync_study("s", stores)
    assert (again.runs, again.points, again.missing) == (4, 0, None)
    assert len(list_models(store)) == 3
    assert compare(store.client, ledger.uid, ledger.spec, ledger.trials()) == found


def test_an_unfinished_study_is_shown_as_killed_and_registers_nothing(
    home: Home, stores: Stores
) -> None:
    ledger = begin(home, study_spec(trials=4))
    ask(ledger, 3)
    complete(ledger, 0, (80.0, 10.0))
    stop_early(ledger, 1)
    for number in (1, 2):
        ledger.record_epoch(2, epoch(number))
    done = sync_study("s", stores)
    assert (done.runs, done.models, done.missing) == (4, (), None)
    store = open_store(home)
    found = compare(store.client, ledger.uid, ledger.spec, ledger.trials())
    assert found == Compared(runs=4, points=found.points)
    (parent,) = store.client.search_runs(["1"], "tags.`safr.kind` = 'study'")
    assert parent.info.status == "KILLED"
    assert list_models(store) == []


def test_without_an_address_a_study_goes_where_it_was_tracked(home: Home, stores: Stores) -> None:
    ledger = finished_study(home, study_spec(trials=3), VALUES)
    delivery_begins(ledger, "http://127.0.0.1:9/")
    assert unsynced(stores) == ["s"]
    with pytest.raises(ServiceUnreachable, match=r"127\.0\.0\.1:9"):
        sync_study("s", stores)
    # What is said of it stays.
    assert unsynced(stores) == ["s"]
    assert not home.tracking_database.exists()
    told = study_status("s", stores).undelivered
    assert told is not None
    assert "killed" in told


def test_what_the_ledger_remembers_has_no_password(home: Home, stores: Stores) -> None:
    ledger = finished_study(home, study_spec(trials=3), VALUES)
    delivery_begins(ledger, "postgresql+psycopg://me:secret@db:5432/runs")
    assert Delivery.of(ledger).to == "postgresql+psycopg://me@db:5432/runs"
    # Nobody can use that as it stands.
    assert Delivery.of(ledger).server is None
    delivery_ends(ledger, None, ended=True)
    assert unsynced(stores) == []
    assert study_status("s", stores).undelivered is None


def test_a_study_that_runs_or_is_unknown_is_bad_input(home: Home, stores: Stores) -> None:
    with pytest.raises(BadInput, match="is unknown here"):
        sync_study("nobody", stores)
    assert not home.lock("nobody").exists()
    ledger = finished_study(home, study_spec(trials=3), VALUES)
    delivery_begins(ledger, None)
    with holder(home.root, "s"):
        with pytest.raises(BadInput, match="is being run by another process"):
            sync_study("s", stores)
        # Its driver brings everything.
        assert unsynced(stores) == []
        assert study_status("s", stores).undelivered is None
