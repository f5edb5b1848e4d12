"""A call that the server works off though its answer never comes: written once all the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from synthetic_study import complete_trial, epoch, ranked_study, study_spec, trial, writer_of

from safr_study.errors import ServiceUnreachable
from safr_study.home import Home
from safr_study.render.history import hypervolume_history
from safr_study.tracking import writer as writer_module
from safr_study.tracking.store import Store, open_store
from safr_study.tracking.study_runs import StudyEnd

FAULTS = [
    *(("create_run", late) for late in (False, True)),
    *(("log_batch", late) for late in (False, True)),
    ("set_terminated", True),
    ("log_inputs", False),
    ("log_artifact", False),
    ("log_text", False),
]
TRIALS = 3


class LateServer:
    """A client whose calls are all worked off; of some the answer is lost, of some it comes late.

    A late call is worked off only after the next call of its kind, as a server does that was
    stopped with the request in its queue.
    """

    def __init__(self, client: MlflowClient, name: str, *, late: bool) -> None:
        self._client = client
        self._name = name
        self._late = late
        self._held: list[Callable[[], Any]] = []
        self.lost = 0
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name != self._name:
            return method

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            if self.calls % 2 == 0:
                answer = method(*arguments, **options)
                while self._held:
                    self._held.pop()()
                return answer
            self.lost += 1
            if self._late:
                self._held.append(lambda: method(*arguments, **options))
            else:
                method(*arguments, **options)
            raise MlflowException("API request failed with timeout exception")

        return call


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "LOOK_SECONDS", 0.002)
    monkeypatch.setattr(writer_module, "RETRY_SECONDS", 0.001)


@pytest.mark.parametrize(("call", "late"), FAULTS)
def test_what_is_in_the_store_is_what_would_be_there_had_every_answer_come(
    call: str, late: bool, store: Store, home: Home, tmp_path: Path
) -> None:
    undisturbed = _study(store, "undisturbed", tmp_path)
    server = LateServer(store.client, call, late=late)
    disturbed = _study(replace(store, client=server), "disturbed", tmp_path)
    # One file and one text are written of the study, and much more of its trials.
    least = 1 if call in ("log_artifact", "log_text") else 2
    assert server.lost >= least, "the fault never struck"
    assert disturbed == undisturbed
    # The next start of the same study finds its runs, and nothing to write.
    again = writer_of(open_store(home), study_spec(), "disturbed", runs_now=False)
    again.start(_trials())
    assert again.finish() is None
    assert again.runs.written == 0
    assert _contents(store, "disturbed") == undisturbed


def _trials() -> list[Any]:
    return [
        replace(complete_trial(number, 80.0 - number, 10.0), ended=1_700_000_000.0 + number)
        for number in range(TRIALS)
    ]


def _study(store: Any, uid: str, folder: Path) -> Any:
    front = folder / "front.csv"
    front.write_text("trial")
    writer = writer_of(store, study_spec(), uid)
    # The start is one call after the other, told when it fails: the user repeats the command.
    for _ in range(9):
        with suppress(ServiceUnreachable):
            writer.start()
            break
    ended = _trials()
    for one in ended:
        writer.trial_started(trial(one.number))
        writer.epoch_ended(trial(one.number, epochs=1), epoch(1))
        writer.trial_ended(one)
    result = ranked_study(study_spec(), [ended[:1], ended[1:]], knee=0)
    end = StudyEnd(result, hypervolume_history(result), files=[front])
    assert writer.finish(end) is None
    return _contents(store, uid)


def _contents(store: Any, uid: str) -> Any:
    """Of each run of a study every point as often as it is there, parameters, tags and status."""
    client = store.client
    ids = [experiment.experiment_id for experiment in client.search_experiments()]
    found = {}
    for run in client.search_runs(ids, f"tags.`safr.uid` = '{uid}'"):
        points: Counter[tuple[str, int, float]] = Counter()
        for key in run.data.metrics:
            history = client.get_metric_history(run.info.run_id, key)
            points.update((key, point.step, point.value) for point in history)
        changing = ("mlflow.parentRunId", "safr.uid")
        tags = {key: text for key, text in run.data.tags.items() if key not in changing}
        assert run.info.run_name not in found, "a run is there twice"
        found[run.info.run_name] = (run.info.status, run.data.params, tags, points)
        assert set(points.values()) <= {1}
    assert len(found) == TRIALS + 1
    return found
