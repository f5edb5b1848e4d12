"""Knee and compromise of fronts of all shapes, against the definitions written out."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from safr_study.pareto import compromise_index, front_numbers, knee_index

# A coarse grid makes equal points, ties and straight fronts common; the last column binary.
GRIDS = st.integers(2, 3).flatmap(
    lambda m: hnp.arrays(
        np.float64, st.tuples(st.integers(1, 9), st.just(m)), elements=st.integers(0, 6).map(float)
    )
)
SMOOTH = st.tuples(st.floats(0.3, 3.0), st.integers(3, 9), st.floats(0.1, 50.0))
"""Exponent p of a front (1 - t^p)^(1/p), its members, and the scale of its first objective."""


def front_of(points: np.ndarray) -> np.ndarray:
    return points[front_numbers(points) == 0]


def scaled(front: np.ndarray) -> list[list[float]]:
    """Each objective that differs in [0, 1], point by point."""
    ends = [(min(column), max(column)) for column in front.T]
    return [
        [(value - low) / (high - low) for value, (low, high) in zip(row, ends, strict=True)
         if high > low]
        for row in front
    ]  # fmt: skip


def brute_knees(front: np.ndarray) -> list[int]:
    """Rows of the largest sum, where it is beyond the sum of the lowest end of each objective."""
    rows = scaled(front)
    sums = [round(sum(row), 9) for row in rows]
    axes = range(len(rows[0]))
    ends = [min(sums[n] for n, row in enumerate(rows) if row[axis] == 1.0) for axis in axes]
    if not ends or max(sums) <= max(ends):
        return []
    return [n for n, one in enumerate(sums) if one == max(sums)]


def brute_compromises(front: np.ndarray, among: list[int]) -> list[int]:
    worst = {n: round(min(scaled(front)[n], default=1.0), 9) for n in among}
    return [n for n in among if worst[n] == max(worst.values())]


@given(GRIDS)
def test_knee_and_compromise_are_those_of_the_definition(points: np.ndarray) -> None:
    front = front_of(points)
    knees, knee = brute_knees(front), knee_index(front)
    assert knee in knees if knees else knee is None
    assert compromise_index(front) in brute_compromises(front, list(range(len(front))))


@given(GRIDS, st.data())
def test_the_compromise_is_a_preferred_one_where_there_is_any(points: np.ndarray, data) -> None:
    front = front_of(points)
    flags = st.lists(st.booleans(), min_size=len(front), max_size=len(front))
    preferred = data.draw(flags)
    among = [n for n, wanted in enumerate(preferred) if wanted] or list(range(len(front)))
    assert compromise_index(front, preferred=preferred) in brute_compromises(front, among)


@given(GRIDS, st.randoms(use_true_random=False))
def test_neither_order_nor_units_nor_duplicates_change_the_choice(
    points: np.ndarray, random
) -> None:
    front = front_of(points)
    order = np.array(random.sample(range(len(front)), len(front)))
    twice = np.concatenate([front, front[::-1]])
    for choose in (knee_index, compromise_index):
        row = choose(front)
        chosen = None if row is None else front[row].tolist()
        for other in (front[order], 4.0 * front - 3.0, twice):
            again = choose(other)
            found = None if again is None else other[again].tolist()
            scale = 4.0 if other is not twice and np.array_equal(other, 4.0 * front - 3.0) else 1.0
            assert found == (chosen if scale == 1.0 or chosen is None
                             else [scale * value - 3.0 for value in chosen])  # fmt: skip


@given(SMOOTH)
def test_a_front_has_a_knee_exactly_where_it_bends_towards_the_ideal(shape) -> None:
    power, members, scale = shape
    at = np.linspace(0.0, 1.0, members)
    front = np.column_stack([scale * at, (1.0 - at**power) ** (1.0 / power)])
    knee, compromise = knee_index(front), compromise_index(front)
    if abs(power - 1.0) > 0.01:
        assert (knee is not None) == (power > 1.0)
    assert compromise is not None
    # Between the ends: it gives up some of either.
    assert 0 < compromise < members - 1


def test_knee_is_farthest_from_the_line_through_the_ends() -> None:
    front = np.array([[90.0, 2.0], [88.0, 9.0], [85.0, 11.0], [70.0, 12.0]])
    between = (front - front.min(0)) / np.ptp(front, axis=0)
    start, end = between[0], between[-1]
    along = (end - start) / np.linalg.norm(end - start)
    away = [float(np.linalg.norm(p - start - along * np.dot(p - start, along))) for p in between]
    assert knee_index(front) == int(np.argmax(away)) == 2


CASES = {
    "one member": ([[1.0, 2.0]], None, None, 0),
    "two: the better first objective": ([[1.0, 2.0], [2.0, 1.0]], None, None, 1),
    "equal: the first row": ([[1.0, 2.0], [1.0, 2.0]], None, None, 0),
    "straight": ([[0.0, 2.0], [1.0, 1.0], [2.0, 0.0]], None, None, 1),
    "bent away": ([[0.0, 9.0], [1.0, 1.0], [9.0, 0.0]], None, None, 1),
    "towards the ideal": ([[0.0, 9.0], [8.0, 8.0], [9.0, 0.0]], None, 1, 1),
    "the middle is not eligible": ([[0.0, 9.0], [8.0, 8.0], [9.0, 0.0]], [1, 0, 1], None, 2),
    "nobody is eligible": ([[1.0, 2.0], [2.0, 1.0]], [0, 0], None, None),
    "one objective without a range": ([[5.0, 0.0], [5.0, 1.0]], None, None, 1),
    "an ineligible end sets no scale": (
        [[90.0, 0.0], [80.0, 9.0], [70.0, 10.0], [60.0, 100.0]], [1, 1, 1, 0], 1, 1,
    ),
    "it sets the scale otherwise": (
        [[90.0, 0.0], [80.0, 9.0], [70.0, 10.0], [60.0, 100.0]], None, None, 2,
    ),
    "three objectives": (
        [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0], [2.0, 2.0, 2.0]], None, 3, 3,
    ),
    "three objectives, bent away": (
        [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0], [1.0, 1.0, 1.0]], None, None, 3,
    ),
    "three objectives, two members": ([[4.0, 0.0, 1.0], [0.0, 4.0, 2.0]], None, None, 1),
    "nothing": ([], None, None, None),
}  # fmt: skip


@pytest.mark.parametrize(
    ("points", "eligible", "knee", "compromise"), CASES.values(), ids=list(CASES)
)
def test_small_and_degenerate_fronts(points, eligible, knee, compromise) -> None:
    assert knee_index(points, eligible) == knee
    assert compromise_index(points, eligible) == compromise
