from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_scores import changed, plain_scores

from safr_study.pareto import rank_study, rank_trials
from safr_study.records import StudyResult, TrialRecord, TrialState
from safr_study.records.study import binding
from safr_study.settings import Constraint


def trial(
    number: int,
    values: tuple[float, ...] | None,
    state: TrialState = TrialState.COMPLETE,
    *,
    saturated: bool = False,
) -> TrialRecord:
    scores = plain_scores(saturated=saturated)
    return TrialRecord(
        number=number, state=state, parameters={}, seed=0, values=values, scores=scores
    )


def test_trials_are_ordered_by_front_then_first_objective_then_number() -> None:
    ranked = rank_trials(
        [
            trial(4, (80.0, 5.0)),
            trial(0, (70.0, 9.0)),
            trial(1, (60.0, 1.0)),
            trial(2, (80.0, 5.0)),
            trial(3, (65.0, 1.0)),
        ]
    )
    assert [(row.trial.number, row.front) for row in ranked] == [
        (2, 0),
        (4, 0),
        (0, 0),
        (3, 1),
        (1, 2),
    ]
    assert [row.on_front for row in ranked] == [True, True, True, False, False]


def test_only_complete_trials_with_finite_values_are_ranked() -> None:
    trials = [
        trial(5, (99.0, 99.0), TrialState.PRUNED),
        trial(0, (80.0, 5.0)),
        trial(3, None),
        trial(2, (math.nan, 99.0)),
        trial(4, (99.0, math.inf)),
        trial(1, (99.0, 99.0), TrialState.RUNNING),
    ]
    result = rank_study("s", "sst2", ["accuracy", "srs@30"], [50.0, 0.0], trials, asked=6)
    assert [row.trial.number for row in result.ranked] == [0]
    assert [left.number for left in result.unranked] == [1, 2, 3, 4, 5]
    assert result.hypervolume == pytest.approx(30.0 * 5.0)
    assert result.asked == 6


def test_a_saturated_trial_is_on_the_front_but_never_its_knee() -> None:
    best = (85.0, 20.0)
    extremes = [trial(0, (90.0, 0.0)), trial(2, (60.0, 21.0))]
    assert [r.trial.number for r in rank_trials([*extremes, trial(1, best)]) if r.knee] == [1]
    ranked = rank_trials([*extremes, trial(1, best, saturated=True)])
    assert [r.trial.number for r in ranked if r.on_front] == [0, 1, 2]
    assert [(r.trial.number, r.choice) for r in ranked if r.choice] == [(0, "compromise")]


def test_the_knee_and_the_compromise_are_sought_on_the_front_alone() -> None:
    ranked = rank_trials([trial(0, (80.0, 5.0)), trial(1, (79.0, 4.0)), trial(2, (70.0, 3.0))])
    assert [(r.trial.number, r.choice) for r in ranked if r.choice] == [(0, "compromise")]


def test_a_study_of_saturated_trials_has_neither_knee_nor_compromise() -> None:
    ranked = rank_trials([trial(0, (80.0, 5.0), saturated=True)])
    assert [(row.front, row.choice) for row in ranked] == [(0, None)]


def test_a_model_below_the_majority_class_is_no_knee_and_sets_no_scale() -> None:
    front = [trial(0, (90.0, 0.0)), trial(1, (80.0, 9.0)), trial(2, (70.0, 10.0))]
    useless = trial(3, (45.0, 100.0))
    ranked = rank_trials([*front, useless])
    assert [(r.trial.number, r.choice) for r in ranked if r.choice] == [(2, "compromise")]
    scores = changed(plain_scores(), accuracy=45.0)
    ranked = rank_trials([*front, replace(useless, scores=scores)])
    assert [r.trial.number for r in ranked if r.knee] == [1]
    assert [r.trial.number for r in ranked if r.on_front] == [0, 1, 2, 3]


def named(*points: tuple[float, float], baselines: int = 2) -> StudyResult:
    """A study whose first trials are baselines."""
    trials = [
        replace(trial(number, values), baseline=f"b{number}" if number < baselines else None)
        for number, values in enumerate(points)
    ]
    return rank_study("s", "sst2", NEGATED, [50.0, 0.0], trials, asked=len(points))


def test_a_baseline_is_the_compromise_of_a_front_of_baselines_alone() -> None:
    bent = [(90.0, 0.0), (76.0, 6.0), (75.0, 5.9), (70.0, 20.0)]
    chosen = named(*bent).compromise
    assert chosen is not None
    assert chosen.trial.number == 3
    chosen = named(*bent[:3]).compromise
    assert chosen is not None
    assert (chosen.trial.number, chosen.trial.baseline) == (0, "b0")


