"""The real download path, against a loopback server that speaks the hub's protocol."""

from __future__ import annotations

import hashlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

REPOSITORY = "acme/reviews"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "train.csv": "text,label\n"
    + "".join(f"film {i},{'good' if i % 2 else 'bad'}\n" for i in range(8)),
    "validation.csv": "text,label\nfine film,good\npoor film,bad\n",
}
PROGRAM = """
import json, sys
from safr_study.data import load_corpus
from safr_study.errors import SafrError
from safr_study.settings import CorpusSpec
try:
    corpus = load_corpus(CorpusSpec(dataset=sys.argv[1]))
except SafrError as error:
    print(f"error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
print(json.dumps({
    "source": corpus.source, "class_names": corpus.class_names,
    "train": [corpus.train.texts, corpus.train.labels.tolist()],
    "dev": [corpus.dev.texts, corpus.dev.labels.tolist()],
}))
"""


class _Hub(BaseHTTPRequestHandler):
    """One repository with one commit; the answers that the hub's client asks for."""

    protocol_version = "HTTP/1.1"
    requests: list[str]

    def do_GET(self) -> None:
        self._answer(body=True)

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        path = urlsplit(self.path).path
        self.requests.append(f"POST {path}")
        if path != f"/api/datasets/{REPOSITORY}/paths-info/{COMMIT}":
            self._error("RepoNotFound")
            return
        self._json([_entry(name) for name in asked["paths"] if name in FILES], body=True)

    def log_message(self, *args: Any) -> None:
        """Nothing: the test's output stays clean."""

    def _answer(self, *, body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        self.requests.append(f"{self.command} {path}")
        api = f"/api/datasets/{REPOSITORY}"
        if path in (api, f"{api}/revision/main", f"{api}/revision/{COMMIT}"):
            self._json(_repository(), body=body)
        elif path.startswith(f"{api}/tree/{COMMIT}"):
            self._json([_entry(name) for name in FILES], body=body)
        elif path.startswith(f"/datasets/{REPOSITORY}/resolve/"):
            self._file(path.rsplit("/", 1)[1], body=body)
        else:
            self._error("RepoNotFound")

    def _file(self, name: str, *, body: bool) -> None:
        if name not in FILES:
            self._error("EntryNotFound")
            return
        content = FILES[name].encode()
        self._send(200, content, "text/csv", body=body, ETag=f'"{_oid(name)}"')

    def _json(self, value: object, *, body: bool) -> None:
        self._send(200, json.dumps(value).encode(), "application/json", body=body)

    def _error(self, code: str) -> None:
        self._send(404, b"{}", "application/json", body=True, **{"X-Error-Code": code})

    def _send(self, status: int, content: bytes, kind: str, *, body: bool, **headers: str) -> None:
        self.send_response(status)
        for name, value in {
            "Content-Type": kind,
            "Content-Length": str(len(content)),
            "X-Repo-Commit": COMMIT,
            **headers,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(content)


def _oid(name: str) -> str:
    return hashlib.sha1(FILES[name].encode(), usedforsecurity=False).hexdigest()


def _entry(name: str) -> dict[str, object]:
    return {"type": "file", "path": name, "size": len(FILES[name].encode()), "oid": _oid(name)}


def _repository() -> dict[str, object]:
    return {
        "_id": "1",
        "id": REPOSITORY,
        "sha": COMMIT,
        "private": False,
        "gated": False,
        "disabled": False,
        "downloads": 0,
        "likes": 0,
        "tags": [],
        "siblings": [{"rfilename": name} for name in FILES],
    }


@pytest.fixture
def hub() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Hub", (_Hub,), {"requests": []}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def _load(
    dataset: str, endpoint: str, home: Path, **extra: str
) -> subprocess.CompletedProcess[str]:
    """In a fresh interpreter: the hub's client reads its environment when it is imported."""
    drop = {"HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "SAFR_STUDY_DATA", "HF_TOKEN"}
    environment = {name: value for name, value in os.environ.items() if name not in drop}
    environment |= {
        "HF_ENDPOINT": endpoint,
        "HF_HOME": str(home),
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **extra,
    }
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", PROGRAM, dataset],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=home.parent,
    )


def _dead_endpoint() -> str:
    """An address on which nobody listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_a_hub_data_set_is_downloaded_and_then_answered_by_the_cache(
    hub: ThreadingHTTPServer, tmp_path: Path
) -> None:
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    first = _load(REPOSITORY, endpoint, tmp_path / "home")
    assert (first.returncode, first.stderr) == (0, "")
    corpus = json.loads(first.stdout)
    assert corpus["source"] == "hub acme/reviews"
    assert corpus["class_names"] == ["bad", "good"]
    assert corpus["train"] == [[f"film {i}" for i in range(8)], [0, 1] * 4]
    assert corpus["dev"] == [["fine film", "poor film"], [1, 0]]
    requests = hub.RequestHandlerClass.requests  # type: ignore[attr-defined]
    assert f"GET /datasets/{REPOSITORY}/resolve/{COMMIT}/train.csv" in requests

    requests.clear()
    for extra in ({}, {"HF_HUB_OFFLINE": "1"}):
        again = _load(REPOSITORY, endpoint, tmp_path / "home", **extra)
        assert (again.returncode, again.stderr) == (0, "")
        cached = json.loads(again.stdout)
        assert cached["source"] == "Hugging Face cache of acme/reviews"
        assert cached == {**corpus, "source": cached["source"]}
    assert requests == []


def test_without_cache_and_hub_one_sentence_says_what_was_tried(tmp_path: Path) -> None:
    endpoint = _dead_endpoint()
    ended = _load(REPOSITORY, endpoint, tmp_path / "home")
    assert ended.returncode == 4
    assert ended.stderr.count("\n") == 1
    assert ended.stderr.startswith(
        "error: dataset: acme/reviews was not found: SAFR_STUDY_DATA is not set, "
        f"the Hugging Face cache has no copy, and the hub {endpoint} failed: "
    )
    assert "SAFR_STUDY_DATA/acme/reviews/<split>.parquet" in ended.stderr


def test_a_hub_that_knows_no_such_data_set_is_bad_input(
    hub: ThreadingHTTPServer, tmp_path: Path
) -> None:
    endpoint = f"http://127.0.0.1:{hub.server_port}"
    ended = _load("acme/misspelt", endpoint, tmp_path / "home")
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: dataset: no data set 'acme/misspelt'")
    assert ended.stderr.count("\n") == 1
