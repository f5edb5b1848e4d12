"""The tracking store: an embedded SQLite file in the home, or the server that the user names."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import sqlalchemy.exc
from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.home import Home
from safr_study.loopback import spare_loopback
from safr_study.redaction import redacted_address
from safr_study.text import first_line
from safr_study.tracking.moved_home import follow_home

URI_VARIABLE = "MLFLOW_TRACKING_URI"
_PROBE_SECONDS = 4.0
"""Time in which a service takes a call."""
_ANSWER_SECONDS = 20.0
"""Time in which a server that has taken it answers: a busy or new one needs some seconds."""
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
_EXPECTED = (
    "use http://HOST:PORT, https://HOST, postgresql://USER@HOST/DATABASE or sqlite:////FILE.db, "
    f"or leave --tracking-uri and {URI_VARIABLE} out for the store in the home"
)


_SIGNS = {
    ("Connection refused", "Failed to establish", "NameResolutionError"): "nothing answers there",
    ("timed out", "timeout exception"): "it gives no answer in time",
    ("Connection aborted", "Connection reset", "RemoteDisconnected"): "the connection broke",
}
"""Words in the errors of MLflow's HTTP client, and what they mean."""


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """An open tracking store and registry."""

    uri: str
    """Address, as MLflow takes it."""
    artifact_root: Path | None
    """Folder for the artifacts of new experiments; ``None``: the server decides."""
    client: MlflowClient
    home: Home | None = None
    """The home whose store it is; ``None``: it is elsewhere."""

    @property
    def shown_uri(self) -> str:
        """Address without secrets, for messages."""
        return redacted_address(self.uri)

    @contextmanager
    def translated_errors(self) -> Iterator[None]:
        """Turn a failure of the server inside the block into one sentence.

        Raises:
            ServiceUnreachable: the server failed, refused the request or gave no answer.
        """
        try:
            yield
        except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
            what = "failed" if is_passing(error) else "refused the request"
            raise ServiceUnreachable(
                f"tracking: {self.shown_uri} {what} ({what_failed(error)}); "
                "check the server and try again"
            ) from error


def open_store(home: Home, tracking_uri: str | None = None, *, reads: bool = False) -> Store:
    """Open the store, making and migrating the embedded one where it is missing.

    Args:
        home: folder whose SQLite file and artifacts are used by default.
        tracking_uri: address that replaces ``MLFLOW_TRACKING_URI``, which replaces the home's.
        reads: nothing will be written: the addresses in a home that was moved stay as they are.

    Raises:
        BadInput: the URI is none that MLflow can log to.
        ServiceUnreachable: nothing answers there within a few seconds.
    """
    spare_loopback()
    uri = tracking_uri or os.environ.get(URI_VARIABLE)
    embedded = None
    if not uri:
        embedded, uri = home, _sqlite_uri(home.tracking_database)
        _make_database(home.tracking_database)
        if not reads:
            follow_home(home)
    scheme = _checked_scheme(uri)
    if scheme in ("http", "https"):
        _probe_server(uri)
        return Store(uri, None, MlflowClient(tracking_uri=uri, registry_uri=uri))
    uri = _without_stray_folders(uri) if scheme == "sqlite" else uri
    return Store(uri, home.artifacts, _open_database(uri, scheme), embedded)


def all_pages(search: Any, *query: Any, **options: Any) -> list[Any]:
    """All results of a search of MLflow's client, which gives them page by page."""
    found: list[Any] = []
    token = None
    while True:
        page = search(*query, page_token=token, **options)
        found += page
        token = page.token
        if not token:
            return found


def is_passing(error: BaseException) -> bool:
    """Whether an error of the server may go away by itself: no answer, or a status of 429 or 5xx.

    The others are refusals of what was asked, which fail again however often they are tried.
    """
    if isinstance(error, MlflowException):
        status = error.get_http_status_code()
        return bool(status >= 500 or status == 429)
    return isinstance(error, (sqlalchemy.exc.SQLAlchemyError, OSError))


