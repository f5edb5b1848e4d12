"""A Hugging Face hub on the loopback interface: the answers that its client library asks for."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@dataclass
class Repository:
    """A data set or a model, with one commit."""

    files: Mapping[str, bytes]
    commit: str = COMMIT
    refused: tuple[int, str] | None = None
    """Status and error code of every answer, instead of what was asked for."""
    breaks: str | None = None
    """A file of which half is sent; from then on the hub is overloaded."""

    def entry(self, name: str) -> dict[str, object]:
        """A file as the hub lists it."""
        return {"type": "file", "path": name, "size": len(self.files[name]), "oid": self.oid(name)}

    def oid(self, name: str) -> str:
        """Digest of a file."""
        return hashlib.sha1(self.files[name], usedforsecurity=False).hexdigest()


@dataclass
class Hub:
    """The running server."""

    url: str
    repositories: dict[str, Repository]
    """By their paths: ``datasets/NAME`` or ``models/NAME``."""
    requests: list[str] = field(default_factory=list)
    """``METHOD /path`` of each request, in the order in which they came."""


@contextmanager
def running_hub(repositories: Mapping[str, Repository]) -> Iterator[Hub]:
    """A hub with some repositories, on a free port."""
    hub = Hub("", dict(repositories))
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def asked_by_client(hub: Hub, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """Let the client of this process ask a hub: what HF_ENDPOINT and HF_HOME tell a new one."""
    from huggingface_hub import constants

    template = hub.url + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "ENDPOINT", hub.url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(cache))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        found = self._repository()
        if found is None:
            return
        repository, rest = found
        if rest != f"paths-info/{repository.commit}":
            self._error(404, "RepoNotFound")
            return
        self._json([repository.entry(name) for name in asked["paths"] if name in repository.files])

    def log_message(self, *args: Any) -> None:
        """Nothing: the test's output stays clean."""

    def _repository(self) -> tuple[Repository, str] | None:
        """The repository that a request is about, and the rest of its path; else it is answered."""
        path = unquote(urlsplit(self.path).path)
        self.hub.requests.append(f"{self.command} {path}")
        path = path.removeprefix("/api")
        for name, repository in self.hub.repositories.items():
            # A model's files have no ``models`` in their addresses.
            for start in (f"/{name}", f"/{name.removeprefix('models/')}"):
                if path != start and not path.startswith(f"{start}/"):
                    continue
                if repository.refused is None:
                    return repository, path[len(start) + 1 :]
                self._error(*repository.refused)
                return None
        self._error(404, "RepoNotFound")
        return None

    def _answer(self) -> None:
        found = self._repository()
        if found is None:
            return
        repository, rest = found
        what, _, more = rest.partition("/")
        revision, _, name = more.partition("/")
        if what and revision not in ("main", repository.commit):
            self._error(404, "RevisionNotFound")
        elif what in ("", "revision"):
            self._json(_described(repository, unquote(urlsplit(self.path).path)))
        elif what == "tree":
            self._json([repository.entry(name) for name in repository.files])
        elif what == "resolve" and name in repository.files:
            self._file(repository, name)
        else:
            self._error(404, "EntryNotFound")

    def _file(self, repository: Repository, name: str) -> None:
        content = repository.files[name]
        breaks = self.command == "GET" and name == repository.breaks
        tag = repository.oid(name)
        self._send(
            200,
            content[: len(content) // 2] if breaks else content,
            "application/octet-stream",
            **{
                "ETag": f'"{tag}"',
                "X-Repo-Commit": repository.commit,
                "X-Linked-Etag": f'"{tag}"',
                "X-Linked-Size": str(len(content)),
                "Content-Length": str(len(content)),
            },
        )
        if breaks:
            repository.refused = (503, "Overloaded")
            self.close_connection = True

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), "application/json")

    def _error(self, status: int, code: str) -> None:
        self._send(status, b"{}", "application/json", **{"X-Error-Code": code})

    def _send(self, status: int, content: bytes, kind: str, **headers: str) -> None:
        self.send_response(status)
        told = {"Content-Type": kind, "Content-Length": str(len(content)), **headers}
        for name, value in told.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _described(repository: Repository, path: str) -> dict[str, object]:
    name = "/".join(path.split("/")[3:5])
    return {
        "_id": "1",
        "id": name,
        "modelId": name,
        "sha": repository.commit,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": [{"rfilename": name} for name in repository.files],
    }
