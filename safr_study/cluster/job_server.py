"""The job server of a Ray cluster: found, asked for a token, and its faults as sentences."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from safr_study.errors import BadInput, SafrError, ServiceUnreachable
from safr_study.redaction import has_secret
from safr_study.text import summary

ADDRESS_VARIABLE = "RAY_API_SERVER_ADDRESS"
TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
_PROBE_SECONDS = 4.0
_PORTS = {"http": 80, "https": 443}
_TOKEN_HINT = (
    "give the cluster's token in RAY_AUTH_TOKEN, or a file that has it in RAY_AUTH_TOKEN_PATH "
    "(never on a command line)"
)


@dataclass(slots=True, eq=False)
class JobServer:
    """An open connection to the Jobs API of one cluster."""

    address: str
    """URL, without credentials."""
    client: Any = None
    """Ray's ``JobSubmissionClient``."""

    @contextlib.contextmanager
    def answering(self) -> Iterator[None]:
        """Turn a failure of the server inside the block into one sentence.

        Raises:
            ServiceUnreachable: it failed, refused the request or gave no answer.
        """
        import requests
        from ray.exceptions import AuthenticationError

        try:
            yield
        except SafrError:
            raise
        except AuthenticationError:
            raise ServiceUnreachable(
                f"ray: {self.address} refuses without its token; {_TOKEN_HINT}"
            ) from None
        except (ImportError, NameError) as error:
            raise _not_installed() from error
        except (RuntimeError, OSError, ValueError, requests.RequestException) as error:
            if "ray[default]" in str(error):
                raise _not_installed() from error
            raise ServiceUnreachable(
                f"ray: {self.address} failed or refused the request ({summary(error)}); check "
                "that it is the dashboard of a Ray cluster"
            ) from None


def connect(address: str) -> JobServer:
    """Open the Jobs API at an URL.

    The token comes from Ray's own places: ``RAY_AUTH_TOKEN``, the file of ``RAY_AUTH_TOKEN_PATH``,
    ``~/.ray/auth_token``.

    Raises:
        BadInput: no URL, or the client of the Jobs API is not installed.
        ServiceUnreachable: nothing answers there, or it refuses.
    """
    shown = _checked(address)
    # Ray would take these instead of the address that was given.
    for name in (ADDRESS_VARIABLE, "RAY_ADDRESS"):
        os.environ.pop(name, None)
    if any(os.environ.get(name) for name in TOKEN_VARIABLES):
        os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    _knock(shown)
    try:
        from ray.job_submission import JobSubmissionClient
    except ImportError as error:
        raise _not_installed() from error
    # "Uploading package": standard output and standard error are ours.
    for name in (
        "ray",
        "ray.dashboard",
        "ray.dashboard.modules.dashboard_sdk",
        "ray.dashboard.modules.job.sdk",
    ):
        logging.getLogger(name).setLevel(logging.ERROR)
    server = JobServer(shown)
    with server.answering():
        server.client = JobSubmissionClient(address)
    return server


def _checked(address: str) -> str:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in _PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadInput(
            "ray", "must be the URL of the cluster's dashboard, for example http://ray-head:8265"
        )
    if parts.username or has_secret(address):
        raise BadInput("ray", f"has a name, a password or a token in it; {_TOKEN_HINT}")
    return address.rstrip("/")


def _knock(address: str) -> None:
    parts = urlsplit(address)
    assert parts.hostname is not None
    port = parts.port or _PORTS[parts.scheme]
    try:
        socket.create_connection((parts.hostname, port), timeout=_PROBE_SECONDS).close()
    except OSError as error:
        raise ServiceUnreachable(
            f"ray: nothing answers at {address} ({error}); check that the cluster's head runs with "
            "its dashboard, and that a tunnel to it is open"
        ) from None


def _not_installed() -> BadInput:
    return BadInput(
        "ray", "the client of Ray's Jobs API is not installed: pip install 'safr-study[cluster]'"
    )
