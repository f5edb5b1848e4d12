from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.errors import BadInput, BadInputs
from safr_study.settings import Constraint, SearchSpace

NUMBERS = st.floats(-1e6, 1e6).map(lambda number: number + 0.0)


@pytest.mark.parametrize(
    ("text", "metric", "operator", "bound", "majority"),
    [
        ("accuracy >= majority + 5", "accuracy", ">=", 5.0, True),
        ("accuracy>=majority+5", "accuracy", ">=", 5.0, True),
        ("  accuracy  >=  majority  ", "accuracy", ">=", 0.0, True),
        ("accuracy >= majority - 2.5", "accuracy", ">=", -2.5, True),
        ("srs@30 >= 2", "srs@30", ">=", 2.0, False),
        ("gate_openness <= 0.9", "gate_openness", "<=", 0.9, False),
        ("log_odds@12.5 <= -1e-2", "log_odds@12.5", "<=", -0.01, False),
        ("mean_capacity.ffn1_pre >= .25", "mean_capacity.ffn1_pre", ">=", 0.25, False),
    ],
)
def test_a_constraint_is_read_from_its_text(
    text: str, metric: str, operator: str, bound: float, majority: bool
) -> None:
    read = Constraint.parse_text(text)
    assert (read.metric, read.operator) == (metric, operator)
    assert (read.bound, read.majority) == (bound, majority)
    assert read.objective.name == metric
    assert Constraint.parse_text(read.text) == read


@pytest.mark.parametrize(
    "text", ["accuracy >= majority + 5", "srs@30 >= 2", "gate_openness <= 0.9"]
)
def test_a_plain_text_stays_as_it_is(text: str) -> None:
    assert Constraint.parse_text(text).text == text


@given(
    bound=NUMBERS,
    operator=st.sampled_from([">=", "<="]),
    majority=st.booleans(),
    accuracy=NUMBERS,
    classes=st.lists(st.integers(1, 9), min_size=1, max_size=4),
)
def test_text_and_meaning_survive_writing_and_reading(
    bound: float, operator: str, majority: bool, accuracy: float, classes: list[int]
) -> None:
    made = Constraint.model_validate(
        {"metric": "accuracy", "operator": operator, "bound": bound, "majority": majority}
    )
    read = Constraint.parse_text(made.text)
    assert read == made
    assert Constraint.model_validate(made.model_dump(mode="json")) == made
    limit = bound + 100.0 * max(classes) / sum(classes) if majority else bound
    kept = accuracy >= limit if operator == ">=" else accuracy <= limit
    assert (read.violation(accuracy, classes) <= 0) == kept
    assert abs(read.violation(accuracy, classes)) == pytest.approx(abs(accuracy - limit))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is no constraint; write METRIC >= NUMBER"),
        ("accuracy", "is no constraint"),
        ("accuracy > 5", "is no constraint"),
        ("accuracy >= five", "is no constraint"),
        ("accuracy >= 5 + majority", "is no constraint"),
        ("accuracy >= majority + -5", "is no constraint"),
        ("accuracy >= majority 5", "is no constraint"),
        ("5 <= accuracy", "is no constraint"),
        ("accuracy >= nan", "is no constraint"),
        ("accuracy >= 1e999", "finite"),
        ("colour >= 5", "'colour' is no metric; use accuracy, srs@K"),
        ("srs >= 5", "'srs' is no metric"),
        ("srs@30 >= majority + 1", "majority is an accuracy, which srs@30 is not"),
    ],
)
def test_what_is_no_constraint_is_one_sentence(text: str, words: str) -> None:
    with pytest.raises(BadInput) as caught:
        Constraint.parse_text(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_violation_is_the_distance_from_the_bound_in_the_metrics_unit() -> None:
    floor = Constraint.parse_text("accuracy >= majority + 5")
    assert floor.violation(60.0, [5, 5]) == -5.0
    assert floor.violation(55.0, [5, 5]) == 0.0
    assert floor.violation(52.0, [5, 5]) == 3.0
    ceiling = Constraint.parse_text("gate_openness <= 0.9")
    assert ceiling.violation(0.5, [5, 5]) == pytest.approx(-0.4)
    assert ceiling.missed(0.1) == "misses gate_openness <= 0.9 by 0.1"
    assert floor.missed(3.0) == "misses accuracy >= majority + 5 by 3 percentage points"


@pytest.mark.parametrize(
    ("text", "violation"),
    [
        # Without VMASK every gate is open.
        ("gate_openness <= 0.9", 0.1),
        ("gate_openness >= 0.1", -0.9),
        # Nothing is left to lose: the headroom of a ranking at random.
        ("headroom@30 >= 0.2", 0.2),
        ("mean_capacity_important.ffn1_pre >= 0.5", 0.5),
        ("sufficiency@20 <= 30", 70.0),
    ],
)
def test_a_model_without_the_number_counts_as_one_that_is_good_for_nothing(
    text: str, violation: float
) -> None:
    assert Constraint.parse_text(text).violation(None, [5, 5]) == pytest.approx(violation)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_value_that_is_no_number_is_none_here(value: float) -> None:
    with pytest.raises(ValueError, match="not finite"):
        Constraint.parse_text("accuracy >= 5").violation(value, [5, 5])


def space(*constraints: object) -> dict[str, object]:
    parameters = {"layers": {"type": "int", "low": 1, "high": 2}}
    return {"name": "x", "parameters": parameters, "constraints": list(constraints)}


def test_a_space_writes_its_constraints_as_texts_and_reads_them_back() -> None:
    made = SearchSpace.parse(space("accuracy >= majority + 5", "srs@30 >= 2"))
    assert made.model_dump(mode="json")["constraints"] == [
        "accuracy >= majority + 5",
        "srs@30 >= 2",
    ]
    assert SearchSpace.parse(made.model_dump()) == made
    assert SearchSpace.parse(space()).constraints == ()


def test_every_bad_constraint_of_a_space_is_named_by_its_place() -> None:
    with pytest.raises(BadInputs) as caught:
        SearchSpace.parse(space("accuracy >= 5", "colour >= 5", 7), where="x.yaml")
    assert [fault.field for fault in caught.value.faults] == [
        "x.yaml: constraints.1",
        "x.yaml: constraints.2",
    ]


def test_a_constraint_is_given_once() -> None:
    with pytest.raises(BadInputs, match="'accuracy >= 5' is given twice"):
        SearchSpace.parse(space("accuracy >= 5", "accuracy>=5.0"))
