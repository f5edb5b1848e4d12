from __future__ import annotations

import math

import optuna
import pytest
from asking import inside, spaces_of
from hypothesis import given, settings
from hypothesis import strategies as st

from safr_study.sampling.sampler import build_sampler, suggest
from safr_study.sampling.unit_cube import box, drawn_from, from_box, to_box
from safr_study.settings import SWITCH_SUFFIX, FloatParameter, SearchSpace, Value

FLOATS = ("learning_rate", "dropout", "lambda_imp", "lambda_inter", "vmask_beta")
INTS = ("layers", "batch_size", "patience", "mask_hidden_dim")
CHOICES: dict[str, list[Value]] = {
    "vmask": [True, False],
    "interference": ["dot", "squared"],
    "embed_dim": [64, 128, 256],
}


@st.composite
def search_spaces(draw: st.DrawFn) -> SearchSpace:
    """Any space: every type, exact zeros, ranges of one value, conditions on earlier parameters."""
    names = draw(st.lists(st.sampled_from((*FLOATS, *INTS, *CHOICES)), min_size=1, unique=True))
    # A condition's parameter comes first.
    names.sort(key=lambda name: name != "vmask")
    parameters: dict[str, dict[str, object]] = {}
    for name in names:
        log = draw(st.booleans())
        made: dict[str, object]
        if name in FLOATS:
            low = draw(st.sampled_from([1e-4, 0.01, 0.1] if log else [0.0, 1e-4, 0.1]))
            if name == "learning_rate":
                low = low or 1e-4
            high = draw(st.sampled_from([low, low + 0.5, low + 0.7]))
            # A learning rate of 0 trains nothing, and the space says so.
            zero = 0.0 if name == "learning_rate" else draw(st.sampled_from([0.0, 0.2, 0.9]))
            made = {"type": "float", "low": low, "high": high, "log": log, "zero": zero}
        elif name in INTS:
            low = draw(st.integers(1, 4))
            wide = 16 if name == "layers" else 900
            high = low + draw(st.sampled_from([0, 1, 9, 16, wide]))
            made = {"type": "int", "low": low, "high": high, "log": log}
        else:
            made = {"type": "categorical", "choices": CHOICES[name]}
        if parameters and draw(st.booleans()):
            other = draw(st.sampled_from(list(parameters)))
            before = parameters[other]
            value = (
                draw(st.sampled_from(before["choices"]))  # type: ignore[call-overload]
                if "choices" in before
                else before["low"]
            )
            made["when"] = {other: value}
        parameters[name] = made
    return spaces_of(parameters)


def corners_and_random(space: SearchSpace, draw: st.DataObject) -> dict[str, Value]:
    """A point of the box, its edges among them."""
    point: dict[str, Value] = {}
    for name, coordinate in box(space).items():
        if isinstance(coordinate, optuna.distributions.CategoricalDistribution):
            point[name] = draw.draw(st.sampled_from(coordinate.choices))  # type: ignore[arg-type]
        elif isinstance(coordinate, optuna.distributions.IntDistribution):
            point[name] = draw.draw(st.integers(coordinate.low, coordinate.high))
        else:
            point[name] = draw.draw(st.floats(0.0, 1.0))
    return point


def settled(drawn: dict[str, Value], space: SearchSpace) -> dict[str, Value]:
    """The settings of a trial that draws these, through Optuna itself."""
    study = optuna.create_study()
    study.enqueue_trial(drawn)
    trial = study.ask()
    values = suggest(trial, space)
    assert trial.params == pytest.approx(drawn)
    return values


@settings(max_examples=100, deadline=None)
@given(space=search_spaces(), data=st.data())
def test_every_point_of_the_box_is_a_point_of_the_space_and_found_again(
    space: SearchSpace, data: st.DataObject
) -> None:
    point = corners_and_random(space, data)
    drawn = from_box(point, space)
    values = settled(drawn, space)
    assert inside(values, space)
    again = to_box(drawn, space)
    assert again is not None
    assert box(space).keys() == again.keys()
    for name in values:
        parameter = space.parameters[name]
        # In a range of one value all places are the same, and near a whole number they nearly are.
        one = getattr(parameter, "low", 0) == getattr(parameter, "high", 1)
        if isinstance(parameter, FloatParameter) and (
            not one or float(point[name]) < parameter.zero
        ):
            assert again[name] == pytest.approx(point[name], abs=1e-9)
    found = from_box(again, space)
    assert found.keys() == drawn.keys()
    assert all(found[name] == pytest.approx(drawn[name]) for name in values if name in drawn)
    # What does not exist has one place, whatever the point said.
    assert to_box(from_box(again, space), space) == pytest.approx(again, abs=1e-9)


