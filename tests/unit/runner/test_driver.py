"""A source as Ray Tune asks it, without Ray's loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from ray.tune.search import Searcher
from run_results import run_result
from stored_study import epoch

from safr_study.errors import BadInput, LockLost, ServiceUnreachable, StudyIncomplete
from safr_study.ledger.driver_lock import Lease
from safr_study.records import EpochReport, Replicate
from safr_study.records.run import RunResult, Spent
from safr_study.runner import driver
from safr_study.runner.driver import SourceSearcher
from safr_study.runner.source import FixedSource
from safr_study.runner.task import NODE, RunTask, SharedFault, event, replicate_event
from safr_study.runner.worker import train_run
from safr_study.sampling.asha import Decision
from safr_study.settings import CorpusSpec, EvaluationConfig, Objective, TrainConfig

DONE = run_result(Replicate(0, (80.5, 20.5)))


class Lock:
    """A lock that can be lost."""

    held = True

    def still_held(self) -> bool:
        return self.held


class Pruning(FixedSource):
    """A source that stops every run after its second epoch."""

    def on_epoch(
        self, _task: RunTask, report: EpochReport, _spent: Spent | None = None
    ) -> Decision:
        return Decision.PRUNE if report.epoch == 2 else Decision.CONTINUE


def task(number: int) -> RunTask:
    return RunTask(
        number=number,
        train=TrainConfig(seed=7),
        corpus=CorpusSpec(dataset="planted"),
        evaluation=EvaluationConfig(),
        objectives=(Objective(name="accuracy"),),
        folder=f"/nowhere/{number}",
        gpus=0.0,
    )


class Runs:
    """A searcher over so many runs, and what its store was given."""

    def __init__(self, count: int = 2, kind: type[FixedSource] = FixedSource) -> None:
        self.stored: list[tuple[int, RunResult]] = []
        self.lock = Lock()
        self.source = self._source(kind, count)
        self.searcher = SourceSearcher(self.source, Lease("", self.lock.still_held))

    def _source(self, kind: type[FixedSource], count: int) -> FixedSource:
        return kind(
            [task(number) for number in range(count)],
            lambda given, result, _: self.stored.append((given.number, result)),
            title="the confirmation of study 's'",
            results="the ledger",
            work=train_run,
        )

    def begin(self, names: Sequence[str]) -> list[RunTask]:
        return [RunTask.from_config(self.searcher.suggest(name)) for name in names]


def test_runs_begin_in_their_order_and_end_in_the_store() -> None:
    runs = Runs()
    assert [one.number for one in runs.begin("ab")] == [0, 1]
    assert not runs.searcher.stops("b", event(epoch(1)))
    assert not runs.searcher.stops("b", replicate_event(3, epoch(1)))
    assert not runs.searcher.stops("b", {NODE: "where it runs"})
    runs.searcher.stops("b", event(DONE))
    runs.searcher.on_trial_complete("b", result={})
    assert runs.stored == [(1, DONE)]


def test_the_end_of_a_run_is_kept_once() -> None:
    runs = Runs()
    runs.begin("a")
    runs.searcher.stops("a", event(DONE))
    runs.searcher.stops("a", event(DONE))
    runs.searcher.on_trial_complete("a", error=True)
    assert runs.stored == [(0, DONE)]


def test_no_end_is_told_while_a_run_may_have_to_be_done_again() -> None:
    runs = Runs()
    runs.begin("ab")
    for name in "ab":
        assert runs.searcher.suggest("c") is None
        runs.searcher.stops(name, event(DONE))
    assert runs.searcher.suggest("c") == Searcher.FINISHED


def test_a_run_whose_worker_died_is_done_again_before_any_other_and_fails_at_the_second() -> None:
    runs = Runs(count=3)
    first, _ = runs.begin("ab")
    runs.searcher.on_trial_complete("a", error=True)
    assert runs.stored == []
    assert runs.begin("c") == [first]
    runs.searcher.on_trial_complete("c", error=True)
    ((number, result),) = runs.stored
    assert (number, result.key) == (0, (0, 7))
    assert "its worker process died twice" in (result.failure or "")
    assert "--max-concurrent" in (result.failure or "")
    assert [one.number for one in runs.begin("d")] == [2]


def test_a_run_that_was_stopped_stays_unfinished() -> None:
    runs = Runs()
    runs.begin("a")
    runs.searcher.on_trial_complete("a")
    assert runs.stored == []
    assert [one.number for one in runs.begin("b")] == [1]


def test_a_lost_node_is_not_held_against_its_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [{"NodeID": "lost", "Alive": False}, {"NodeID": "there", "Alive": True}]
    monkeypatch.setattr(driver.ray, "nodes", lambda: nodes)
    runs = Runs(count=1)
    for name, node in (("a", "lost"), ("b", "there"), ("c", "lost"), ("d", "there")):
        assert runs.stored == []
        runs.begin(name)
        runs.searcher.stops(name, {NODE: node})
        runs.searcher.on_trial_complete(name, error=True)
    assert [number for number, _ in runs.stored] == [0]


def test_a_pruned_run_has_ended_for_good() -> None:
    runs = Runs(kind=Pruning)
    runs.begin("a")
    assert [runs.searcher.stops("a", event(epoch(n))) for n in (1, 2)] == [False, True]
    runs.searcher.stops("a", event(DONE))
    runs.searcher.on_trial_complete("a", error=True)
    assert runs.stored == []


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (SharedFault("no room"), StudyIncomplete),
        (SharedFault("no store", True), ServiceUnreachable),
    ],
)
def test_a_fault_that_all_share_ends_them_and_fails_none(
    fault: SharedFault, kind: type[Exception]
) -> None:
    runs = Runs()
    runs.begin("a")
    with pytest.raises(kind, match="the confirmation of study 's' cannot go on: no "):
        runs.searcher.stops("a", event(fault))
    assert isinstance(runs.searcher.fault, kind)
    assert runs.stored == []


def test_a_wrong_input_that_a_worker_finds_is_told_as_one() -> None:
    runs = Runs()
    runs.begin("a")
    with pytest.raises(BadInput, match=r"^dataset: its test texts are too short") as told:
        runs.searcher.stops(
            "a", event(SharedFault("its test texts are too short", bad_input="dataset"))
        )
    assert told.value.exit_code == 2
    assert runs.stored == []


def test_a_source_counts_what_is_left() -> None:
    runs = Runs(count=3)
    runs.begin("ab")
    assert (runs.source.left, runs.searcher.ended) == (3, 0)
    runs.searcher.stops("a", event(DONE))
    runs.searcher.on_trial_complete("b", error=True)
    assert (runs.source.left, runs.searcher.ended) == (2, 1)
    runs.begin("c")
    runs.searcher.on_trial_complete("c", error=True)
    assert (runs.source.left, runs.searcher.ended) == (1, 2)
    assert runs.source.seconds_left >= 0


@pytest.mark.parametrize("call", ["suggest", "epoch", "end", "death"])
def test_without_the_lock_nothing_more_is_asked_or_written(call: str) -> None:
    runs = Runs()
    runs.begin("a")
    runs.searcher.on_trial_complete("a", error=True)
    runs.begin("a")
    runs.lock.held = False
    calls: dict[str, Any] = {
        "suggest": lambda: runs.searcher.suggest("b"),
        "epoch": lambda: runs.searcher.stops("a", event(epoch(1))),
        "end": lambda: runs.searcher.stops("a", event(DONE)),
        "death": lambda: runs.searcher.on_trial_complete("a", error=True),
    }
    with pytest.raises(LockLost, match="the lock of the confirmation of study 's' was lost"):
        calls[call]()
    assert runs.stored == []
    assert isinstance(runs.searcher.fault, LockLost)


class Pausing(FixedSource):
    """A source that pauses its run after the second epoch and hands it out again."""

    def on_epoch(self, task: RunTask, report: EpochReport, _spent: Spent | None = None) -> Decision:
        if report.epoch != 2:
            return Decision.CONTINUE
        self._waiting.append(task)
        return Decision.PAUSE


def test_a_run_that_is_paused_is_stopped_has_not_ended_and_comes_again() -> None:
    runs = Runs(1, Pausing)
    (first,) = runs.begin(["a"])
    searcher = runs.searcher
    # There is nothing else to do meanwhile.
    assert searcher.suggest("b") is None
    assert not searcher.stops("a", event(epoch(1)))
    assert searcher.stops("a", event(epoch(2)))
    searcher.on_trial_complete("a", {})
    assert searcher.ended == 0
    assert runs.begin(["c"]) == [first]
    searcher.stops("c", event(DONE))
    assert searcher.ended == 1
    assert runs.stored == [(0, DONE)]
    assert searcher.suggest("d") == Searcher.FINISHED
