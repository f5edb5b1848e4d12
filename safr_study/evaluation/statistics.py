"""The deletion metrics and their standard errors, from what was predicted right.

Every argument named ``right...`` is a bool array `[M]` over the texts of a split, one and the same
order in all; results are percentage points (definitions, section 3).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Right = NDArray[np.bool_]

HEADROOM_FLOOR = 2.0
"""Percentage points above the majority accuracy below which headroom says nothing."""


def accuracy(right: Right) -> float:
    """Share predicted right; of several draws `[B, M]`, the mean over them."""
    return 100.0 * float(right.mean())


def accuracy_se(right: Right) -> float:
    """Binomial standard error of `accuracy`."""
    share = float(right.mean())
    return 100.0 * math.sqrt(share * (1.0 - share) / len(right))


def srs(right_full: Right, right_top: Right) -> float:
    """SRS = 100 mean(c - c_T): accuracy lost without the top tokens."""
    lost, gained = _flips(right_full, right_top)
    return 100.0 * (lost - gained) / len(right_full)


def srs_se(right_full: Right, right_top: Right) -> float:
    """Standard error of one run's SRS: 100 sqrt(b + d - (b - d)^2 / M) / M.

    b texts went from right to wrong, d from wrong to right.
    """
    lost, gained = _flips(right_full, right_top)
    texts = len(right_full)
    variance = lost + gained - (lost - gained) ** 2 / texts
    return 100.0 * math.sqrt(max(variance, 0)) / texts


def mcnemar_exact_p(right_full: Right, right_top: Right) -> float:
    """Two-sided exact McNemar test that deletion changes accuracy.

    Twice the binomial tail of min(b, d) among b + d fair flips, at most 1.
    """
    lost, gained = _flips(right_full, right_top)
    flips = lost + gained
    tail = sum(math.comb(flips, i) for i in range(min(lost, gained) + 1))
    return min(1.0, 2 * tail / (1 << flips))


def srs_excess(right_random: Right, right_top: Right) -> float:
    """SRS beyond a random deletion of the same size: 100 (Acc_random - Acc_top).

    Args:
        right_random: `[B, M]`, one row per draw.
        right_top: `[M]`.
    """
    return accuracy(right_random) - accuracy(right_top)


def srs_excess_se(right_random: Right, right_top: Right) -> float | None:
    """Standard error of one run's SRS_excess: 100 sd(z) / sqrt(M), z_m = mean_b c_R - c_T.

    The sample standard deviation (M - 1); ``None`` for a single text.
    """
    return _paired_se(right_random.mean(axis=0), right_top)


def contrast(right_bottom: Right, right_top: Right) -> float:
    """100 (Acc_bottom - Acc_top): the same length on both sides, so free of the length bias."""
    return accuracy(right_bottom) - accuracy(right_top)


def contrast_se(right_bottom: Right, right_top: Right) -> float | None:
    """Standard error of one run's contrast, paired: 100 sd(c_bottom - c_top) / sqrt(M).

    The sample standard deviation (M - 1); ``None`` for a single text.
    """
    return _paired_se(right_bottom.astype(np.float64), right_top)


def headroom(excess: float, accuracy_random: float, majority_accuracy: float) -> float | None:
    """SRS_excess as a share of what could be lost: excess / (Acc_random - majority accuracy).

    All three in percentage points; ``None`` when the denominator is under `HEADROOM_FLOOR`.
    """
    room = accuracy_random - majority_accuracy
    return excess / room if room >= HEADROOM_FLOOR else None


def _paired_se(first: NDArray[np.float64], right_top: Right) -> float | None:
    if len(right_top) < 2:
        return None
    return 100.0 * float((first - right_top).std(ddof=1)) / math.sqrt(len(right_top))


def _flips(right_full: Right, right_top: Right) -> tuple[int, int]:
    """b, d: texts that went from right to wrong, and from wrong to right."""
    lost = np.count_nonzero(right_full & ~right_top)
    gained = np.count_nonzero(~right_full & right_top)
    return int(lost), int(gained)