@pytest.mark.parametrize(
    ("points", "baselines", "unbeaten"),
    [
        pytest.param([], 0, None, id="nothing is complete"),
        pytest.param([(80.0, 5.0)], 0, None, id="no baseline"),
        pytest.param([(80.0, 5.0), (70.0, 9.0)], 2, "baselines", id="baselines alone"),
        pytest.param([(80.0, 5.0), (70.0, 9.0), (69.0, 9.0)], 2, "baselines", id="dominated"),
        pytest.param([(80.0, 5.0), (70.0, 9.0), (70.0, 9.0)], 2, "baselines", id="equal"),
        pytest.param([(80.0, 5.0), (70.0, 9.0), (60.0, 9.1)], 2, None, id="on the front"),
        pytest.param([(80.0, 5.0), (70.0, 9.0), (81.0, 10.0)], 2, None, id="above all"),
    ],
)
def test_what_is_beaten_is_said(points, baselines: int, unbeaten: str | None) -> None:
    assert named(*points, baselines=baselines).unbeaten == unbeaten


def test_a_study_below_the_majority_class_beats_nothing() -> None:
    poor = changed(plain_scores(), accuracy=50.0)
    found = [replace(trial(n, (50.0, 5.0 + n)), scores=poor) for n in range(3)]
    result = rank_study("s", "sst2", NEGATED, [50.0, 0.0], found, asked=3)
    assert (result.unbeaten, result.choice) == ("majority", None)
    # A saturated trial is no gain over a baseline.
    two = [replace(trial(0, (80.0, 5.0)), baseline="b"), trial(1, (70.0, 40.0), saturated=True)]
    result = rank_study("s", "sst2", NEGATED, [50.0, 0.0], two, asked=2)
    assert result.unbeaten == "baselines"


@pytest.mark.parametrize(
    ("baseline", "vmask", "kept"),
    [("no-vmask", False, (0.0, 2.0)), ("b", True, (0.1, 2.0)), (None, False, (0.1, 2.0))],
)
def test_a_baseline_keeps_a_constraint_on_gates_that_it_does_not_have(
    baseline: str | None, vmask: bool, kept: tuple[float, ...]
) -> None:
    constraints = [Constraint.parse_text(text) for text in ("gate_openness <= 0.9", "srs@30 >= 7")]
    one = replace(trial(0, (80.0, 5.0)), baseline=baseline, parameters={"vmask": vmask})
    assert binding(one, constraints, (0.1, 2.0)) == kept
    assert binding(one, constraints, ()) == ()


def test_hypervolume_is_of_the_front() -> None:
    trials = [trial(0, (52.0, 1.0)), trial(1, (51.0, 2.0)), trial(2, (51.0, 1.0))]
    result = rank_study("s", "sst2", ["accuracy", "srs@30"], [50.0, 0.0], trials, asked=3)
    assert result.hypervolume == 3.0
    assert [row.trial.number for row in result.front] == [0, 1]


def test_a_study_without_complete_trials_is_ranked_too() -> None:
    waiting = trial(0, None, TrialState.WAITING)
    result = rank_study("s", "sst2", ["accuracy", "srs@30"], [50.0, 0.0], [waiting], asked=1)
    assert (result.ranked, result.unranked, result.hypervolume) == ((), (waiting,), 0.0)


def test_a_reference_point_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        rank_study("s", "sst2", ["accuracy", "srs@30"], [50.0], [trial(0, (1.0, 2.0))], asked=1)


# Minimised objectives: lower sufficiency is better.

MINIMISED = ("accuracy", "sufficiency@30")
NEGATED = ("accuracy", "srs@30")
POINT = st.tuples(st.integers(52, 60).map(float), st.integers(0, 40).map(float), st.booleans())


@given(st.lists(POINT, max_size=12))
def test_a_minimised_objective_is_the_negated_problem(drawn) -> None:
    ours = [trial(n, (x, y), saturated=bad) for n, (x, y, bad) in enumerate(drawn)]
    theirs = [trial(n, (x, -y), saturated=bad) for n, (x, y, bad) in enumerate(drawn)]
    found = rank_study("s", "sst2", MINIMISED, [50.0, 100.0], ours, asked=12)
    expected = rank_study("s", "sst2", NEGATED, [50.0, -100.0], theirs, asked=12)
    assert [(row.trial.number, row.front, row.crowding, row.knee) for row in found.ranked] == [
        (row.trial.number, row.front, row.crowding, row.knee) for row in expected.ranked
    ]
    assert found.hypervolume == expected.hypervolume
    # What is shown is what was measured.
    assert all(row.trial.values == drawn[row.trial.number][:2] for row in found.ranked)
    assert found.reference_point == (50.0, 100.0)
    assert {row.trial.number for row in found.front} == {
        n
        for n, (x, y, _) in enumerate(drawn)
        if not any(a >= x and b <= y and (a > x or b < y) for a, b, _ in drawn)
    }


