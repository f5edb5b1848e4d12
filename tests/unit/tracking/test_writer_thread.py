"""The writer's thread and a server that is slow, hangs or fails: what it is asked, and when."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from synthetic_study import complete_trial, epoch, ranked_study, study_spec, trial, writer_of

from safr_study.tracking import writer as writer_module
from safr_study.tracking.store import Store
from safr_study.tracking.study_runs import StudyEnd

MANY = 60


class Watched:
    """A client that counts its calls, and runs a step before each of them."""

    def __init__(self, client: MlflowClient, step: Callable[[str, tuple[Any, ...]], None]) -> None:
        self._client = client
        self._step = step
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)

        def call(*arguments: Any, **options: Any) -> Any:
            self.calls[name] += 1
            self._step(name, (*arguments, *options.values()))
            return method(*arguments, **options)

        return call


def watched(store: Store, step: Callable[[str, tuple[Any, ...]], None]) -> tuple[Store, Watched]:
    client = Watched(store.client, step)
    return replace(store, client=client), client


@pytest.fixture(autouse=True)
def _eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "LOOK_SECONDS", 0.01)


def test_a_driver_does_not_wait_and_only_the_newest_record_of_a_trial_is_written(
    store: Store,
) -> None:
    asked, open_again = threading.Event(), threading.Event()

    def block(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "create_run" and "s1 #5 imp=0.02" in arguments:
            asked.set()
            assert open_again.wait(60)

    blocked, client = watched(store, block)
    writer = writer_of(blocked, study_spec())
    writer.start()
    writer.trial_started(trial(5))
    assert asked.wait(60)
    # The server hangs: the driver goes on all the same.
    before = client.calls["log_batch"]
    for number in (2, 1):
        writer.trial_started(trial(number))
        for epochs in (1, 2, 3):
            writer.epoch_ended(trial(number, epochs=epochs), epoch(epochs))
    assert writer.waiting == 3
    open_again.set()
    assert writer.finish() is None
    # One batch for each run, whatever happened in it meanwhile.
    assert client.calls["log_batch"] - before == 3
    for number in (1, 2):
        run = store.client.get_run(writer.runs.trials[number].run_id)
        assert run.data.tags["safr.epochs"] == "3"


def test_a_look_costs_as_much_as_there_are_changes(store: Store) -> None:
    ended = [complete_trial(number, 80.0, 10.0) for number in range(MANY)]
    first = writer_of(store, study_spec())
    first.start(ended)
    assert first.finish() is None
    counted, client = watched(store, lambda *_: None)
    writer = writer_of(counted, study_spec())
    writer.start(ended)
    begun = client.calls.copy()
    writer.trial_started(trial(MANY))
    assert writer.finish() is None
    # The new trial's run is made, gets its data set and one batch; nothing else is asked or sent.
    assert client.calls - begun == {"create_run": 1, "log_inputs": 1, "log_batch": 1}
    assert sum(begun.values()) < 15


def test_a_call_that_hangs_counts_as_not_written(store: Store) -> None:
    asked, open_again = threading.Event(), threading.Event()

    def block(name: str, _arguments: tuple[Any, ...]) -> None:
        if name == "log_inputs" and threading.current_thread().name == "safr-tracking":
            asked.set()
            assert open_again.wait(60)

    blocked, _ = watched(store, block)
    for patience, limit in ((0.05, 60.0), (60.0, 0.05)):
        asked.clear()
        writer = writer_of(blocked, study_spec())
        writer.start()
        writer.trial_started(trial(0))
        assert asked.wait(60)
        said = writer.finish(patience=patience, limit=limit)
        assert said is not None
        assert "1 run could not be brought up to date (it is slow)" in said
    open_again.set()


def test_a_trial_that_always_fails_does_not_keep_the_others_from_being_written(
    store: Store,
) -> None:
    poisoned = "s1 #1 imp=0.00667"

    def fail(name: str, arguments: tuple[Any, ...]) -> None:
        if name == "create_run" and poisoned in arguments:
            raise MlflowException("poisoned")

    failing, _ = watched(store, fail)
    writer = writer_of(failing, study_spec())
    ended = [complete_trial(number, 80.0, 10.0) for number in range(3)]
    writer.start(ended)
    said = writer.finish(StudyEnd(ranked_study(study_spec(), [ended])), patience=1.0)
    assert said is not None
    assert "1 run could not be brought up to date (poisoned)" in said
    assert sorted(writer.runs.run_ids()) == [0, 2]
    assert writer.runs.parent is not None
    ids = (*writer.runs.run_ids().values(), writer.runs.parent.run_id)
    assert {store.client.get_run(run_id).info.status for run_id in ids} == {"FINISHED"}


def test_what_was_noted_is_brought_at_once_when_the_driver_asks(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LOOK_SECONDS", 3600.0)
    writer = writer_of(store, study_spec())
    writer.catch_up()
    writer.start()
    writer.trial_ended(complete_trial(0, 80.0, 10.0))
    writer.catch_up()
    assert writer.waiting == 0
    run = store.client.get_run(writer.runs.run_ids()[0])
    assert run.info.status == "FINISHED"
    assert writer.finish() is None


def test_a_writer_that_is_abandoned_asks_its_server_nothing_more(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_module, "LOOK_SECONDS", 3600.0)
    counted, client = watched(store, lambda *_: None)
    writer = writer_of(counted, study_spec())
    writer.start()
    writer.trial_ended(complete_trial(0, 80.0, 10.0))
    before = client.calls.copy()
    writer.abandon()
    for thread in threading.enumerate():
        if thread.name == "safr-tracking":
            thread.join(60)
            assert not thread.is_alive()
    assert client.calls == before


def test_a_server_that_cannot_be_read_again_after_an_outage_is_told(store: Store) -> None:
    gone = threading.Event()
    lost: list[str] = []

    def lose(name: str, _arguments: tuple[Any, ...]) -> None:
        if name == "set_terminated" and not lost:
            lost.append(name)
            raise MlflowException("Connection reset")
        # All is written: only the last look for runs that came up late is left.
        if name == "search_runs" and gone.is_set():
            raise MlflowException("Connection refused")

    failing, _ = watched(store, lose)
    writer = writer_of(failing, study_spec())
    write_end = writer.runs.write_end

    def last(end: StudyEnd) -> None:
        write_end(end)
        gone.set()

    writer.runs.write_end = last
    ended = complete_trial(0, 80.0, 10.0)
    writer.start([ended])
    said = writer.finish(StudyEnd(ranked_study(study_spec(), [[ended]])), patience=1.0)
    assert said is not None
    assert "(nothing answers there)" in said
