"""MLflow's runs of a study, each brought to a wanted state by writing only what it lacks."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException

from safr_study.data import slugify
from safr_study.tracking.entries import (
    EPOCHS_TAG,
    FAILURE_TAG,
    KIND_TAG,
    UID_TAG,
)
from safr_study.tracking.store import Store, all_pages

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
    experiment = client.get_experiment_by_name(name)
    tags = {"mlflow.experimentKind": "custom_model_development"}
    if experiment is None:
        location = None
        if store.artifact_root is not None:
            location = (store.artifact_root / slugify(dataset)).as_uri()
        try:
            return str(client.create_experiment(name, artifact_location=location, tags=tags))
        except MlflowException:
            # Another study of this data set may have made it just now.
            experiment = client.get_experiment_by_name(name)
            if experiment is None:
                raise
    if experiment.lifecycle_stage == "deleted":
        client.restore_experiment(experiment.experiment_id)
    for key, value in tags.items():
        if experiment.tags.get(key) != value:
            client.set_experiment_tag(experiment.experiment_id, key, value)
    return str(experiment.experiment_id)


def find_runs(client: MlflowClient, experiment_id: str, uid: str, kind: str) -> list[Any]:
    """MLflow's runs of one study: its ``study``, ``trial`` or ``confirm`` runs."""
    query = f"tags.`{UID_TAG}` = '{uid}' and tags.`{KIND_TAG}` = '{kind}'"
    return all_pages(client.search_runs, [experiment_id], query, max_results=1000)


def study_runs(store: Store, dataset: str, uid: str, *kinds: str) -> list[Any]:
    """Runs of these kinds in a data set's experiment; empty where there is none."""
    experiment = store.client.get_experiment_by_name(experiment_name(dataset))
    if experiment is None:
        return []
    runs = (find_runs(store.client, experiment.experiment_id, uid, kind) for kind in kinds)
    return [run for of_kind in runs for run in of_kind]


def close_open_runs(store: Store, *, dataset: str, uid: str) -> None:
    """Show the open runs of a study as killed; those that have ended stay as they are.

    Args:
        store: where they are.
        dataset: name or slug of the study's data set.
        uid: the study's unique id.

    Raises:
        ServiceUnreachable: the tracking server does not do its work.
    """
    with store.translated_errors():
        for run in study_runs(store, dataset, uid, "study", "trial"):
            if run.info.status == "RUNNING":
                store.client.set_terminated(run.info.run_id, status="KILLED")


class RunsOfKind(Generic[Key]):
    """A study's runs of one kind in MLflow, one for each key; each is looked up before it is made.

    Two runs of one key arise where a server makes a run after its answer was no longer waited for:
    the driver, which saw none, has asked for another. One of them stays, the other goes to MLflow's
    trash.
    """

    def __init__(self, client: MlflowClient, kind: str, key: Callable[[Any], Key]) -> None:
        """Know of no run yet.

        Args:
            client: of the store.
            kind: ``study``, ``trial`` or ``confirm``.
            key: a run's key, from its tags.
        """
        self._client = client
        self._kind = kind
        self._key = key
        self._experiment_id = ""
        self._runs: dict[Key, TrackedRun] = {}

    def __getitem__(self, key: Key) -> TrackedRun:
        return self._runs[key]

    def __contains__(self, key: Key) -> bool:
        return key in self._runs

    def __iter__(self) -> Iterator[tuple[Key, TrackedRun]]:
        return iter(list(self._runs.items()))

    def read(self, experiment_id: str, uid: str) -> None:
        """Take over what the server has of a study, instead of what was known before."""
        self._experiment_id = experiment_id
        ours = {run.run_id for run in self._runs.values()}
        existing: dict[Key, Any] = {}
        for run in find_runs(self._client, experiment_id, uid, self._kind):
            key = self._key(run.data.tags)
            other = existing.setdefault(key, run)
            if other is not run:
                spare, existing[key] = sorted((other, run), key=lambda one: _weight(one, ours))
                self._client.delete_run(spare.info.run_id)
        self._runs = {key: TrackedRun(self._client, run) for key, run in existing.items()}

    def get_or_make(
        self, key: Key, *, name: str, started: int, tags: Mapping[str, str]
    ) -> TrackedRun:
        """The run of a key.

        Args:
            key: of the run.
            name: for people.
            started: milliseconds since 1970.
            tags: of a new run; one that exists keeps its own.
        """
        if key not in self._runs:
            run = self._client.create_run(
                self._experiment_id, start_time=started, tags=dict(tags), run_name=name
            )
            self._runs[key] = TrackedRun(self._client, run)
        return self._runs[key]


