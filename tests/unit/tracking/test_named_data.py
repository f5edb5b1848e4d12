"""A run's data set, where several studies name the same one at once."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mlflow.exceptions import MlflowException

from safr_study.tracking.runs import TrackedRun


class Racing:
    """A server at which another study is quicker once."""

    def __init__(self, *answers: str | None) -> None:
        self.answers = list(answers)

    def log_inputs(self, _run_id: str, *, datasets: list[Any]) -> None:
        assert datasets == ["data"]
        answer = self.answers.pop(0)
        if answer is not None:
            raise MlflowException(answer)


def tracked(client: Racing) -> TrackedRun:
    info = SimpleNamespace(run_id="r", status="RUNNING", start_time=0)
    data = SimpleNamespace(tags={}, params={}, metrics={})
    run: Any = SimpleNamespace(info=info, data=data, inputs=None)
    of_mlflow: Any = client
    return TrackedRun(of_mlflow, run)


def test_who_was_a_moment_later_names_the_same_data() -> None:
    client = Racing('duplicate key value violates unique constraint "dataset_pk"', None)
    run = tracked(client)
    run.add_dataset("data")
    run.add_dataset("data")
    assert client.answers == []


def test_other_faults_are_not_tried_twice() -> None:
    client = Racing("the disk is full", None)
    with pytest.raises(MlflowException, match="disk is full"):
        tracked(client).add_dataset("data")
    assert client.answers == [None]