def test_the_knee_and_the_hypervolume_of_a_minimised_objective_by_hand() -> None:
    points = [(80.0, 40.0), (78.0, 22.0), (60.0, 20.0), (75.0, 45.0)]
    trials = [trial(number, values) for number, values in enumerate(points)]
    result = rank_study("s", "sst2", MINIMISED, [50.0, 100.0], trials, asked=4)
    assert [(row.trial.number, row.front) for row in result.ranked] == [
        *((0, 0), (1, 0), (2, 0)),
        (3, 1),
    ]
    assert [row.trial.number for row in result.ranked if row.knee] == [1]
    # From the reference to the first, to the second above it, to the third.
    assert result.hypervolume == pytest.approx(30 * 60 + 28 * 18 + 10 * 2)
    # Maximised, the same numbers are another problem.
    other = rank_study("s", "sst2", NEGATED, [50.0, 0.0], trials, asked=4)
    assert [row.trial.number for row in other.front] == [0, 3]


def test_all_objectives_may_be_minimised() -> None:
    names = ["sufficiency@30", "interference_energy.ffn1_pre", "log_odds@30"]
    points = [(10.0, 0.5, -1.0), (20.0, 0.2, -2.0), (30.0, 0.6, -0.5), (10.0, 0.5, -1.0)]
    trials = [trial(number, values) for number, values in enumerate(points)]
    result = rank_study("s", "sst2", names, [100.0, 1.0, 0.0], trials, asked=4)
    assert [(row.trial.number, row.front) for row in result.ranked] == [
        *((0, 0), (3, 0), (1, 0)),
        (2, 1),
    ]
    both = 90 * 0.5 * 1.0 + 80 * 0.8 * 2.0 - 80 * 0.5 * 1.0
    assert result.hypervolume == pytest.approx(both)


def test_without_signs_every_objective_is_maximised() -> None:
    trials = [trial(0, (80.0, 5.0)), trial(1, (70.0, 4.0)), trial(2, (60.0, 9.0))]
    assert rank_trials(trials) == rank_trials(trials, [1.0, 1.0])
    numbers = [[row.trial.number for row in rank_trials(trials, [1.0, -1.0]) if row.on_front]]
    assert numbers == [[0, 1]]


def test_only_trials_that_keep_every_constraint_are_ranked() -> None:
    trials = [
        replace(trial(0, (99.0, 99.0)), violations=(-1.0, 0.001)),
        replace(trial(1, (70.0, 5.0)), violations=(0.0, -2.0)),
        replace(trial(2, (80.0, 4.0)), violations=(-3.0, -0.5)),
        replace(trial(3, (60.0, 9.0)), violations=(4.0, 7.0)),
        trial(4, None, TrialState.FAILED),
    ]
    texts = ["accuracy >= 60", "gate_openness <= 0.9"]
    result = rank_study(
        "s", "sst2", ["accuracy", "srs@30"], [50.0, 0.0], trials, asked=5, constraints=texts
    )
    assert [row.trial.number for row in result.ranked] == [2, 1]
    assert all(row.on_front for row in result.ranked)
    assert [left.number for left in result.unranked] == [0, 3, 4]
    assert [left.number for left in result.infeasible] == [0, 3]
    assert result.constraints == tuple(texts)
    # By inclusion and exclusion, above (50, 0).
    assert result.hypervolume == pytest.approx(30 * 4 + 20 * 5 - 20 * 4)


FEASIBLE = st.lists(st.floats(-5, 5), min_size=2, max_size=2)


@given(rows=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), FEASIBLE), max_size=12))
def test_infeasible_trials_change_nothing_in_the_ranking(
    rows: list[tuple[int, int, list[float]]],
) -> None:
    trials = [
        replace(trial(number, (float(a), float(b))), violations=tuple(violations))
        for number, (a, b, violations) in enumerate(rows)
    ]
    kept = [one for one in trials if max(one.violations) <= 0]
    assert rank_trials(trials) == rank_trials(kept)
