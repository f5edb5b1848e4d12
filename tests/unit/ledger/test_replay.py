from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.study import StudyDirection
from optuna.trial import TrialState

from safr_study.ledger.journal import JournalFile
from safr_study.ledger.replay import QuickJournalStorage

RATE = FloatDistribution(1e-5, 1e-1, log=True)
OTHERS = {"layers": IntDistribution(1, 4), "vmask": CategoricalDistribution([True, False, None])}


def quick(path: Path) -> QuickJournalStorage:
    return QuickJournalStorage(JournalFile(path))


def optunas(path: Path) -> optuna.storages.JournalStorage:
    return optuna.storages.JournalStorage(JournalFile(path))


def write(storage: Any, study: int, seed: int, trials: int = 12) -> list[int]:
    """Trials with settings, attributes of both kinds, values of epochs, and every end."""
    draws = np.random.default_rng(seed)
    numbers = [storage.create_new_trial(study) for _ in range(trials)]
    for step in range(4):
        for number in draws.permutation(numbers):
            number = int(number)
            if storage.get_trial(number).state.is_finished():
                continue
            storage.set_trial_user_attr(number, f"epoch:{step}", {"loss": float(draws.normal())})
            storage.set_trial_system_attr(number, f"{step % 2}", step)
            storage.set_trial_intermediate_value(number, step, float(draws.uniform()))
            if step == 0:
                storage.set_trial_param(number, "rate", float(draws.uniform(1e-5, 1e-1)), RATE)
            for name, distribution in OTHERS.items():
                storage.set_trial_param(number, name, int(draws.integers(1, 3)), distribution)
            if draws.uniform() < 0.2:
                state = (TrialState.PRUNED, TrialState.FAIL)[step % 2]
                storage.set_trial_state_values(number, state)
            elif step == 3:
                values = draws.normal(size=2).tolist()
                storage.set_trial_state_values(number, TrialState.COMPLETE, values)
    return numbers


@pytest.mark.parametrize("writer", [quick, optunas])
def test_it_reads_what_optunas_own_storage_reads(tmp_path: Path, writer: Any) -> None:
    path = tmp_path / "j"
    storage = writer(path)
    studies = [
        storage.create_new_study([StudyDirection.MINIMIZE] * 2, name) for name in ("one", "two")
    ]
    ours = quick(path)
    for seed, study in enumerate(studies):
        write(storage, study, seed)
        for reader in (ours, quick(path), pickle.loads(pickle.dumps(ours))):
            found, right = reader.get_all_trials(study), optunas(path).get_all_trials(study)
            assert len(found) == 12
            assert found == right
            assert [one.user_attrs for one in found] == [one.user_attrs for one in right]
            assert [one.system_attrs for one in found] == [one.system_attrs for one in right]
            assert [one.distributions for one in found] == [one.distributions for one in right]


def test_trials_that_were_given_away_stay_as_they_are(tmp_path: Path) -> None:
    storage = quick(tmp_path / "j")
    study = storage.create_new_study([StudyDirection.MINIMIZE])
    number = storage.create_new_trial(study)
    seen = []
    for step in range(3):
        storage.set_trial_user_attr(number, f"{step}", step)
        storage.set_trial_system_attr(number, f"{step}", step)
        storage.set_trial_param(number, f"{step}", step, IntDistribution(0, 9))
        given = storage.get_trial(number)
        seen.append((given, copy.deepcopy(given)))
    for given, as_it_was in seen:
        assert given == as_it_was
        assert given.user_attrs == as_it_was.user_attrs
        assert given.system_attrs == as_it_was.system_attrs


def test_a_parameter_of_another_kind_is_refused(tmp_path: Path) -> None:
    mine, other = quick(tmp_path / "j"), optunas(tmp_path / "j")
    study = mine.create_new_study([StudyDirection.MINIMIZE])
    first, second = mine.create_new_trial(study), mine.create_new_trial(study)
    mine.set_trial_param(first, "rate", 0.1, FloatDistribution(0.0, 1.0))
    with pytest.raises(ValueError, match="distribution"):
        mine.set_trial_param(second, "rate", 1, IntDistribution(0, 9))
    assert "rate" not in mine.get_trial(second).params
    assert mine.get_all_trials(study) == other.get_all_trials(study)


def test_the_waiting_trials_and_the_count_are_those_that_optuna_finds(tmp_path: Path) -> None:
    mine = quick(tmp_path / "j")
    studies = [optuna.create_study(storage=mine, study_name=name) for name in ("one", "two")]
    for study in studies:
        for _ in range(4):
            study.enqueue_trial({"x": 0.5})
    studies[0].ask()
    studies[1].tell(studies[1].ask(), state=TrialState.FAIL)
    studies[1].add_trial(optuna.trial.create_trial(state=TrialState.WAITING))
    optunas(tmp_path / "j").set_trial_state_values(2, TrialState.RUNNING)
    waiting = (TrialState.WAITING,)
    for study, left in zip(studies, ([1, 3], [1, 2, 3, 4]), strict=True):
        for storage in (mine, quick(tmp_path / "j"), optunas(tmp_path / "j")):
            found = storage.get_all_trials(study._study_id, states=waiting)
            assert [trial.number for trial in found] == left
            assert storage.get_n_trials(study._study_id) == len(study.get_trials())
            assert storage.get_n_trials(study._study_id, waiting) == len(left)
    with pytest.raises(KeyError):
        mine.get_n_trials(99)
    with pytest.raises(KeyError):
        mine.get_all_trials(99, states=waiting)