@settings(max_examples=40, deadline=None)
@given(
    space=search_spaces(),
    sampler=st.sampled_from(["random", "qmc", "tpe", "nsga2"]),
    seed=st.integers(0, 2**63 - 1),
)
def test_every_draw_lies_in_the_space_and_what_should_not_exist_is_not_drawn(
    space: SearchSpace, sampler: str, seed: int
) -> None:
    study = optuna.create_study(directions=["maximize", "minimize"])
    for number in range(12):
        study.sampler = build_sampler(sampler, seed=seed, number=number, space=space)  # type: ignore[arg-type]
        trial = study.ask()
        values = suggest(trial, space)
        assert inside(values, space)
        bare = {name.removesuffix(SWITCH_SUFFIX) for name in trial.params}
        assert bare == values.keys()
        study.tell(trial, [float(number % 5), float(number % 3)])


def test_zero_lies_beside_the_smallest_values_with_its_probability() -> None:
    space = spaces_of(
        {"lambda_imp": {"type": "float", "low": 0.01, "high": 100, "log": True, "zero": 0.2}}
    )
    assert from_box({"lambda_imp": 0.1999}, space) == {"lambda_imp.switch": 0.1999}
    assert from_box({"lambda_imp": 0.2}, space)["lambda_imp"] == pytest.approx(0.01)
    assert from_box({"lambda_imp": 0.6}, space)["lambda_imp"] == pytest.approx(1.0)
    assert from_box({"lambda_imp": 1.0}, space)["lambda_imp"] == 100.0
    assert to_box({"lambda_imp.switch": 0.05}, space) == {"lambda_imp": 0.05}
    # The switch of a value that is not zero says nothing more.
    assert to_box({"lambda_imp.switch": 0.9, "lambda_imp": 10.0}, space) == pytest.approx(
        {"lambda_imp": 0.8}
    )


@pytest.mark.parametrize(
    "drawn",
    [
        {},
        {"layers": 2},
        {"dropout": 0.1},
        {"layers": 9, "dropout": 0.1},
        {"layers": 2, "dropout": math.pi},
    ],
)
def test_a_trial_that_lacks_a_parameter_or_left_its_range_has_no_place(
    drawn: dict[str, Value],
) -> None:
    space = spaces_of(
        {
            "layers": {"type": "int", "low": 1, "high": 3},
            "dropout": {"type": "float", "low": 0, "high": 0.5},
        }
    )
    assert to_box(drawn, space) is None
    assert to_box({"layers": 2, "dropout": 0.25}, space) == {"layers": 2, "dropout": 0.5}


def test_what_is_drawn_fits_what_a_trial_asks_for() -> None:
    space = spaces_of(
        {"lambda_imp": {"type": "float", "low": 0.01, "high": 1, "log": True, "zero": 0.5}}
    )
    trial = optuna.create_study().ask()
    for _ in range(20):
        trial = optuna.create_study().ask()
        suggest(trial, space)
        offered = drawn_from("lambda_imp", space.parameters["lambda_imp"])
        assert all(offered[name] == there for name, there in trial.distributions.items())


def test_many_whole_numbers_are_a_range_and_each_comes_as_often_as_another() -> None:
    space = spaces_of(
        {
            "patience": {"type": "int", "low": 1, "high": 16},
            "batch_size": {"type": "int", "low": 1, "high": 17},
        }
    )
    kinds = {name: type(coordinate).__name__ for name, coordinate in box(space).items()}
    assert kinds == {"patience": "IntDistribution", "batch_size": "FloatDistribution"}
    places = [(index + 0.5) / 1700 for index in range(1700)]
    drawn = [from_box({"patience": 1, "batch_size": place}, space) for place in places]
    counts = [sum(one["batch_size"] == size for one in drawn) for size in range(1, 18)]
    assert counts == [100] * 17
