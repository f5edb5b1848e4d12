"""One MLflow run, brought to a wanted state by writing only what it does not have yet."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from safr_study.data import slugify
from safr_study.tracking.entries import (
    EPOCHS_TAG,
    FAILURE_TAG,
    KIND_TAG,
    TRIAL_TAG,
    UID_TAG,
    Measure,
)
from safr_study.tracking.store import Store

_METRICS_PER_CALL = 800
_NAMES_PER_CALL = 100

Key = TypeVar("Key", bound=Hashable)

EXPERIMENT_PREFIX = "safr/"


def experiment_name(dataset: str) -> str:
    """The experiment of a data set: ``safr/sst2``."""
    return EXPERIMENT_PREFIX + slugify(dataset)


def find_or_make_experiment(store: Store, dataset: str) -> str:
    """MLflow's id of a data set's experiment, which opens in the page's view of trainings."""
    client = store.client
    name = experiment_name(dataset)
    found = client.get_experiment_by_name(name)
    tags = {"mlflow.experimentKind": "custom_model_development"}
    if found is None:
        location = None
        if store.artifact_root is not None:
            location = (store.artifact_root / slugify(dataset)).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=tags))
        except MlflowException:
            # Another study of this data set may have made it just now.
            found = client.get_experiment_by_name(name)
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        client.restore_experiment(found.experiment_id)
    for key, value in tags.items():
        if found.tags.get(key) != value:
            client.set_experiment_tag(found.experiment_id, key, value)
    return str(found.experiment_id)


def find_runs(
    client: MlflowClient, experiment_id: str, uid: str, kind: str, *, trial: int | None = None
) -> list[Any]:
    """MLflow's runs of one study.

    Args:
        client: of the store.
        experiment_id: of the data set.
        uid: the study's key.
        kind: ``study`` or ``trial``.
        trial: only that number's.
    """
    query = f"tags.`{UID_TAG}` = '{uid}' and tags.`{KIND_TAG}` = '{kind}'"
    if trial is not None:
        query += f" and tags.`{TRIAL_TAG}` = '{trial}'"
    found: list[Any] = []
    token = None
    while True:
        page = client.search_runs([experiment_id], query, max_results=1000, page_token=token)
        found += page
        token = page.token
        if not token:
            return found


def one_of_each(
    client: MlflowClient, runs: Iterable[tuple[Key, Any]], held: Iterable[str] = ()
) -> dict[Key, Any]:
    """The run of each key; what there is beside it goes to MLflow's trash.

    There is more than one where a server makes a run after its answer was no longer waited for:
    the writer, which saw none, has asked for another. The one that is held stays, else the one
    with the most in it; the others have no more than their tags.

    Args:
        client: of the store.
        runs: each with its key.
        held: ids of those that somebody writes to.
    """
    ours = set(held)
    kept: dict[Key, Any] = {}
    for key, run in runs:
        other = kept.setdefault(key, run)
        if other is run:
            continue
        kept[key], spare = sorted((other, run), key=lambda one: _weight(one, ours), reverse=True)
        client.delete_run(spare.info.run_id)
    return kept


def _weight(run: Any, held: set[str]) -> tuple[bool, int, int, str]:
    epochs = int(run.data.tags.get(EPOCHS_TAG, 0))
    entries = len(run.data.metrics) + len(run.data.params)
    return run.info.run_id in held, epochs, entries, run.info.run_id


