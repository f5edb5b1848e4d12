"""Studies that begin now: no draw repeats, points come first, TPE begins with a Sobol sequence."""

from __future__ import annotations

import math
from typing import get_args

import optuna
import pytest
from stored_study import FACTS, complete, study_spec

from safr_study.errors import BadInput, BadInputs
from safr_study.features.search.build_spec import study_spec as asked_spec
from safr_study.ledger.ledger import Ledger
from safr_study.records import TrialRecord
from safr_study.sampling.cube_samplers import POPULATION
from safr_study.sampling.rules import FIRST
from safr_study.settings import SamplerName, SearchSpace, StudySpec
from safr_study.settings.space_files import find_space

DRAWING = tuple(name for name in get_args(SamplerName) if name != "grid")
FEW = SearchSpace.parse(
    {
        "name": "few",
        "parameters": {
            "lambda_imp": {"type": "categorical", "choices": [0.0, 0.01, 0.1]},
            "heads": {"type": "categorical", "choices": [2, 4]},
        },
        "fixed": {"lambda_inter": 0.1},
        "baselines": [{"name": "plain", "values": {"lambda_imp": 0.0, "heads": 2}}],
    }
)
POINTS = find_space("lambda").begun_at("paper")


def begin(spec: StudySpec, **more: int) -> Ledger:
    return Ledger.create(optuna.storages.InMemoryStorage(), spec, FACTS, **more)


def values(trial: TrialRecord) -> tuple[float, float]:
    """Smooth in the weights, so that a model has something to learn."""
    imp, inter = (
        math.log10(float(str(trial.parameters[name] or 0.0)) + 1e-5) + 5
        for name in ("lambda_imp", "lambda_inter")
    )
    return 80 - imp**2 / 4 - inter / 3, 2 * imp + inter


def run(ledger: Ledger, count: int) -> list[TrialRecord]:
    """Trials one after another, each with its end."""
    found = []
    for _ in range(count):
        trial = ledger.ask(ledger.spec)
        assert trial is not None
        complete(ledger, trial.number, values(trial))
        found.append(trial)
    return found


def settings(trials: list[TrialRecord]) -> list[tuple[object, ...]]:
    return [tuple(trial.parameters.values()) for trial in trials]


@pytest.mark.parametrize("sampler", DRAWING)
def test_no_trial_repeats_another_while_the_space_has_more(sampler: SamplerName) -> None:
    spec = study_spec(space=FEW, sampler=sampler, trials=20, seed=3)
    drawn = settings(run(begin(spec), 8))
    assert len(set(drawn[:6])) == 6
    # Used up: the study goes on, and what is drawn then is an earlier one.
    assert set(drawn[6:]) <= set(drawn[:6])
    # Negative control: by the rules of older studies there were repetitions.
    before = settings(run(begin(spec, rules=FIRST), 6))
    assert len(set(before)) < 6 or sampler in ("gp", "nsga2")


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_both_weights_at_zero_are_drawn_by_the_baseline_alone(sampler: SamplerName) -> None:
    spec = study_spec(space=find_space("lambda").begun_at(None), sampler=sampler, trials=99)
    both = [(t.number, t.parameters["vmask"]) for t in run(begin(spec), 60)
            if t.parameters["lambda_imp"] == t.parameters["lambda_inter"] == 0.0]  # fmt: skip
    assert both == [(1, True)]


@pytest.mark.parametrize("sampler", DRAWING)
@pytest.mark.parametrize("cut", [4, 14])
def test_a_trial_that_was_cut_off_is_drawn_as_it_would_have_been(
    sampler: SamplerName, cut: int
) -> None:
    spec = study_spec(space=FEW if cut == 4 else POINTS, sampler=sampler, trials=40, seed=1)
    whole, ledger = begin(spec), begin(spec)
    expected = run(whole, cut + 1)[-1]
    run(ledger, cut)
    # Its driver died before any of its settings were written.
    ledger.study.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING))
    again = ledger.draw_again(cut, spec)
    assert (again.number, again.parameters) == (expected.number, expected.parameters)


