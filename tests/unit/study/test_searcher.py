"""The searcher against a real ledger, with the events of workers that are not there."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ray.tune.search import Searcher

from safr_study.errors import TrialFailure
from safr_study.home import Home, open_home
from safr_study.records import (
    CheckpointRef,
    DeletionScores,
    EpochReport,
    LossTerms,
    Scores,
    TrialRecord,
    TrialState,
    to_plain,
)
from safr_study.settings import CorpusSpec, StudySpec, Wanted, wanted
from safr_study.study.ledger import Ledger, StudyFacts
from safr_study.study.searcher import LedgerSearcher
from safr_study.study.spaces import find_space
from safr_study.study.storage import open_storage
from safr_study.study.trainable import (
    EVENT,
    Finished,
    TrialTask,
    objective_values,
    read_event,
)

EPOCH = EpochReport(1, LossTerms(0.7, 0.7, None, None), 61.0, 0.65, 0.5, 16.0, True, 1.5)
SCORES = Scores("dev", 200, 80.5, 2.8, 50.0, 0.4, (DeletionScores(0.3, 0.29, 60.0, 20.5, 3.0),))
FINISHED = Finished(SCORES, CheckpointRef("/somewhere", "a" * 64, 1), 9.0, "cpu", (EPOCH,))


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
        checkpoints=home.checkpoints("s"),
        gpus_per_trial=0.0,
        observers=[watcher] if watcher else [],
    )


def event(**content: Any) -> dict[str, Any]:
    return {EVENT: json.dumps({name: to_plain(record) for name, record in content.items()})}


def test_a_study_from_the_first_trial_to_the_end(home: Home) -> None:
    watcher = Watcher()
    search = searcher(home, spec(), watcher)
    assert search.remaining == 3
    for name in ("a", "b", "c"):
        task = TrialTask.from_config(search.suggest(name))
        search.on_trial_result(name, event(epoch=EPOCH))
        search.on_trial_result(name, event(finished=FINISHED))
        search.on_trial_complete(name, result={})
        assert task.folder.endswith(f"{task.number:05d}")
    assert search.suggest("d") == Searcher.FINISHED
    trials = ledger(home).trials()
    assert [trial.state for trial in trials] == [TrialState.COMPLETE] * 3
    assert [trial.values for trial in trials] == [(80.5, 20.5)] * 3
    assert watcher.told[:3] == [("started", 0), ("epoch 1", 0), ("complete", 0)]


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
    first.on_trial_result("a", event(finished=FINISHED))
    search = searcher(home, spec())
    assert search.remaining == 2
    numbers = [TrialTask.from_config(search.suggest(name)).number for name in "cd"]
    assert numbers == [1, 2]
    assert search.suggest("e") == Searcher.FINISHED


def test_an_epoch_that_was_saved_but_not_reported_is_not_lost(home: Home) -> None:
    search = searcher(home, spec())
    search.suggest("a")
    second = replace(EPOCH, epoch=2, dev_accuracy=70.0)
    search.on_trial_result("a", event(epoch=second))
    search.on_trial_result("a", event(finished=replace(FINISHED, epochs=(EPOCH, second))))
    assert ledger(home).trial(0).epochs == (EPOCH, second)


@pytest.mark.parametrize(
    ("finished", "words"),
    [
        (Finished(None, None, 0.0, "", failure="the loss left the reals"), "left the reals"),
        (replace(FINISHED, scores=None), "without scores"),
        (
            replace(FINISHED, scores=replace(SCORES, accuracy=float("nan"))),
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
    search.on_trial_result("a", event(finished=finished))
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
    search.on_trial_result("a", event(finished=FINISHED))
    search.on_trial_result("a", event(finished=FINISHED))
    search.on_trial_complete("a", error=True)
    assert watcher.told == [("started", 0), ("complete", 0)]


def test_a_finished_trial_survives_json() -> None:
    assert read_event(event(finished=FINISHED)[EVENT]) == FINISHED
    assert read_event(event(epoch=EPOCH)[EVENT]) == EPOCH


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
