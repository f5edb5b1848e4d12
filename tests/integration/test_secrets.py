"""Secrets of a real study: what the program says, the home, MLflow's store and Ray's own logs."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from commands import safr

from safr_study.home import open_home
from safr_study.tracking.store import Store, open_store
from safr_study.tracking.ui import serve_ui

SECRET = "s3cr3t-Xy9-0123"


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of Ray's sessions; its sockets need a short path."""
    folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
    monkeypatch.setenv("RAY_TMPDIR", str(folder))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def test_no_file_of_a_study_has_a_secret_of_its_environment(
    tmp_path: Path, sessions: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = open_store(open_home(tmp_path / "server"))
    for name in ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "PGPASSWORD"):
        monkeypatch.setenv(name, SECRET)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", f"id-{SECRET}")
    with serve_ui(Store(server.uri, server.artifact_root, server.client), 0) as running:
        address = running.url.replace("//", f"//u:{SECRET}@")
        home = tmp_path / "home"
        words = ["search", "--dataset", "planted", "--study", "s", "--space", "smoke"]
        words += ["--trials", "2", "--epochs", "1", "--tracking-uri", address]
        words += ["--train-limit", "300", "--dev-limit", "200", "--max-concurrent", "1"]
        ended = safr(home, *words, own_ray=True)
        assert ended.code == 0, ended.err
        said = [ended, safr(home, "status", "s", "--json"), safr(home, "sync", "s")]
        said.append(safr(home, "doctor", "--tracking-uri", address))
        report = tmp_path / "report"
        said.append(safr(home, "report", "s", "--out", str(report)))
    for command in said:
        assert SECRET not in command.out + command.err
    assert running.url in ended.out
    logs = [path for path in sessions.rglob("*") if path.is_file()]
    assert any(path.name.startswith("runtime_env") for path in logs)
    files = [*logs, *(path for path in tmp_path.rglob("*") if path.is_file())]
    with_secret = [path for path in files if SECRET.encode() in path.read_bytes()]
    assert with_secret == []
