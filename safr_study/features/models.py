"""MLflow's use cases: list models, open the page on a home."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from safr_study.errors import BadInput
from safr_study.features.study_base.stores import Stores
from safr_study.records import RegisteredModel
from safr_study.tracking.registry import list_models
from safr_study.tracking.store import open_store
from safr_study.tracking.ui import experiment_pages, serve_ui


def registered_models(stores: Stores) -> list[RegisteredModel]:
    """All versions of all models of safr-study; none where nothing was tracked yet."""
    if stores.tracking_uri is None and not stores.home.tracking_database.exists():
        return []
    return list_models(open_store(stores.home, stores.tracking_uri, reads=True))


def browse_runs(stores: Stores, port: int, ready: Callable[[str, Mapping[str, str]], None]) -> None:
    """Serve the page on 127.0.0.1 until it is interrupted.

    Args:
        stores: whose runs.
        port: on the loopback interface.
        ready: called with the address once it answers, and the pages of the data sets by name.

    Raises:
        BadInput: the runs are on a server, which has a page of its own.
    """
    if stores.tracking_uri is not None and stores.tracking_uri.startswith("http"):
        raise BadInput("tracking-uri", f"open {stores.tracking_uri} itself in a browser")
    store = open_store(stores.home, stores.tracking_uri)
    with serve_ui(store, port) as server:
        ready(server.url, experiment_pages(store, server.url))
        server.process.wait()
