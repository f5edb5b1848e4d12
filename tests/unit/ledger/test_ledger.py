from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from plain_scores import a_deletion, made_scores
from run_results import run_result

from safr_study.errors import BadInput, ServiceUnreachable
from safr_study.home import Home, open_home
from safr_study.ledger.ledger import Ledger, StudyFacts
from safr_study.ledger.resume import unfinished_trials
from safr_study.ledger.storage import open_storage, stored_studies
from safr_study.records import (
    CheckpointRef,
    EpochReport,
    LossTerms,
    Replicate,
    TrialState,
)
from safr_study.records.run import RunResult
from safr_study.sampling.asha import Decision
from safr_study.sampling.fixed_trials import planned_trials
from safr_study.sampling.observations import warm_trials
from safr_study.sampling.sampler import build_sampler
from safr_study.settings import CorpusSpec, StudySpec
from safr_study.settings.space_files import find_space

FACTS = StudyFacts(
    corpus_fingerprint="f" * 64,
    slug="planted",
    reference_point=(50.0, 0.0),
    provenance={"commit": None},
)
SCORES = made_scores(
    split="dev",
    examples=200,
    accuracy=80.5,
    accuracy_se=2.8,
    majority_accuracy=50.0,
    loss=0.4,
    deletions=(a_deletion(k=0.3, realised_share=0.29, accuracy_top=60.0, srs=20.5, srs_se=3.0),),
)
EPOCH = EpochReport(
    epoch=1,
    train=LossTerms(total=0.7, cross_entropy=0.6, importance=0.3, interaction=None),
    dev_accuracy=61.0,
    dev_loss=0.65,
    gate_openness=0.5,
    mean_norm=16.0,
    best=True,
    seconds=1.5,
)
CHECKPOINT = CheckpointRef(uri="/somewhere", sha256="a" * 64, epoch=1)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return open_home(tmp_path / "home")


def study_spec(**changes: object) -> StudySpec:
    given = {"name": "s", "corpus": CorpusSpec(dataset="planted"), "space": find_space("lambda")}
    return StudySpec.model_validate({**given, **changes})


def begin(home: Home, spec: StudySpec) -> Ledger:
    storage = open_storage(home, None, spec.name, create=True)
    assert storage is not None
    return Ledger.create(storage, spec, FACTS)


def reopened(home: Home, name: str = "s") -> Ledger:
    storage = open_storage(home, None, name, create=False)
    assert storage is not None
    ledger = Ledger.load(storage, name)
    assert ledger is not None
    return ledger


def begin_again(home: Home) -> Ledger:
    """As the driver opens it, who may mend it."""
    storage = open_storage(home, None, "s", create=True)
    assert storage is not None
    ledger = Ledger.load(storage, "s")
    assert ledger is not None
    return ledger


def finish(ledger: Ledger, number: int) -> None:
    ledger.complete(number, outcome(Replicate(0, (80.5, 20.5))))


def outcome(*replicates: Replicate, violations: tuple[float, ...] = ()) -> RunResult:
    return run_result(*replicates, scores=SCORES, checkpoint=CHECKPOINT, violations=violations)


def test_the_runs_of_a_long_study_are_read_back_and_those_of_an_earlier_version(
    home: Home,
) -> None:
    spec = study_spec(trials=3)
    ledger = begin(home, spec)
    numbers = [trial.number for trial in (ledger.ask(spec) for _ in range(3)) if trial is not None]
    # As an earlier version wrote it.
    ledger.study.set_user_attr("run:0", "old-0")
    ledger.study.set_user_attr("run:1", "old-1")
    before = len(home.ledger(spec.name).read_bytes().splitlines())
    many = {number: f"run-{number}" for number in range(1, 1200)}
    ledger.set_run_ids(many)
    ledger.set_run_ids({1: "run-1"})
    # A few writes, not one for each; none for what is there.
    assert len(home.ledger(spec.name).read_bytes().splitlines()) - before == 3
    ledger.set_run_ids({2: "another"})
    found = [trial.run_id for trial in reopened(home).trials()]
    assert numbers == [0, 1, 2]
    assert found == ["old-0", "run-1", "another"]


