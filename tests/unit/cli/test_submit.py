"""``submit``: what it refuses before anything leaves this machine, and what a cluster gets."""

from __future__ import annotations

import shlex
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner

from safr_study.cli.app import app
from safr_study.cluster.job import Job
from safr_study.cluster.job_server import JobServer
from safr_study.errors import BadInput, BadInputs, SafrError

RAY = ["submit", "--ray", "http://127.0.0.1:8265"]
SPACE = """
name: mine
parameters: {lambda_imp: {type: float, low: 0.1, high: 1}}
"""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """A cluster that takes everything, and what it took."""
    taken: list[dict[str, Any]] = []

    def submit_job(**asked: Any) -> str:
        spaces = {
            path.name: path.read_text()
            for folder in asked["runtime_env"]["py_modules"]
            for path in Path(folder).glob("*.yaml")
        }
        arguments = shlex.split(asked["entrypoint"].partition(" -m safr_study ")[2])
        variables = asked["runtime_env"]["env_vars"]
        study = asked["metadata"]["safr_study"]
        taken.append(
            {"arguments": arguments, "spaces": spaces, "variables": variables, "study": study}
        )
        return str(asked["submission_id"])

    client = SimpleNamespace(submit_job=submit_job, list_jobs=list)
    monkeypatch.setattr(
        "safr_study.cluster.job_server.connect", lambda address: JobServer(address, client)
    )
    monkeypatch.setattr(
        "safr_study.features.submit.find_job",
        lambda _server, name: Job(name, taken[-1]["study"], "waiting", 1.0, None, None, ""),
    )
    return taken


def run(*arguments: str) -> tuple[str, BaseException | None]:
    done = CliRunner().invoke(app, [*RAY, *arguments])
    return done.output, done.exception


def test_a_cluster_gets_the_search_command_with_its_study_named(
    cluster: list[dict[str, Any]],
) -> None:
    output, error = run("--dataset", "planted", "--trials", "5", "--seed=3", "--quiet")
    assert error is None
    (job,) = cluster
    study = job["study"]
    assert study.startswith("planted-")
    assert job["arguments"] == [
        *("search", "--study", study, "--dataset", "planted"),
        *("--trials", "5", "--seed=3", "--quiet", "--address", "auto"),
    ]
    assert f"safr-study status {study} --ray http://127.0.0.1:8265 --watch" in output


def test_a_space_file_travels_and_a_data_file_keeps_its_place(
    cluster: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.yaml").write_text(SPACE)
    (tmp_path / "data.csv").write_text("text,label\n")
    monkeypatch.chdir(tmp_path)
    _, error = run("--dataset", "data.csv", "--space=mine.yaml", "--study", "s1")
    assert error is None
    (job,) = cluster
    told = ["--study", "s1", "--dataset", str(tmp_path / "data.csv"), "--space", "mine"]
    assert job["arguments"] == ["search", *told, "--address", "auto"]
    assert job["spaces"]["mine.yaml"] == SPACE


def test_variables_are_passed_by_name_and_secrets_are_not(
    cluster: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3:8333")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    _, error = run("--dataset", "planted", "--env", "AWS_ENDPOINT_URL")
    assert error is None
    passed = {name: text for name, text in cluster[0]["variables"].items() if "AWS" in name}
    assert passed == {"AWS_ENDPOINT_URL": "http://s3:8333"}
    output, error = run("--dataset", "planted", "--env", "AWS_SECRET_ACCESS_KEY")
    assert isinstance(error, BadInput)
    assert "looks like a secret" in str(error)
    assert "hunter2" not in output + str(error)
    assert len(cluster) == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--dataset", "planted", "--storage", "postgresql://me:hunter2@db/x"], "a password"),
        (["--dataset", "planted", "--tracking-uri", "http://me:hunter2@mlflow"], "a password"),
        (["--dataset", "planted", "--address", "head:6379"], "address: is no option of submit"),
        (["--dataset", "planted", "--dry-run"], "dry-run: is no option of submit"),
        (["--dataset", "planted", "--space", "nowhere.yaml"], "neither a file nor one of"),
        (["--dataset", "planted", "--env", "NOT_SET_HERE"], "env: NOT_SET_HERE is not set"),
        (["--dataset", "planted", "--objective", "accuracy"], "needs two objectives"),
        (["--dataset", "planted", "--study", "no name!"], "name: "),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    cluster: list[dict[str, Any]], arguments: list[str], says: str
) -> None:
    output, error = run(*arguments)
    assert isinstance(error, (BadInput, BadInputs))
    assert says in str(error)
    assert "hunter2" not in output + str(error)
    assert cluster == []


@pytest.mark.parametrize(
    "arguments", [["--dataset", "planted", "--trails", "5"], ["--trials", "5"], ["--epochs", "x"]]
)
def test_a_wrong_option_is_that_of_search(
    cluster: list[dict[str, Any]], arguments: list[str]
) -> None:
    _, error = run(*arguments)
    assert error is not None
    assert not isinstance(error, SafrError)
    assert cluster == []
