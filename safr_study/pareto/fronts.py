"""Fronts, crowding, hypervolume and knee of points whose every objective is maximised."""

from __future__ import annotations

import math
from typing import cast

import moocore
import numpy as np
from numpy.typing import ArrayLike, NDArray

Points = NDArray[np.float64]


def front_numbers(points: ArrayLike) -> NDArray[np.int64]:
    """Non-dominated sorting: on which front each point lies.

    A point dominates another when it is at least as good in every objective and better in one.
    Equal points lie on the same front.

    Args:
        points: `[N, M]`, every objective maximised; infinities are ordinary values here, the best
            and the worst that there are.

    Returns:
        `[N]`, 0 = not dominated by any, 1 = dominated by members of front 0 alone, and so on.

    Raises:
        ValueError: not a matrix, or a value is NaN.
    """
    checked = ordered_values(points)
    if not len(checked):
        return np.empty(0, dtype=np.int64)
    # Dominance is a matter of order alone. moocore is given ranks, as with an infinity among three
    # objectives or more it answers wrongly or crashes (0.3.2).
    ordinal = np.column_stack([np.unique(column, return_inverse=True)[1] for column in checked.T])
    fronts: NDArray[np.int64] = moocore.pareto_rank(ordinal.astype(float), maximise=True)
    return fronts.astype(np.int64)


def crowding_distances(points: Points, fronts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Crowding distance of NSGA-II (Deb et al. 2002, section III-B), each front for itself.

    Along each objective a point is given the distance between its two neighbours, divided by the
    front's range, and the objectives are added up. The ends of each objective are infinite; an
    objective in which the whole front is equal adds nothing. Equal points count as one and share
    its distance, and a tie in one objective is broken by the others, so the order of the rows
    does not matter.

    Args:
        points: `[N, M]`, finite.
        fronts: `[N]`, from `front_numbers`.

    Returns:
        `[N]`, in [0, inf]; larger = more alone.
    """
    distances = np.zeros(len(points))
    for number in np.unique(fronts):
        members = fronts == number
        distinct, which = np.unique(points[members], axis=0, return_inverse=True)
        distances[members] = _crowding_of_front(distinct)[which.reshape(-1)]
    return distances


def hypervolume(points: ArrayLike, reference: ArrayLike) -> float:
    """Volume that the points dominate above the reference point.

    A point that is not better than the reference in every objective adds nothing, whatever its
    other values: minus infinity in one makes it worthless, an edge on the reference makes a box of
    no thickness. A point that is better in every objective and infinite in one makes the volume
    infinite.

    Args:
        points: `[N, M]`, every objective maximised; infinities are allowed.
        reference: `[M]`, finite.

    Returns:
        At least 0, in the product of the objectives' units; may be infinite.

    Raises:
        ValueError: the shapes do not fit, a value is NaN, or the reference is not finite.
    """
    corner = np.asarray(reference, dtype=np.float64)
    if corner.ndim != 1 or not np.isfinite(corner).all():
        raise ValueError(f"the reference point must be one row of finite numbers, got {corner}")
    checked = ordered_values(points)
    if not len(checked):
        return 0.0
    if checked.shape[1] != len(corner):
        raise ValueError(
            f"{checked.shape[1]} objectives do not fit a reference point of {len(corner)}"
        )
    better = checked[(checked > corner).all(axis=1)]
    if not len(better):
        return 0.0
    if np.isinf(better).any():
        return math.inf
    volume = float(moocore.hypervolume(better, ref=corner, maximise=True))
    # Beyond the largest float it may be the difference of two infinities.
    return math.inf if math.isnan(volume) else volume


def ordered_values(points: ArrayLike) -> Points:
    """Points as a matrix whose values can be compared: finite or infinite, and no NaN.

    Returns:
        `[N, M]`.

    Raises:
        ValueError: not a matrix, or a value is NaN.
    """
    values = np.asarray(points, dtype=np.float64)
    if values.ndim == 1 and not values.size:
        return values.reshape(0, 1)
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(f"points must be a matrix [points, objectives], got {values.shape}")
    if np.isnan(values).any():
        raise ValueError("points hold NaN, which is not finite; leave failed trials out")
    return values


def _crowding_of_front(distinct: Points) -> NDArray[np.float64]:
    """Crowding distances of a front's distinct points `[n, M]`, in lexicographic order."""
    if len(distinct) <= 2:
        return np.full(len(distinct), np.inf)
    distances = np.zeros(len(distinct))
    for values in distinct.T:
        order = np.argsort(values, kind="stable")
        ranked = values[order]
        width = ranked[-1] - ranked[0]
        if width > 0:
            distances[order[[0, -1]]] = np.inf
            distances[order[1:-1]] += (ranked[2:] - ranked[:-2]) / width
    return cast("NDArray[np.float64]", distances)