def test_what_is_written_is_read_back_from_the_file(home: Home) -> None:
    spec = study_spec()
    ledger = begin(home, spec)
    trial = ledger.ask(spec)
    assert trial is not None
    ledger.record_epoch(trial.number, EPOCH)
    ledger.record_epoch(trial.number, replace(EPOCH, epoch=2, best=False))
    finish(ledger, trial.number)
    ledger.set_run_ids({trial.number: "run-1"})

    again = reopened(home)
    assert again.spec == spec
    assert again.facts == FACTS
    (read,) = again.trials()
    assert read.state is TrialState.COMPLETE
    assert read.values == (80.5, 20.5)
    assert read.scores == SCORES
    assert read.checkpoint == CHECKPOINT
    assert read.epochs == (EPOCH, replace(EPOCH, epoch=2, best=False))
    assert (read.run_id, read.device, read.seconds) == ("run-1", "cpu", 9.0)


def test_the_baselines_come_first_and_count(home: Home) -> None:
    spec = study_spec()
    ledger = begin(home, spec)
    first, second, third = (ledger.ask(spec) for _ in range(3))
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.baseline == "no-vmask"
    assert first.parameters == {"vmask": False, "lambda_imp": None, "lambda_inter": None}
    assert second.baseline == "vmask-only"
    assert second.parameters == {"vmask": True, "lambda_imp": 0.0, "lambda_inter": 0.0}
    assert third.baseline is None
    assert third.parameters["lambda_imp"] is not None


def test_random_trials_are_the_same_after_an_interruption(home: Home, tmp_path: Path) -> None:
    spec = study_spec(sampler="random")
    through = begin(home, spec)
    expected = [through.ask(spec) for _ in range(8)]
    other = open_home(tmp_path / "other")
    broken = begin(other, spec)
    asked = [broken.ask(spec) for _ in range(4)]
    asked += [reopened(other).ask(spec) for _ in range(4)]
    assert asked == expected


def test_the_grid_ends(home: Home) -> None:
    spec = study_spec(sampler="grid", trials=100)
    ledger = begin(home, spec)
    asked = []
    while (trial := ledger.ask(spec)) is not None:
        asked.append((trial.parameters["lambda_imp"], trial.parameters["lambda_inter"]))
    # Five by four values; (0, 0) is a baseline already, and no-vmask comes on top.
    assert len(asked) == planned_trials(spec) == 5 * 4 + 1
    assert len(set(asked)) == len(asked)


def test_unfinished_trials_are_those_still_running(home: Home) -> None:
    spec = study_spec()
    ledger = begin(home, spec)
    for _ in range(4):
        ledger.ask(spec)
    finish(ledger, 0)
    ledger.fail(2, "a sentence")
    again = reopened(home)
    assert [trial.number for trial in unfinished_trials(again, spec)] == [1, 3]
    assert again.trial(2).failure == "a sentence"
    assert again.trial(2).state is TrialState.FAILED


@pytest.mark.parametrize("drawn", [0, 1, 2])
@pytest.mark.parametrize("number", [0, 1, 4])
def test_a_trial_cut_off_before_its_settings_gets_those_that_it_would_have_had(
    home: Home, tmp_path: Path, number: int, drawn: int
) -> None:
    spec = study_spec(sampler="random")
    whole = begin(open_home(tmp_path / "whole"), spec)
    expected = [whole.ask(spec) for _ in range(number + 2)]
    ledger = begin(home, spec)
    for _ in range(number):
        ledger.ask(spec)
    ledger.study.sampler = build_sampler("random", seed=spec.seed, number=number)
    trial = ledger.study.ask()
    if number >= len(spec.space.baselines):
        for name in ("lambda_imp.switch", "lambda_inter.switch")[:drawn]:
            trial.suggest_float(name, 0.0, 1.0)
    again = reopened(home)
    assert unfinished_trials(again, spec) == expected[: number + 1]
    assert again.ask(spec) == expected[number + 1]


