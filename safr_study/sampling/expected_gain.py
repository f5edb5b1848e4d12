"""The gain in hypervolume that uncertain points are expected to bring over a front."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import erfc

Floats = NDArray[np.float64]


def expected_gain(means: Floats, spreads: Floats, front: Floats, reference: Floats) -> Floats:
    """How much each point alone is expected to add to a front's hypervolume.

    The region above the front is cut into boxes that are open in the last objective; for
    independent normal objectives the expectation over a box is a product.

    Args:
        means: `[N, M]`, every objective maximised; M is 2 or more.
        spreads: `[N, M]`, standard deviations, at least 0.
        front: `[F, M]`; points that others dominate, or that miss the reference, change nothing.
        reference: `[M]`.

    Returns:
        `[N]`, at least 0; 0 where a point is certain and dominated.
    """
    front = np.maximum(front, reference)
    edges = [
        np.append(np.unique(np.append(front[:, m], reference[m])), math.inf)
        for m in range(len(reference) - 1)
    ]
    # `[N, E]`: of each objective, the expected part of each interval that a point fills.
    parts = [
        -np.diff(_above(means[:, [m]], spreads[:, [m]], edges[m][None, :]), axis=1)
        for m in range(len(edges))
    ]
    gain = np.zeros(len(means))
    last = front[:, -1]
    for cell in itertools.product(*(range(len(one) - 1) for one in edges)):
        covers = np.ones(len(front), dtype=bool)
        for m, at in enumerate(cell):
            covers &= front[:, m] >= edges[m][at + 1]
        height = last[covers].max(initial=reference[-1])
        volume = _above(means[:, -1], spreads[:, -1], np.array(height))
        for m, at in enumerate(cell):
            volume = volume * parts[m][:, at]
        gain += volume
    return np.maximum(gain, 0.0)


def _above(mean: Floats, spread: Floats, edge: Floats) -> Floats:
    """Expected height above an edge of a normal value; 0 above infinity."""
    far = np.isinf(edge)
    apart = mean - np.where(far, 0.0, edge)
    safe = np.maximum(spread, 1e-12)
    at = apart / safe
    density = np.exp(-0.5 * np.minimum(at * at, 1e3)) / math.sqrt(2 * math.pi)
    height = apart * 0.5 * erfc(-at / math.sqrt(2)) + safe * density
    return np.where(far, 0.0, np.maximum(height, 0.0))