def test_tpe_begins_with_the_sobol_sequence_and_then_learns() -> None:
    of = {
        sampler: run(begin(study_spec(sampler=sampler, trials=40, seed=6)), 16)
        for sampler in ("tpe", "qmc", "random")
    }
    tpe, qmc, uniform = (settings(trials) for trials in of.values())
    assert tpe[:POPULATION] == qmc[:POPULATION]
    assert tpe[POPULATION:] != qmc[POPULATION:]
    assert tpe[2:POPULATION] != uniform[2:POPULATION]


@pytest.mark.parametrize("sampler", DRAWING)
def test_points_come_first_and_the_sampler_learns_from_them(sampler: SamplerName) -> None:
    spec = study_spec(space=POINTS, sampler=sampler, trials=40)
    ledger = begin(spec)
    trials = run(ledger, 14)
    given = [(t.parameters["lambda_imp"], t.parameters["lambda_inter"]) for t in trials[2:12]]
    assert given == [(p["lambda_imp"], p["lambda_inter"]) for p in POINTS.points]
    assert given[:2] == [(0.01, 0.01), (1, 0.1)]
    assert [t.baseline for t in trials[:3]] == ["no-vmask", "vmask-only", None]
    assert all(frozen.params for frozen in ledger.study.trials[2:12])
    assert len(set(settings(trials))) == 14
    # A study that began before runs them in a grid alone.
    assert settings(run(begin(spec, rules=FIRST), 3))[2] != settings(trials)[2]


def test_a_point_that_a_baseline_trains_is_left_out() -> None:
    space = FEW.model_copy(
        update={"points": ({"lambda_imp": 0.0, "heads": 2}, {"lambda_imp": 0.1, "heads": 2})}
    )
    first = run(begin(study_spec(space=space, trials=9)), 2)
    assert [trial.baseline for trial in first] == ["plain", None]
    assert first[1].parameters["lambda_imp"] == 0.1


OPTIONS = {
    **dict.fromkeys(("text_column", "label_column", "group_column", "max_len", "encoder")),
    **dict.fromkeys(("train_limit", "dev_limit", "tokenizer", "lowercase", "study", "objective")),
    **dict.fromkeys(("warm_start", "time_budget", "epoch_budget", "cpus_per_trial")),
    **dict.fromkeys(("gpus_per_trial", "max_concurrent")),
    "dataset": "planted",
    "space": "lambda",
    "trials": 24,
    "epochs": 2,
    "k": 30.0,
    "seed": 0,
    "sampler": "tpe",
    "scheduler": "none",
    "seeds_per_trial": 1,
    "class_weights": "none",
    "epoch_texts": None,
    "preset": "masked",
    "precision": "auto",
    "allow_small": True,
    "allow_duplicates": True,
}


def test_a_start_is_asked_for_by_its_name_and_changes_no_other_study() -> None:
    plain, paper = asked_spec(OPTIONS), asked_spec({**OPTIONS, "start": "paper"})
    assert plain.space.points == ()
    assert "starts" not in plain.settings_that_change_numbers()["space"]  # type: ignore[operator]
    assert paper.space.points == POINTS.points
    assert plain.name != paper.name
    with pytest.raises(BadInput, match="'lunch' is no start of the space 'lambda'; it has paper"):
        asked_spec({**OPTIONS, "start": "lunch"})
    with pytest.raises(BadInput, match="it has none"):
        asked_spec({**OPTIONS, "space": "smoke", "start": "paper"})
    with pytest.raises(BadInput, match="a grid has an order of its own"):
        asked_spec({**OPTIONS, "sampler": "grid", "start": "paper"})


def test_the_points_of_a_start_are_checked_as_points_are() -> None:
    wrong = {**FEW.model_dump(), "starts": {"a": [{"lambda_imp": 0.5, "heads": 2}]}}
    with pytest.raises(BadInputs, match=r"starts\.a\.0: lambda_imp cannot be 0\.5"):
        SearchSpace.parse(wrong)
