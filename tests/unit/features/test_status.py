from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest
from stored_study import ask, begin, complete, epoch, stop_early, study_spec, write_state
from study_holder import holder

from safr_study.cli.progress import StudyProgress
from safr_study.cluster.slots import TrialSlots, time_left
from safr_study.data import encoded_corpus
from safr_study.errors import BadInput
from safr_study.features.search.plan import study_plan
from safr_study.features.search.status import study_status
from safr_study.features.study_base.cost import START_SECONDS, TrialTimes, estimate
from safr_study.features.study_base.results import list_studies
from safr_study.features.study_base.stores import Stores
from safr_study.home import Home, open_home
from safr_study.ledger.driver_lock import driver_lock
from safr_study.ledger.ledger import Ledger
from safr_study.records import TrialRecord, TrialState
from safr_study.settings import CorpusSpec, StudySpec, TrainConfig


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


@pytest.fixture
def stores(home: Home) -> Stores:
    return Stores(home)


@pytest.fixture
def ledger(home: Home) -> Ledger:
    """8 trials asked: 2 complete, 1 stopped, 1 failed, 1 running, so 4 still to begin."""
    made = begin(home, study_spec(trials=8, train=TrainConfig(epochs=10)))
    ask(made, 5)
    complete(made, 0, (80.0, 10.0))
    complete(made, 1, (70.0, 5.0))
    stop_early(made, 2)
    made.fail(3, "a sentence")
    for number in (1, 2, 3):
        made.record_epoch(4, epoch(number))
    return made


def test_the_trials_are_counted_by_state(ledger: Ledger, stores: Stores) -> None:
    found = study_status("s", stores)
    done = f"{found.complete} of {found.planned} trials complete"
    assert (
        repr(found) == f"StudyStatus('s', {'running' if found.running else 'not running'}, {done})"
    )
    assert (found.planned, found.complete, found.stopped, found.failed) == (8, 2, 1, 1)
    assert found.waiting == 4
    (running,) = found.begun
    assert (running.number, len(running.epochs), found.epochs) == (4, 3, 10)
    assert running.epochs[-1].dev_accuracy == 63.0
    assert [ranked.trial.number for ranked in found.result.front] == [0]
    assert found.result.hypervolume == pytest.approx(30.0 * 10.0)
    assert found.seconds_since_begin is not None
    assert 0.0 <= found.seconds_since_begin < 600.0


def test_it_runs_while_somebody_holds_it(ledger: Ledger, home: Home, stores: Stores) -> None:
    idle = study_status("s", stores)
    assert not idle.running
    assert idle.seconds_left is None
    assert idle.command is not None
    with driver_lock(home, "s"):
        found = study_status("s", stores)
        assert found.running
        assert found.command is None
        # 3 epochs of 2 s have ended; trials that ended took 9 s. One runs, 4 are to begin.
        assert found.seconds_left == pytest.approx((9.0 * 2 + 0.0) / 3 * 5 - 6.0)
        assert not found.ending
        (summary,) = list_studies(stores)[0]
        assert (summary["running"], summary["stopped"], summary["unfinished"]) == (True, 1, 1)
    (summary,) = list_studies(stores)[0]
    assert not summary["running"]


def test_a_trial_that_failed_is_done_again_by_the_next_driver_only(
    ledger: Ledger, home: Home, stores: Stores
) -> None:
    with driver_lock(home, "s"):
        assert study_status("s", stores).waiting == 4
        ledger.fail(4, "while it ran")
        driven = study_status("s", stores)
        assert (driven.failed, len(driven.begun), driven.waiting) == (2, 0, 4)
    assert study_status("s", stores).waiting == 5


def test_a_study_with_all_its_trials_has_no_command(home: Home, stores: Stores) -> None:
    made = begin(home, study_spec(trials=2))
    for number in ask(made, 2):
        complete(made, number, (60.0 + number, 1.0))
    assert study_status("s", stores).command is None


def test_a_trial_that_misses_a_constraint_is_complete_in_the_list_too(
    home: Home, stores: Stores
) -> None:
    made = begin(home, study_spec(trials=2))
    for number in ask(made, 2):
        complete(made, number, (60.0 + number, 1.0), violations=(1.0 - number,))
    (summary,) = list_studies(stores)[0]
    assert (summary["complete"], summary["unfinished"]) == (2, 0)
    assert study_status("s", stores).complete == 2


def test_the_disk_is_that_of_all_generations(ledger: Ledger, home: Home, stores: Stores) -> None:
    state = write_state(home.checkpoints(ledger.uid) / "00004" / "state")
    newer = begin(home, study_spec())
    other = write_state(home.checkpoints(newer.uid) / "00000" / "state")
    write_state(home.checkpoints("foreign-00000000") / "00000" / "state")
    paths = [*state.iterdir(), *other.iterdir(), home.ledger("s")]
    assert study_status("s", stores).disk == sum(path.stat().st_size for path in paths)


def test_a_torn_journal_is_read_and_left_as_it_is(
    ledger: Ledger, home: Home, stores: Stores
) -> None:
    path = home.ledger("s")
    whole = path.read_bytes()
    torn = whole + whole.splitlines(keepends=True)[-1][:20]
    path.write_bytes(torn)
    assert study_status("s", stores).complete == 2
    assert list_studies(stores)[0][0]["complete"] == 2
    assert path.read_bytes() == torn


