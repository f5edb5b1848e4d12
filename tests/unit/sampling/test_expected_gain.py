"""The expected gain against hypervolumes of the front with and without a point."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from safr_study.pareto import hypervolume
from safr_study.sampling.expected_gain import Floats, expected_gain


def true_gain(point: Floats, front: Floats, reference: Floats) -> float:
    return hypervolume([*front, point], reference) - hypervolume(front, reference)


@pytest.mark.parametrize("dims", [2, 3])
@given(seed=st.integers(0, 10_000), size=st.integers(0, 6))
def test_a_certain_point_gains_what_it_adds(dims: int, seed: int, size: int) -> None:
    draws = np.random.default_rng(seed)
    # Of few values, so that there are ties, and some below the reference.
    front = draws.integers(-1, 5, (size, dims)).astype(float)
    points = draws.integers(-2, 6, (7, dims)).astype(float)
    reference = np.zeros(dims)
    gains = expected_gain(points, np.zeros((7, dims)), front, reference)
    expected = [true_gain(point, front, reference) for point in points]
    assert gains == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("dims", [2, 3])
def test_an_uncertain_point_gains_what_its_draws_add_on_average(dims: int) -> None:
    draws = np.random.default_rng(5)
    front, reference = draws.normal(1.0, 1.0, (4, dims)), np.full(dims, -0.5)
    means, spreads = draws.normal(0.8, 1.0, (3, dims)), draws.uniform(0.1, 1.5, (3, dims))
    gains = expected_gain(means, spreads, front, reference)
    for mean, spread, gain in zip(means, spreads, gains, strict=True):
        sampled = [
            true_gain(point, front, reference) for point in draws.normal(mean, spread, (3000, dims))
        ]
        error = np.std(sampled) / np.sqrt(3000)
        assert gain == pytest.approx(np.mean(sampled), abs=4 * error)


@given(st.integers(0, 10_000))
def test_it_is_never_negative_and_grows_with_doubt(seed: int) -> None:
    draws = np.random.default_rng(seed)
    front = draws.normal(0.0, 3.0, (5, 2))
    means, spreads = draws.normal(0.0, 30.0, (20, 2)), draws.gamma(0.5, 1.0, (20, 2))
    reference = np.array([-3.0, -3.0])
    gains = expected_gain(means, spreads, front, reference)
    assert (gains >= 0).all()
    assert (expected_gain(means, 2 * spreads + 0.1, front, reference) >= gains - 1e-9).all()


def test_where_all_is_known_there_is_nothing_to_gain() -> None:
    front = np.array([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]])
    assert expected_gain(front, np.zeros((3, 2)), front, np.zeros(2)) == pytest.approx(np.zeros(3))
