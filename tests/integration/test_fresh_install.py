"""A machine that has the package and the address of a tracking server, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commands import Ended, safr
from packaged import ROOT, build_wheel
from serving import serving

from safr_study.home import open_home
from safr_study.tracking.store import Store, open_store
from safr_study.tracking.ui import serve_ui

pytestmark = [pytest.mark.cluster, pytest.mark.long, pytest.mark.timeout(3600)]

MODEL = "models:/safr-planted@best-accuracy"
TEXTS = ["the plot was superb , and so was the cast", "dull", ""]
STUDY = [
    *("search", "--dataset", "planted", "--study", "s1", "--space", "smoke"),
    *("--trials", "4", "--epochs", "2", "--seed", "0"),
]


class Machine:
    """Runs commands with an environment of almost nothing."""

    def __init__(self, folder: Path, uri: str) -> None:
        self.bin = folder / "venv" / "bin"
        self.empty = folder / "empty"
        self.empty.mkdir()
        self.env = {
            "PATH": f"{self.bin}{os.pathsep}/usr/bin{os.pathsep}/bin",
            "HOME": str(self.empty),
            "MLFLOW_TRACKING_URI": uri,
        }

    def run(self, *command: str) -> Ended:
        done = subprocess.run(
            command, env=self.env, cwd=self.empty, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return Ended(done.returncode, done.stdout, done.stderr)

    def pyfunc(self) -> Any:
        code = (
            "import json, mlflow\n"
            f"found = mlflow.pyfunc.load_model({MODEL!r}).predict({TEXTS!r})\n"
            "print(json.dumps([one.model_dump() for one in found]))\n"
        )
        return json.loads(self.run(str(self.bin / "python"), "-c", code).out.splitlines()[-1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server that keeps the artifacts too, with the models of a small study."""
    folder = tmp_path_factory.mktemp("server")
    database = open_store(open_home(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ARTIFACTS_DESTINATION", (folder / "kept").as_uri())
        with serve_ui(Store(database.uri, None, database.client), 0) as running:
            (folder / "study").mkdir()
            ended = safr(folder / "study" / "home", *STUDY, "--tracking-uri", running.url)
            assert ended.code == 0, ended.err
            yield running.url


@pytest.fixture(scope="module")
def machine(server: str, tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A virtual environment with the wheel and what it depends on, as pip installs it."""
    folder = tmp_path_factory.mktemp("machine")
    subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True)
    subprocess.run(
        [
            *(str(folder / "venv" / "bin" / "python"), "-m", "pip", "install", "--quiet"),
            *("--constraint", str(ROOT / "constraints.txt"), str(build_wheel(folder / "built"))),
        ],
        check=True,
    )
    return Machine(folder, server)


def test_pull_pyfunc_serve_and_explain_agree(machine: Machine, tmp_path: Path) -> None:
    pulled = machine.run("safr-study", "pull", MODEL, "--to", "model")
    assert pulled.out.startswith(f"{MODEL} is in ")
    manifest = json.loads((machine.empty / "model" / "model.json").read_text("utf-8"))
    assert (machine.empty / "model" / "README.md").read_text("utf-8").startswith("# safr-planted")

    explained = machine.run("safr-study", "explain", MODEL, TEXTS[0], "--json").json
    assert explained["model"]["sha256"] == manifest["weights_sha256"]
    local = machine.run("safr-study", "explain", "model", TEXTS[0], "--json").json
    assert local["words"] == explained["words"]

    predicted = machine.pyfunc()
    assert predicted[0]["label"] == explained["prediction"]
    assert predicted[0]["probabilities"] == explained["probabilities"]
    capacities = [word["capacity"] for word in predicted[0]["words"]]
    assert capacities == [word["capacity"] for word in explained["words"]]
    assert len(capacities) == len(TEXTS[0].split())
    assert predicted[2]["words"] == []

    python = machine.bin / "python"
    with serving(MODEL, machine.env, python, tmp_path / "serve.txt") as address:
        answered = machine.run(
            *("curl", "--silent", "--fail-with-body", "--noproxy", "*"),
            *("--header", "Content-Type: application/json"),
            *("--data", json.dumps({"inputs": TEXTS}), f"{address}/invocations"),
        )
    assert answered.json == {"predictions": predicted}


def test_it_runs_the_package_of_its_own_and_needs_no_study(machine: Machine) -> None:
    code = "import safr_study, sys; print(safr_study.__file__)"
    where = machine.run(str(machine.bin / "python"), "-c", code).out
    assert where.startswith(str(machine.bin.parent))
    assert machine.run("safr-study", "doctor", "--json").json["ok"] is True
    assert not (machine.empty / ".safr-study" / "mlflow.db").exists()