def test_a_torn_last_line_is_dropped_and_the_study_goes_on(home: Home) -> None:
    spec = study_spec()
    ledger = begin(home, spec)
    ledger.ask(spec)
    finish(ledger, 0)
    path = home.ledger("s")
    whole = path.read_bytes()
    ledger.ask(spec)
    path.write_bytes(whole + path.read_bytes()[len(whole) : len(whole) + 20])
    again = begin_again(home)
    assert [trial.values for trial in again.trials()] == [(80.5, 20.5)]
    assert again.ask(spec) is not None
    assert [trial.number for trial in reopened(home).trials()] == [0, 1]


def test_studies_of_one_name_have_keys_of_their_own(home: Home, tmp_path: Path) -> None:
    spec = study_spec()
    uids = {begin(home, spec).uid, begin(open_home(tmp_path / "other"), spec).uid}
    assert len(uids) == 2
    assert all(uid.startswith("s-") for uid in uids)


def test_a_study_that_was_cut_off_while_it_was_made_is_passed_over(home: Home) -> None:
    storage = open_storage(home, None, "s", create=True)
    assert storage is not None
    optuna.create_study(study_name="s", storage=storage)
    assert Ledger.load(storage, "s") is None
    begin(home, study_spec())
    assert reopened(home).study.study_name == "s~2"


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_value_that_is_no_number_never_becomes_an_objective(home: Home, bad: float) -> None:
    spec = study_spec()
    ledger = begin(home, spec)
    ledger.ask(spec)
    with pytest.raises(ValueError, match="not all finite"):
        ledger.complete(0, outcome(Replicate(0, (80.0, bad))))
    assert ledger.trial(0).state is TrialState.RUNNING


def test_settings_that_do_not_fit_together_fail_the_trial(home: Home) -> None:
    space = find_space("lambda").model_copy(update={"fixed": {"heads": 8}})
    # Both fit alone; 8 heads over a width of 260 do not.
    parameters = {"embed_dim": {"type": "categorical", "choices": [256]}}
    spec = study_spec(
        space={"name": "x", "parameters": parameters, "baselines": [], "fixed": space.fixed}
    )
    broken = spec.model_copy(
        update={
            "space": spec.space.model_copy(update={"fixed": {"heads": 7}}),
        }
    )
    ledger = begin(home, spec)
    trial = ledger.ask(broken)
    assert trial is not None
    assert trial.state is TrialState.FAILED
    assert trial.failure is not None
    assert "heads=7 does not divide embed_dim=256" in trial.failure


def test_a_fresh_start_keeps_what_was_finished(home: Home) -> None:
    spec = study_spec()
    old = begin(home, spec)
    old.ask(spec)
    finish(old, 0)
    new = begin(home, spec)
    assert old.uid != new.uid
    assert reopened(home).uid == new.uid
    assert reopened(home).trials() == []
    kept = optuna.load_study(study_name="s", storage=old.storage)
    assert [trial.values for trial in kept.trials] == [[80.5, 20.5]]
    assert stored_studies(home, None) == ["s"]


def test_a_ledger_of_another_version_is_refused(home: Home) -> None:
    ledger = begin(home, study_spec())
    ledger.study.set_user_attr("schema", 99)
    with pytest.raises(BadInput, match="schema 99"):
        reopened(home)


def test_there_is_no_ledger_before_there_is_a_study(home: Home) -> None:
    assert open_storage(home, None, "nothing", create=False) is None
    assert stored_studies(home, None) == []
    assert not home.ledger("nothing").exists()


@pytest.mark.parametrize(
    "broken", ["this is no journal\n{}\n", "5\n", '{"op_code": 77, "worker_id": "x"}\n']
)
def test_a_broken_ledger_file_is_refused_in_a_sentence(home: Home, broken: str) -> None:
    path = home.ledger("s")
    path.parent.mkdir(parents=True)
    path.write_text(broken, encoding="utf-8")
    with pytest.raises(BadInput, match="cannot be read"):
        open_storage(home, None, "s", create=False)


