from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.errors import BadInputs
from safr_study.settings import SchedulerConfig


@pytest.mark.parametrize(
    ("first", "reduction", "epochs", "rungs"),
    [
        pytest.param(2, 3.0, 20, (2, 6, 18), id="the defaults"),
        pytest.param(2, 3.0, 18, (2, 6), id="the last epoch is no rung"),
        pytest.param(1, 2.0, 9, (1, 2, 4, 8), id="halving"),
        pytest.param(1, 1.5, 6, (1, 2, 3, 5), id="rounded: 1, 1.5, 2.25, 3.375, 5.06"),
        pytest.param(8, 3.0, 8, (), id="nothing below the first"),
        pytest.param(1, 3.0, 1, (), id="one epoch"),
        pytest.param(1, 1e308, 5, (1,), id="a huge reduction"),
        pytest.param(10**400, 3.0, 20, (), id="a huge first rung"),
    ],
)
def test_rungs(first: int, reduction: float, epochs: int, rungs: tuple[int, ...]) -> None:
    assert SchedulerConfig(first_rung=first, reduction=reduction).rungs(epochs) == rungs


@given(st.integers(1, 9), st.floats(1.1, 10), st.integers(1, 300))
def test_rungs_ascend_below_the_end_and_are_the_first_ones_of_a_longer_training(
    first: int, reduction: float, epochs: int
) -> None:
    config = SchedulerConfig(first_rung=first, reduction=reduction)
    rungs = config.rungs(epochs)
    assert list(rungs) == sorted(set(rungs))
    assert all(first <= rung < epochs for rung in rungs)
    assert rungs == tuple(rung for rung in config.rungs(2 * epochs) if rung < epochs)
    assert bool(rungs) == (first < epochs)


def test_no_scheduler_has_no_rungs() -> None:
    assert SchedulerConfig(name="none").rungs(100) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "asha"},
        {"first_rung": 0},
        {"reduction": 1.0},
        {"min_peers": 0},
        {"margin": -0.1},
        {"margin": float("inf")},
        {"run_on": 1.1},
        {"texts": 0},
        {"brackets": 2},
    ],
)
def test_what_makes_no_sense_is_refused_by_name(wrong: dict[str, object]) -> None:
    with pytest.raises(BadInputs, match=next(iter(wrong))):
        SchedulerConfig.parse(wrong)