class TrackedRun:
    """What the server has of one run; the only writer of that run."""

    def __init__(self, client: MlflowClient, run: Any, *, fresh: bool) -> None:
        """Take over a run.

        Args:
            client: of the store that has it.
            run: MLflow's entity.
            fresh: it was made just now and has no metrics.
        """
        self.run_id: str = run.info.run_id
        self._client = client
        self._started: int = run.info.start_time
        self._status: str = run.info.status
        self._params = set(run.data.params)
        self._tags: dict[str, str] = dict(run.data.tags)
        self._latest: dict[str, float] = dict(run.data.metrics)
        self._steps: dict[str, set[int]] = {}
        self._fresh = fresh
        self._has_dataset = bool(run.inputs and run.inputs.dataset_inputs)
        self.written = 0
        """Metric points that were brought to the server from here."""

    @property
    def started(self) -> int:
        """When the run began, in milliseconds since 1970."""
        return self._started

    def add_dataset(self, dataset: Any) -> None:
        """Name the run's data set, once."""
        if not self._has_dataset:
            self._client.log_inputs(self.run_id, datasets=[dataset])
            self._has_dataset = True

    def update(
        self,
        *,
        ended: int,
        status: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        measures: Sequence[Measure] = (),
        elapsed: Mapping[int, float] | None = None,
    ) -> None:
        """Write what differs from the server's state; twice the same writes nothing.

        The time of a point follows from what is measured alone, never from when it is written. So
        a call that is repeated because its answer got lost, and one that the server works off long
        after it was given up, make no second point: to MLflow's database they are the same rows.

        Args:
            ended: milliseconds since 1970, the end of a run that has ended.
            status: ``RUNNING``, ``FINISHED``, ``FAILED`` or ``KILLED``.
            params: written once, as MLflow never changes a parameter.
            tags: replaced where they differ.
            measures: of a step > 0: written once per key and step; measured once (step 0):
                written where the latest value differs.
            elapsed: seconds from the run's start to the end of each epoch, for measures that do
                not say their time.
        """
        spent = elapsed or {}
        metrics = [
            Metric(m.key, m.value, self._time_of(m, spent), m.step)
            for m in measures
            if self._is_new(m)
        ]
        new_params = {key: value for key, value in params.items() if key not in self._params}
        new_tags = {key: value for key, value in tags.items() if self._tags.get(key) != value}
        self._log(metrics, new_params, new_tags)
        self._params |= new_params.keys()
        self._tags |= new_tags
        for metric in metrics:
            self._latest[metric.key] = metric.value
            self._steps.setdefault(metric.key, set()).add(metric.step)
        self.written += len(metrics)
        if FAILURE_TAG in self._tags and FAILURE_TAG not in tags:
            self._client.delete_tag(self.run_id, FAILURE_TAG)
            del self._tags[FAILURE_TAG]
        self._set_status(status, ended)

    def _time_of(self, measure: Measure, spent: Mapping[int, float]) -> int:
        if measure.at is not None:
            return measure.at
        return self._started + round(1000 * spent.get(measure.step, 0.0))

    def _is_new(self, measure: Measure) -> bool:
        if measure.step == 0:
            return self._latest.get(measure.key) != measure.value
        if measure.at is None and measure.step <= int(self._tags.get(EPOCHS_TAG, 0)):
            return False
        return measure.step not in self._written_steps(measure.key)

    def _written_steps(self, key: str) -> set[int]:
        if key not in self._steps:
            known = not self._fresh and key in self._latest
            history = self._client.get_metric_history(self.run_id, key) if known else []
            self._steps[key] = {metric.step for metric in history}
        return self._steps[key]

    def _log(
        self, metrics: list[Metric], params: Mapping[str, str], tags: Mapping[str, str]
    ) -> None:
        all_params = [Param(key, value) for key, value in params.items()]
        all_tags = [RunTag(key, value) for key, value in tags.items()]
        # The tags come last: one of them says that the epochs are there.
        while metrics or all_params or all_tags:
            last = len(metrics) <= _METRICS_PER_CALL
            self._client.log_batch(
                self.run_id,
                metrics=metrics[:_METRICS_PER_CALL],
                params=all_params[:_NAMES_PER_CALL],
                tags=all_tags[:_NAMES_PER_CALL] if last else [],
            )
            metrics = metrics[_METRICS_PER_CALL:]
            all_params = all_params[_NAMES_PER_CALL:]
            all_tags = all_tags[_NAMES_PER_CALL:] if last else all_tags

    def _set_status(self, status: str, ended: int) -> None:
        if status == self._status:
            return
        if status == "RUNNING":
            self._client.update_run(self.run_id, status=status)
        else:
            self._client.set_terminated(self.run_id, status=status, end_time=ended)
        self._status = status