def test_databases_that_are_none_or_do_not_answer(home: Home) -> None:
    with pytest.raises(BadInput, match="database URL"):
        open_storage(home, "nonsense", "s", create=True)
    with pytest.raises(ServiceUnreachable, match="does not answer"):
        open_storage(home, "postgresql+psycopg://nobody@127.0.0.1:9/none", "s", create=True)


def test_sqlite_holds_a_ledger_too(home: Home, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    storage = open_storage(home, url, "s", create=True)
    assert storage is not None
    spec = study_spec()
    ledger = Ledger.create(storage, spec, FACTS)
    ledger.ask(spec)
    finish(ledger, 0)
    assert stored_studies(home, url) == ["s"]
    again = open_storage(home, url, "s", create=False)
    assert again is not None
    loaded = Ledger.load(again, "s")
    assert loaded is not None
    assert loaded.trial(0).values == (80.5, 20.5)
    for used in (storage, again):
        used.remove_session()


def test_means_over_seeds_constraints_and_their_violations_are_kept(home: Home) -> None:
    spec = study_spec()
    ledger = begin(home, spec)
    ledger.ask(spec)
    seeds = (Replicate(0, (80.0, 20.0)), Replicate(1, (82.0, 21.0)))
    ledger.complete(0, outcome(*seeds, violations=(-2.0, 0.5)))
    read = reopened(home).trial(0)
    assert read.values == (81.0, 20.5)
    assert read.replicates == seeds
    assert read.violations == (-2.0, 0.5)
    assert not read.feasible
    # As Optuna's own samplers see it.
    assert reopened(home).study.get_trials()[0].constraints == {"0": -2.0, "1": 0.5}
    assert reopened(home).study.best_trials == []


def test_a_verdict_is_written_once_and_read_back(home: Home) -> None:
    spec = study_spec()
    ledger = begin(home, spec)
    for _ in range(3):
        ledger.ask(spec)
    report = replace(EPOCH, epoch=2, objectives=(61.0, 3.0))
    for number, verdict in enumerate((Decision.CONTINUE, Decision.PRUNE, Decision.CONTROL)):
        ledger.record_epoch(number, report)
        assert ledger.pending_decision(ledger.trial(number)) == report
        ledger.record_decision(number, 2, verdict)
        assert ledger.pending_decision(ledger.trial(number)) is None
    states = [(t.state, t.stopped_at, t.control) for t in reopened(home).trials()]
    assert states == [
        (TrialState.RUNNING, None, False),
        (TrialState.PRUNED, 2, False),
        (TrialState.RUNNING, 2, True),
    ]


def test_a_warm_start_teaches_the_sampler_and_counts_nothing(home: Home) -> None:
    first = study_spec(name="first", sampler="tpe", seed=1)
    ledger = begin(home, first)
    for number in range(12):
        ledger.ask(first)
        ledger.complete(number, outcome(Replicate(0, (70.0 + number, 1.0 * number))))
    known = warm_trials(ledger.study, ledger.spec, first)
    assert len(known) == 12

    second = first.model_copy(update={"name": "second", "warm_start": "first"})
    storage = open_storage(home, None, "second", create=True)
    assert storage is not None
    warm = Ledger.create(storage, second, FACTS, known)
    assert warm.trials() == []
    asked = [warm.ask(second) for _ in range(4)]
    assert [trial.number for trial in asked if trial] == [0, 1, 2, 3]
    assert [trial.baseline for trial in asked if trial][:2] == ["no-vmask", "vmask-only"]
    warm.complete(2, outcome(Replicate(0, (90.0, 9.0))))
    assert [trial.state for trial in reopened(home, "second").trials()].count(
        TrialState.COMPLETE
    ) == 1
    cold = begin(home, first.model_copy(update={"name": "cold"}))
    drawn = [cold.ask(first) for _ in range(4)]
    assert drawn[3] is not None
    assert asked[3] is not None
    # Past its random start at once.
    assert drawn[3].parameters != asked[3].parameters


def test_a_warm_start_from_another_space_is_refused(home: Home) -> None:
    ledger = begin(home, study_spec())
    with pytest.raises(BadInput, match="other objectives, parameters"):
        warm_trials(ledger.study, ledger.spec, study_spec(space=find_space("smoke")))
