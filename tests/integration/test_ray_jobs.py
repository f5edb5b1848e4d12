"""Studies as jobs of a cluster of three raylets, over PostgreSQL, an S3 store and MLflow."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from commands import Ended, command_line
from optuna.storages import BaseStorage
from ray_nodes import Nodes, ray_nodes
from services import Services, services

from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import close_storage, open_database
from safr_study.records import TrialRecord, TrialState
from safr_study.tracking.runs import experiment_name, find_runs
from safr_study.tracking.store import open_store

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(900)]
DATASET = "planted:redundant"
_PATIENCE_SECONDS = 240.0


@dataclass(frozen=True)
class Deployment:
    """A cluster and its stores; the workers have nothing of the head's home."""

    nodes: Nodes
    cluster: Callable[[], AbstractContextManager[Nodes]]
    """Another one like it, over the same stores."""
    stores: Services
    storage: BaseStorage
    """Of the ledger, to look at it again and again on one connection."""
    folder: Path

    def environment(self) -> dict[str, str]:
        """Of a person far from the cluster, who has its token."""
        kept = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("SAFR_STUDY_", "MLFLOW_", "RAY_", "TUNE_", "AWS_"))
        }
        return {**kept, **self.nodes.environment, "NO_COLOR": "1"}

    def begin(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command_line(*arguments),
            env=self.environment(),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str) -> Ended:
        with self.begin(*arguments) as process:
            out, err = process.communicate(timeout=600)
        return Ended(process.returncode, out, err)

    def submit(self, study: str, *options: str) -> list[str]:
        """The command that submits a small study, all of whose trials train to their end."""
        return [
            *("submit", "--ray", self.nodes.dashboard, "--follow", "--dataset", DATASET),
            *("--study", study, "--space", "smoke", "--seed", "0", "--scheduler", "none"),
            *("--train-limit", "3000", "--dev-limit", "300", *options, *self.stores.options),
        ]

    def trials(self, study: str) -> list[TrialRecord]:
        ledger = Ledger.load(self.storage, study)
        return [] if ledger is None else ledger.trials()

    def runs(self, study: str, kind: str) -> list[Any]:
        ledger = Ledger.load(self.storage, study)
        assert ledger is not None
        client = open_store(open_home(self.folder / "looking"), self.stores.tracking).client
        experiment = client.get_experiment_by_name(experiment_name(DATASET))
        assert experiment is not None
        return find_runs(client, experiment.experiment_id, ledger.uid, kind)


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    folder = tmp_path_factory.mktemp("deployment")
    bin_folder = str(Path(sys.executable).parent)
    with services(folder / "mlflow") as stores:
        environment = {
            **stores.environment,
            "PATH": os.pathsep.join([bin_folder, os.environ["PATH"]]),
            "SAFR_STUDY_HOME": str(folder / "head"),
            "HF_HUB_OFFLINE": "1",
        }
        three = [{"num_cpus": 0}, {"num_cpus": 1}, {"num_cpus": 1}]
        cluster = partial(ray_nodes, three, environment)
        with cluster() as nodes:
            storage = open_database(stores.ledger)
            yield Deployment(nodes, cluster, stores, storage, folder)
            close_storage(storage)


def until(what: Callable[[], Any], process: subprocess.Popen[str]) -> Any:
    """The first true answer, while a process runs."""
    end = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < end:
        if answer := what():
            return answer
        if process.poll() is not None:
            out, err = process.communicate()
            pytest.fail(f"it ended with {process.returncode} too early:\n{out}\n{err}")
        time.sleep(0.1)
    pytest.fail("it did not come to that in time")


def under_way(trials: Sequence[TrialRecord]) -> list[TrialRecord]:
    """Trials that run, have ended an epoch, and have some before them."""
    running = [trial for trial in trials if trial.state is TrialState.RUNNING]
    return [trial for trial in running if 1 <= len(trial.epochs) <= 3]


