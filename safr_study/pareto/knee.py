"""The knee of a front, and the compromise of a front that has none."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from safr_study.pareto.fronts import Points

_BALANCE_DECIMALS = 9
"""Scaled sums closer than this are a tie: they differ by the rounding of floats alone."""
Chosen = NDArray[np.int64]


def knee_index(points: ArrayLike, eligible: ArrayLike | None = None) -> int | None:
    """The front's knee: farthest from the line through its ends, towards the ideal.

    Each objective is scaled to [0, 1] over the eligible members; one in which all are equal has no
    say. With two objectives the ends are then (1, 0) and (0, 1), and the distance from their line
    is (sum of the scaled objectives - 1) / sqrt(2) (Das, Structural Optimization 18, 1999). With
    more, planes of equal sum take the line's place: the knee has the largest sum, and one beyond
    those of all ends. The end of an objective is the member that is best in it, of several the one
    with the smallest sum. Ties go to the member whose worst objective is best, then to the better
    first objective (then the second, ...), then to the first row.

    A front of one or two members, a straight one, and one that bends away from the ideal have no
    knee: nothing lies beyond the ends. See `compromise_index`.

    Args:
        points: `[n, M]`, the members of one front, finite, every objective maximised.
        eligible: `[n]` bool, the members that may be the knee and set the scale; ``None``: all.

    Returns:
        A row of `points`, or ``None``: there is no knee.
    """
    rows, members, scaled = _scaled(points, eligible)
    if not len(rows):
        return None
    sums, worst = _sums(scaled), _worst(scaled)
    best = _first(members, worst, sums)
    ends = [sums[column == 1.0].min() for column in scaled.T]
    return int(rows[best]) if sums[best] > max(ends, default=np.inf) else None


def compromise_index(
    points: ArrayLike, eligible: ArrayLike | None = None, preferred: ArrayLike | None = None
) -> int | None:
    """The member whose worst scaled objective is best: what to take where there is no knee.

    Objectives are scaled as for `knee_index`. Ties go to the larger sum of the scaled objectives,
    then to the better first objective (then the second, ...), then to the first row: so of two
    members it is the one that is better in the first objective.

    Args:
        points: `[n, M]`, the members of one front, finite, every objective maximised.
        eligible: `[n]` bool, the members that may be chosen and set the scale; ``None``: all.
        preferred: `[n]` bool, eligible members before all others; ``None``: all.

    Returns:
        A row of `points`, or ``None`` when none is eligible.
    """
    rows, members, scaled = _scaled(points, eligible)
    if not len(rows):
        return None
    before = np.ones(len(rows)) if preferred is None else np.asarray(preferred, np.float64)[rows]
    return int(rows[_first(members, _sums(scaled), _worst(scaled), before)])


def _scaled(points: ArrayLike, eligible: ArrayLike | None) -> tuple[Chosen, Points, Points]:
    """Rows of the eligible members, their values, and these scaled where they differ."""
    values = np.asarray(points, dtype=np.float64)
    rows = np.arange(len(values)) if eligible is None else np.flatnonzero(eligible)
    if not len(rows):
        return rows, values, values
    members = values[rows]
    low, high = members.min(axis=0), members.max(axis=0)
    varied = high > low
    return rows, members, (members - low)[:, varied] / (high - low)[varied]


def _sums(scaled: Points) -> Points:
    sums: Points = scaled.sum(axis=1).round(_BALANCE_DECIMALS)
    return sums


def _worst(scaled: Points) -> Points:
    worst: Points = scaled.min(axis=1, initial=1.0).round(_BALANCE_DECIMALS)
    return worst


def _first(members: Points, *most: Points) -> int:
    """The member with the most of these, the last of them first; then by its own objectives."""
    return int(np.lexsort((*-members.T[::-1], *(-one for one in most)))[0])
