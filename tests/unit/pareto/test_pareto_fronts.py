from __future__ import annotations

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from brute_pareto import brute_fronts, grid_hypervolume, random_sets
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from safr_study.pareto import crowding_distances, front_numbers, hypervolume

# A coarse grid makes equal points and ties in single objectives common.
GRIDS = st.integers(2, 4).flatmap(
    lambda m: hnp.arrays(
        np.float64, st.tuples(st.integers(1, 12), st.just(m)), elements=st.integers(0, 4).map(float)
    )
)


def brute_crowding(front: np.ndarray) -> list[float]:
    """NSGA-II, point by point, over the distinct points in lexicographic order."""
    distinct = sorted({tuple(row) for row in front.tolist()})
    if len(distinct) <= 2:
        return [np.inf] * len(front)
    distance = dict.fromkeys(distinct, 0.0)
    for m in range(front.shape[1]):
        line = sorted(distinct, key=lambda point: point[m])
        width = line[-1][m] - line[0][m]
        if width == 0:
            continue
        distance[line[0]] = distance[line[-1]] = np.inf
        for (before, at), (_, after) in pairwise(pairwise(line)):
            distance[at] += (after[m] - before[m]) / width
    return [distance[tuple(row)] for row in front.tolist()]


def inclusion_exclusion(points: np.ndarray, reference: np.ndarray) -> float:
    boxes = np.maximum(points - reference, 0.0)
    return sum(
        (-1) ** (size + 1) * float(np.prod(np.min(chosen, axis=0)))
        for size in range(1, len(boxes) + 1)
        for chosen in combinations(boxes, size)
    )


@given(GRIDS)
def test_front_numbers_equal_brute_force(points: np.ndarray) -> None:
    assert front_numbers(points).tolist() == brute_fronts(points)


def test_front_numbers_equal_brute_force_on_thousands_of_sets_with_infinities() -> None:
    for points in random_sets(3000, most=10, seed=1):
        assert front_numbers(points).tolist() == brute_fronts(points), points


@given(GRIDS)
def test_crowding_equals_brute_force_within_each_front(points: np.ndarray) -> None:
    fronts = front_numbers(points)
    found = crowding_distances(points, fronts)
    for number in np.unique(fronts):
        np.testing.assert_allclose(
            found[fronts == number], brute_crowding(points[fronts == number])
        )


@given(GRIDS, st.randoms(use_true_random=False))
def test_order_of_the_rows_changes_nothing(points: np.ndarray, random) -> None:
    order = np.array(random.sample(range(len(points)), len(points)))
    fronts = front_numbers(points)
    assert front_numbers(points[order]).tolist() == fronts[order].tolist()
    crowding = crowding_distances(points, fronts)
    np.testing.assert_array_equal(crowding_distances(points[order], fronts[order]), crowding[order])


def test_crowding_by_hand() -> None:
    points = np.array([[0.0, 10.0], [1.0, 8.0], [4.0, 5.0], [10.0, 0.0], [1.0, 8.0]])
    # (4 - 0) / 10 + (10 - 5) / 10 and (10 - 1) / 10 + (8 - 0) / 10; the equal points share theirs.
    np.testing.assert_allclose(
        crowding_distances(points, np.zeros(5, np.int64)),
        [np.inf, 0.9, 1.7, np.inf, 0.9],
        rtol=1e-12,
    )


@given(GRIDS, st.integers(-1, 3))
def test_hypervolume_equals_inclusion_and_exclusion(points: np.ndarray, corner: int) -> None:
    points = points[:7]
    reference = np.full(points.shape[1], float(corner))
    assert hypervolume(points, reference) == pytest.approx(
        inclusion_exclusion(points, reference), abs=1e-9
    )


def test_hypervolume_equals_a_grid_of_cells_on_thousands_of_sets_with_infinities() -> None:
    seen = {"zero": 0, "finite": 0, "infinite": 0}
    for turn, points in enumerate(random_sets(3000, most=6, seed=2)):
        reference = [float(turn % 2)] * len(points[0])
        expected = grid_hypervolume(points, reference)
        assert hypervolume(points, reference) == pytest.approx(expected, rel=1e-9), points
        kind = "zero" if expected == 0 else "finite" if math.isfinite(expected) else "infinite"
        seen[kind] += 1
    assert min(seen.values()) > 100, seen


@pytest.mark.parametrize(
    ("points", "volume"),
    [
        pytest.param([[2.0, math.inf]], math.inf, id="infinite and better"),
        pytest.param([[2.0, -math.inf]], 0.0, id="worthless"),
        pytest.param([[math.inf, -math.inf]], 0.0, id="worthless however good the other"),
        pytest.param([[math.inf, 0.0]], 0.0, id="no thickness"),
        pytest.param([[math.inf, -math.inf], [2.0, 3.0]], 6.0, id="the other counts"),
        pytest.param([[math.inf, 1.0], [1.0, math.inf]], math.inf, id="two infinite ones"),
        pytest.param([[1e200, 1e200], [2e200, 1e150]], math.inf, id="beyond the largest float"),
    ],
)
def test_hypervolume_of_infinite_values(points: list[list[float]], volume: float) -> None:
    assert hypervolume(points, [0.0, 0.0]) == volume


def test_hypervolume_by_hand_ignores_points_behind_the_reference() -> None:
    assert hypervolume([[2.0, 1.0], [1.0, 2.0], [9.0, 0.0], [-1.0, 5.0]], [0.0, 0.0]) == 3.0
    assert hypervolume([[9.0, 0.0]], [0.0, 0.0]) == 0.0
    assert hypervolume([], [0.0, 0.0]) == 0.0


def test_a_volume_beyond_the_largest_float_is_infinite_and_not_nan() -> None:
    big = 1.7e308
    points = [[0.0, 0.0, 1.0], [big, 0.0, 1.0], [big, big, 0.0], [0.0, 0.0, 1e200]]
    assert hypervolume(points, [-big] * 3) == math.inf


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_reference_point_that_is_not_finite_is_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        hypervolume([[1.0, 1.0]], [0.0, bad])


def test_what_has_no_order_is_refused() -> None:
    points = [[1.0, np.nan], [0.0, 1.0]]
    with pytest.raises(ValueError, match="not finite"):
        front_numbers(points)
    with pytest.raises(ValueError, match="not finite"):
        hypervolume(points, [0.0, 0.0])


def test_shapes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="matrix"):
        front_numbers([1.0, 2.0])
    with pytest.raises(ValueError, match="do not fit"):
        hypervolume([[1.0, 2.0]], [0.0])
