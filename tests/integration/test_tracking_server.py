"""The tracking layer against a real MLflow server that also keeps the artifacts."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from synthetic_study import complete_trial, epoch, ranked_study, study_spec, trial, writer_of

from safr_study.errors import BadInput
from safr_study.home import open_home
from safr_study.tracking.pull import pull
from safr_study.tracking.registry import register_front
from safr_study.tracking.store import Store, open_store
from safr_study.tracking.study_runs import StudyEnd
from safr_study.tracking.ui import UiServer, serve_ui


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UiServer]:
    """A server whose clients reach the artifacts through it alone."""
    folder = tmp_path_factory.mktemp("server")
    database = open_store(open_home(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_ARTIFACTS_DESTINATION", (folder / "kept").as_uri())
        with serve_ui(Store(database.uri, None, database.client), 0) as running:
            address = ("127.0.0.1", urlsplit(running.url).port)
            socket.create_connection(address).close()
            yield running
    assert running.process.poll() is not None, "the server ends with the block"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address)


def test_a_study_on_a_server_is_tracked_registered_and_pulled(
    server: UiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.url)
    store = open_store(open_home(tmp_path / "home"))
    assert store.uri == server.url
    spec = study_spec()
    ended = complete_trial(0, 80.5, 1 / 3, folder=tmp_path / "checkpoints")
    result = ranked_study(spec, [[ended]], knee=0)
    for _ in range(2):
        writer = writer_of(store, spec)
        writer.start()
        writer.trial_started(trial(0))
        writer.epoch_ended(trial(0, epochs=1), epoch(1))
        writer.trial_ended(ended)
        assert writer.finish(StudyEnd(result)) is None
    run = store.client.get_run(writer.runs.trials[0].run_id)
    assert run.info.artifact_uri.startswith("mlflow-artifacts:")
    assert run.info.status == "FINISHED"
    assert run.data.metrics["objective/srs_30"] == 1 / 3
    history = store.client.get_metric_history(run.info.run_id, "dev/accuracy")
    assert [(metric.step, metric.value) for metric in history] == [(1, 61.1), (2, 62.1)]

    register_front(store, result, uid="s1-1", spec=spec)
    pulled = pull(store, "safr-planted@knee", tmp_path / "pulled")
    files = {file.name: file.read_bytes() for file in pulled.iterdir()}
    assert files.pop("README.md").startswith(b"# safr-planted: ")
    assert files == {
        file.name: file.read_bytes() for file in (tmp_path / "checkpoints" / "0").iterdir()
    }
    assert not (tmp_path / "home" / "artifacts").exists()


def test_the_page_is_served_on_the_loopback_interface_alone(server: UiServer) -> None:
    listeners = Path("/proc/net/tcp")
    if not listeners.exists():
        pytest.skip("reads the listeners from /proc, which is Linux's")
    port = urlsplit(server.url).port
    tables = [listeners.read_text(), Path("/proc/net/tcp6").read_text()]
    rows = [line.split() for table in tables for line in table.splitlines()[1:]]
    # State 0A is LISTEN; 0100007F is 127.0.0.1.
    listening = [row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")]
    assert listening == [f"0100007F:{port:04X}"]


def test_a_port_that_is_taken_is_bad_input(server: UiServer, tmp_path: Path) -> None:
    store = open_store(open_home(tmp_path))
    with (
        pytest.raises(BadInput, match="port"),
        serve_ui(store, urlsplit(server.url).port or 0),
    ):
        pass