def what_failed(error: BaseException) -> str:
    """An error of the server for a sentence."""
    text = str(error)
    for signs, said in _SIGNS.items():
        if any(sign in text for sign in signs):
            return said
    return first_line(error)


def _checked_scheme(uri: str) -> str:
    try:
        parts = urlsplit(uri)
        scheme = parts.scheme.partition("+")[0]
        if scheme == "sqlite":
            usable = parts.path not in ("", "/", "/:memory:")
        else:
            # Reading the port checks that it is one.
            usable = bool(parts.hostname) and parts.port != 0
            usable &= scheme in ("http", "https", *_DATABASE_PORTS)
    except ValueError:
        usable = False
    if not usable:
        raise BadInput("tracking-uri", f"{redacted_address(uri)!r} is no store; {_EXPECTED}")
    return scheme


def _sqlite_uri(path: Path) -> str:
    return f"sqlite:///{quote(str(path))}"


def _without_stray_folders(uri: str) -> str:
    """The same database, named so that MLflow makes no folder ``my%20home`` beside ``my home``.

    https://github.com/mlflow/mlflow/blob/v3.17.2/mlflow/store/db/utils.py
    (``_make_parent_dirs_if_sqlite``) takes what is after ``sqlite:///`` for a path as it stands.
    """
    return uri.replace("sqlite:", "sqlite+pysqlite:", 1) if "%" in uri else uri


def _make_database(path: Path) -> None:
    """Make and migrate the embedded database under another name, so that none is left half-made."""
    if path.exists():
        # A home that may only be read takes no lock.
        return
    unfinished = path.with_suffix(".new")
    with FileLock(path.with_suffix(".lock")):
        if not path.exists():
            unfinished.unlink(missing_ok=True)
            _open_database(_without_stray_folders(_sqlite_uri(unfinished)), "sqlite")
            unfinished.rename(path)


def _open_database(uri: str, scheme: str) -> MlflowClient:
    shown = redacted_address(uri)
    try:
        if scheme in _DATABASE_PORTS:
            # MLflow tries a dead database for minutes.
            parts = urlsplit(uri)
            address = (parts.hostname or "localhost", parts.port or _DATABASE_PORTS[scheme])
            socket.create_connection(address, timeout=_PROBE_SECONDS).close()
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    except (ImportError, sqlalchemy.exc.ArgumentError) as error:
        raise BadInput(
            "tracking-uri", f"{shown!r} cannot be opened ({first_line(error)}); {_EXPECTED}"
        ) from error
    except (MlflowException, sqlalchemy.exc.SQLAlchemyError, OSError) as error:
        raise ServiceUnreachable(
            f"tracking: {shown} cannot be opened ({first_line(error)}); check that it is up, that "
            "it may be written, and that it was made by this version of MLflow"
        ) from error
    return client


def _probe_server(uri: str) -> None:
    """Ask for one experiment, without a second try."""
    shown = redacted_address(uri)
    try:
        answer: Any = http_request(
            get_default_host_creds(uri),
            "/api/2.0/mlflow/experiments/search",
            "POST",
            json={"max_results": 1},
            # MLflow hands it to requests, which takes the two apart.
            timeout=(_PROBE_SECONDS, _ANSWER_SECONDS),
            max_retries=0,
            raise_on_status=False,
        )
    except MlflowException as error:
        raise ServiceUnreachable(
            f"tracking: nothing answers at {shown}; start that MLflow server, or leave "
            f"--tracking-uri and {URI_VARIABLE} out for the store in the home"
        ) from error
    if answer.status_code in (401, 403):
        raise ServiceUnreachable(
            f"tracking: {shown} refuses the access ({answer.status_code}); set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, and "
            "check the server's --allowed-hosts"
        )
    if answer.status_code >= 500:
        raise ServiceUnreachable(f"tracking: {shown} answers with status {answer.status_code}")
    if answer.status_code != 200 or not _is_object(answer.text):
        raise BadInput(
            "tracking-uri",
            f"{shown} answers, but not as an MLflow server (status {answer.status_code}); "
            "check the address",
        )


def _is_object(text: str) -> bool:
    """Whether it is a JSON object, as every answer of MLflow's interface is."""
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
