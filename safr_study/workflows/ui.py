"""The MLflow page on a home."""

from __future__ import annotations

from collections.abc import Callable

from safr_study.errors import BadInput
from safr_study.tracking import open_store, serve_ui
from safr_study.workflows.stores import Stores


def browse_runs(stores: Stores, port: int, ready: Callable[[str], None]) -> None:
    """Serve the page on 127.0.0.1 until it is interrupted.

    Args:
        stores: whose runs.
        port: on the loopback interface.
        ready: called with the address once it answers.

    Raises:
        BadInput: the runs are on a server, which has a page of its own.
    """
    if stores.tracking_uri is not None and stores.tracking_uri.startswith("http"):
        raise BadInput("tracking-uri", f"open {stores.tracking_uri} itself in a browser")
    with serve_ui(open_store(stores.home, stores.tracking_uri), port) as server:
        ready(server.url)
        server.wait()
