"""The searcher against a real ledger, with the events of workers that are not there."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from safr_study.errors import TrialFailure
from safr_study.home import Home, open_home
from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.ledger.storage import open_storage
from safr_study.records import (
    CheckpointRef,
    DeletionScores,
    EpochReport,
    LossTerms,
    Replicate,
    Scores,
    TrialRecord,
    TrialState,
)
from safr_study.runner.search_source import LedgerSearcher
from safr_study.runner.task import (
    EVENT,
    Finished,
    TrialTask,
    epoch_event,
    finished_event,
    read_event,
    replicate_event,
)
from safr_study.runner.worker import objective_values
from safr_study.settings import CorpusSpec, StudySpec, Wanted, wanted
from safr_study.settings.space_files import find_space

EPOCH = EpochReport(1, LossTerms(0.7, 0.7, None, None), 61.0, 0.65, 0.5, 16.0, True, 1.5)
SCORES = Scores("dev", 200, 80.5, 2.8, 50.0, 0.4, (DeletionScores(0.3, 0.29, 60.0, 20.5, 3.0),))
FINISHED = Finished(
    replicates=(Replicate(0, (80.5, 20.5)),),
    scores=SCORES,
    checkpoint=CheckpointRef("/somewhere", "a" * 64, 1),
    seconds=9.0,
    device="cpu",
    epochs=(EPOCH,),
)


class Watcher:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []

    def trial_started(self, trial: TrialRecord) -> None:
        self.told.append(("started", trial.number))

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        self.told.append((f"epoch {report.epoch}", trial.number))

    def trial_ended(self, trial: TrialRecord) -> None:
        self.told.append((trial.state.value, trial.number))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def spec(trials: int = 3, **changes: Any) -> StudySpec:
    given = {"name": "s", "corpus": CorpusSpec(dataset="planted"), "space": find_space("lambda")}
    return StudySpec.model_validate({**given, "trials": trials, "sampler": "random", **changes})


def ledger(home: Home) -> Ledger:
    storage = open_storage(home, None, "s", create=True)
    assert storage is not None
    facts = StudyFacts("f" * 64, "planted", (50.0, 0.0), {})
    return Ledger.load(storage, "s") or Ledger.create(storage, spec(), facts)


def searcher(home: Home, study: StudySpec, watcher: Watcher | None = None) -> LedgerSearcher:
    return LedgerSearcher(
        ledger(home),
        study,
        checkpoints=str(home.checkpoints("s")),
        gpus_per_trial=0.0,
        observers=[watcher] if watcher else [],
    )


def test_a_study_from_the_first_trial_to_the_end(home: Home) -> None:
    watcher = Watcher()
    search = searcher(home, spec(), watcher)
    assert search.remaining == 3
    for name in ("a", "b", "c"):
        task = TrialTask.from_config(search.suggest(name))
        search.stops(name, epoch_event(EPOCH))
        search.stops(name, finished_event(FINISHED))
        search.on_trial_complete(name, result={})
        assert task.folder.endswith(f"{task.number:05d}")
    assert search.suggest("d") == Searcher.FINISHED
    trials = ledger(home).trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert [trial.values for trial in trials] == [(80.5, 20.5)] * 3
    assert watcher.told[:3] == [("started", 0), ("epoch 1", 0), ("complete", 0)]


def test_an_epoch_told_again_without_its_system_metrics_keeps_them(home: Home) -> None:
    watcher = Watcher()
    search = searcher(home, spec(system_metrics=True), watcher)
    assert TrialTask.from_config(search.suggest("a")).system_metrics
    watched = replace(EPOCH, system={"cpu_utilization_percentage": 12.5})
    search.stops("a", epoch_event(watched))
    search.stops("a", epoch_event(EPOCH))
    assert ledger(home).trial(0).epochs == (watched,)
    assert watcher.told.count(("epoch 1", 0)) == 1


def test_the_tasks_settings_are_the_trials(home: Home) -> None:
    search = searcher(home, spec())
    baseline, _, third = (TrialTask.from_config(search.suggest(name)) for name in "abc")
    assert not baseline.train.shape.vmask
    assert baseline.train.penalties.lambda_imp is None
    drawn = ledger(home).trial(2)
    assert third.train.penalties.lambda_imp == drawn.parameters["lambda_imp"]


def test_trials_of_a_dead_driver_come_first_under_their_numbers(home: Home) -> None:
    first = searcher(home, spec())
    for name in "ab":
        first.suggest(name)
    first.stops("a", finished_event(FINISHED))
    search = searcher(home, spec())
    assert search.remaining == 2
    numbers = [TrialTask.from_config(search.suggest(name)).number for name in "cd"]
    assert numbers == [1, 2]
    assert search.suggest("e") == Searcher.FINISHED


def test_an_epoch_that_was_saved_but_not_reported_is_not_lost(home: Home) -> None:
    search = searcher(home, spec())
    search.suggest("a")
    second = replace(EPOCH, epoch=2, dev_accuracy=70.0)
    search.stops("a", epoch_event(second))
    search.stops("a", finished_event(replace(FINISHED, epochs=(EPOCH, second))))
    assert ledger(home).trial(0).epochs == (EPOCH, second)


@pytest.mark.parametrize(
    ("finished", "words"),
    [
        (Finished(failure="the loss left the reals"), "left the reals"),
        (replace(FINISHED, scores=None), "without scores"),
        (
            replace(FINISHED, replicates=(Replicate(0, (float("nan"), 20.5)),)),
            "not all finite",
        ),
    ],
)
def test_a_failure_is_a_sentence_and_the_study_goes_on(
    home: Home, finished: Finished, words: str
) -> None:
    watcher = Watcher()
    search = searcher(home, spec(), watcher)
    search.suggest("a")
    search.stops("a", finished_event(finished))
    trial = ledger(home).trial(0)
    assert trial.state is TrialState.FAILED
    assert trial.values is None
    assert trial.failure is not None
    assert words in trial.failure
    assert watcher.told[-1] == ("failed", 0)
    assert search.suggest("b") != Searcher.FINISHED


def test_a_worker_that_died_fails_its_trial_and_one_that_was_stopped_does_not(home: Home) -> None:
    search = searcher(home, spec())
    search.suggest("a")
    search.suggest("b")
    search.on_trial_complete("a", error=True)
    search.on_trial_complete("b")
    died, stopped = ledger(home).trials()
    assert died.state is TrialState.FAILED
    assert died.failure is not None
    assert "worker process died" in died.failure
    assert stopped.state is TrialState.RUNNING


def test_the_end_of_a_finished_trial_is_told_once(home: Home) -> None:
    watcher = Watcher()
    search = searcher(home, spec(), watcher)
    search.suggest("a")
    search.stops("a", finished_event(FINISHED))
    search.stops("a", finished_event(FINISHED))
    search.on_trial_complete("a", error=True)
    assert watcher.told == [("started", 0), ("complete", 0)]


def test_a_finished_trial_survives_json() -> None:
    assert read_event(finished_event(FINISHED)[EVENT]) == FINISHED
    assert read_event(epoch_event(EPOCH)[EVENT]) == EPOCH
    at_rung = replace(EPOCH, objectives=(61.0, 3.5))
    assert read_event(epoch_event(at_rung)[EVENT]) == at_rung
    assert read_event(replicate_event(1, EPOCH)[EVENT]) is None


def test_objectives_decide_what_is_measured_and_in_which_order() -> None:
    study = spec(objectives=[{"name": "srs@30"}, {"name": "accuracy"}, {"name": "srs@5"}])
    assert wanted(o.name for o in study.objectives) == Wanted(shares=(0.05, 0.3))
    both = replace(
        SCORES, deletions=(DeletionScores(0.05, 0.05, 78.0, 2.5, 1.0), *SCORES.deletions)
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


def at_rung(accuracy: float, srs: float, epoch: int = 2) -> dict[str, str]:
    return epoch_event(replace(EPOCH, epoch=epoch, objectives=(accuracy, srs)))


def begin(home: Home, study: StudySpec, watcher: Watcher | None = None) -> LedgerSearcher:
    """A searcher whose trial a is good at the rung, with trial b begun."""
    search = searcher(home, study, watcher)
    for name in "ab":
        search.suggest(name)
    assert not search.stops("a", at_rung(80.0, 20.0))
    return search


def test_a_trial_that_another_beats_is_stopped_at_a_rung(home: Home) -> None:
    watcher, study = Watcher(), judged_spec()
    search = begin(home, study, watcher)
    folder = home.checkpoints("s") / "00001" / "state"
    folder.mkdir(parents=True)
    assert not search.stops("b", epoch_event(EPOCH))
    assert search.stops("b", at_rung(60.0, 5.0))
    stopped = ledger(home).trial(1)
    assert stopped.state is TrialState.PRUNED
    assert (stopped.stopped_at, stopped.control, stopped.values) == (2, False, None)
    assert stopped.epochs[-1].objectives == (60.0, 5.0)
    assert watcher.told[-1] == ("pruned", 1)
    assert not folder.parent.exists()
    # It counts: one of three is left beside the running one.
    assert searcher(home, study).remaining == 2


@pytest.mark.parametrize(
    ("values", "why"),
    [((60.0, 25.0), "better in one"), ((79.5, 19.5), "inside the margin")],
)
def test_a_trial_that_none_beats_goes_on(home: Home, values: tuple[float, float], why: str) -> None:
    search = begin(home, judged_spec())
    assert not search.stops("b", at_rung(*values)), why
    assert ledger(home).trial(1).state is TrialState.RUNNING


def test_without_a_scheduler_nothing_is_measured_or_stopped(home: Home) -> None:
    study = judged_spec(scheduler={"name": "none"})
    search = searcher(home, study)
    assert TrialTask.from_config(search.suggest("a")).rungs == ()


def test_a_baseline_is_never_stopped(home: Home) -> None:
    search = begin(home, judged_spec(space=find_space("lambda")))
    assert not search.stops("b", at_rung(60.0, 5.0))


def test_a_run_on_reaches_its_end_and_is_ranked_with_nobody(home: Home) -> None:
    study = judged_spec(scheduler={**judged_spec().scheduler.model_dump(), "run_on": 1.0})
    search = begin(home, study)
    assert not search.stops("b", at_rung(60.0, 5.0))
    flagged = ledger(home).trial(1)
    assert (flagged.state, flagged.control, flagged.stopped_at) == (TrialState.RUNNING, True, 2)
    search.stops("b", finished_event(FINISHED))
    ended = ledger(home).trial(1)
    assert (ended.state, ended.values) == (TrialState.PRUNED, None)
    assert ended.control_values == (80.5, 20.5)
    assert ended.checkpoint == FINISHED.checkpoint


def test_a_rung_that_was_reached_when_the_driver_died_is_judged_at_the_next_start(
    home: Home,
) -> None:
    study = judged_spec()
    begin(home, study)
    dead = ledger(home)
    dead.record_epoch(1, replace(EPOCH, epoch=2, objectives=(60.0, 5.0)))
    watcher = Watcher()
    search = searcher(home, study, watcher)
    numbers = [TrialTask.from_config(search.suggest(name)).number for name in "cd"]
    assert numbers == [0, 2]
    assert ledger(home).trial(1).state is TrialState.PRUNED
    # The verdict on trial 0 was written: it is not judged again.
    assert watcher.told == [("started", 0), ("pruned", 1), ("started", 2)]


def test_no_trial_begins_beyond_the_budget_of_epochs(home: Home) -> None:
    study = spec(epoch_budget=2)
    search = searcher(home, study)
    search.suggest("a")
    search.stops("a", epoch_event(EPOCH))
    assert search.suggest("b") != Searcher.FINISHED
    search.stops("b", epoch_event(EPOCH))
    assert search.suggest("c") == Searcher.FINISHED
    # What was begun goes on.
    assert searcher(home, study).suggest("d") != Searcher.FINISHED


def test_the_objectives_of_several_seeds_are_their_means(home: Home) -> None:
    search = searcher(home, spec(seeds_per_trial=3))
    assert TrialTask.from_config(search.suggest("a")).more_seeds == (1, 2)
    seeds = tuple(Replicate(seed, (80.0 + seed, 20.0)) for seed in range(3))
    search.stops("a", replicate_event(1, EPOCH))
    search.stops("a", finished_event(replace(FINISHED, replicates=seeds)))
    trial = ledger(home).trial(0)
    assert trial.values == (81.0, 20.0)
    assert trial.replicates == seeds
    assert len(trial.epochs) == 1
