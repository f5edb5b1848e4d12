"""The knee of a front: its best compromise."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

_BALANCE_DECIMALS = 9
"""Scaled sums closer than this are a tie: they differ by the rounding of floats alone."""


def knee_index(points: ArrayLike, eligible: ArrayLike | None = None) -> int | None:
    """The front's best compromise: farthest from the line through its extremes, towards the ideal.

    Each objective is scaled to [0, 1] over the eligible members. With two objectives the extremes
    are then (1, 0) and (0, 1), and the distance from their line is (sum of the scaled objectives
    - 1) / sqrt(2). With more the plane through the unit points takes the line's place, so the knee
    is always the member with the largest sum. An objective in which all are equal has no say.
    Ties go to the member whose worst objective is best, then to the better first objective (then
    the second, ...), then to the first row: so a straight front has its knee in the middle, and a
    front that bends away from the ideal, or has two members, has it at the best first objective.

    Args:
        points: `[n, M]`, the members of one front, finite, every objective maximised.
        eligible: `[n]` bool, the members that may be the knee and set the scale; ``None``: all.

    Returns:
        A row of `points`, or ``None`` when none is eligible.
    """
    values = np.asarray(points, dtype=np.float64)
    rows = np.arange(len(values)) if eligible is None else np.flatnonzero(eligible)
    if not len(rows):
        return None
    members = values[rows]
    low, high = members.min(axis=0), members.max(axis=0)
    varied = high > low
    scaled = (members - low)[:, varied] / (high - low)[varied]
    sums = scaled.sum(axis=1).round(_BALANCE_DECIMALS)
    worst = scaled.min(axis=1, initial=1.0).round(_BALANCE_DECIMALS)
    order = np.lexsort((*-members.T[::-1], -worst, -sums))
    return int(rows[order[0]])
