"""Servers of a deployment on the loopback interface: PostgreSQL, an S3 store, MLflow over both."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import postgres_server
import pytest
from ray_nodes import free_port

from safr_study.home import open_home
from safr_study.tracking.store import Store, open_store
from safr_study.tracking.ui import serve_ui

BUCKET = "safr"
_START_SECONDS = 60.0


@dataclass(frozen=True)
class Services:
    """Where they are, and the environment of those who use them."""

    ledger: str
    tracking: str
    checkpoints: str
    environment: dict[str, str]

    @property
    def options(self) -> list[str]:
        """Of ``safr-study search``."""
        return [
            *("--storage", self.ledger, "--tracking-uri", self.tracking),
            *("--checkpoints", self.checkpoints),
        ]


@contextlib.contextmanager
def services(folder: Path) -> Iterator[Services]:
    """All of them; skips the test where there is no PostgreSQL server.

    Args:
        folder: for what MLflow's own machinery wants of a home.
    """
    with (
        postgres_server.database() as ledger,
        postgres_server.database() as runs,
        s3_server() as environment,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.setenv("MLFLOW_ARTIFACTS_DESTINATION", f"s3://{BUCKET}/artifacts")
        store = open_store(open_home(folder), runs)
        with serve_ui(Store(store.uri, None, store.client), 0) as server:
            yield Services(ledger, server.url, f"s3://{BUCKET}/checkpoints", environment)


@contextlib.contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """An S3 store with one bucket; the environment by which it is reached."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    process = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        _wait_for(port)
        keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "not-a-secret"}
        client = boto3.client(
            "s3",
            endpoint_url=url,
            region_name="us-east-1",
            aws_access_key_id=keys["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=keys["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket=BUCKET)
        yield {
            **keys,
            "AWS_ENDPOINT_URL": url,
            "MLFLOW_S3_ENDPOINT_URL": url,
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        process.kill()
        process.wait()


def _wait_for(port: int) -> None:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        time.sleep(0.1)
    pytest.fail(f"nothing answers on port {port}")
