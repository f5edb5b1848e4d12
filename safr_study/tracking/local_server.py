"""A server of MLflow's in a process of its own, on the loopback interface alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.loopback import LOOPBACK
from safr_study.redaction import redacted

_START_SECONDS = 90.0
_STOP_SECONDS = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class LocalServer:
    """A running server."""

    url: str
    """``http://127.0.0.1:PORT``."""
    process: subprocess.Popen[bytes]


@contextmanager
def local_server(
    command: Callable[[int], Sequence[str]],
    port: int,
    *,
    health: str,
    name: str,
    env: Mapping[str, str],
    cwd: Path | None = None,
) -> Iterator[LocalServer]:
    """Run a server while the block runs; it is entered once the server answers.

    Args:
        command: its words, given the port.
        port: on the loopback interface; 0 takes a free one.
        health: path that answers when it is ready.
        name: command of ours that wants it, for the error's sentence.
        env: variables of its environment, besides those of this process.
        cwd: its folder; ``None``: Python's own.

    Raises:
        BadInput: the port is taken.
        ServiceUnreachable: the server did not come up.
    """
    free = free_port(port)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command(free),
            stdout=log,
            stderr=subprocess.STDOUT,
            # A group of its own, so that its worker processes end with it.
            start_new_session=True,
            # It imports nothing from where the user stands; uvicorn looks into its own folder too.
            env={**os.environ, "PYTHONSAFEPATH": "1", **env},
            cwd=cwd or sys.prefix,
        )
        try:
            url = f"http://{LOOPBACK}:{free}"
            _await_health(f"{url}{health}", process, log, name)
            yield LocalServer(url, process)
        finally:
            _stop(process)


def free_port(port: int) -> int:
    """A port on the loopback interface that can be used.

    Args:
        port: the one to look at; 0: any.

    Raises:
        BadInput: it is taken.
    """
    with socket.socket() as probe:
        # As the server does: a port whose last connections linger is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except (OSError, OverflowError) as error:
            raise BadInput("port", f"{port} cannot be used ({error}); give another") from error
        return int(probe.getsockname()[1])


def _await_health(url: str, process: subprocess.Popen[bytes], log: IO[bytes], name: str) -> None:
    until = time.monotonic() + _START_SECONDS
    # A proxy of the environment has no business on the loopback interface.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while process.poll() is None and time.monotonic() < until:
        with suppress(OSError), opener.open(url, timeout=2):
            return
        time.sleep(0.1)
    log.seek(0)
    lines = log.read().decode(errors="replace").strip().splitlines()
    reason = redacted(lines[-1]) if lines else "it said nothing"
    raise ServiceUnreachable(f"{name}: the MLflow server did not come up ({reason})")


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End the server, then whatever is left of its group."""
    for ending in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, ending)
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_SECONDS)