def test_a_study_outlives_a_worker_node(deployment: Deployment) -> None:
    study, count = "lost-node", 8
    submit = deployment.submit(study, "--trials", str(count), "--epochs", "6")
    with deployment.begin(*submit) as process:

        def mid_study() -> list[TrialRecord]:
            trials = deployment.trials(study)
            nodes = {trial.node for trial in trials if trial.node}
            begun = under_way(trials)
            return begun if len(nodes) == 2 and len(begun) == 2 else []

        before = until(mid_study, process)
        killed = next(trial.node for trial in deployment.trials(study) if trial.node)
        left = deployment.nodes.do(kill=killed)
        out, err = process.communicate(timeout=600)
    assert process.returncode == 0, out + err
    assert killed not in left["nodes"]
    assert len(left["nodes"]) == 2

    trials = deployment.trials(study)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * count
    # A lost trial went on: the epochs that it had were not trained again, to the last digit of
    # their time.
    for trial in before:
        assert trials[trial.number].epochs[: len(trial.epochs)] == trial.epochs
        # One of the two ran on the node that was killed.
        assert trials[trial.number].node != killed
    nodes = {trial.node for trial in trials}
    assert len(nodes) == 2
    assert killed in nodes
    runs = deployment.runs(study, "trial")
    assert sorted(int(run.data.tags["safr.trial"]) for run in runs) == list(range(count))
    assert {run.info.status for run in runs + deployment.runs(study, "study")} == {"FINISHED"}

    # The head's home has no checkpoint: they are in the store alone.
    assert not (deployment.folder / "head" / "checkpoints").exists()
    stores = deployment.stores
    ranked = deployment.run("pareto", study, "--json", "--storage", stores.ledger).json
    front = {trial["trial"]: trial for trial in ranked["trials"] if trial["on_front"]}
    models = deployment.run("models", "--json", "--tracking-uri", stores.tracking).json["models"]
    mine = {int(one["tags"]["trial"]): one for one in models if one["tags"]["study"] == study}
    assert mine.keys() == front.keys()
    best = next(one for one in mine.values() if f"{study}-best-accuracy" in one["aliases"])
    pulled = deployment.folder / "pulled"
    where = ("--tracking-uri", stores.tracking)
    model = f"{best['name']}@{study}-best-accuracy"
    assert deployment.run("pull", model, "--to", str(pulled), *where).code == 0
    again = deployment.run("evaluate", str(pulled), "--split", "dev", "--quick", "--json").json
    measured = {metric["name"]: metric["value"] for metric in again["metrics"]}
    values = front[int(best["tags"]["trial"])]["values"]
    assert {name: measured[name] for name in values} == values


def test_a_stopped_job_leaves_no_running_run_and_its_command_goes_on(
    deployment: Deployment,
) -> None:
    study, count = "stopped", 4
    submit = deployment.submit(study, "--trials", str(count), "--epochs", "8")
    with deployment.begin(*submit) as process:
        begun = until(lambda: under_way(deployment.trials(study)), process)
        stop = deployment.run("stop", study, "--ray", deployment.nodes.dashboard, "--json")
        out, err = process.communicate(timeout=600)
    assert stop.code == 0, stop.err
    assert [job["state"] for job in stop.json["jobs"]] == ["stopped"]
    assert process.returncode == 130, out + err
    assert "interrupted" in out

    runs = deployment.runs(study, "trial") + deployment.runs(study, "study")
    assert runs
    assert {run.info.status for run in runs} <= {"FINISHED", "KILLED"}
    left = deployment.trials(study)
    assert TrialState.RUNNING in [trial.state for trial in left]

    refused = deployment.run("stop", study, "--ray", deployment.nodes.dashboard)
    assert (refused.code, refused.out) == (2, "")
    assert "nothing to stop" in refused.err
    resumed = deployment.run(*submit)
    assert resumed.code == 0, resumed.out + resumed.err
    trials = deployment.trials(study)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * count
    for trial in begun:
        assert trials[trial.number].epochs[: len(trial.epochs)] == trial.epochs
    runs = deployment.runs(study, "trial")
    assert sorted(int(run.data.tags["safr.trial"]) for run in runs) == list(range(count))
    assert {run.info.status for run in runs + deployment.runs(study, "study")} == {"FINISHED"}
    jobs = deployment.run("status", study, "--ray", deployment.nodes.dashboard, "--json").json
    assert [(job["state"], job["exit_code"]) for job in jobs["jobs"]] == [
        ("done", 0),
        ("stopped", 130),
    ]


def test_a_lost_head_costs_no_epoch(deployment: Deployment) -> None:
    study, count = "lost-head", 4
    options = ("--trials", str(count), "--epochs", "6")
    with deployment.cluster() as nodes:
        first = replace(deployment, nodes=nodes)
        with first.begin(*first.submit(study, *options)) as process:
            begun = until(lambda: under_way(first.trials(study)), process)
            nodes.do(kill=nodes.head)
            out, err = process.communicate(timeout=600)
    assert process.returncode == 4, out + err
    assert err.splitlines()[-1].startswith("error: ray: ")

    with deployment.cluster() as nodes:
        second = replace(deployment, nodes=nodes)
        resumed = second.run(*second.submit(study, *options))
    assert resumed.code == 0, resumed.out + resumed.err
    trials = deployment.trials(study)
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * count
    for trial in begun:
        assert trials[trial.number].epochs[: len(trial.epochs)] == trial.epochs
    runs = deployment.runs(study, "trial") + deployment.runs(study, "study")
    assert len(runs) == count + 1
    assert {run.info.status for run in runs} == {"FINISHED"}
