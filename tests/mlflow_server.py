"""A real MLflow server over PostgreSQL that can be stopped, frozen and started on one address."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from postgres_server import database

from safr_study.home import open_home
from safr_study.tracking.store import Store, open_store
from safr_study.tracking.ui import UiServer, serve_ui


class Server:
    """One address; behind it a server, or none, or one that hangs."""

    def __init__(self, store: Store, port: int) -> None:
        self._store = store
        self._port = port
        self._running = ExitStack()
        self._process: UiServer | None = None

    @property
    def url(self) -> str:
        """Of the server."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def direct(self) -> Store:
        """The database under it, whatever the server does."""
        return self._store

    def start(self) -> None:
        """Until it answers."""
        self._process = self._running.enter_context(serve_ui(self._store, self._port))

    def stop(self) -> None:
        """From now on connections are refused."""
        self._running.close()
        self._process = None

    def freeze(self) -> None:
        """From now on connections are taken and never answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on, also with what it was asked meanwhile."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        os.killpg(self._process.process.pid, number)


@contextmanager
def postgres_backed_server(folder: Path) -> Iterator[Server]:
    """A server that runs; its database is dropped afterwards, skips without PostgreSQL."""
    with database() as url, pytest.MonkeyPatch.context() as patch, socket.socket() as probe:
        patch.setenv("MLFLOW_ARTIFACTS_DESTINATION", (folder / "kept").as_uri())
        direct = open_store(open_home(folder / "server"), url)
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        probe.close()
        server = Server(Store(direct.uri, None, direct.client), port)
        server.start()
        try:
            yield server
        finally:
            server.stop()
