from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from safr_study.cluster.job import (
    Job,
    asked_by,
    find_job,
    follow,
    jobs_of,
    shipped_code,
)
from safr_study.cluster.job_server import JobServer, connect
from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.features.submit import submit

ADDRESS = "http://127.0.0.1:8265"


def details(status: str, code: int | None = None, **changes: Any) -> SimpleNamespace:
    """As Ray has a job."""
    return SimpleNamespace(
        **{
            "submission_id": "s1-1",
            "metadata": {"safr_study": "s1", "safr_study_user": "ada\x1b[31m"},
            "status": status,
            "message": "Job entrypoint command failed with exit code 3, last available logs: x",
            "start_time": 1_000,
            "end_time": 3_000,
            "driver_exit_code": code,
            **changes,
        }
    )


class Client:
    """Ray's client, for one cluster without a network."""

    def __init__(self, *jobs: SimpleNamespace, logs: tuple[Any, ...] = ()) -> None:
        self.jobs = list(jobs)
        self.logs = list(logs)
        self.submitted: dict[str, Any] = {}

    def list_jobs(self) -> list[SimpleNamespace]:
        return self.jobs

    def get_job_info(self, job_id: str) -> SimpleNamespace:
        return next(job for job in self.jobs if job.submission_id == job_id)

    def submit_job(self, **asked: Any) -> str:
        self.submitted = asked
        self.jobs = [details("PENDING", submission_id=asked["submission_id"])]
        return str(asked["submission_id"])

    async def tail_job_logs(self, _job_id: str) -> AsyncIterator[str]:
        for piece in self.logs.pop(0):
            if isinstance(piece, Exception):
                raise piece
            yield piece


def server(client: Client) -> JobServer:
    return JobServer(ADDRESS, client)


@pytest.mark.parametrize(
    ("status", "code", "ours", "state"),
    [
        ("PENDING", None, None, "waiting"),
        ("RUNNING", None, None, "running"),
        ("SUCCEEDED", 0, 0, "done"),
        ("STOPPED", None, 130, "stopped"),
        ("FAILED", 2, 2, "failed"),
        ("FAILED", 3, 3, "failed"),
        ("FAILED", 4, 4, "failed"),
        ("FAILED", 130, 130, "failed"),
        # Killed, lost with its node, never begun: 0 would be a lie.
        ("FAILED", -9, 4, "failed"),
        ("FAILED", 0, 4, "failed"),
        ("FAILED", None, 4, "failed"),
    ],
)
def test_the_exit_code_follows_from_the_final_state(
    status: str, code: int | None, ours: int | None, state: str
) -> None:
    job = find_job(server(Client(details(status, code))), "s1-1")
    assert (job.exit_code, job.state, job.ended_yet) == (ours, state, ours is not None)
    assert (job.began, job.ended) == (1.0, 3.0)
    assert job.user.startswith("ada")
    assert job.user.isprintable()
    assert job.message == "Job entrypoint command failed with exit code 3"


def test_jobs_of_a_study_are_found_newest_first_and_others_are_not() -> None:
    found = jobs_of(
        server(
            Client(
                details("STOPPED", submission_id="old", start_time=1),
                details("RUNNING", submission_id="new", start_time=2),
                details("RUNNING", submission_id="other", metadata={"safr_study": "s2"}),
                details("RUNNING", submission_id="foreign", metadata=None),
            )
        ),
        "s1",
    )
    assert [job.id for job in found] == ["new", "old"]


def submitted(client: Client, **changes: Any) -> Job:
    given = {"study": "s1", "code": "image", "command": ["submit", "--study", "s1"], **changes}
    return submit(server(client), ["--study", "a b; rm"], **given)


