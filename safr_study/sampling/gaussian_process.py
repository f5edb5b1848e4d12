"""A Gaussian process over learning curves: what a setting's training will end with.

The covariance of two measurements, of settings x and x' after t and t' epochs, is

    (1 - own) Matern-3/2(|x - x'| / lengths) exp(-|log t - log t'| / memory)
    + own [same trial] exp(-|log t - log t'|) + noise [same measurement] + LEVEL

times a variance that the data decide. The second term is the luck of one training, the third that
of one epoch; the last is what all settings share, which the mean of those that a search prefers
would get wrong. Pure numbers: it knows no study.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

LENGTHS = (0.1, 0.2, 0.4, 0.8, 1.6)
"""Tried for each coordinate."""
MEMORIES = (0.7, 1.5, 3.0, 6.0)
"""Tried: natural logarithms of epochs over which a setting's curve keeps its place."""
OWNS = (0.02, 0.1, 0.25, 0.5)
"""Tried: shares of the variance that are a training's own."""
NOISES = (0.01, 0.03, 0.1, 0.25, 0.6)
"""Tried: variances of one measurement, in units of the rest."""
LENGTH, LENGTH_SPREAD = 0.8, 1.0
"""Median of a length before anything is measured, and the spread of its logarithm."""
NOISE, NOISE_SPREAD = 0.15, 1.0
"""The same of the noise."""
LEVEL = 4.0
"""Variance of the mean of all settings, in units of their own."""
_PRIOR = 4.0
"""Measurements that the guess of a variance of 1 counts for."""
_ROOT3 = math.sqrt(3.0)
_JITTER = 1e-9
_KNOWN = 1e-5
"""Noise of what is taken to be known: enough for places that are nearly the same."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """The numbers of the covariance."""

    lengths: tuple[float, ...]
    """Distance at which settings stop being alike, for each coordinate of the unit cube."""
    memory: float = 1.5
    """Distance in natural logarithms of epochs over which a setting's curve keeps its place."""
    own: float = 0.1
    """Share of the variance that is a training's own, in [0, 1)."""
    noise: float = 0.1
    """Variance of one measurement, in units of the rest."""


@dataclass(frozen=True, slots=True)
class Curves:
    """Where measurements are taken: `[N]` each."""

    points: Floats
    """Settings, `[N, D]`."""
    times: Floats
    """Epochs, above 0."""
    trials: Whole
    """Numbers of trials; -1: of none, the setting without the luck of a training."""

    def __len__(self) -> int:
        return len(self.times)

    def rows(self, chosen: Whole) -> Curves:
        """Some of them."""
        return Curves(self.points[chosen], self.times[chosen], self.trials[chosen])

    def and_then(self, others: Curves) -> Curves:
        """Both, one after the other."""
        return Curves(
            np.concatenate([self.points, others.points]),
            np.concatenate([self.times, others.times]),
            np.concatenate([self.trials, others.trials]),
        )


class Pairs:
    """How far measurements are from one another, whatever the kernel: `[N, M]` each."""

    def __init__(self, ours: Curves, theirs: Curves) -> None:
        self.squares = [
            (ours.points[:, None, at] - theirs.points[None, :, at]) ** 2
            for at in range(ours.points.shape[1])
        ]
        self.apart = np.abs(np.log(ours.times)[:, None] - np.log(theirs.times)[None, :])
        same = (ours.trials[:, None] == theirs.trials[None, :]) & (ours.trials >= 0)[:, None]
        self.same = np.where(same, np.exp(-self.apart), 0.0)
        self._shape = same.shape

    def covariance(self, kernel: Kernel) -> Floats:
        """Covariance of values without noise."""
        far = np.zeros(self._shape)
        for square, length in zip(self.squares, kernel.lengths, strict=True):
            far += square / length**2
        far = _ROOT3 * np.sqrt(far)
        found: Floats = (1.0 - kernel.own) * (1.0 + far) * np.exp(-far - self.apart / kernel.memory)
        return found + kernel.own * self.same + LEVEL


