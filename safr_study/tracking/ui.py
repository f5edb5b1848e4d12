"""The MLflow page on a store, served on the loopback interface."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from safr_study.loopback import LOOPBACK
from safr_study.tracking.local_server import LocalServer, local_server
from safr_study.tracking.runs import EXPERIMENT_PREFIX
from safr_study.tracking.store import Store
from safr_study.tracking.views import TRIALS, has_views

UiServer = LocalServer


@contextmanager
def serve_ui(store: Store, port: int) -> Iterator[UiServer]:
    """Serve the page while the block runs; it is entered once the server answers.

    Args:
        store: an embedded store or a database; a server has a page of its own.
        port: on the loopback interface; 0 takes a free one.

    Raises:
        BadInput: the port is taken.
        ServiceUnreachable: the server did not come up.
    """
    with local_server(
        lambda free: _command(store, free),
        port,
        health="/health",
        name="ui",
        # Not on the command line, which everybody may read: it may hold a password.
        env={"MLFLOW_BACKEND_STORE_URI": store.uri},
    ) as server:
        yield server


def experiment_url(base: str, experiment_id: str, view: str | None = None) -> str:
    """The page of an experiment's runs, without nesting.

    Args:
        base: of the server.
        experiment_id: MLflow's id.
        view: of `tracking.views`, which the experiment must have; ``None``: all runs, the front
            first.
    """
    # The page takes a view where the link says nothing else.
    order = "orderByKey=metrics.%60pareto_rank%60&orderByAsc=true"
    shown = order if view is None else f"viewStateShareKey={view}"
    # Without the type of work the page opens among MLflow's tools for prompts and agents.
    return f"{base}/#/experiments/{experiment_id}/runs?workflowType=machine_learning&{shown}"


def experiment_pages(store: Store, base: str) -> dict[str, str]:
    """The pages of all data sets' runs by the experiment's name, the newest first."""
    found = store.client.search_experiments(order_by=["last_update_time DESC"])
    return {
        experiment.name: experiment_url(
            base, experiment.experiment_id, TRIALS if has_views(experiment.tags) else None
        )
        for experiment in found
        if experiment.name.startswith(EXPERIMENT_PREFIX)
    }


def _command(store: Store, port: int) -> list[str]:
    command = [sys.executable, "-m", "mlflow", "server", "--workers", "1"]
    command += ["--host", LOOPBACK, "--port", str(port)]
    if store.artifact_root is not None:
        command += ["--default-artifact-root", store.artifact_root.as_uri()]
    return command