def test_a_job_is_stopped_as_by_ctrl_c_with_time_to_end_cleanly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://s3")
    monkeypatch.setenv("LOGNAME", "ada")
    client = Client()
    job = submitted(client, code="ship", variables=["AWS_ENDPOINT_URL"])
    asked = client.submitted
    assert job.id == asked["submission_id"]
    assert job.study == "s1"
    assert asked["entrypoint"] == (
        """cd "${HOME:-/}" && exec python -P -m safr_study search --study 'a b; rm' """
        "--address auto"
    )
    environment = asked["runtime_env"]["env_vars"]
    assert environment["RAY_JOB_STOP_SIGNAL"] == "SIGINT"
    assert environment["RAY_JOB_STOP_WAIT_TIME_S"] == "60"
    assert environment["AWS_ENDPOINT_URL"] == "http://s3"
    sent = [Path(module).name for module in asked["runtime_env"]["py_modules"]]
    assert sent == ["search_spaces", "safr_study"]
    assert asked["metadata"] == {"safr_study": "s1", "safr_study_user": "ada"}


def test_the_study_remembers_the_command_of_the_person(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    submitted(client)
    assert "py_modules" not in client.submitted["runtime_env"]
    (value,) = [v for k, v in client.submitted["runtime_env"]["env_vars"].items() if "SAFR" in k]
    assert asked_by(["search"]) == ["search"]
    monkeypatch.setenv("SAFR_STUDY_COMMAND", value)
    assert asked_by(["search"]) == ["submit", "--study", "s1"]
    monkeypatch.setenv("SAFR_STUDY_COMMAND", "not JSON")
    assert asked_by(["search"]) == ["search"]


def test_a_study_has_one_job_at_a_time() -> None:
    client = Client(details("RUNNING"))
    with pytest.raises(BadInput, match="is being run by job s1-1"):
        submitted(client)
    assert client.submitted == {}


def test_a_log_is_followed_over_lost_connections_without_repeats() -> None:
    client = Client(
        details("SUCCEEDED", 0),
        logs=(["one\n", "two\n", RuntimeError("closed")], ["one\ntwo\nth", "ree\n"], ["never"]),
    )
    written: list[str] = []
    job = Job("s1-1", "s1", "running", None, None, None, "")
    assert follow(server(client), job, written.append).exit_code == 0
    assert "".join(written) == "one\ntwo\nthree\n"


def test_a_cluster_that_stays_away_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("safr_study.cluster.job._LOOK_SECONDS", 0.0)
    client = Client(details("RUNNING"), logs=tuple([ConnectionError("gone")] for _ in range(9)))
    job = Job("s1-1", "s1", "running", None, None, None, "")
    with pytest.raises(ServiceUnreachable, match="gone"):
        follow(server(client), job, lambda _: None)


@pytest.mark.parametrize(
    "address", ["ray-head:8265", "ray://head:10001", "http://", "http://h:0", "http://h:99999"]
)
def test_an_address_that_is_no_dashboard_is_bad_input(address: str) -> None:
    with pytest.raises(BadInput, match="ray: must be the URL"):
        connect(address)


def test_a_token_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(BadInput, match="RAY_AUTH_TOKEN") as refused:
        connect("http://me:hunter2@head:8265")
    assert "hunter2" not in str(refused.value)


def test_where_nothing_listens_there_is_a_sentence() -> None:
    with pytest.raises(ServiceUnreachable, match="nothing answers at http://127"):
        connect("http://127.0.0.1:9")


def test_the_code_and_a_space_file_travel_without_what_python_compiled(tmp_path: Path) -> None:
    space = tmp_path / "mine.yaml"
    space.write_text("name: mine")
    with shipped_code("ship", space) as folders:
        spaces, package = (Path(folder) for folder in folders)
        assert (spaces / "mine.yaml").read_text() == "name: mine"
        assert (spaces / "lambda.yaml").exists()
        assert (package / "runner" / "worker.py").exists()
        assert not list(package.rglob("__pycache__"))
        assert json.loads((package / "features" / "paper" / "paper_tables.json").read_text())
    assert not spaces.exists()
    with shipped_code("image", space) as folders:
        assert [Path(folder).name for folder in folders] == ["search_spaces"]
    with shipped_code("image", None) as folders:
        assert folders == []
