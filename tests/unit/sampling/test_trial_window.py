from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from stored_study import study_spec

from safr_study.ledger.journal import JournalFile
from safr_study.ledger.replay import QuickJournalStorage
from safr_study.sampling.experimental import experimental_allowed
from safr_study.sampling.sampler import build_sampler, suggest
from safr_study.sampling.trial_window import BEST, SHOWN, Past, ShownSampler

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


def shown(
    trials: Sequence[FrozenTrial], directions: Sequence[StudyDirection]
) -> Sequence[FrozenTrial]:
    """By one who reads all at once."""
    return Past().shown(trials, directions)


def test_a_study_of_the_usual_size_is_shown_whole() -> None:
    trials = noisy_study(SHOWN, running=3).get_trials()
    assert shown(trials, UP) is trials


def test_of_a_long_study_the_best_and_the_newest_are_shown() -> None:
    trials = noisy_study(SHOWN + 150, running=5).get_trials()
    some = shown(trials, UP)
    numbers = [trial.number for trial in some]
    assert numbers == sorted(numbers)
    finished = [trial for trial in some if trial.state.is_finished()]
    assert len(finished) == SHOWN
    assert sum(t.state is TrialState.RUNNING for t in some) == 5
    # Every member of the front: there are fewer than are kept.
    complete = [trial for trial in trials if trial.state is TrialState.COMPLETE]
    front = {trial.number for trial in complete if not any(_beats(o, trial) for o in complete)}
    assert 0 < len(front) < BEST
    assert front <= set(numbers)
    newest = [trial.number for trial in trials if trial.state.is_finished()][BEST - SHOWN :]
    assert set(newest) <= set(numbers)


def test_directions_are_heeded() -> None:
    down = [StudyDirection.MINIMIZE, StudyDirection.MINIMIZE]
    trials = noisy_study(SHOWN + 150).get_trials()
    up_first = {t.number for t in shown(trials, UP)}
    turned = [_turned(trial) for trial in trials]
    assert {t.number for t in shown(turned, down)} == up_first
    assert {t.number for t in shown(trials, down)} != up_first


def test_trials_that_miss_a_constraint_are_no_best_ones() -> None:
    def one(value: float, violation: float, number: int) -> FrozenTrial:
        made = create_trial(values=[value, value], constraints={"0": violation})
        made.number = number
        return made

    good = [one(float(number), -1.0, number) for number in range(SHOWN)]
    bad = [one(1000.0 + number, 1.0, SHOWN + number) for number in range(SHOWN)]
    numbers = {trial.number for trial in shown([*good, *bad], UP)}
    assert set(range(SHOWN - BEST, SHOWN)) <= numbers
    assert not shown([], UP)


def test_small_studies_get_the_draws_that_they_always_had() -> None:
    for trials in (1, 5, 8, 40):  # None whose next trial is drawn without the model.
        study = noisy_study(trials, running=2)
        seed = int(np.random.SeedSequence([7, trials + 2]).generate_state(1)[0])
        with experimental_allowed():
            plain = optuna.samplers.TPESampler(
                seed=seed, multivariate=True, group=True, n_startup_trials=8
            )
        expected = _next(study, plain)
        assert _next(study, build_sampler("tpe", seed=7, number=trials + 2)) == expected


@pytest.mark.parametrize("journal", [True, False])
def test_a_study_with_running_trials_draws_what_plain_tpe_draws(
    tmp_path: Path, journal: bool
) -> None:
    def drawn(folder: Path, past: Past | None) -> list[dict[str, object]]:
        folder.mkdir()
        storage = QuickJournalStorage(JournalFile(folder / "j")) if journal else None
        study = optuna.create_study(directions=["maximize", "maximize"], storage=storage)
        noise = np.random.default_rng(0)
        found, running = [], []
        for number in range(45):
            with experimental_allowed():
                tpe = optuna.samplers.TPESampler(
                    seed=number, multivariate=True, group=True, n_startup_trials=8
                )
            study.sampler = tpe if past is None else ShownSampler(tpe, past)
            running.append(study.ask())
            found.append(dict(suggest(running[-1], SPACE)))
            if len(running) == 4:
                study.tell(running.pop(int(noise.integers(4))), noise.normal(size=2).tolist())
        return found

    assert drawn(tmp_path / "ours", Past()) == drawn(tmp_path / "plain", None)


def test_a_long_study_is_drawn_from_what_is_shown_and_always_alike() -> None:
    study = noisy_study(SHOWN + 100, running=2)
    seen: list[int] = []

    class Spy(optuna.samplers.TPESampler):
        def sample_relative(self, study, trial, search_space):  # type: ignore[no-untyped-def]
            seen.append(len(study.get_trials(deepcopy=False)))
            return super().sample_relative(study, trial, search_space)

    def sampler() -> ShownSampler:
        with experimental_allowed():
            return ShownSampler(Spy(seed=1, multivariate=True, group=True), Past())

    assert _next(study, sampler()) == _next(study, sampler())
    # The running ones beside them: the two, and the one that is asked for.
    assert seen == [SHOWN + 3, SHOWN + 3]


def test_one_who_looked_all_along_is_shown_the_same() -> None:
    study = noisy_study(SHOWN + 60, running=3)
    all_along = Past()
    draws = np.random.default_rng(1)
    for _ in range(40):
        for _ in range(draws.integers(0, 6)):
            suggest(study.ask(), SPACE)
        trials = study.get_trials(deepcopy=False)
        found = [trial.number for trial in all_along.shown(trials, study.directions)]
        assert found == [trial.number for trial in shown(trials, study.directions)]
        # They end in another order than they began, and not all well.
        running = [t.number for t in trials if not t.state.is_finished()]
        for number in draws.permutation(running)[:4]:
            if draws.uniform() < 0.3:
                study.tell(int(number), state=TrialState.FAIL)
            else:
                study.tell(int(number), draws.normal(60, 20, size=2).tolist())


def test_what_was_drawn_for_running_trials_is_what_optuna_reads() -> None:
    study = noisy_study(30)
    study.sampler = build_sampler("tpe", seed=0, number=0, space=SPACE)
    past = Past()
    for _ in range(4):
        trial = study.ask()
        past.drawn(study.get_trials(deepcopy=False)[-1])  # As when it is drawn itself.
        suggest(trial, SPACE)
    cut_off = study.ask()
    assert cut_off.relative_params  # Everything is drawn, and nothing written but the draw.
    with experimental_allowed():
        tpe = optuna.samplers.TPESampler(seed=0, multivariate=True, group=True)
    for trial in study.get_trials(deepcopy=False):
        for _ in range(2):
            merged = past.drawn(trial)
            assert tpe._get_params(merged, study) == tpe._get_params(trial, study)
            if not trial.state.is_finished():
                assert merged.params == tpe._get_params(trial, study)
                assert not any("relative" in key for key in merged.system_attrs)
                assert any("relative" in key for key in trial.system_attrs)
    before = past.drawn(study.get_trials()[cut_off.number])
    suggest(cut_off, SPACE)
    after = past.drawn(study.get_trials()[cut_off.number])
    assert not before.distributions
    assert after.params == {**before.params, **cut_off.params}
    study.tell(cut_off, [1.0, 2.0])
    done = study.get_trials()[cut_off.number]
    assert past.drawn(done) is done


@pytest.mark.parametrize("name", ["tpe", "nsga2"])
def test_every_sampler_that_learns_goes_on_in_a_long_study(name: str) -> None:
    study = noisy_study(SHOWN + 20)
    drawn = _next(study, build_sampler(name, seed=0, number=SHOWN + 20, space=SPACE))  # type: ignore[arg-type]
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
