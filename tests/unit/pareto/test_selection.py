from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from brute_pareto import brute_fronts, brute_places, places_by_top_k, random_sets
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from safr_study.pareto import top_k
from safr_study.pareto.selection import CELLS

LEVELS = st.one_of(st.integers(0, 4).map(float), st.sampled_from([math.inf, -math.inf]))
GRIDS = st.integers(2, 4).flatmap(
    lambda m: hnp.arrays(np.float64, st.tuples(st.integers(1, 12), st.just(m)), elements=LEVELS)
)
FLOATS = st.integers(2, 4).flatmap(
    lambda m: hnp.arrays(
        np.float64, st.tuples(st.integers(1, 8), st.just(m)), elements=st.floats(allow_nan=False)
    )
)


@cache
def dominating_sets() -> list[tuple[np.ndarray, list[int]]]:
    """Random sets, whose last row is better than all the others in every objective, with places."""
    rng = np.random.default_rng(3)
    sets = []
    for turn in range(300):
        others = rng.random((int(rng.integers(4, 30)), 2 + turn % 3))
        points = np.vstack([others, others.max(axis=0) + 0.01])
        sets.append((points, places_by_top_k(points)))
    return sets


@given(GRIDS)
def test_places_equal_brute_force(points: np.ndarray) -> None:
    assert places_by_top_k(points) == brute_places(points.tolist())


def test_places_equal_brute_force_on_a_thousand_sets_with_infinities() -> None:
    for points in random_sets(1000, most=9, seed=4):
        assert places_by_top_k(points) == brute_places(points, CELLS), points


@given(GRIDS)
def test_the_leading_rows_are_those_of_the_first_places(points: np.ndarray) -> None:
    # A stable sort: of equal points the earlier row.
    order = np.argsort(brute_places(points.tolist()), kind="stable")
    for count in range(len(points) + 2):
        assert np.flatnonzero(top_k(points, count)).tolist() == sorted(order[:count])


def test_the_leading_rows_of_a_thousand_sets_equal_brute_force() -> None:
    for points in random_sets(1000, most=12, seed=5):
        order = np.argsort(brute_places(points, CELLS), kind="stable")
        count = len(points) // 2
        assert np.flatnonzero(top_k(points, count)).tolist() == sorted(order[:count]), points


@given(st.one_of(GRIDS, FLOATS), st.randoms(use_true_random=False))
def test_the_order_of_the_rows_changes_nothing(points: np.ndarray, random) -> None:
    order = np.array(random.sample(range(len(points)), len(points)))
    places = places_by_top_k(points)
    assert places_by_top_k(points[order]) == [places[row] for row in order]


@given(FLOATS)
def test_a_better_front_comes_first_and_equal_points_share_the_best_place(
    points: np.ndarray,
) -> None:
    found, fronts = places_by_top_k(points), brute_fronts(points.tolist())
    rows = [tuple(row) for row in points.tolist()]
    for i, place in enumerate(found):
        assert all(found[j] > place for j, front in enumerate(fronts) if front > fronts[i])
        assert all((found[j] == place) == (row == rows[i]) for j, row in enumerate(rows))
        assert sum(other < place for other in found) == place


@given(
    GRIDS,
    st.lists(st.sampled_from([1e-6, 0.1, 3.7, 1000.0]), min_size=4, max_size=4),
    st.lists(st.sampled_from([-50.0, 0.0, 7.0]), min_size=4, max_size=4),
)
def test_units_change_nothing(points: np.ndarray, scales: list[float], shifts: list[float]) -> None:
    m = points.shape[1]
    assert places_by_top_k((points + shifts[:m]) * scales[:m]) == places_by_top_k(points)


def test_a_front_by_hand_compromise_extremes_then_the_widest_gap() -> None:
    front = [[0.0, 10.0], [1.0, 9.5], [6.0, 8.0], [8.0, 5.0], [10.0, 0.0]]
    # Largest sum: (6, 8). Farthest from it: (10, 0), then (0, 10). (8, 5) is sqrt(13) from the
    # compromise, (1, 9.5) is sqrt(1.25) from its neighbour.
    assert places_by_top_k(front) == [2, 4, 0, 3, 1]
    # A copy of an extreme shares its place and pushes the rest back; a dominated one is last.
    assert places_by_top_k([*front, [10.0, 0.0], [0.0, 0.0]]) == [3, 5, 0, 4, 1, 1, 6]


def test_a_dominating_row_has_the_first_place() -> None:
    for points, places in dominating_sets():
        assert places[-1] == 0
        assert np.flatnonzero(top_k(points, 1)).tolist() == [len(points) - 1]


def test_row_numbers_in_the_place_of_places_would_lose_dominating_rows() -> None:
    """A control: the mistake that another implementation of successive halving makes is caught.

    It sorts the rows and reads the sorted row numbers as if they were a place for each row.
    """
    lost = [np.argsort(places)[-1] >= len(points) / 3 for points, places in dominating_sets()]
    assert 0.5 < np.mean(lost) < 0.8


def test_the_largest_and_the_smallest_numbers_are_ordered_too() -> None:
    points = [[-1.7e308, 1.7e308], [1.7e308, -1.7e308], [0.0, 0.0], [5e-324, -5e-324]]
    assert sorted(places_by_top_k(points)) == [0, 1, 2, 3]
    assert places_by_top_k([[0.0, 1.0], [-0.0, 1.0]]) == [0, 0]


def test_no_points_and_one_objective() -> None:
    assert places_by_top_k([]) == []
    assert top_k([], 3).tolist() == []
    assert places_by_top_k([[1.0], [3.0], [3.0], [-math.inf]]) == [2, 0, 0, 3]


def test_what_has_no_order_is_refused() -> None:
    with pytest.raises(ValueError, match="NaN"):
        places_by_top_k([[1.0, math.nan]])
    with pytest.raises(ValueError, match="matrix"):
        places_by_top_k([1.0, 2.0])
