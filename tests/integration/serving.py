"""``mlflow models serve`` in a process of its own, asked over HTTP."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

START_SECONDS = 120.0


@contextmanager
def serving(model: str, env: Mapping[str, str], python: Path, log: Path) -> Iterator[str]:
    """The address of a model's server while the block runs.

    Args:
        model: as ``models:/NAME@alias``.
        env: of the server; names the tracking store.
        python: whose MLflow serves.
        log: gets what the server says.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [str(python), "-m", "mlflow", "models", "serve", "--model-uri", model]
    command += ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as out:
        # The server runs uvicorn by its name.
        path = f"{python.parent}{os.pathsep}{env.get('PATH', '')}"
        process = subprocess.Popen(
            command,
            env={**env, "PATH": path},
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        until = time.monotonic() + START_SECONDS
        while not answers(f"{address}/ping"):
            assert process.poll() is None, log.read_text("utf-8")
            assert time.monotonic() < until, log.read_text("utf-8")
            time.sleep(0.2)
        yield address
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            process.wait(10)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def answering(
    command: str | Sequence[str],
    url: str,
    *,
    env: Mapping[str, str],
    cwd: Path,
    ends_it: signal.Signals = signal.SIGINT,
) -> Iterator[None]:
    """A server's command while the block runs, from its first answer on.

    Args:
        command: a line for the shell, or words.
        url: answers when the server is ready.
        env: of the server.
        cwd: of the server.
        ends_it: the signal after the block; Ctrl-C's for a command of ours, which must heed it.
    """
    shell = isinstance(command, str)
    with subprocess.Popen(
        f"exec {command}" if isinstance(command, str) else command,
        shell=shell,
        env=env,
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        try:
            until = time.monotonic() + START_SECONDS
            while not answers(url):
                assert process.poll() is None, f"it ended with {process.returncode}"
                assert time.monotonic() < until, f"{url} does not answer"
                time.sleep(0.2)
            yield
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, ends_it)
            process.wait(60)


def ask(address: str, body: object) -> tuple[int, Any]:
    """Status and JSON of a request to ``/invocations``."""
    request = urllib.request.Request(
        f"{address}/invocations",
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def answers(url: str) -> bool:
    """Whether a server is there."""
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False
