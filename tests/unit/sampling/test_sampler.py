from __future__ import annotations

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from safr_study.sampling.sampler import build_sampler, enqueued, replay, suggest
from safr_study.settings import SWITCH_SUFFIX, SearchSpace

SPACE = SearchSpace.parse(
    {
        "name": "test",
        "parameters": {
            "lambda_imp": {"type": "float", "low": 0.01, "high": 10, "log": True, "zero": 0.25},
            "layers": {"type": "int", "low": 1, "high": 2},
            "dropout": {"type": "float", "low": 0.0, "high": 0.5, "when": {"layers": 2}},
            "interference": {"type": "categorical", "choices": ["dot", "squared"]},
        },
    }
)


def draw(sampler: str, seed: int, numbers: range) -> list[dict[str, object]]:
    study = optuna.create_study(directions=["maximize"] * 2)
    drawn = []
    for number in numbers:
        study.sampler = build_sampler(sampler, seed=seed, number=number, space=SPACE)  # type: ignore[arg-type]
        trial = study.ask()
        drawn.append(dict(suggest(trial, SPACE)))
        study.tell(trial, [float(number), -float(number)])
    return drawn


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_every_draw_is_inside_the_space(sampler: str) -> None:
    for values in draw(sampler, 1, range(30)):
        imp, layers = values["lambda_imp"], values["layers"]
        assert imp == 0 or 0.01 <= imp <= 10  # type: ignore[operator]
        assert ("dropout" in values) == (layers == 2)


def test_the_exact_zero_comes_as_often_as_stated() -> None:
    zeros = sum(values["lambda_imp"] == 0 for values in draw("random", 0, range(400)))
    # Binomial(400, 0.25): four standard deviations either side.
    assert 65 <= zeros <= 135


def test_random_draws_depend_on_the_seed_and_the_number_alone() -> None:
    assert draw("random", 5, range(8)) == draw("random", 5, range(8))
    assert draw("random", 5, range(8))[4:] == draw("random", 5, range(4, 8))
    assert draw("random", 5, range(8)) != draw("random", 6, range(8))
    assert len({str(values) for values in draw("random", 5, range(8))}) == 8


def test_tpe_repeats_itself_on_the_same_history() -> None:
    assert draw("tpe", 5, range(14)) == draw("tpe", 5, range(14))


def test_without_vmask_no_lambda_is_drawn() -> None:
    space = SPACE.model_copy(update={"fixed": {"vmask": False}})
    trial = optuna.create_study().ask()
    assert "lambda_imp" not in suggest(trial, space)
    assert not any(name.startswith("lambda") for name in trial.params)


@settings(max_examples=50, deadline=None)
@given(
    imp=st.one_of(st.just(0.0), st.floats(0.01, 10.0)),
    layers=st.sampled_from([1, 2]),
    dropout=st.floats(0.0, 0.5),
)
def test_an_enqueued_point_is_what_the_sampler_gives_back(
    imp: float, layers: int, dropout: float
) -> None:
    point: dict[str, bool | int | float | str] = {
        "lambda_imp": imp,
        "layers": layers,
        "interference": "squared",
    }
    if layers == 2:
        point["dropout"] = dropout
    study = optuna.create_study()
    study.enqueue_trial(enqueued(point, SPACE))
    assert suggest(study.ask(), SPACE) == point


def test_a_replayed_point_teaches_the_sampler_only_what_it_names() -> None:
    study = optuna.create_study()
    point = {"lambda_imp": 0.0}
    study.enqueue_trial(enqueued(point, SPACE))
    trial = study.ask()
    replay(trial, SPACE, point)
    assert trial.params == {"lambda_imp" + SWITCH_SUFFIX: 0.0}
