"""Importance: what decides an objective stands out, the rest does not; few trials say nothing."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from stored_study import ask, begin, complete, study_spec

from safr_study.home import open_home
from safr_study.ledger.importance import LEAST_TRIALS, parameter_importance
from safr_study.ledger.ledger import Ledger
from safr_study.settings import SearchSpace

SPACE = SearchSpace.parse(
    {
        "name": "two",
        "parameters": {
            "lambda_imp": {"type": "float", "low": 1e-4, "high": 10, "log": True, "zero": 0.2},
            "dropout": {"type": "float", "low": 0.0, "high": 0.5},
            "heads": {"type": "categorical", "choices": [2, 4, 8]},
        },
    }
)
SHUFFLES = 60


def studied(folder: Path, trials: int, *, accuracy: float | None = None) -> Ledger:
    """Accuracy falls with lambda_imp, or is given; SRS rises with dropout; heads decide nothing."""
    spec = study_spec(space=SPACE, trials=trials, sampler="random", seed=1)
    ledger = begin(open_home(folder / "home"), spec)
    for number in ask(ledger, trials):
        parameters = ledger.trial(number).parameters
        imp, dropout = parameters["lambda_imp"], parameters.get("dropout")
        fallen = 70.0 - math.log10(1e-5 + float(imp or 0.0))
        reached = fallen if accuracy is None else accuracy
        complete(ledger, number, (reached, 10.0 + 5.0 * float(dropout or 0.0)))
    return ledger


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    return studied(tmp_path_factory.mktemp("importance"), 40)


def test_what_decides_an_objective_is_beyond_chance_and_has_its_direction(ledger: Ledger) -> None:
    found = {
        (one.objective, one.parameter): one
        for one in parameter_importance(ledger, shuffles=SHUFFLES)
    }
    assert len(found) == 2 * 3
    deciding = {("accuracy", "lambda_imp"): -1, ("srs@30", "dropout"): 1}
    for key, sign in deciding.items():
        one = found[key]
        assert one.strength > 2
        assert one.p == pytest.approx(1 / (SHUFFLES + 1))
        assert one.rho is not None
        assert sign * one.rho > 0.9
    for key, one in found.items():
        if key not in deciding:
            assert one.strength < 1.5
    assert found["accuracy", "heads"].rho is None
    # The baseline without VMASK has no place among lambdas.
    assert {one.trials for one in found.values()} <= {38, 39}


def test_it_is_the_same_each_time(ledger: Ledger) -> None:
    first = parameter_importance(ledger, shuffles=10)
    assert parameter_importance(ledger, shuffles=10) == first


def test_few_trials_say_nothing(tmp_path: Path) -> None:
    assert parameter_importance(studied(tmp_path, LEAST_TRIALS - 1)) == ()


def test_where_all_have_the_same_value_nothing_decides_and_nothing_is_warned_of(
    tmp_path: Path,
) -> None:
    ledger = studied(tmp_path, 12, accuracy=100.0)
    found = [one for one in parameter_importance(ledger, shuffles=5) if one.objective == "accuracy"]
    assert found
    assert {(one.divergence, one.rho) for one in found} == {(0.0, None)}
