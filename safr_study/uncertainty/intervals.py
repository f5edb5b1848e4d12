"""The confidence interval as a record; intervals of one run and over the values of a few seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean with its confidence interval, in the unit of the values."""

    mean: float
    low: float
    high: float
    method: Literal["student-t", "crossed bootstrap", "normal"]
    points: tuple[float, ...]
    """The value of each seed, in the order given."""

    @property
    def half(self) -> float:
        """Half the interval's width."""
        return (self.high - self.low) / 2

    @property
    def ends(self) -> tuple[float, float]:
        """The interval's lower and upper end."""
        return self.low, self.high

    def contains(self, value: float) -> bool:
        """Whether a value is inside; 0 inside the interval of a difference: it may be noise."""
        return self.low <= value <= self.high


def normal_interval(value: float, se: float, confidence: float = CONFIDENCE) -> Interval:
    """value +- z se: one run, whose standard error comes from its examples.

    Raises:
        ValueError: a number is not finite, or the standard error is negative.
    """
    if not (math.isfinite(value) and math.isfinite(se) and se >= 0):
        raise ValueError(f"a normal interval needs a value and an se >= 0, got {value}, {se}")
    half = normal_quantile(confidence) * se
    return Interval(value, value - half, value + half, "normal", (value,))


def t_interval(values: ArrayLike, confidence: float = CONFIDENCE) -> Interval | None:
    """mean +- t_{S-1} sd / sqrt(S) of the values of S seeds; ``None`` for one seed.

    Args:
        values: `[S]`, one number per seed.
        confidence: in (0, 1).

    Raises:
        ValueError: not a row of finite numbers.
    """
    points = _row(values)
    if len(points) < 2:
        return None
    mean = float(points.mean())
    half = t_quantile(len(points) - 1, confidence) * standard_error(points)
    return Interval(mean, mean - half, mean + half, "student-t", tuple(points.tolist()))


def t_or_normal_interval(values: Sequence[float], se: float) -> Interval:
    """Student-t over several seeds; of one run the normal interval by its standard error.

    Raises:
        ValueError: as `t_interval` and `normal_interval`.
    """
    return t_interval(values) or normal_interval(float(values[0]), se)


def noise_floor(values: ArrayLike) -> float | None:
    """How far seeds alone move a value: the sample sd over the seeds of the lambda = (0, 0) model.

    Args:
        values: `[S]`, one number per seed.

    Returns:
        In the unit of the values; ``None`` for one seed.

    Raises:
        ValueError: not a row of finite numbers.
    """
    points = _row(values)
    return float(points.std(ddof=1)) if len(points) > 1 else None


def standard_error(points: NDArray[np.float64]) -> float:
    """sd / sqrt(S), the sample standard deviation (S - 1)."""
    return float(points.std(ddof=1)) / math.sqrt(len(points))


def t_quantile(degrees: int, confidence: float) -> float:
    """t with P(|T| < t) = confidence."""
    return float(stdtrit(degrees, 0.5 + confidence / 2.0))


def normal_quantile(confidence: float) -> float:
    """z with P(|Z| < z) = confidence."""
    return float(ndtri(0.5 + confidence / 2.0))


def _row(values: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 1 or not points.size or not np.isfinite(points).all():
        raise ValueError(f"one finite number per seed is needed, got {points}")
    return points
