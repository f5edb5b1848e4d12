"""A search's source of runs against a real ledger, without any worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from plain_scores import a_deletion, changed, made_scores
from run_results import run_result

from safr_study.errors import TrialFailure
from safr_study.home import Home, open_home
from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.ledger.storage import open_storage
from safr_study.records import (
    EpochReport,
    LossTerms,
    Replicate,
    TrialRecord,
    TrialState,
)
from safr_study.records.run import Attempt, RunResult, Spent
from safr_study.runner.source import SearchSource
from safr_study.runner.task import RunTask
from safr_study.runner.worker import objective_values
from safr_study.sampling.asha import Decision
from safr_study.sampling.rules import FIRST, RULES
from safr_study.settings import CorpusSpec, StudySpec, Wanted, wanted
from safr_study.settings.space_files import find_space

EPOCH = EpochReport(1, LossTerms(0.7, 0.7, None, None), 61.0, 0.65, 0.5, 16.0, True, 1.5)
SCORES = made_scores("dev", 200, 80.5, 2.8, 50.0, 0.4, (a_deletion(0.3, 0.29, 60.0, 20.5, 3.0),))
DONE = run_result(Replicate(0, (80.5, 20.5)), scores=SCORES, epochs=1)


class Watcher:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def trial_started(self, trial: TrialRecord) -> None:
        self.told.append(("started", trial.number))

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        self.told.append((f"epoch {report.epoch}", trial.number))

    def trial_paused(self, trial: TrialRecord) -> None:
        self.told.append((f"paused at {trial.paused_at}", trial.number))

    def trial_ended(self, trial: TrialRecord) -> None:
        self.told.append((trial.state.value, trial.number))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def spec(trials: int = 3, **changes: Any) -> StudySpec:
    given = {"name": "s", "corpus": CorpusSpec(dataset="planted"), "space": find_space("lambda")}
    return StudySpec.model_validate({**given, "trials": trials, "sampler": "random", **changes})


def ledger(home: Home, rules: int = RULES) -> Ledger:
    storage = open_storage(home, None, "s", create=True)
    assert storage is not None
    facts = StudyFacts("f" * 64, "planted", (50.0, 0.0), {})
    return Ledger.load(storage, "s") or Ledger.create(storage, spec(), facts, rules=rules)


def source_of(home: Home, study: StudySpec, watcher: Watcher | None = None) -> SearchSource:
    return SearchSource(
        ledger(home),
        study,
        checkpoints=str(home.checkpoints("s")),
        gpus_per_trial=0.0,
        observers=[watcher] if watcher else [],
    )


def begun(source: SearchSource) -> RunTask:
    """The next trial, which there is."""
    task = source.next()
    assert task is not None
    return task


def failed(sentence: str) -> RunResult:
    return RunResult(0, 0, failure=sentence)


def test_a_study_from_the_first_trial_to_the_end(home: Home) -> None:
    watcher = Watcher()
    source = source_of(home, spec(), watcher)
    assert source.remaining == 3
    for _ in range(3):
        task = begun(source)
        assert source.on_epoch(task, EPOCH) is Decision.CONTINUE
        source.on_end(task, DONE)
        assert task.folder.endswith(f"{task.number:05d}")
    assert source.next() is None
    trials = ledger(home).trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert [trial.values for trial in trials] == [(80.5, 20.5)] * 3
    assert watcher.told[:3] == [("started", 0), ("epoch 1", 0), ("complete", 0)]


def test_an_epoch_told_again_without_its_system_metrics_keeps_them(home: Home) -> None:
    watcher = Watcher()
    source = source_of(home, spec(system_metrics=True), watcher)
    task = begun(source)
    assert task.system_metrics
    watched = replace(EPOCH, system={"cpu_utilization_percentage": 12.5})
    source.on_epoch(task, watched)
    source.on_epoch(task, EPOCH)
    assert ledger(home).trial(0).epochs == (watched,)
    assert watcher.told.count(("epoch 1", 0)) == 1


def test_the_tasks_settings_are_the_trials(home: Home) -> None:
    source = source_of(home, spec())
    baseline, _, third = (begun(source) for _ in range(3))
    assert not baseline.train.shape.vmask
    assert baseline.train.penalties.lambda_imp is None
    drawn = ledger(home).trial(2)
    assert third.train.penalties.lambda_imp == drawn.parameters["lambda_imp"]


def test_trials_of_a_dead_driver_come_first_under_their_numbers(home: Home) -> None:
    first = source_of(home, spec())
    tasks = [begun(first), begun(first)]
    first.on_end(tasks[0], DONE)
    source = source_of(home, spec())
    assert source.remaining == 2
    assert [begun(source).number for _ in range(2)] == [1, 2]
    assert source.next() is None


def test_an_epoch_that_was_saved_but_not_heard_of_is_not_lost(home: Home) -> None:
    source = source_of(home, spec())
    task = begun(source)
    second = replace(EPOCH, epoch=2, dev_accuracy=70.0)
    source.on_epoch(task, second)
    # A worker that resumes tells all that it has saved, also where nothing is left to train.
    for told in (EPOCH, second):
        source.on_epoch(task, told)
    source.on_end(task, DONE)
    assert ledger(home).trial(0).epochs == (EPOCH, second)


@pytest.mark.parametrize(
    ("result", "words"),
    [
        (failed("the loss left the reals"), "left the reals"),
        (replace(DONE, dev=None), "without scores"),
        (replace(DONE, replicates=(Replicate(0, (float("nan"), 20.5)),)), "not all finite"),
    ],
)
def test_a_failure_is_a_sentence_and_the_study_goes_on(
    home: Home, result: RunResult, words: str
) -> None:
    watcher = Watcher()
    source = source_of(home, spec(), watcher)
    source.on_end(begun(source), result)
    trial = ledger(home).trial(0)
    assert trial.state is TrialState.FAILED
    assert trial.values is None
    assert trial.failure is not None
    assert words in trial.failure
    assert watcher.told[-1] == ("failed", 0)
    assert source.next() is not None


def test_objectives_decide_what_is_measured_and_in_which_order() -> None:
    study = spec(objectives=[{"name": "srs@30"}, {"name": "accuracy"}, {"name": "srs@5"}])
    assert wanted(o.name for o in study.objectives) == Wanted(shares=(0.05, 0.3))
    both = changed(
        SCORES,
        deletions=[
            a_deletion(0.05, 0.05, 78.0, 2.5, 1.0),
            a_deletion(0.3, 0.29, 60.0, 20.5, 3.0),
        ],
    )
    assert objective_values(study.objectives, both) == (20.5, 80.5, 2.5)


def test_an_objective_without_a_value_fails_its_trial_with_a_sentence() -> None:
    study = spec(objectives=[{"name": "accuracy"}, {"name": "contrast@30"}])
    with pytest.raises(TrialFailure, match=r"contrast\(30\) has no value"):
        objective_values(study.objectives, SCORES)


def judged_spec(**changes: Any) -> StudySpec:
    """Trials that are judged at epoch 2 of 6, once another is there; none runs on by lot."""
    space = find_space("lambda").model_copy(update={"baselines": ()})
    scheduler = {"first_rung": 2, "min_peers": 1, "margin": 1.0, "run_on": 0.0}
    given = {"space": space, "train": {"epochs": 6}, "scheduler": scheduler}
    return spec(**{**given, **changes})


def at_rung(accuracy: float, srs: float, epoch: int = 2) -> EpochReport:
    return replace(EPOCH, epoch=epoch, objectives=(accuracy, srs))


def begin(
    home: Home, study: StudySpec, watcher: Watcher | None = None
) -> tuple[SearchSource, RunTask]:
    """A source whose first trial is good at the rung, and its second trial, begun."""
    source = source_of(home, study, watcher)
    good, second = begun(source), begun(source)
    assert source.on_epoch(good, at_rung(80.0, 20.0)) is Decision.CONTINUE
    return source, second


def test_a_trial_that_another_beats_is_stopped_at_a_rung(home: Home) -> None:
    watcher, study = Watcher(), judged_spec()
    source, second = begin(home, study, watcher)
    folder = home.checkpoints("s") / "00001" / "state"
    folder.mkdir(parents=True)
    assert source.on_epoch(second, EPOCH) is Decision.CONTINUE
    assert source.on_epoch(second, at_rung(60.0, 5.0)) is Decision.PRUNE
    stopped = ledger(home).trial(1)
    assert stopped.state is TrialState.PRUNED
    assert (stopped.stopped_at, stopped.control, stopped.values) == (2, False, None)
    assert stopped.epochs[-1].objectives == (60.0, 5.0)
    assert watcher.told[-1] == ("pruned", 1)
    assert not folder.parent.exists()
    # It counts: one of three is left beside the running one.
    assert source_of(home, study).remaining == 2


@pytest.mark.parametrize(
    ("values", "why"),
    [((60.0, 25.0), "better in one"), ((79.5, 19.5), "inside the margin")],
)
def test_a_trial_that_none_beats_goes_on(home: Home, values: tuple[float, float], why: str) -> None:
    source, second = begin(home, judged_spec())
    assert source.on_epoch(second, at_rung(*values)) is Decision.CONTINUE, why
    assert ledger(home).trial(1).state is TrialState.RUNNING


def test_without_a_scheduler_nothing_is_measured_or_stopped(home: Home) -> None:
    study = judged_spec(scheduler={"name": "none"})
    assert begun(source_of(home, study)).rungs == ()


def test_a_baseline_is_never_stopped(home: Home) -> None:
    source, second = begin(home, judged_spec(space=find_space("lambda")))
    assert source.on_epoch(second, at_rung(60.0, 5.0)) is Decision.CONTINUE


@pytest.mark.parametrize("rules", [FIRST, RULES])
def test_a_run_on_that_reaches_its_end_is_complete_but_in_a_study_that_began_before(
    home: Home, rules: int
) -> None:
    study = judged_spec(scheduler={**judged_spec().scheduler.model_dump(), "run_on": 1.0})
    ledger(home, rules=rules)
    source, second = begin(home, study)
    assert second.rung_texts == (400 if rules == FIRST else None)
    assert source.on_epoch(second, at_rung(60.0, 5.0)) is Decision.CONTINUE
    flagged = ledger(home).trial(1)
    assert (flagged.state, flagged.control, flagged.stopped_at) == (TrialState.RUNNING, True, 2)
    source.on_end(second, DONE)
    ended = ledger(home).trial(1)
    assert (ended.control, ended.stopped_at, ended.checkpoint) == (True, 2, DONE.checkpoint)
    told = ledger(home).study.trials[1].values
    if rules == FIRST:
        assert (ended.state, ended.values, told) == (TrialState.PRUNED, None, None)
        assert ended.control_values == (80.5, 20.5)
    else:
        assert (ended.state, ended.control_values) == (TrialState.COMPLETE, None)
        assert ended.values == tuple(told) == (80.5, 20.5)


def test_a_trial_that_was_stopped_or_failed_has_its_seconds_and_its_device(home: Home) -> None:
    source, second = begin(home, judged_spec())
    spent = Spent(31.5, "cuda", "node-7")
    assert source.on_epoch(second, at_rung(60.0, 5.0), spent) is Decision.PRUNE
    stopped = ledger(home).trial(1)
    assert (stopped.seconds, stopped.device, stopped.node) == (31.5, "cuda", "node-7")
    third = begun(source)
    source.on_epoch(third, EPOCH)
    source.on_end(third, RunResult(third.number, 0, failure="the loss is no number"))
    # Nothing was said of it but its epoch.
    failed = ledger(home).trial(2)
    assert (failed.seconds, failed.device) == (EPOCH.seconds, None)


def test_what_each_worker_took_is_kept_and_work_done_again_is_told_apart(home: Home) -> None:
    source = source_of(home, spec())
    task = begun(source)
    source.on_epoch(task, EPOCH, Spent(10.0, "cpu"))
    source.on_epoch(task, replace(EPOCH, epoch=2), Spent(20.0, "cpu", joules=5.0))
    source.on_lost(task, 3.0)
    # Another worker tells what is known, trains the second epoch again, and goes on.
    source.on_epoch(task, EPOCH, Spent(1.0, "cpu"))
    again = replace(EPOCH, epoch=2, seconds=1.75)
    source.on_epoch(task, again, Spent(4.0, "cpu"))
    assert ledger(home).trial(0).lost_seconds == 3.0 + EPOCH.seconds
    # A driver that is started anew counts on.
    later = source_of(home, spec())
    same = begun(later)
    assert same.number == task.number
    later.on_epoch(same, replace(EPOCH, epoch=3), Spent(6.0, "cpu"))
    later.on_end(same, DONE, Spent(9.0, "cpu", joules=2.0))
    ended = ledger(home).trial(0)
    assert ended.attempts == (
        # The second epoch of the first worker is in what was lost.
        Attempt(0, 10.0, 1.0, 0.0),
        Attempt(1, 4.0, 1.0, 0.0),
        Attempt(2, 9.0, 1.0, 0.0, 2.0),
    )
    assert [report.seconds for report in ended.epochs] == [EPOCH.seconds, 1.75, EPOCH.seconds]


def test_a_rung_that_was_reached_when_the_driver_died_is_judged_at_the_next_start(
    home: Home,
) -> None:
    study = judged_spec()
    begin(home, study)
    dead = ledger(home)
    dead.record_epoch(1, replace(EPOCH, epoch=2, objectives=(60.0, 5.0)))
    watcher = Watcher()
    source = source_of(home, study, watcher)
    assert [begun(source).number for _ in range(2)] == [0, 2]
    assert ledger(home).trial(1).state is TrialState.PRUNED
    # The verdict on trial 0 was written: it is not judged again.
    assert watcher.told == [("started", 0), ("pruned", 1), ("started", 2)]


def test_no_trial_begins_beyond_the_budget_of_epochs(home: Home) -> None:
    study = spec(epoch_budget=2)
    source = source_of(home, study)
    source.on_epoch(begun(source), EPOCH)
    source.on_epoch(begun(source), EPOCH)
    assert source.next() is None
    # What was begun is resumed.
    assert source_of(home, study).next() is not None


def test_the_objectives_of_several_seeds_are_their_means(home: Home) -> None:
    source = source_of(home, spec(seeds_per_trial=3))
    task = begun(source)
    assert task.more_seeds == (1, 2)
    seeds = tuple(Replicate(seed, (80.0 + seed, 20.0)) for seed in range(3))
    source.on_epoch(task, EPOCH)
    source.on_end(task, replace(DONE, replicates=seeds))
    trial = ledger(home).trial(0)
    assert trial.values == (81.0, 20.0)
    assert trial.replicates == seeds
    assert len(trial.epochs) == 1


def test_a_paused_trial_keeps_its_files_and_goes_on_by_another_worker(home: Home) -> None:
    watcher = Watcher()
    study = spec(scheduler={"name": "freeze-thaw"}, train={"epochs": 4})
    source = source_of(home, study, watcher)
    for _ in range(2):
        source.on_end(begun(source), DONE)
    task = begun(source)
    state = Path(task.folder) / "state"
    state.mkdir(parents=True)
    at_rung = replace(EPOCH, epoch=2, objectives=(95.0, 45.0))
    assert source.on_epoch(task, EPOCH, Spent(3.0, "cpu")) is Decision.CONTINUE
    assert source.on_epoch(task, at_rung, Spent(6.0, "cpu")) is Decision.PAUSE
    paused = ledger(home).trial(2)
    assert (paused.state, paused.paused_at) == (TrialState.RUNNING, 2)
    assert watcher.told[-1] == ("paused at 2", 2)
    assert state.is_dir()
    # A driver that begins now chooses it too; its worker tells of the old epochs first.
    source = source_of(home, study, watcher)
    assert source.remaining == 1
    assert begun(source) == task
    assert ledger(home).trial(2).paused_at is None
    assert source.on_epoch(task, at_rung, Spent(1.0, "cpu")) is Decision.CONTINUE
    source.on_epoch(task, replace(EPOCH, epoch=3), Spent(7.0, "cpu"))
    source.on_end(task, DONE, Spent(8.0, "cpu"))
    ended = ledger(home).trial(2)
    assert ended.state is TrialState.COMPLETE
    assert [one.seconds for one in ended.attempts] == [6.0, 8.0]
    assert source.next() is None


def test_what_is_paused_when_freeze_thaw_ends_is_stopped_there(home: Home) -> None:
    study = spec(5, scheduler={"name": "freeze-thaw"}, train={"epochs": 4})
    source = source_of(home, study)
    for _ in range(2):
        source.on_end(begun(source), DONE)
    rungs = []
    while (task := source.next()) is not None:
        # The second one drawn is far better than the others.
        values = (95.0, 45.0) if task.number == 3 else (51.0, 1.0)
        rungs.append(task.number)
        report = replace(EPOCH, epoch=2, objectives=values)
        if source.on_epoch(task, report) is Decision.CONTINUE:
            source.on_end(task, DONE)
    states = {trial.number: trial for trial in ledger(home).trials()}
    assert states[3].state is TrialState.COMPLETE
    stopped = [trial for trial in states.values() if trial.state is TrialState.PRUNED]
    assert all(trial.stopped_at == 2 for trial in stopped)
    assert {trial.state for trial in states.values()} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert rungs.count(3) == 2
