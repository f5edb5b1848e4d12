"""The order of points in successive halving: the ones to keep when some must go."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safr_study.pareto.fronts import Points, front_numbers, ordered_values

CELLS = 1_000_000
"""Steps into which each objective's range is divided before distances are taken. Squared distances
are then whole numbers, exact in floats: ties are ties, in whatever unit the values came."""


def top_k(points: ArrayLike, count: int) -> NDArray[np.bool_]:
    """The first `count` points: whole fronts, and of the one that is cut an epsilon-net.

    The net (farthest-first traversal, Gonzalez 1985) begins at the front's best compromise, the
    member with the largest sum of scaled objectives, and then takes the member farthest from
    all before it. So wherever a front is cut, those that are kept are spread along the whole of it.
    Each objective is scaled to its finite range over all the points; infinities lie one range
    beyond its ends. Ties go to the larger sum, then to the better worst objective, then to the
    better first objective (then the second, ...), and of equal points to the earlier row. The order
    of the rows does not matter otherwise.

    Args:
        points: `[N, M]`, every objective maximised; infinities are allowed.
        count: of rows, at least 0.

    Returns:
        `[N]`, true for min(count, N) rows.

    Raises:
        ValueError: not a matrix, or a value is NaN.
    """
    values = ordered_values(points)
    kept = np.zeros(len(values), dtype=np.bool_)
    fronts, cells, left = front_numbers(values), _cells(values), count
    for front in range(fronts.max(initial=-1) + 1):
        members = np.flatnonzero(fronts == front)
        if len(members) > left:
            kept[_cut(values, cells, members, left)] = True
            break
        kept[members] = True
        left -= len(members)
    return kept


def finite_range(points: Points) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smallest and largest finite value of each objective `[M]`; 0 and 0 where there is none."""
    finite = np.isfinite(points)
    some = finite.any(axis=0)
    low = np.where(finite, points, np.inf).min(axis=0, initial=np.inf)
    high = np.where(finite, points, -np.inf).max(axis=0, initial=-np.inf)
    return np.where(some, low, 0.0), np.where(some, high, 0.0)


def _cut(
    points: Points, cells: NDArray[np.float64], members: NDArray[np.int64], count: int
) -> NDArray[np.int64]:
    """The first `count` of a front's rows."""
    distinct, first, which = np.unique(
        points[members], axis=0, return_index=True, return_inverse=True
    )
    kept: list[int] = []
    for vector in _net(distinct, cells[members[first]]):
        if len(kept) >= count:
            break
        equal = members[which.reshape(-1) == vector]
        kept.extend(equal[: count - len(kept)].tolist())
    return np.array(kept, dtype=np.int64)


def _net(front: Points, cells: NDArray[np.float64]) -> Iterator[int]:
    """Rows of a front of distinct points `[n, M]`: each the farthest from those before it."""
    preferred = np.lexsort((*-front.T[::-1], -cells.min(axis=1), -cells.sum(axis=1)))
    # A column per point: the sums over objectives then run along contiguous memory.
    placed = np.ascontiguousarray(cells[preferred].T)
    nearest = np.full(len(front), np.inf)
    chosen = 0
    for _ in range(len(front)):
        yield int(preferred[chosen])
        away = placed - placed[:, chosen, None]
        np.minimum(nearest, np.einsum("mn,mn->n", away, away), out=nearest)
        nearest[chosen] = -1.0
        # The first of several largest: they are in the order of preference.
        chosen = int(nearest.argmax())


def _cells(points: Points) -> NDArray[np.float64]:
    """Whole numbers: 0 to CELLS over each objective's finite range, infinities one range away."""
    low, high = finite_range(points)
    # Halves, as the range of two finite numbers can be infinite.
    width = high / 2 - low / 2
    scaled = (points / 2 - low / 2) / np.where(width > 0, width, 1.0)
    return np.rint(CELLS * np.clip(scaled, -1.0, 2.0))
