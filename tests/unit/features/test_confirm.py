from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from run_results import run_result
from stored_study import FACTS, ask, complete
from synthetic_confirmation import draw, run

from safr_study.cluster.slots import NodeCapacity, plan_slots
from safr_study.data import encoded_corpus
from safr_study.errors import BadInput
from safr_study.features.confirm.confirm import ConfirmWork, plan_confirmation
from safr_study.features.confirm.plan import ConfirmPlan, ConfirmRequest
from safr_study.features.study_base.stores import Stores
from safr_study.home import Home, open_home
from safr_study.ledger.ledger import Ledger
from safr_study.ledger.run_store import record_run, record_test
from safr_study.ledger.storage import open_storage
from safr_study.records import Replicate
from safr_study.records.run import RunResult
from safr_study.settings import CorpusSpec, StudySpec
from safr_study.settings.space_files import find_space

DATA = CorpusSpec(dataset="planted", train_limit=60, dev_limit=50, test_limit=40)
VALUES = {0: (70.0, 8.0), 1: (72.0, 6.0), 2: (80.0, 10.0), 3: (74.0, 25.0), 4: (73.0, 9.0)}
"""Of five trials; the baselines are 0 and 1, the front is 2 and 3."""


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def study(home: Home, *, count: int = len(VALUES), **changes: object) -> Ledger:
    given = {"name": "s", "corpus": DATA, "space": find_space("smoke"), "seed": 5}
    spec = StudySpec.model_validate({**given, "sampler": "random", **changes})
    storage = open_storage(home, None, spec.name, create=True)
    assert storage is not None
    fingerprint = encoded_corpus(DATA, home.corpora).fingerprint
    ledger = Ledger.create(storage, spec, replace(FACTS, corpus_fingerprint=fingerprint))
    for number in ask(ledger, count):
        complete(ledger, number, VALUES[number], seconds=10.0 * (number + 1))
    return ledger


def plan(home: Home, **changes: object) -> ConfirmPlan:
    request = ConfirmRequest("s", **{"seeds": 2, **changes})  # type: ignore[arg-type]
    return plan_confirmation(request, Stores(home), cpus=2.0, gpus=0.0)


def done(ledger: Ledger, keys: set[tuple[int, int]]) -> None:
    for number, seed in keys:
        record_run(ledger, run(number, seed, draw(0.8, seed), draw(0.5, seed)))


def test_the_front_and_the_baselines_are_confirmed_seed_by_seed(home: Home) -> None:
    study(home)
    found = plan(home)
    assert [trial.number for trial in found.trials] == [2, 3, 0, 1]
    assert found.seeds == (6, 7)
    assert found.missing == tuple((n, seed) for seed in (6, 7) for n in (2, 3, 0, 1))
    assert (found.wanted, found.unread, found.test_texts) == (8, 8, 40)
    # Trials took 10 (n + 1) seconds, two run at once; 15 are for Ray.
    assert found.seconds == pytest.approx(15 + 2 * (30 + 40 + 10 + 20) / 2)


def test_more_seeds_run_only_those_that_are_new(home: Home) -> None:
    ledger = study(home)
    done(ledger, {(n, seed) for n in (0, 1, 2, 3) for seed in (6, 7)})
    assert plan(home, seeds=2).missing == ()
    more = plan(home, seeds=3)
    assert more.missing == tuple((n, 8) for n in (2, 3, 0, 1))
    assert more.unread == 12


def test_a_run_that_is_missing_or_failed_is_done_again(home: Home) -> None:
    ledger = study(home)
    done(ledger, {(n, seed) for n in (0, 1, 2, 3) for seed in (6, 7)} - {(3, 6)})
    record_run(ledger, RunResult(1, 7, ended="2026-01-01T00:00:00+00:00", failure="it died"))
    assert plan(home).missing == ((3, 6), (1, 7))


def test_models_that_were_measured_on_test_are_not_measured_again(home: Home) -> None:
    ledger = study(home)
    done(ledger, {(n, seed) for n in (0, 1, 2, 3) for seed in (6, 7)})
    measured = run(2, 6, draw(0.8, 1), draw(0.5, 1)).dev
    assert measured is not None
    record_test(ledger, (2, 6), measured, "2026-01-01T00:00:00+00:00")
    assert plan(home).unread == 7
    without = plan(home, test=False)
    assert (without.unread, without.test_texts) == (0, 0)


def test_fewer_at_once_take_longer(home: Home) -> None:
    study(home)
    one = plan(home, max_concurrent=1)
    assert one.slots.max_concurrent == 1
    assert one.seconds == pytest.approx(15 + 2 * 100)


def test_a_front_that_grew_needs_its_new_members_alone(home: Home) -> None:
    ledger = study(home)
    done(ledger, {(n, seed) for n in (0, 1, 2, 3) for seed in (6, 7)})
    (number,) = ask(ledger)
    complete(ledger, number, (78.0, 20.0))
    assert plan(home).missing == ((number, 6), (number, 7))


def test_a_task_is_the_searchs_with_another_seed_and_folder(home: Home) -> None:
    ledger = study(home)
    request = ConfirmRequest("s", 2)
    found = plan(home)
    work = ConfirmWork(
        request,
        Stores(home),
        ledger,
        encoded_corpus(DATA, home.corpora),
        searched=None,  # type: ignore[arg-type]  # has no part in a task
    )
    trial = found.trials[0]
    task = work._task(trial, 6, plan_slots(ledger.spec.resources, [NodeCapacity(2.0, 0.0)]))
    assert task.train.seed == 6
    assert task.train.penalties.lambda_imp == trial.parameters["lambda_imp"]
    assert task.train.shape.embed_dim == 64, "what the space fixes"
    assert (task.rungs, task.more_seeds) == ((), ())
    assert task.objectives == ledger.spec.objectives
    folder = home.checkpoints(ledger.uid)
    assert Path(task.folder) == folder / "confirm" / "00002-6"
    # The retention of the search's trials, in folders named by number, does not see it.
    assert not Path(task.folder).relative_to(folder).parts[0].isdecimal()


def test_only_trials_that_keep_the_constraints_are_members(home: Home) -> None:
    space = {**find_space("smoke").model_dump(), "constraints": ["accuracy >= 73.5"]}
    ledger = study(home, count=0, space=space)
    for number in ask(ledger, 4):
        accuracy, srs = VALUES[number]
        # Trial 2 is the best in accuracy, and would be a member.
        miss = 1.0 if number == 2 else 73.5 - accuracy
        outcome = run_result(Replicate(5, (accuracy, srs)), violations=(miss,))
        ledger.complete(number, outcome)
    # Baselines are what the others are read against, whatever they miss.
    assert [trial.number for trial in plan(home).trials] == [3, 0, 1]


def test_data_that_changed_are_refused(home: Home) -> None:
    ledger = study(home)
    facts = ledger.study.user_attrs["facts"]
    ledger.study.set_user_attr("facts", {**facts, "corpus_fingerprint": "0" * 64})
    with pytest.raises(BadInput, match="data of study 's' changed"):
        plan(home)
