from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
from registered import registered_home
from stored_study import begin, study_spec

from safr_study.home import Home

HEAVY = ("torch", "ray", "mlflow", "optuna", "datasets")
ALIASES = {
    f"safr-planted@{p}{r}" for p in ("", "s1-") for r in ("knee", "best-accuracy", "best-srs")
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = registered_home(tmp_path_factory.mktemp("completed"))
    for name in ("alpha", "alpine", "beta"):
        begin(home, study_spec(name))
    return home


def offered(home: Path, line: str, folder: Path, **env: str) -> set[str]:
    """What a shell is offered for a line that ends where Tab was pressed, and nothing heavy."""
    code = (
        "import sys\n"
        "sys.argv = ['safr-study']\n"
        "from safr_study.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not heavy, heavy\n"
    )
    words = line.split(" ")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={
            **os.environ,
            "SAFR_STUDY_HOME": str(home),
            "_SAFR_STUDY_COMPLETE": "complete_bash",
            "COMP_WORDS": line,
            "COMP_CWORD": str(len(words) - 1),
            **env,
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def test_studies_data_sets_spaces_models_and_metrics_are_offered(
    home: Home, tmp_path: Path
) -> None:
    (tmp_path / "mine.csv").touch()
    (tmp_path / "mine.yaml").touch()
    for line, expected in {
        "safr-study pareto al": {"alpha", "alpine"},
        "safr-study search --dataset s": {"sst2", "sst2-treebank"},
        "safr-study search --dataset mi": {"mine.csv"},
        "safr-study search --space m": {"mine.yaml"},
        "safr-study search --space lam": {"lambda"},
        "safr-study search --objective accu": {"accuracy"},
        "safr-study pull safr-planted@k": {"safr-planted@knee"},
        "safr-study pull ": ALIASES,
        "safr-study explain models:/safr-planted@s1-k": {"models:/safr-planted@s1-knee"},
    }.items():
        found = offered(home.root, line, tmp_path)
        # Bash takes a word apart at its colon.
        assert {word.removeprefix("models:") for word in found} == {
            word.removeprefix("models:") for word in expected
        }, line


def test_a_pulled_model_is_offered_beside_the_registered_ones(home: Home, tmp_path: Path) -> None:
    (tmp_path / "pulled").mkdir()
    (tmp_path / "pulled" / "model.json").touch()
    assert offered(home.root, "safr-study evaluate ", tmp_path) == {"pulled", *ALIASES}


def test_tab_makes_nothing_and_is_silent_where_there_is_nothing(tmp_path: Path) -> None:
    home = tmp_path / "none"
    assert offered(home, "safr-study pareto ", tmp_path) == set()
    assert offered(home, "safr-study pull ", tmp_path) == set()
    assert not home.exists()
    dead = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    assert offered(home, "safr-study pull ", tmp_path, **dead) == set()


@pytest.fixture
def registry() -> Iterator[str]:
    """Answers as MLflow's REST API does."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            models = [{"name": "safr-sst2", "aliases": [{"alias": "knee", "version": "3"}]}]
            body = json.dumps({"registered_models": models}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_models_of_a_server_are_offered(registry: str, tmp_path: Path) -> None:
    found = offered(tmp_path, "safr-study pull safr", tmp_path, MLFLOW_TRACKING_URI=registry)
    assert found == {"safr-sst2@knee"}
