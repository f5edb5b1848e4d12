"""Confidence intervals of a mean over seeds and examples, and of a single run.

What an interval covers depends on the number of seeds S (definitions, section 3):

- one run: a normal interval from its standard error. It covers the run's own expectation over
  examples and says nothing about other seeds.
- 2 to 9 seeds: Student-t over the per-seed values. It covers the expectation over seeds **on this
  test set**; for other examples it is too narrow.
- 10 seeds and more: the crossed bootstrap. It covers the expectation over seeds **and examples**.

The coverage of the crossed bootstrap's plain percentile interval depends on where the variance is:
it is too narrow where the seeds dominate (91 % with 10 seeds, 85 % with 5) and too wide where the
chance of a single text under a single seed does (above 98 %: the resamples count that part up to
three times). `intervals` therefore shows the percentile interval stretched about the mean, to the
width that the variance components give.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from safr_study.uncertainty.bootstrap import RESAMPLES, Values, checked_table, crossed_bootstrap

K = TypeVar("K", bound=Hashable)
CONFIDENCE = 0.95
BOOTSTRAP_SEEDS = 10
"""Seeds from which on the crossed bootstrap is shown, below them Student-t."""


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
    half = _normal_quantile(confidence) * se
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
    half = _t_quantile(len(points) - 1, confidence) * _standard_error(points)
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


def intervals(
    values: Mapping[K, ArrayLike],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[K, Interval | None]:
    """The 95 % intervals to show for means over S seeds and M examples, in one bootstrap.

    With fewer than 10 seeds `t_interval` over the per-seed means; ``None`` for one seed, where
    `normal_interval` has the run's own standard error. From 10 seeds the percentile interval of
    the crossed bootstrap, stretched about the mean from the bootstrap's own normal half width
    z sd* to

        sqrt((t_{S-1} se_S)^2 + (z se_M)^2)

    se_S^2 = MS_S / (SM) is the squared standard error of the per-seed means, which holds the
    seeds' and the residual variance, se_M^2 = max(MS_M - MS_SM, 0) / (SM) that of the examples
    alone; MS_S, MS_M and MS_SM are the mean squares of the two-way table without replication. The
    sum of squared half widths is Howe's approximation (1974, "Approximate confidence limits on
    the mean of X + Y", JASA 69). Where the examples have no effect of their own it is the width
    of the Student-t interval.

    Args:
        values: by configuration or difference, all on the same examples: `[S, M]`, the
            contribution of each example under each seed, as for `crossed_bootstrap`.
        resamples: of the bootstrap.
        seed: of the bootstrap's draws.

    Raises:
        ValueError: not a matrix of finite numbers, or a single example under 10 seeds or more.
    """
    tables = {name: checked_table(table) for name, table in values.items()}
    large = {name: table for name, table in tables.items() if len(table) >= BOOTSTRAP_SEEDS}
    column: dict[K, Values] = {}
    if large:
        alone = [[table] for table in large.values()]
        means = crossed_bootstrap(alone, resamples=resamples, seed=seed)[..., 0]
        column = dict(zip(large, means.T, strict=True))
    return {
        name: _stretched(table, column[name]) if name in column else t_interval(table.mean(axis=1))
        for name, table in tables.items()
    }


def _stretched(table: Values, means: Values) -> Interval:
    """The percentile interval of resampled means, stretched about the mean."""
    mean, width = float(table.mean()), _normal_quantile() * float(means.std())
    stretch = _half_width(table) / width if width > 0 else 1.0
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = (
        mean + stretch * (float(end) - mean) for end in np.quantile(means, [tail, 1.0 - tail])
    )
    return Interval(mean, low, high, "crossed bootstrap", tuple(table.mean(axis=1).tolist()))


def _half_width(table: Values) -> float:
    """Half width of the two-way random-effects mean, from its variance components (`intervals`)."""
    seeds, texts = table.shape
    if texts < 2:
        raise ValueError("an interval over examples needs at least 2 of them")
    of_seeds, of_texts = table.mean(axis=1), table.mean(axis=0)
    residual = table - of_seeds[:, np.newaxis] - of_texts + table.mean()
    residual_square = float((residual**2).sum()) / ((seeds - 1) * (texts - 1))
    excess = max(seeds * float(of_texts.var(ddof=1)) - residual_square, 0.0)
    return math.hypot(
        _t_quantile(seeds - 1) * _standard_error(of_seeds),
        _normal_quantile() * math.sqrt(excess / (seeds * texts)),
    )


def _standard_error(points: NDArray[np.float64]) -> float:
    """sd / sqrt(S), the sample standard deviation (S - 1)."""
    return float(points.std(ddof=1)) / math.sqrt(len(points))


def _t_quantile(degrees: int, confidence: float = CONFIDENCE) -> float:
    """t with P(|T| < t) = confidence."""
    return float(stdtrit(degrees, 0.5 + confidence / 2.0))


def _normal_quantile(confidence: float = CONFIDENCE) -> float:
    """z with P(|Z| < z) = confidence."""
    return float(ndtri(0.5 + confidence / 2.0))


def _row(values: ArrayLike) -> NDArray[np.float64]:
    points = np.asarray(values, dtype=np.float64)
    if points.ndim != 1 or not points.size or not np.isfinite(points).all():
        raise ValueError(f"one finite number per seed is needed, got {points}")
    return points
