"""MLflow's scoring server for one model, on the loopback interface, without a registry."""

from __future__ import annotations

import json
import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlflow.models import Model

from safr_study.checkpoint.manifest import read_facts
from safr_study.loopback import LOOPBACK
from safr_study.tracking.local_server import LocalServer, free_port, local_server
from safr_study.tracking.scoring_app import MODEL_VARIABLE
from safr_study.tracking.versions import EXAMPLE, save_logged


@contextmanager
def serve_model(checkpoint: Path, port: int) -> Iterator[LocalServer]:
    """Serve a model while the block runs; it is entered once the server answers ``/ping``.

    The model is logged anew into a folder of this process, so that MLflow runs this package's code
    alone and nothing that lies beside a checkpoint in a registry or a pulled folder.

    Args:
        checkpoint: folder of the model's files, verified here.
        port: on the loopback interface; 0 takes a free one.

    Raises:
        BadInput: the port is taken.
        CorruptCheckpoint: the model's files are not whole.
        ServiceUnreachable: the server did not come up.
    """
    # Before the seconds that the model's folder takes.
    port = free_port(port)
    read_facts(checkpoint)
    with tempfile.TemporaryDirectory(prefix="safr-study-") as folder:
        home = Path(folder)
        save_logged(home / "model", checkpoint, Model())
        with local_server(
            _command,
            port,
            health="/ping",
            name="serve",
            env={
                MODEL_VARIABLE: str(home / "model"),
                # The model is a folder: what it would look for elsewhere is nowhere.
                "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}",
                "MLFLOW_REGISTRY_URI": f"sqlite:///{home / 'mlflow.db'}",
            },
            cwd=home,
        ) as server:
            yield server


def request_line(url: str, *, pairs: bool) -> str:
    """A line for the shell that asks a model's server about two texts, or two pairs of them."""
    body = json.dumps({"inputs": EXAMPLE[pairs]})
    words = ["curl", "-H", "Content-Type: application/json", "-d", body, f"{url}/invocations"]
    return shlex.join(words)


def _command(port: int) -> list[str]:
    command = [sys.executable, "-m", "uvicorn", "--host", LOOPBACK, "--port", str(port)]
    return [*command, "--no-access-log", "safr_study.tracking.scoring_app:app"]