class Process:
    """The process given measurements, whose mean without them is 0."""

    def __init__(
        self,
        kernel: Kernel,
        at: Curves,
        values: Floats,
        *,
        pairs: Pairs | None = None,
        noises: Floats | None = None,
        variance: float | None = None,
    ) -> None:
        """Take the measurements in.

        Args:
            kernel: of the covariance.
            at: of the measurements, at least one.
            values: `[N]`.
            pairs: of the measurements, if they are known.
            noises: `[N]`; ``None``: the kernel's for each.
            variance: what the covariance is multiplied by; ``None``: the likeliest, with a weak
                prior that it is 1.
        """
        self.kernel, self.at, self.values = kernel, at, values
        self._noises = np.full(len(at), kernel.noise) if noises is None else noises
        whole = (pairs or Pairs(at, at)).covariance(kernel)
        self._lower, failed = _factor(whole, self._noises)
        if failed:
            raise ValueError(f"the covariance of {len(at)} measurements is singular")
        self._weights = lapack.dpotrs(self._lower, values, lower=1)[0]
        likeliest = _variance(float(values @ self._weights), len(values))
        self.variance = likeliest if variance is None else variance

    def predict(self, wanted: Curves, pairs: Pairs | None = None) -> tuple[Floats, Floats]:
        """Means and variances `[M]` of values without noise.

        Args:
            wanted: where.
            pairs: of the measurements and these, if they are known.
        """
        across = (pairs or Pairs(self.at, wanted)).covariance(self.kernel)
        solved = lapack.dtrtrs(self._lower, across, lower=1)[0]
        before = LEVEL + np.where(wanted.trials >= 0, 1.0, 1.0 - self.kernel.own)
        left = before - np.einsum("nm,nm->m", solved, solved)
        return across.T @ self._weights, self.variance * np.maximum(left, 0.0)

    def given(self, wanted: Curves) -> Process:
        """A process that knows what this one expects there: surer, with the same means."""
        if not len(wanted):
            return self
        means, _ = self.predict(wanted)
        return Process(
            self.kernel,
            self.at.and_then(wanted),
            np.concatenate([self.values, means]),
            noises=np.append(self._noises, np.full(len(wanted), _KNOWN)),
            variance=self.variance,
        )


def fit(at: Curves, values: Floats) -> Kernel:
    """The likeliest kernel on the grid, by one number after the other.

    Args:
        at: of the measurements.
        values: `[N]`, with a mean of about 0.
    """
    dims, pairs = at.points.shape[1], Pairs(at, at)

    def misfit(kernel: Kernel) -> float:
        lower, failed = _factor(pairs.covariance(kernel), kernel.noise)
        if failed:
            return math.inf
        half = lapack.dtrtrs(lower, values, lower=1)[0]
        spread = _variance(float(half @ half), len(values))
        likely = 0.5 * (len(values) + _PRIOR) * math.log(spread)
        return likely + float(np.log(np.diagonal(lower)).sum()) + _unlikely(kernel)

    best = Kernel(lengths=(LENGTH,) * dims)
    least = misfit(best)
    for options in _grid(dims):
        here = best
        for option in options:
            one = option(here)
            found = least if one == best else misfit(one)
            if found < least:
                least, best = found, one
    return best


def _factor(covariance: Floats, noise: Floats | float) -> tuple[Floats, bool]:
    """The lower factor with the noise of each measurement, and whether there is none."""
    covariance[np.diag_indices_from(covariance)] += noise + _JITTER
    lower, info = lapack.dpotrf(covariance, lower=1)
    return lower, info != 0


def _variance(misfit: float, count: int) -> float:
    return (misfit + _PRIOR) / (count + _PRIOR)


def _unlikely(kernel: Kernel) -> float:
    """How far the numbers are from what is guessed before anything is measured."""
    lengths = np.log(np.array(kernel.lengths) / LENGTH) / LENGTH_SPREAD
    noise = math.log(kernel.noise / NOISE) / NOISE_SPREAD
    return 0.5 * float(lengths @ lengths + noise * noise)


def _grid(dims: int) -> Iterator[list[Callable[[Kernel], Kernel]]]:
    """Functions that put a value of each number of a kernel into a kernel."""

    def length(dim: int, value: float, one: Kernel) -> Kernel:
        return replace(one, lengths=(*one.lengths[:dim], value, *one.lengths[dim + 1 :]))

    def put(changed: dict[str, Any], one: Kernel) -> Kernel:
        return replace(one, **changed)

    yield [partial(put, {"noise": value}) for value in NOISES]
    for dim in range(dims):
        yield [partial(length, dim, value) for value in LENGTHS]
    yield [partial(put, {"own": value}) for value in OWNS]
    yield [partial(put, {"memory": value}) for value in MEMORIES]
