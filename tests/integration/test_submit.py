"""A study as a job of a small cluster: refused without the token, followed, stopped cleanly."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from commands import Ended, command_line, environment
from ray_nodes import Nodes, ray_nodes

from safr_study.home import open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.storage import open_storage
from safr_study.records import TrialState
from safr_study.tracking.runs import experiment_name, find_runs
from safr_study.tracking.store import open_store

pytestmark = pytest.mark.cluster
STUDY = "s1"
SPACE = """
name: mine
parameters: {lambda_imp: {type: float, low: 0.1, high: 1}}
"""
_PATIENCE_SECONDS = 120.0


@dataclass(frozen=True)
class Cluster:
    nodes: Nodes
    head: Path
    """The home of its head."""
    folder: Path
    """Of the person who submits."""

    def begin(self, *arguments: str, token: bool = True) -> subprocess.Popen[str]:
        return subprocess.Popen(
            command_line(*arguments, "--ray", self.nodes.dashboard),
            env={
                **environment(self.folder / "home"),
                **(self.nodes.environment if token else {"HOME": str(self.folder)}),
            },
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments: str, token: bool = True) -> Ended:
        with self.begin(*arguments, token=token) as process:
            out, err = process.communicate(timeout=200)
        return Ended(process.returncode, out, err)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("person")
    (folder / "mine.yaml").write_text(SPACE)
    head = tmp_path_factory.mktemp("head") / "home"
    bin_folder = str(Path(sys.executable).parent)
    variables = {
        "PATH": os.pathsep.join([bin_folder, os.environ["PATH"]]),
        # Not the folder of the sources, in which these tests run.
        "HOME": str(head.parent),
        "SAFR_STUDY_HOME": str(head),
        "HF_HUB_OFFLINE": "1",
    }
    with ray_nodes([{"num_cpus": 1}], variables) as nodes:
        yield Cluster(nodes, head, folder)


def test_without_the_token_nothing_is_taken(cluster: Cluster) -> None:
    refused = cluster.run("submit", "--dataset", "planted", token=False)
    assert (refused.code, refused.out) == (4, "")
    assert refused.err.startswith("error: ray: ")
    assert "RAY_AUTH_TOKEN_PATH" in refused.err
    assert len(refused.err.splitlines()) == 1


def test_a_job_is_followed_and_stopped_and_leaves_no_running_run(cluster: Cluster) -> None:
    submit = [
        *("submit", "--follow", "--json", "--dataset", "planted", "--study", STUDY),
        *("--space", "mine.yaml", "--trials", "3", "--epochs", "500", "--train-limit", "200"),
        *("--dev-limit", "100", "--scheduler", "none"),
    ]
    home = open_home(cluster.head)
    with cluster.begin(*submit) as process:
        end = time.monotonic() + _PATIENCE_SECONDS
        while time.monotonic() < end and process.poll() is None:
            storage = open_storage(home, None, STUDY, create=False)
            ledger = Ledger.load(storage, STUDY) if storage is not None else None
            if ledger is not None and any(trial.epochs for trial in ledger.trials()):
                break
            time.sleep(0.2)
        stopped = cluster.run("stop", STUDY)
        out, err = process.communicate(timeout=120)
    assert (stopped.code, process.returncode) == (0, 130), stopped.err + out + err
    assert '"state": "stopped"' in out
    # The log, with the name of the space that travelled.
    assert f"Study {STUDY} on planted" in err
    assert cluster.nodes.token not in out + err

    storage = open_storage(home, None, STUDY, create=False)
    assert storage is not None
    ledger = Ledger.load(storage, STUDY)
    assert ledger is not None
    assert ledger.spec.space.name == "mine"
    (running,) = [trial for trial in ledger.trials() if trial.state is TrialState.RUNNING]
    state = home.checkpoints(ledger.uid) / f"{running.number:05d}" / "state"
    assert (state / f"epoch-{len(running.epochs):06d}.json").exists()
    client = open_store(home).client
    experiment = client.get_experiment_by_name(experiment_name("planted"))
    assert experiment is not None
    for kind in ("study", "trial"):
        runs = find_runs(client, experiment.experiment_id, ledger.uid, kind)
        assert {run.info.status for run in runs} == {"KILLED"}
    kept = ledger.study.user_attrs["command"]
    assert kept[:2] == ["submit", "--follow"]
    assert cluster.nodes.token not in str(ledger.study.user_attrs)