def _weight(run: Any, ours: set[str]) -> tuple[bool, int, int, str]:
    """Order of two runs of one key: a run this process writes to, else the one with most in it."""
    epochs = int(run.data.tags.get(EPOCHS_TAG, 0))
    entries = len(run.data.metrics) + len(run.data.params)
    return run.info.run_id in ours, epochs, entries, run.info.run_id


class TrackedRun:
    """What the server has of one run; the only writer of that run."""

    def __init__(self, client: MlflowClient, run: Any) -> None:
        """Take over a run, MLflow's entity."""
        self.run_id: str = run.info.run_id
        self.status: str = run.info.status
        self.started: int = run.info.start_time
        """Start of the run in milliseconds since 1970."""
        self.tags: dict[str, str] = dict(run.data.tags)
        self._client = client
        self._params = set(run.data.params)
        self._latest: dict[str, float] = dict(run.data.metrics)
        self._steps: dict[str, set[int]] = {}
        self._has_dataset = bool(run.inputs and run.inputs.dataset_inputs)

    def add_dataset(self, dataset: Any) -> None:
        """Name the run's data set, once."""
        if not self._has_dataset:
            try:
                self._client.log_inputs(self.run_id, datasets=[dataset])
            except MlflowException as error:
                # Another study of these data has named them in the same moment: now they are known.
                if "unique constraint" not in str(error).lower():
                    raise
                self._client.log_inputs(self.run_id, datasets=[dataset])
            self._has_dataset = True

    def update(
        self,
        *,
        ended: int,
        status: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        metrics: Sequence[Metric] = (),
    ) -> int:
        """Write what differs from the server's state; twice the same writes nothing.

        The time of a point follows from the ledger alone, never from when it is written. So
        a call that is repeated because its answer got lost, and one that the server works off long
        after it was given up, make no second point: to MLflow's database they are the same rows.

        Args:
            ended: milliseconds since 1970, the end of a run that has ended.
            status: ``RUNNING``, ``FINISHED``, ``FAILED`` or ``KILLED``.
            params: written once, as MLflow never changes a parameter.
            tags: replaced where they differ.
            metrics: points of a step > 0 are written once per key and step; what is measured once
                (step 0) is written where the latest value differs.

        Returns:
            Number of metric points that were written.
        """
        new_metrics = [metric for metric in metrics if self._is_new(metric)]
        new_params = {key: value for key, value in params.items() if key not in self._params}
        new_tags = {key: value for key, value in tags.items() if self.tags.get(key) != value}
        self._log(new_metrics, new_params, new_tags)
        self._params |= new_params.keys()
        self.tags |= new_tags
        for metric in new_metrics:
            self._latest[metric.key] = metric.value
            self._steps.setdefault(metric.key, set()).add(metric.step)
        if FAILURE_TAG in self.tags and FAILURE_TAG not in tags:
            self._client.delete_tag(self.run_id, FAILURE_TAG)
            del self.tags[FAILURE_TAG]
        self._set_status(status, ended)
        return len(new_metrics)

    def _is_new(self, metric: Metric) -> bool:
        if metric.step == 0:
            return bool(self._latest.get(metric.key) != metric.value)
        if metric.step <= int(self.tags.get(EPOCHS_TAG, 0)):
            return False
        return metric.step not in self._written_steps(metric.key)

    def _written_steps(self, key: str) -> set[int]:
        if key not in self._steps:
            exists = key in self._latest
            history = self._client.get_metric_history(self.run_id, key) if exists else []
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
        if status == self.status:
            return
        if status == "RUNNING":
            self._client.update_run(self.run_id, status=status)
        else:
            self._client.set_terminated(self.run_id, status=status, end_time=ended)
        self.status = status
