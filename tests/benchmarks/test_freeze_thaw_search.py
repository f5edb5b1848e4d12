"""Whole studies under freeze-thaw: real ledger and source, workers in virtual time."""

from __future__ import annotations

from collections.abc import Iterator

import optuna
import pytest

from benchmarks.executor import drive
from benchmarks.searches import FREEZE_THAW, Lookup, Setup, replay
from benchmarks.synthetic import SyntheticTable
from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.ledger.preview import first_trials
from safr_study.records import EpochReport, TrialRecord, TrialState
from safr_study.runner.source import SearchSource
from safr_study.settings import CorpusSpec, SchedulerConfig, StudySpec, TrainConfig
from safr_study.settings.space_files import find_space

EPOCHS = 9
TABLE = SyntheticTable(epochs=EPOCHS)
FACTS = StudyFacts("0" * 64, "planted", TABLE.reference, {})


class Watcher:
    """Remembers what it was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.epochs = 0

    def trial_started(self, trial: TrialRecord) -> None:
        self.told.append(("started", trial.number))

    def epoch_ended(self, trial: TrialRecord, report: EpochReport) -> None:
        del trial, report
        self.epochs += 1

    def trial_paused(self, trial: TrialRecord) -> None:
        self.told.append(("paused", trial.number))

    def trial_ended(self, trial: TrialRecord) -> None:
        self.told.append((trial.state.value, trial.number))


def spec(**changes: object) -> StudySpec:
    given = {
        "name": "s",
        "corpus": CorpusSpec(dataset="planted"),
        "space": find_space("lambda"),
        "trials": 13,
        "scheduler": SchedulerConfig(name="freeze-thaw"),
        "train": TrainConfig(epochs=EPOCHS, patience=EPOCHS),
    }
    return StudySpec.model_validate({**given, **changes})


def new_ledger(given: StudySpec) -> Ledger:
    return Ledger.create(optuna.storages.InMemoryStorage(), given, FACTS)


def searched(
    ledger: Ledger, given: StudySpec, *, workers: int = 1, events: int = 10_000
) -> tuple[bool, Watcher]:
    """One driver's part: until the study ends, or the driver is killed after so many events."""
    watcher = Watcher()
    source = SearchSource(
        ledger, given, checkpoints="nowhere", gpus_per_trial=0.0, observers=[watcher]
    )
    left: Iterator[int] = iter(range(events))
    killed: list[bool] = []

    def enough() -> bool:
        killed[:] = [next(left, None) is None]
        return killed[0]

    drive(source, Lookup(TABLE, "trial"), workers=workers, enough=enough)
    return not any(killed), watcher


def decided(ledger: Ledger) -> list[object]:
    return [
        (t.number, t.parameters, t.state, t.values, t.stopped_at, [e.epoch for e in t.epochs])
        for t in ledger.trials()
    ]


@pytest.mark.parametrize("workers", [1, 4])
def test_a_study_pauses_continues_and_ends_with_nothing_left_open(workers: int) -> None:
    given = spec()
    ledger = new_ledger(given)
    ended, watcher = searched(ledger, given, workers=workers)
    trials = ledger.trials()
    assert ended
    assert len(trials) == 13
    assert {t.state for t in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}
    assert all(t.state is TrialState.COMPLETE for t in trials if t.baseline)
    assert all(len(t.epochs) == EPOCHS for t in trials if t.state is TrialState.COMPLETE)
    stopped = [t for t in trials if t.state is TrialState.PRUNED]
    assert stopped or workers > 1
    assert all(t.stopped_at == len(t.epochs) in (2, 6) for t in stopped)
    assert all(t.paused_at is None for t in trials)
    # No epoch is paid for twice.
    assert watcher.epochs == sum(len(t.epochs) for t in trials)
    first, resumed = (
        watcher.told.index(("started", 5)),
        [n for e, n in watcher.told if e == "started"],
    )
    assert watcher.told[first + 1 :].count(("paused", 5)) >= 1
    assert len(resumed) > len(set(resumed))
    # One worker has one trial at a time: what starts is paused or ended before the next one starts.
    if workers == 1:
        open_ones: set[int] = set()
        for event, number in watcher.told:
            if event == "started":
                assert not open_ones
                open_ones.add(number)
            else:
                open_ones.discard(number)


@pytest.mark.parametrize("events", [3, 7, 16])
def test_a_study_that_is_killed_and_resumed_decides_the_same(events: int) -> None:
    given = spec(trials=11, seed=3)
    whole, parts = new_ledger(given), new_ledger(given)
    assert searched(whole, given)[0]
    drivers = 0
    while not searched(parts, given, events=events + 5 * drivers)[0]:
        drivers += 1
    assert drivers > 2
    assert decided(parts) == decided(whole)


def test_another_seed_decides_otherwise() -> None:
    # Control of the test above.
    found = []
    for seed in (3, 4):
        given = spec(trials=9, seed=seed)
        ledger = new_ledger(given)
        searched(ledger, given)
        found.append(decided(ledger))
    assert found[0] != found[1]


def test_no_trial_begins_beyond_the_budget_of_epochs() -> None:
    given = spec(trials=60, epoch_budget=60)
    ledger = new_ledger(given)
    assert searched(ledger, given)[0]
    trials = ledger.trials()
    assert len(trials) < 40
    assert {t.state for t in trials} <= {TrialState.COMPLETE, TrialState.PRUNED}


def test_a_grid_is_begun_whole_and_continued_by_what_is_expected() -> None:
    given = spec(trials=15, sampler="grid")
    ledger = new_ledger(given)
    assert searched(ledger, given)[0]
    plain = spec(trials=15, sampler="grid", scheduler=SchedulerConfig(name="none"))
    other = new_ledger(plain)
    assert searched(other, plain)[0]
    assert [t.parameters for t in ledger.trials()] == [t.parameters for t in other.trials()]
    assert any(t.state is TrialState.PRUNED for t in ledger.trials())


def test_what_a_dry_run_shows_comes_first() -> None:
    given = spec(trials=7)
    ledger = new_ledger(given)
    searched(ledger, given)
    shown = first_trials(given, FACTS, 5)
    assert [t.parameters for t in shown] == [t.parameters for t in ledger.trials()[:5]]


def test_replays_are_equal_whichever_front_is_judged() -> None:
    setup = Setup(
        space=find_space("lambda"),
        train=TrainConfig(epochs=EPOCHS, patience=EPOCHS),
        scheduler=SchedulerConfig(),
        workers=1,
        target="honest",
        cap=12,
    )
    first, again = (replay(TABLE, FREEZE_THAW, 2, setup) for _ in range(2))
    assert first == again
    assert 0 < max(share for _, share in first.steps) <= 1 + 1e-9
