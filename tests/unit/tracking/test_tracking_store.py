from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.home import Home, open_home
from safr_study.tracking import store as store_module
from safr_study.tracking.runs import find_or_make_experiment
from safr_study.tracking.store import open_store


def test_the_default_store_lies_in_the_home(home: Home) -> None:
    store = open_store(home)
    assert store.uri == f"sqlite:///{home.root}/mlflow.db"
    assert store.artifact_root == home.root / "artifacts"


@pytest.mark.parametrize("name", ["my home", "a%20b", "100%", "a#b", "a?b", "häuschen 家"])
def test_a_home_of_any_name_has_its_store_and_nothing_is_beside_it(
    tmp_path: Path, migrated_database: Path, name: str
) -> None:
    home = open_home(tmp_path / name)
    home.tracking_database.write_bytes(migrated_database.read_bytes())
    store = open_store(home)
    place = find_or_make_experiment(store, "planted")
    run = store.client.create_run(place).info.run_id
    store.client.log_text(run, "here", "a.txt")
    assert store.client.get_run(run).info.artifact_uri
    (written,) = home.artifacts.rglob("a.txt")
    assert written.read_text("utf-8") == "here"
    assert [path.name for path in tmp_path.iterdir()] == [name]
    # Another store that the user names by its address likewise.
    address = f"sqlite:///{quote(str(home.tracking_database))}"
    assert open_store(home, address).client.get_run(run).info.run_id == run
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_argument_replaces_the_variable_which_replaces_the_default(
    home: Home, migrated_database: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uris = [f"sqlite:///{tmp_path}/{name}.db" for name in ("variable", "argument")]
    for name in ("variable", "argument"):
        (tmp_path / f"{name}.db").write_bytes(migrated_database.read_bytes())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uris[0])
    assert open_store(home).uri == uris[0]
    assert open_store(home, uris[1]).uri == uris[1]


@pytest.mark.parametrize(
    "uri",
    [
        "runs",
        "file:///tmp/mlruns",
        "ftp://127.0.0.1/x",
        "databricks",
        "http://",
        "http://127.0.0.1:99999",
        "http://127.0.0.1:port",
        "sqlite:///",
        "sqlite:///:memory:",
        "postgresql+nodriver://127.0.0.1:1/x",
    ],
)
def test_a_uri_that_is_no_store_is_bad_input(home: Home, uri: str) -> None:
    with _listening() as port, pytest.raises(BadInput) as caught:
        open_store(home, uri.replace(":1/", f":{port}/"))
    assert caught.value.field == "tracking-uri"
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("scheme", ["http", "postgresql", "mysql+pymysql"])
def test_a_closed_port_is_unreachable_and_the_password_is_not_shown(
    home: Home, scheme: str
) -> None:
    with pytest.raises(ServiceUnreachable, match=r"127\.0\.0\.1") as caught:
        open_store(home, f"{scheme}://me:hunter2@127.0.0.1:{_closed_port()}/runs")
    assert "hunter2" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_server_that_never_answers_is_unreachable(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_ANSWER_SECONDS", 0.2)
    with _listening() as port, pytest.raises(ServiceUnreachable, match="nothing answers"):
        open_store(home, f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (404, BadInput, "not as an MLflow server"),
        (401, ServiceUnreachable, "MLFLOW_TRACKING_TOKEN"),
        (403, ServiceUnreachable, "--allowed-hosts"),
        (503, ServiceUnreachable, "503"),
    ],
)
def test_a_server_that_refuses_is_told_from_one_that_is_none(
    home: Home, status: int, error: type[Exception], words: str
) -> None:
    with _answering(status) as port, pytest.raises(error, match=words):
        open_store(home, f"http://127.0.0.1:{port}")


def test_a_file_that_is_no_database_is_one_sentence(home: Home) -> None:
    home.tracking_database.write_bytes(b"not a database, but long enough to be read as one" * 99)
    with pytest.raises(ServiceUnreachable, match="cannot be opened") as caught:
        open_store(home)
    assert "\n" not in str(caught.value)


def test_making_the_store_says_nothing_and_sends_nothing(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from safr_study.home import open_home; from safr_study.tracking.store import open_store\n"
        "open_store(open_home(Path(sys.argv[1])))\n"
        "from mlflow.telemetry import get_telemetry_client\n"
        "assert get_telemetry_client() is None\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        check=True,
        text=True,
        # Without pytest's own variable, which switches the telemetry off.
        env={"PATH": "", "HOME": str(tmp_path)},
    )
    assert done.stdout + done.stderr == ""


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def _listening() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield int(server.getsockname()[1])


@contextmanager
def _answering(status: int) -> Iterator[int]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


def test_artifacts_go_through_the_server_and_not_to_the_store_behind_it() -> None:
    from mlflow.store.artifact.mlflow_artifacts_repo import MlflowArtifactsRepository

    # Nothing listens there: the answer must not depend on what a server offers.
    repository = MlflowArtifactsRepository("mlflow-artifacts:/1", tracking_uri="http://127.0.0.1:9")
    repository._server_capabilities = {
        "multipart_uploads_enabled": True,
        "multipart_downloads_enabled": True,
    }
    assert not repository._is_multipart_download_enabled()
    assert not repository._is_multipart_upload_enabled()
