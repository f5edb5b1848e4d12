from __future__ import annotations

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from stored_study import study_spec

from safr_study.sampling import experimental_allowed
from safr_study.sampling.observations import BEST, WINDOW, trial_window
from safr_study.sampling.sampler import build_sampler, suggest

UP = [StudyDirection.MAXIMIZE, StudyDirection.MAXIMIZE]
SPACE = study_spec().space


def noisy_study(trials: int, *, running: int = 0, seed: int = 0) -> optuna.Study:
    """Complete, stopped and running trials over the space ``lambda``."""
    study = optuna.create_study(
        directions=["maximize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=seed)
    )
    draws = np.random.default_rng(seed)
    for number in range(trials + running):
        trial = study.ask()
        values = suggest(trial, SPACE)
        if number >= trials:
            continue
        if number % 3 == 2:
            study.tell(trial, state=TrialState.PRUNED)
        else:
            imp = float(values["lambda_imp"])
            study.tell(trial, [60 - imp + draws.normal(), 5 + imp + draws.normal()])
    return study


def test_a_study_of_the_usual_size_is_taken_whole() -> None:
    trials = noisy_study(WINDOW, running=3).get_trials()
    assert trial_window(trials, UP) is trials


def test_of_a_long_study_the_best_and_the_newest_are_trial_window() -> None:
    trials = noisy_study(WINDOW + 150, running=5).get_trials()
    some = trial_window(trials, UP)
    numbers = [trial.number for trial in some]
    assert numbers == sorted(numbers)
    finished = [trial for trial in some if trial.state.is_finished()]
    assert len(finished) == WINDOW
    assert sum(t.state is TrialState.RUNNING for t in some) == 5
    # Every member of the front: there are fewer than are kept.
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    front = {trial.number for trial in complete if not any(_beats(o, trial) for o in complete)}
    assert 0 < len(front) < BEST
    assert front <= set(numbers)
    newest = [trial.number for trial in trials if trial.state.is_finished()][BEST - WINDOW :]
    assert set(newest) <= set(numbers)


def test_directions_are_heeded() -> None:
    down = [StudyDirection.MINIMIZE, StudyDirection.MINIMIZE]
    trials = noisy_study(WINDOW + 150).get_trials()
    up_first = {t.number for t in trial_window(trials, UP)}
    turned = [_turned(trial) for trial in trials]
    assert {t.number for t in trial_window(turned, down)} == up_first
    assert {t.number for t in trial_window(trials, down)} != up_first


def test_trials_that_miss_a_constraint_are_no_best_ones() -> None:
    def one(value: float, violation: float, number: int) -> FrozenTrial:
        made = create_trial(values=[value, value], constraints={"0": violation})
        made.number = number
        return made

    good = [one(float(number), -1.0, number) for number in range(WINDOW)]
    bad = [one(1000.0 + number, 1.0, WINDOW + number) for number in range(WINDOW)]
    numbers = {trial.number for trial in trial_window([*good, *bad], UP)}
    assert set(range(WINDOW - BEST, WINDOW)) <= numbers
    assert not trial_window([], UP)


def test_small_studies_get_the_draws_that_they_always_had() -> None:
    for trials in (1, 5, 8, 40, WINDOW - 5):  # None whose next trial is drawn without the model.
        study = noisy_study(trials, running=2)
        seed = int(np.random.SeedSequence([7, trials + 2]).generate_state(1)[0])
        with experimental_allowed():
            plain = optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True, n_startup_trials=8
            )
        expected = _next(study, plain)
        assert (
            _next(study, build_sampler("tpe", seed=7, number=trials + 2, space=SPACE)) == expected
        )


def test_a_long_study_is_drawn_from_its_window_alone() -> None:
    study = noisy_study(WINDOW + 100, running=2)
    trials = study.get_trials()
    window = optuna.create_study(directions=study.directions)
    window.add_trials(trial_window(trials, study.directions))
    seed = int(np.random.SeedSequence([7, len(trials)]).generate_state(1)[0])
    with experimental_allowed():
        plain = optuna.samplers.TPESampler(
            seed=seed, multivariate=True, group=True, n_startup_trials=8
        )
    assert len(trials) % 3 < 2  # None that is drawn without the model.
    drawn = [
        _next(study, build_sampler("tpe", seed=7, number=len(trials), space=SPACE))
        for _ in range(2)
    ]
    assert drawn == [_next(window, plain)] * 2


@pytest.mark.parametrize("name", ["tpe", "gp", "nsga2"])
def test_every_sampler_that_learns_goes_on_in_a_long_study(name: str) -> None:
    study = noisy_study(WINDOW + 20)
    drawn = _next(study, build_sampler(name, seed=0, number=WINDOW + 21, space=SPACE))  # type: ignore[arg-type]
    assert set(SPACE.parameters) <= set(drawn)


def _next(study: optuna.Study, sampler: optuna.samplers.BaseSampler) -> dict[str, object]:
    """What the sampler draws next, in a copy of the study."""
    copy = optuna.create_study(directions=study.directions, sampler=sampler)
    copy.add_trials(study.get_trials())
    return dict(suggest(copy.ask(), SPACE))


def _beats(one: FrozenTrial, other: FrozenTrial) -> bool:
    pairs = list(zip(one.values, other.values, strict=True))
    return all(a >= b for a, b in pairs) and any(a > b for a, b in pairs)


def _turned(trial: FrozenTrial) -> FrozenTrial:
    made = create_trial(
        state=trial.state,
        values=None if trial.values is None else [-value for value in trial.values],
        params={"x": 0.5},
        distributions={"x": FloatDistribution(0, 1)},
    )
    made.number = trial.number
    return made
