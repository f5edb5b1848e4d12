from __future__ import annotations

from collections.abc import Mapping, Sequence

import optuna
import pytest
from asking import spaces_of
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from safr_study.ledger.trial_codec import EPOCH
from safr_study.sampling.observations import impute_trials
from safr_study.settings import SearchSpace

SPACE = spaces_of({"dropout": {"type": "float", "low": 0.0, "high": 0.5}})
BOUNDED = SPACE.model_copy(
    update={
        "constraints": SearchSpace.parse(
            {**SPACE.model_dump(), "constraints": ["accuracy >= 60"]}
        ).constraints
    }
)
UP_DOWN = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)


def trial(
    dropout: float | None,
    state: TrialState = TrialState.COMPLETE,
    *,
    values: Sequence[float] | None = None,
    rungs: Mapping[int, Sequence[float] | None] | None = None,
    violation: float | None = None,
) -> FrozenTrial:
    drawn = {} if dropout is None else {"dropout": dropout}
    return create_trial(
        state=state,
        values=values,
        params=dict(drawn),
        distributions={name: FloatDistribution(0.0, 0.5) for name in drawn},
        user_attrs={f"{EPOCH}{e:05d}": {"objectives": v} for e, v in (rungs or {}).items()},
        constraints=None if violation is None else {"0": violation},
    )


def test_a_stopped_trial_has_its_last_rung_and_what_the_others_gained_since() -> None:
    past = [
        trial(0.1, values=[80, 20], rungs={1: None, 2: [60, 5], 6: [75, 12]}),
        trial(0.2, values=[70, 30], rungs={2: [60, 15], 6: [65, 22]}),
        # It never reached rung 6, and a baseline has no place: its gains count all the same.
        trial(None, values=[50, 40], rungs={2: [50, 10]}),
        trial(0.3, TrialState.PRUNED, rungs={2: [40, 1]}),
        trial(0.4, TrialState.PRUNED, rungs={2: [0, 0], 6: [55, 9]}),
    ]
    points = impute_trials(past, SPACE, UP_DOWN)
    assert [point.params["dropout"] for point in points] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert all(point.state is TrialState.COMPLETE for point in points)
    assert [point.values for point in points] == [
        [80, 20],
        [70, 30],
        # Gains since rung 2: accuracy 20, 10, 0; the other 15, 15, 30.
        [40 + 10, 1 + 20],
        # Since rung 6: 5 and 5; 8 and 8.
        [55 + 5, 9 + 8],
    ]


def test_what_is_not_known_is_the_worst_in_each_direction() -> None:
    past = [
        trial(0.1, values=[80, 20]),
        trial(0.2, values=[70, 30]),
        trial(0.3, TrialState.FAIL, rungs={2: [99, 0]}),
        trial(0.4, TrialState.PRUNED),
        trial(0.5, TrialState.PRUNED, rungs={2: [60, 1]}),
    ]
    points = impute_trials(past, SPACE, UP_DOWN)
    assert [point.values for point in points[2:]] == [[70, 30]] * 3


def test_running_trials_run_and_the_others_without_an_end_are_left_out() -> None:
    past = [
        trial(0.1, TrialState.RUNNING),
        trial(None, TrialState.RUNNING),
        trial(0.2, TrialState.WAITING),
        trial(0.3, TrialState.PRUNED, rungs={2: [40, 1]}),
        trial(0.4, TrialState.FAIL),
    ]
    # Nobody is complete, so nothing is known of how the stopped one would have ended.
    [point] = impute_trials(past, SPACE, UP_DOWN)
    assert (point.state, point.params) == (TrialState.RUNNING, {"dropout": 0.2})


def test_each_point_has_every_constraint() -> None:
    past = [
        trial(0.1, values=[80, 20], violation=-20),
        trial(0.2, values=[50, 30], violation=10),
        trial(0.3, TrialState.PRUNED, rungs={2: [40, 1]}),
        trial(0.4, TrialState.PRUNED, violation=3),
        # Of another study, which had no such constraint.
        trial(0.5, values=[99, 99]),
    ]
    points = impute_trials(past, BOUNDED, UP_DOWN)
    assert [point.constraints for point in points] == [
        {"0": -20.0},
        {"0": 10.0},
        {"0": -5.0},
        {"0": 3.0},
    ]
    # A space without constraints makes none.
    assert not any(point.constraints for point in impute_trials(past, SPACE, UP_DOWN))


def test_the_points_are_a_study_that_optuna_takes() -> None:
    past = [
        trial(0.1, values=[80, 20]),
        trial(0.2, TrialState.RUNNING),
        trial(0.3, TrialState.FAIL),
    ]
    study = optuna.create_study(directions=UP_DOWN)
    study.add_trials(impute_trials(past, SPACE, UP_DOWN))
    assert [one.number for one in study.best_trials] == [0, 2]
