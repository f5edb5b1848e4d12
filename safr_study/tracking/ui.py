"""The MLflow page on a store, served on the loopback interface."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.redaction import redacted
from safr_study.tracking.runs import EXPERIMENT_PREFIX
from safr_study.tracking.store import Store

LOOPBACK = "127.0.0.1"
_START_SECONDS = 90.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class UiServer:
    """A running server."""

    url: str
    """``http://127.0.0.1:PORT``."""
    process: subprocess.Popen[bytes]


@contextmanager
def serve_ui(store: Store, port: int) -> Iterator[UiServer]:
    """Serve the page while the block runs; it is entered once the server answers.

    Args:
        store: an embedded store or a database; a server has a page of its own.
        port: on the loopback interface; 0 takes a free one.

    Raises:
        BadInput: the port is taken.
        ServiceUnreachable: the server did not come up.
    """
    free_port = _free_port(port)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            _command(store, free_port),
            stdout=log,
            stderr=subprocess.STDOUT,
            # A group of its own, so that its worker processes end with it.
            start_new_session=True,
            # Not on the command line, which everybody may read: it may hold a password.
            env={**os.environ, "MLFLOW_BACKEND_STORE_URI": store.uri},
        )
        try:
            url = f"http://{LOOPBACK}:{free_port}"
            _await_health(url, process, log)
            yield UiServer(url, process)
        finally:
            _stop(process)


def experiment_url(base: str, experiment_id: str) -> str:
    """The page of an experiment's runs: all of them, without nesting, the front first."""
    order = "orderByKey=metrics.%60pareto_rank%60&orderByAsc=true"
    # Without the type of work the page opens among MLflow's tools for prompts and agents.
    return f"{base}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&{order}"


def experiment_pages(store: Store, base: str) -> dict[str, str]:
    """The pages of all data sets' runs by the experiment's name, the newest first."""
    found = store.client.search_experiments(order_by=["last_update_time DESC"])
    return {
        experiment.name: experiment_url(base, experiment.experiment_id)
        for experiment in found
        if experiment.name.startswith(EXPERIMENT_PREFIX)
    }


def _command(store: Store, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", LOOPBACK, "--port", str(port)]
    if store.artifact_root is not None:
        command += ["--default-artifact-root", store.artifact_root.as_uri()]
    return command


def _free_port(port: int) -> int:
    with socket.socket() as probe:
        # As the server does: a port whose last connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            raise BadInput("port", f"{port} cannot be used ({error}); give another") from error
        return int(probe.getsockname()[1])


def _await_health(url: str, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    # A proxy of the environment has no business on the loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), opener.open(f"{url}/health", timeout=2):
            return
        time.sleep(0.1)
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    reason = redacted(lines[-1]) if lines else "it said nothing"
    raise ServiceUnreachable(f"ui: the MLflow server did not come up ({reason})")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server, then whatever is left of its group."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, ending)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
