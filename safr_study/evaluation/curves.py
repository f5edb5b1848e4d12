"""One number for a whole deletion curve (definitions, sections 3.5 and 3.6)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def area_under_curve(realised_shares: Sequence[float], values: Sequence[float]) -> float | None:
    """Mean height of a curve over the share of the tokens deleted.

    The trapezoid rule from (0, 0) over the realised shares, divided by the last of them: in the
    unit of `values`, and comparable between data sets whose shares end at different places.
    Shares may repeat, as short texts round two k to the same number of tokens.

    Args:
        realised_shares: sum(q) / sum(n) of each k, in [0, 1], in ascending order; that of k = 0
            may be left out.
        values: the metric at each k, 0 where nothing is deleted.

    Returns:
        ``None`` when nothing is deleted at any k: there is no curve then.

    Raises:
        ValueError: as many shares as values are needed, and none below the one before.
    """
    shares = np.array([0.0, *realised_shares])
    heights = np.array([0.0, *values])
    if len(shares) != len(heights) or (np.diff(shares) < 0).any():
        raise ValueError("a curve needs one value for each share, and its shares in order")
    if shares[-1] == 0:
        return None
    return float(np.trapezoid(heights, shares) / shares[-1])


def aopc(values: Sequence[float]) -> float:
    """Area over the perturbation curve: the plain mean of a metric over k > 0.

    The form of DeYoung et al. (ACL 2020) for comprehensiveness and sufficiency.

    Args:
        values: the metric at each k above 0; at least one.

    Raises:
        ValueError: no values.
    """
    if not values:
        raise ValueError("a mean over k needs at least one k")
    return float(np.mean(values))