def test_it_can_be_looked_at_while_a_driver_writes(
    ledger: Ledger, home: Home, stores: Stores
) -> None:
    with holder(home.root, "s", then="write"):
        last = -1
        for _ in range(10_000):
            found = study_status("s", stores)
            assert found.running
            seen = max((len(trial.epochs) for trial in found.begun if trial.number == 5), default=0)
            assert seen >= last
            last = seen
            if last >= 20:
                break
        assert last >= 20


def test_an_unknown_study_is_named(stores: Stores) -> None:
    with pytest.raises(BadInput, match="'nothing' is unknown"):
        study_status("nothing", stores)


def trial(number: int, state: TrialState, epochs: int, seconds: float = 0.0) -> TrialRecord:
    reports = tuple(epoch(n + 1, seconds=3.0) for n in range(epochs))
    return TrialRecord(number, state, {}, 0, epochs=reports, seconds=seconds)


SPEC = study_spec(train=TrainConfig(epochs=10))


def seconds_left(spec: StudySpec, trials: list[TrialRecord], waiting: int) -> float | None:
    """Time left as ``status`` counts it: as many at once as run now."""
    times = TrialTimes(spec)
    for one in trials:
        times.add(one)
    running = [one for one in trials if one.state is TrialState.RUNNING]
    return times.left(running, waiting, len(running))


@pytest.mark.parametrize(
    ("spec", "trials", "waiting", "expected"),
    [
        (SPEC, [], 5, None),
        (SPEC, [trial(0, TrialState.RUNNING, 0)], 5, None),
        # Before any has ended: ten epochs of 3 s each, 2 done.
        (SPEC, [trial(0, TrialState.RUNNING, 2)], 5, 24 + 5 * 30),
        (SPEC.model_copy(update={"seeds_per_trial": 2}), [trial(0, TrialState.RUNNING, 2)], 0, 54),
        # Two at once share what is left.
        (SPEC, [trial(n, TrialState.RUNNING, 2) for n in range(2)], 5, (2 * 24 + 5 * 30) / 2),
        # As those that have ended: (20 + 10) / 2 each, the failed one left out.
        (
            SPEC,
            [
                trial(0, TrialState.COMPLETE, 5, 20.0),
                trial(1, TrialState.PRUNED, 2, 10.0),
                trial(2, TrialState.FAILED, 1, 500.0),
                trial(3, TrialState.RUNNING, 1),
            ],
            2,
            (15 - 3) + 2 * 15,
        ),
        # One that takes longer than the others is about to end.
        (SPEC, [trial(0, TrialState.COMPLETE, 2, 6.0), trial(1, TrialState.RUNNING, 9)], 0, 0),
    ],
)
def test_the_time_left_follows_the_trials_so_far(
    spec: StudySpec, trials: list[TrialRecord], waiting: int, expected: float | None
) -> None:
    for order in itertools.islice(itertools.permutations(trials), 6):
        assert seconds_left(spec, list(order), waiting) == (
            None if expected is None else pytest.approx(expected)
        )


def test_a_stopped_trial_without_a_time_counts_its_epochs() -> None:
    stopped = replace(trial(0, TrialState.PRUNED, 4), seconds=0.0)
    assert seconds_left(SPEC, [stopped], 3) == pytest.approx(3 * 12.0)


def test_the_dry_run_the_live_table_and_status_agree(
    ledger: Ledger, home: Home, stores: Stores
) -> None:
    slots = TrialSlots(1.0, 0.0, 1, 1.0, 0.0)
    corpus = encoded_corpus(CorpusSpec(dataset="planted"), home.corpora)
    plan = study_plan(ledger.spec, corpus, slots, ledger)
    # Before anything is measured: what one trial takes, and as much for each of the others.
    each = estimate(ledger.spec, corpus, slots, 1).seconds - START_SECONDS
    assert plan.cost.seconds == pytest.approx(START_SECONDS + time_left([each] * 5, 1))
    # The trials so far, as the driver's table has them and as another process reads them.
    live = StudyProgress(plan, ledger.trials())
    with driver_lock(home, "s"):
        assert live.seconds_left() == study_status("s", stores).seconds_left
        for number in (4, 5, 6):
            ledger.record_epoch(4, epoch(number))
            live.update(ledger.trial(4))
            assert live.seconds_left() == study_status("s", stores).seconds_left
        complete(ledger, 4, (75.0, 5.0), seconds=40.0)
        live.update(ledger.trial(4))
        ask(ledger)
        live.update(ledger.trials()[-1])
        found = study_status("s", stores)
        assert live.seconds_left() == found.seconds_left
        # A plan from then on would say the same, but for the time that Ray takes to begin.
        ended = [t for t in ledger.trials() if t.counts]
        mean = sum(max(t.seconds, sum(e.seconds for e in t.epochs)) for t in ended) / len(ended)
        assert found.seconds_left == pytest.approx(time_left([mean] * (found.waiting + 1), 1))
