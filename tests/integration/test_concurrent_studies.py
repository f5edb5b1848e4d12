"""Studies that run at once on one cluster and in the same stores do not disturb each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import simulated_driver
from postgres_server import database
from ray_nodes import Nodes, ray_nodes
from services import Services, services
from simulated_driver import EPOCHS, TRIALS
from stored_study import ask, begin, complete, study_spec

from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import close_storage, open_database
from safr_study.records import TrialState
from safr_study.tracking.registry import list_models
from safr_study.tracking.runs import experiment_name, find_runs
from safr_study.tracking.store import open_store

pytestmark = pytest.mark.cluster
DRIVERS = 8
PATHS = os.pathsep.join(str(path) for path in (Path(__file__).parents[1], Path(__file__).parent))


def test_drivers_that_begin_at_once_in_an_empty_database_make_a_study_each(tmp_path: Path) -> None:
    home = open_home(tmp_path / "home")
    values = [(60.0 + number, 10.0) for number in range(2)]

    def drive(index: int) -> None:
        ledger = begin(home, study_spec(f"s{index}", sampler="random", seed=index), url)
        for number in ask(ledger, len(values)):
            complete(ledger, number, values[number])
        close_storage(ledger.storage)

    with database() as url:
        with ThreadPoolExecutor(DRIVERS) as drivers:
            list(drivers.map(drive, range(DRIVERS)))
        storage = open_database(url)
        for index in range(DRIVERS):
            ledger = Ledger.load(storage, f"s{index}")
            assert ledger is not None
            assert [trial.values for trial in ledger.trials()] == values
        assert len(storage.get_all_studies()) == DRIVERS
        close_storage(storage)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with services(tmp_path_factory.mktemp("services")) as running:
        yield running


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    # Its workers import the trials' stand-in.
    with ray_nodes([{"num_cpus": 4}, {"num_cpus": 4}], {"PYTHONPATH": PATHS}) as running:
        yield running


@pytest.mark.long
@pytest.mark.timeout(900)
def test_eight_drivers_at_once_end_with_exact_counts(
    stores: Services, nodes: Nodes, tmp_path: Path
) -> None:
    names = [f"s{index}" for index in range(DRIVERS)]
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SAFR_STUDY_", "MLFLOW_", "RAY_", "TUNE_"))
    }
    script = str(simulated_driver.__file__)
    drivers = [
        subprocess.Popen(
            [
                *(sys.executable, script, str(tmp_path / name), name, str(seed)),
                *(nodes.address, stores.ledger, stores.tracking),
            ],
            env={**inherited, **nodes.environment, "PYTHONPATH": PATHS},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for seed, name in enumerate(names)
    ]
    ended = [driver.communicate(timeout=800) for driver in drivers]
    assert [driver.returncode for driver in drivers] == [0] * DRIVERS, ended
    assert {out[:1] for out, _ in ended} == {"{"}, ended
    said = [json.loads(out) for out, _ in ended]
    assert [one["untracked"] for one in said] == [None] * DRIVERS

    storage = open_database(stores.ledger)
    ledgers = {name: Ledger.load(storage, name) for name in names}
    store = open_store(open_home(tmp_path / "looking"), stores.tracking)
    experiment = store.client.get_experiment_by_name(experiment_name("planted"))
    assert experiment is not None
    registered = Counter(
        (version.tags["study"], int(version.tags["trial"])) for version in list_models(store)
    )
    total = 0
    for name, one in zip(names, said, strict=True):
        ledger = ledgers[name]
        assert ledger is not None
        trials = ledger.trials()
        assert [trial.number for trial in trials] == list(range(TRIALS))
        assert {trial.state for trial in trials} == {TrialState.COMPLETE}
        assert {len(trial.epochs) for trial in trials} == {EPOCHS}
        parents = find_runs(store.client, experiment.experiment_id, ledger.uid, "study")
        children = find_runs(store.client, experiment.experiment_id, ledger.uid, "trial")
        assert len(parents) == 1
        numbers = sorted(int(run.data.tags["safr.trial"]) for run in children)
        assert numbers == list(range(TRIALS))
        assert {run.info.status for run in parents + children} == {"FINISHED"}
        for run in children[:3]:
            history = store.client.get_metric_history(run.info.run_id, "dev/accuracy")
            assert [metric.step for metric in history] == list(range(1, EPOCHS + 1))
        versions = [trial for study, trial in registered.elements() if study == name]
        assert sorted(versions) == one["front"]
        total += len(parents) + len(children)
    assert total == DRIVERS * (TRIALS + 1)
    assert len(store.client.search_runs([experiment.experiment_id], max_results=1000)) == total
    close_storage(storage)
