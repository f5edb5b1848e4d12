"""Intervals of a mean over seeds and examples, and of a difference between two configurations.

What an interval covers depends on the number of seeds S (definitions, section 3):

- one run: a normal interval from its standard error. It covers the run's own expectation over
  examples and says nothing about other seeds.
- 2 to 9 seeds: Student-t over the per-seed values. It covers the expectation over seeds **on this
  test set**; for other examples it is too narrow.
- 10 seeds and more: the crossed bootstrap. It covers the expectation over seeds **and examples**.

The plain percentile interval of the crossed bootstrap is `percentile_interval`. Its coverage
depends on where the variance is: it is too narrow where the seeds dominate (91 % with 10 seeds,
85 % with 5) and too wide where the chance of a single text under a single seed does (above 98 %:
the resamples count that part up to three times). `intervals` therefore shows the percentile
interval stretched about the mean, to the width that the variance components give.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike

from safr_study.uncertainty.bootstrap import RESAMPLES, Values, checked_table, crossed_bootstrap
from safr_study.uncertainty.intervals import (
    CONFIDENCE,
    Interval,
    normal_quantile,
    standard_error,
    t_interval,
    t_quantile,
)

K = TypeVar("K", bound=Hashable)
BOOTSTRAP_SEEDS = 10
"""Seeds from which on the crossed bootstrap is shown, below them Student-t."""


def percentile_interval(
    values: ArrayLike,
    confidence: float = CONFIDENCE,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """The plain percentile interval of the crossed bootstrap, the base of `intervals`.

    Arguments and errors as one table of `intervals`.
    """
    table = checked_table(values)
    means = crossed_bootstrap([table], resamples=resamples, seed=seed)[:, 0]
    return _percentiles(table, means, confidence)


def intervals(
    values: Mapping[K, ArrayLike],
    confidence: float = CONFIDENCE,
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[K, Interval | None]:
    """The intervals to show for means over S seeds and M examples, in one bootstrap.

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
        confidence: in (0, 1).
        resamples: of the bootstrap.
        seed: of the bootstrap's draws.

    Raises:
        ValueError: not a matrix of finite numbers, or a single example under 10 seeds or more.
    """
    tables = {name: checked_table(table) for name, table in values.items()}
    large = {name: table for name, table in tables.items() if len(table) >= BOOTSTRAP_SEEDS}
    means = crossed_bootstrap(large, resamples=resamples, seed=seed) if large else np.empty((0, 0))
    column = dict(zip(large, means.T, strict=True))
    return {
        name: _stretched(table, column[name], confidence)
        if name in column
        else t_interval(table.mean(axis=1), confidence)
        for name, table in tables.items()
    }


def _stretched(table: Values, means: Values, confidence: float) -> Interval:
    plain = _percentiles(table, means, confidence)
    width = normal_quantile(confidence) * float(means.std())
    stretch = _half_width(table, confidence) / width if width > 0 else 1.0
    return Interval(
        plain.mean,
        plain.mean + stretch * (plain.low - plain.mean),
        plain.mean + stretch * (plain.high - plain.mean),
        plain.method,
        plain.points,
    )


def _percentiles(table: Values, means: Values, confidence: float) -> Interval:
    tail = (1.0 - confidence) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    points = tuple(table.mean(axis=1).tolist())
    return Interval(float(table.mean()), float(low), float(high), "crossed bootstrap", points)


def _half_width(table: Values, confidence: float) -> float:
    """Half width of the two-way random-effects mean, from its variance components (`intervals`)."""
    seeds, texts = table.shape
    if texts < 2:
        raise ValueError("an interval over examples needs at least 2 of them")
    of_seeds, of_texts = table.mean(axis=1), table.mean(axis=0)
    residual = table - of_seeds[:, np.newaxis] - of_texts + table.mean()
    residual_square = float((residual**2).sum()) / ((seeds - 1) * (texts - 1))
    excess = max(seeds * float(of_texts.var(ddof=1)) - residual_square, 0.0)
    return math.hypot(
        t_quantile(seeds - 1, confidence) * standard_error(of_seeds),
        normal_quantile(confidence) * math.sqrt(excess / (seeds * texts)),
    )
