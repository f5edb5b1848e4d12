"""Runs that nobody goes on with, and that still look as if they ran."""

from __future__ import annotations

from safr_study.tracking.runs import experiment_name, find_runs
from safr_study.tracking.store import Store


def close_runs(store: Store, *, dataset: str, uid: str) -> None:
    """Show the open runs of a study as killed; those that have ended stay as they are.

    Args:
        store: where they are.
        dataset: of the study, its name or its slug.
        uid: the study's key.

    Raises:
        ServiceUnreachable: the tracking server does not do its work.
    """
    client = store.client
    with store.answering():
        experiment = client.get_experiment_by_name(experiment_name(dataset))
        if experiment is None:
            return
        for kind in ("study", "trial"):
            for run in find_runs(client, experiment.experiment_id, uid, kind):
                if run.info.status == "RUNNING":
                    client.set_terminated(run.info.run_id, status="KILLED")
