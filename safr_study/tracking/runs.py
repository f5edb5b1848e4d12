"""One MLflow run, brought to a wanted state by writing only what it does not have yet."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from safr_study.data import slugify
from safr_study.tracking.entries import (
    EPOCHS_TAG,
    FAILURE_TAG,
    KIND_TAG,
    TRIAL_TAG,
    UID_TAG,
    Measure,
)

_METRICS_PER_CALL = 800
_NAMES_PER_CALL = 100


EXPERIMENT_PREFIX = "safr/"


def experiment_name(dataset: str) -> str:
    """The experiment of a data set: ``safr/sst2``."""
    return EXPERIMENT_PREFIX + slugify(dataset)


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

    def add_dataset(self, dataset: Any) -> None:
        """Name the run's data set, once."""
        if not self._has_dataset:
            self._client.log_inputs(self.run_id, datasets=[dataset])
            self._has_dataset = True

    def update(
        self,
        *,
        now: int,
        status: str,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        measures: Sequence[Measure] = (),
        elapsed: Mapping[int, float] | None = None,
    ) -> None:
        """Write what differs from the server's state; twice the same writes nothing.

        Args:
            now: milliseconds since 1970, the time of what is measured once.
            status: ``RUNNING``, ``FINISHED``, ``FAILED`` or ``KILLED``.
            params: written once, as MLflow never changes a parameter.
            tags: replaced where they differ.
            measures: of an epoch (step > 0): written once per key and step; measured once
                (step 0): written where the latest value differs.
            elapsed: seconds from the start to the end of each epoch. An epoch's time follows from
                it and the run's start, so that writing it again, after an answer that got lost,
                makes no second point in MLflow's database.
        """
        spent = elapsed or {}
        metrics = [
            Metric(m.key, m.value, self._started + round(1000 * spent[m.step]), m.step)
            if m.step
            else Metric(m.key, m.value, now, 0)
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
        if FAILURE_TAG in self._tags and FAILURE_TAG not in tags:
            self._client.delete_tag(self.run_id, FAILURE_TAG)
            del self._tags[FAILURE_TAG]
        self._set_status(status, now)

    def _is_new(self, measure: Measure) -> bool:
        if measure.step == 0:
            return self._latest.get(measure.key) != measure.value
        if measure.step <= int(self._tags.get(EPOCHS_TAG, 0)):
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

    def _set_status(self, status: str, now: int) -> None:
        if status == self._status:
            return
        if status == "RUNNING":
            self._client.update_run(self.run_id, status=status)
        else:
            self._client.set_terminated(self.run_id, status=status, end_time=now)
        self._status = status
