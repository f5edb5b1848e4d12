"""Each sampler in a loop of asking and telling, as a study does it, over a cheap objective."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path

import optuna
import pytest
import torch
from asking import Drawn, ask, inside, open_study, run, spaces_of, spec_of, synthetic, tell, zeros

from safr_study.sampling.cube_samplers import POPULATION, UnitCubeSampler
from safr_study.sampling.sampler import EXPLORED, build_sampler, suggest
from safr_study.settings import SamplerName, SearchSpace
from safr_study.settings.space import DEFAULT_BASELINES

ALL = ("tpe", "nsga2", "gp", "qmc", "random", "grid")
LEARNING = ("tpe", "nsga2", "gp")
WEIGHT = {"type": "float", "low": 0.01, "high": 10, "log": True, "zero": 0.25}
SPACE = spaces_of(
    {
        "lambda_imp": {**WEIGHT, "grid": [0, 0.1, 1]},
        "lambda_inter": {**WEIGHT, "grid": [0, 1]},
        "layers": {"type": "int", "low": 1, "high": 2},
        "dropout": {
            "type": "float",
            "low": 0.0,
            "high": 0.5,
            "grid": [0.1, 0.5],
            "when": {"layers": 2},
        },
    },
    baselines=[baseline.model_dump() for baseline in DEFAULT_BASELINES],
)
ONE = spaces_of({"lambda_imp": {**WEIGHT, "zero": 0.2}})
COUNT = 2 + POPULATION + 2
"""The baselines, of which one has a place in the space, and some trials beyond the even spread."""


@functools.cache
def uninterrupted(sampler: str, seed: int = 3) -> list[Drawn]:
    spec = spec_of(SPACE, sampler, seed=seed)
    return run(open_study(spec), spec, COUNT, synthetic)


@pytest.mark.parametrize("sampler", ALL)
def test_a_study_that_is_gone_on_with_asks_for_the_same_trials(
    sampler: str, tmp_path: Path
) -> None:
    spec = spec_of(SPACE, sampler, seed=3)
    journal = tmp_path / "s.journal"
    drawn = run(open_study(spec, journal), spec, COUNT - 2, synthetic)
    if sampler != "grid":
        # The driver dies after asking; its successor opens the trial that it left.
        open_study(spec, journal).ask()
        study = open_study(spec, journal)
        study.sampler = build_sampler(sampler, seed=3, number=COUNT - 2, space=SPACE)  # type: ignore[arg-type]
        trial = optuna.trial.Trial(study, study.get_trials(deepcopy=False)[-1]._trial_id)
        drawn.append(suggest(trial, SPACE))
        tell(study, trial, spec, synthetic(drawn[-1]))
    drawn += run(open_study(spec, journal), spec, COUNT - len(drawn), synthetic)
    assert drawn == uninterrupted(sampler)


@pytest.mark.parametrize("sampler", ["tpe", "nsga2", "qmc", "random"])
def test_another_seed_asks_for_other_trials(sampler: str) -> None:
    ours, theirs = uninterrupted(sampler)[2:], uninterrupted(sampler, 4)[2:]
    assert all(one != other for one, other in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("sampler", ALL)
def test_every_trial_lies_in_the_space_and_none_comes_twice(sampler: str) -> None:
    drawn = uninterrupted(sampler)
    assert drawn[0] == {"vmask": False, "layers": 1}
    assert all(inside(values, SPACE) for values in drawn[1:])
    if sampler in ("nsga2", "gp", "grid"):
        assert len({str(sorted(values.items())) for values in drawn}) == COUNT


@pytest.mark.parametrize("sampler", ["qmc", "random"])
def test_these_depend_on_no_other_trial(sampler: str) -> None:
    spec = spec_of(SPACE, sampler, seed=3)
    other = run(open_study(spec), spec, COUNT, lambda values: [1.0, -synthetic(values)[1]])
    assert other == uninterrupted(sampler)
    alone = optuna.create_study(directions=["maximize"] * 2)
    alone.sampler = build_sampler(sampler, seed=3, number=7, space=SPACE)  # type: ignore[arg-type]
    assert suggest(alone.ask(), SPACE) == uninterrupted(sampler)[7]


def modelled(drawn: Sequence[Drawn]) -> list[Drawn]:
    """Those of the trials, by number, in which a model had a say."""
    own = (number for number in range(len(drawn)) if number % EXPLORED != EXPLORED - 1)
    return [drawn[number] for number in own if number >= POPULATION]


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_these_listen_to_the_objectives(sampler: str) -> None:
    spec = spec_of(SPACE, sampler, seed=3)
    count = COUNT + 6
    ours = run(open_study(spec), spec, count, synthetic)
    other = run(open_study(spec), spec, count, lambda values: [1.0, -synthetic(values)[1]])
    assert ours[:POPULATION] == other[:POPULATION]
    # Those that are drawn without the model are not among them.
    assert modelled(ours)[-1] != modelled(other)[-1]


@pytest.mark.parametrize("sampler", ALL)
def test_several_trials_run_at_once_and_the_same_again(sampler: str) -> None:
    spec = spec_of(SPACE, sampler, seed=3)
    # The running ones come on top of those that must have ended.
    count = 2 + POPULATION + 4
    drawn = run(open_study(spec), spec, count, synthetic, at_once=4)
    assert all(inside(values, SPACE) for values in drawn[1:])
    if sampler != "gp":
        assert drawn == run(open_study(spec), spec, count, synthetic, at_once=4)
    if sampler not in ("tpe", "random"):
        assert len({str(sorted(values.items())) for values in drawn}) == count


@pytest.mark.parametrize("sampler", ["tpe", "gp"])
def test_minimising_is_maximising_the_negative_in_three_objectives(sampler: str) -> None:
    up = spec_of(ONE, sampler, objectives=["accuracy", "srs@30", "contrast@30"])
    down = spec_of(ONE, sampler, objectives=["accuracy", "sufficiency@30", "contrast@30"])
    assert [o.maximise for o in down.objectives] == [True, False, True]

    def negated(values: Drawn) -> list[float]:
        first, second, third = synthetic(values, 3)
        return [first, -second, third]

    count = POPULATION + 2
    ours = run(open_study(up), up, count, lambda values: synthetic(values, 3))
    assert run(open_study(down), down, count, negated) == ours


@pytest.mark.parametrize("sampler", ["tpe", "nsga2"])
def test_three_objectives_pull_in_their_own_directions(sampler: str) -> None:
    spec = spec_of(ONE, sampler, objectives=["sufficiency@30", "accuracy", "gate_openness"])
    assert [o.maximise for o in spec.objectives] == [False, True, False]

    def late(sign: float) -> float:
        """How large the weights become that are drawn last."""

        def evaluate(values: Drawn) -> list[float]:
            pull = sign * synthetic(values)[1]
            return [pull, -pull, 2 * pull]

        drawn = run(open_study(spec), spec, POPULATION + 22, evaluate)
        return sum(synthetic(values)[1] for values in drawn[-12:]) / 12

    # The weights span 0 (an exact zero) and 6 to 12.
    assert late(-1) > late(1) + 4


@pytest.mark.parametrize("sampler", ["qmc", "random", "grid"])
def test_the_others_take_three_objectives_as_well(sampler: str) -> None:
    spec = spec_of(SPACE, sampler, objectives=["accuracy", "sufficiency@30", "contrast@30"], seed=3)
    drawn = run(open_study(spec), spec, COUNT, lambda values: synthetic(values, 3))
    assert drawn == uninterrupted(sampler)


@pytest.mark.parametrize("sampler", LEARNING)
def test_samplers_learn_to_keep_a_constraint(sampler: str) -> None:
    # Both objectives reward large weights, of which the constraint allows the smaller half.
    bounded = ONE.model_copy(update={"constraints": _constraints("srs@30 <= 8")})
    count = POPULATION + (4 if sampler == "gp" else 24)

    def kept(space: SearchSpace) -> float:
        """Share of the later trials that keep the constraint, asked for or not."""
        spec = spec_of(space, sampler, objectives=["srs@30", "contrast@30"], seed=1)
        study = open_study(spec)
        drawn = run(study, spec, count, lambda values: [synthetic(values)[1], 1.0])
        if space.constraints:
            best = [drawn[trial.number] for trial in study.best_trials]
            assert all(synthetic(values)[1] <= 8 for values in best)
        late = modelled(drawn)
        return sum(synthetic(values)[1] <= 8 for values in late) / len(late)

    with_it = kept(bounded)
    assert with_it >= 0.6
    assert with_it > kept(ONE)


def _constraints(*texts: str) -> tuple[object, ...]:
    return spaces_of(
        {"layers": {"type": "int", "low": 1, "high": 2}}, constraints=texts
    ).constraints


def test_an_even_spread_has_its_share_of_exact_zeros() -> None:
    spec = spec_of(ONE, "qmc")
    drawn = run(open_study(spec), spec, 64, synthetic)
    # One coordinate of a Sobol sequence: each of 64 equal parts has one point.
    assert zeros(drawn, "lambda_imp") in {12, 13}


def test_gp_finds_an_exact_zero_where_it_is_best_and_leaves_threads_alone() -> None:
    rare = spaces_of({"lambda_imp": {**WEIGHT, "zero": 0.05}})
    spec = spec_of(rare, "gp", seed=1)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        drawn = run(
            open_study(spec),
            spec,
            POPULATION + 3,
            lambda values: [-synthetic(values)[1], 1 - synthetic(values)[1] / 9],
        )
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert zeros(drawn[:POPULATION], "lambda_imp") == 0
    assert zeros(drawn[POPULATION:], "lambda_imp") >= 1


class _Singular(optuna.samplers.RandomSampler):
    def sample_independent(self, *_: object) -> None:
        raise torch.linalg.LinAlgError("the input is not positive-definite")


class _Stubborn(optuna.samplers.RandomSampler):
    def sample_independent(self, *_: object) -> float:
        return 0.6


def test_settings_that_a_trial_has_already_are_not_drawn_again() -> None:
    study = optuna.create_study(directions=["maximize"] * 2)
    for _ in range(POPULATION):
        study.tell(_drawn(study, "random"), [1.0, 2.0])
    drawn = []
    for number in (20, 21):
        even = build_sampler("qmc", seed=0, number=number, space=ONE)
        assert isinstance(even, UnitCubeSampler)
        study.sampler = even
        expected = suggest(study.ask(), ONE)
        study.sampler = UnitCubeSampler(ONE, sobol=even._sobol, inner=_Stubborn(), seed=0)
        # It still runs when the next is asked for.
        drawn.append(suggest(study.ask(), ONE))
    # 0.6 of the coordinate is the middle of the range behind the exact zero's 0.2.
    assert drawn[0]["lambda_imp"] == pytest.approx(0.01 * 1000**0.5)
    assert drawn[1] == expected


def test_a_model_that_breaks_down_costs_one_draw_and_says_so(
    caplog: pytest.LogCaptureFixture,
) -> None:
    study = optuna.create_study(directions=["maximize"] * 2)
    even = build_sampler("qmc", seed=0, number=0, space=ONE)
    assert isinstance(even, UnitCubeSampler)
    broken = UnitCubeSampler(ONE, sobol=even._sobol, inner=_Singular(), seed=0)
    for _ in range(POPULATION):
        study.tell(_drawn(study, "random"), [1.0, 2.0])
    ours = "safr_study"
    assert not any(record.name.startswith(ours) for record in caplog.records)
    study.sampler = even
    expected = suggest(study.ask(), ONE)
    study.sampler = broken
    assert suggest(study.ask(), ONE) == expected
    assert "not positive-definite" in caplog.text


def _drawn(study: optuna.Study, sampler: str) -> optuna.Trial:
    number = len(study.trials)
    study.sampler = build_sampler(sampler, seed=0, number=number, space=ONE)  # type: ignore[arg-type]
    trial = study.ask()
    suggest(trial, ONE)
    return trial


@pytest.mark.parametrize("infeasible", [True, False])
@pytest.mark.parametrize("sampler", LEARNING)
def test_equal_objectives_and_no_feasible_trial_stop_nobody(sampler: str, infeasible: bool) -> None:
    bounded = ONE.model_copy(update={"constraints": _constraints("accuracy >= 90")})
    spec = spec_of(bounded, sampler)
    study = open_study(spec)
    value = 80.0 if infeasible else 95.0
    drawn = run(study, spec, POPULATION + 2, lambda _: [value, 1.0])
    assert all(inside(values, bounded) for values in drawn)


@pytest.mark.parametrize("sampler", LEARNING)
def test_stopped_and_failed_trials_are_trials_like_others(sampler: str) -> None:
    spec = spec_of(ONE, sampler)
    study = open_study(spec)
    states = [optuna.trial.TrialState.PRUNED, optuna.trial.TrialState.FAIL]
    for number in range(POPULATION + 2):
        trial, values = ask(study, spec)
        assert inside(values, ONE)
        if number % 3:
            tell(study, trial, spec, synthetic(values))
            continue
        trial.set_user_attr("epoch:00002", {"objectives": synthetic(values)})
        study.tell(trial, state=states[number % 2])
    if sampler != "tpe":
        assert len({t.params.get("lambda_imp") for t in study.trials}) >= POPULATION


def test_a_space_is_needed_where_it_is_drawn_from() -> None:
    with pytest.raises(ValueError, match="space"):
        build_sampler("gp", seed=0, number=0)


@pytest.mark.parametrize(
    ("sampler", "plain", "count"), [("tpe", "random", 2 * EXPLORED), ("gp", "qmc", EXPLORED)]
)
def test_every_third_trial_is_drawn_without_the_model(
    sampler: SamplerName, plain: SamplerName, count: int
) -> None:
    spec = spec_of(SPACE, sampler, seed=3)
    study = open_study(spec)
    numbers = range(COUNT, COUNT + count)
    run(study, spec, numbers.stop, synthetic)

    def drawn(name: SamplerName, number: int) -> object:
        copy = optuna.create_study(
            directions=study.directions,
            sampler=build_sampler(name, seed=3, number=number, space=SPACE),
        )
        copy.add_trials(study.get_trials()[:number])
        return suggest(copy.ask(), SPACE)

    alike = [number for number in numbers if drawn(sampler, number) == drawn(plain, number)]
    assert alike == [number for number in numbers if number % EXPLORED == EXPLORED - 1]
