"""The process against the dense formulas of a textbook."""

from __future__ import annotations

import math

import numpy as np
import pytest

from safr_study.sampling.gaussian_process import (
    LENGTHS,
    NOISES,
    Curves,
    Floats,
    Kernel,
    Pairs,
    Process,
    fit,
)

KERNEL = Kernel(lengths=(0.3, 0.7), memory=2.0, own=0.2, noise=0.15)


def curves(count: int, seed: int, *, bare: bool = False) -> Curves:
    draws = np.random.default_rng(seed)
    times = draws.choice([1.0, 2.0, 6.0, 12.0], count)
    numbers = np.full(count, -1) if bare else draws.integers(0, 4, count)
    places = draws.random((4, 2))
    return Curves(draws.random((count, 2)) if bare else places[numbers], times, numbers)


def covariance(kernel: Kernel, ours: Curves, theirs: Curves) -> Floats:
    """Entry by entry, as the formula stands."""
    whole = np.zeros((len(ours), len(theirs)))
    for i in range(len(ours)):
        for j in range(len(theirs)):
            pairs = zip(ours.points[i], theirs.points[j], kernel.lengths, strict=True)
            far = math.sqrt(3 * sum(((x - y) / length) ** 2 for x, y, length in pairs))
            gone = abs(math.log(ours.times[i] / theirs.times[j]))
            shared = (1 + far) * math.exp(-far) * math.exp(-gone / kernel.memory)
            same = ours.trials[i] == theirs.trials[j] != -1
            whole[i, j] = (1 - kernel.own) * shared + kernel.own * same * math.exp(-gone) + 4
    return whole


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("bare", [True, False])
def test_it_predicts_what_the_formulas_say(seed: int, bare: bool) -> None:
    at, wanted = curves(9, seed), curves(5, seed + 10, bare=bare)
    values = np.random.default_rng(seed).normal(0.0, 2.0, 9)
    inverse = np.linalg.inv(covariance(KERNEL, at, at) + KERNEL.noise * np.eye(9))
    across = covariance(KERNEL, at, wanted)
    variance = (values @ inverse @ values + 4) / (9 + 4)
    prior = covariance(KERNEL, wanted, wanted)
    means, variances = Process(KERNEL, at, values).predict(wanted)
    assert means == pytest.approx(across.T @ inverse @ values)
    assert variances == pytest.approx(
        variance * np.diagonal(prior - across.T @ inverse @ across), rel=1e-6, abs=1e-8
    )
    assert np.allclose(Pairs(at, wanted).covariance(KERNEL), across)


def test_what_is_expected_elsewhere_leaves_means_and_makes_surer() -> None:
    at, elsewhere, wanted = curves(9, 1), curves(3, 2), curves(6, 3)
    process = Process(KERNEL, at, np.random.default_rng(0).normal(size=9))
    more = process.given(elsewhere)
    means, variances = process.predict(wanted)
    given, surer = more.predict(wanted)
    assert given == pytest.approx(means, abs=1e-6)
    assert (surer <= variances + 1e-9).all()
    assert (surer < variances - 1e-3).any()
    nothing = Curves(np.zeros((0, 2)), np.zeros(0), np.zeros(0, dtype=np.int64))
    assert process.given(nothing) is process


def drawn(kernel: Kernel, trials: int, seed: int) -> tuple[Curves, Floats]:
    """A draw of the process: trials of three measurements each."""
    draws = np.random.default_rng(seed)
    numbers = np.repeat(np.arange(trials), 3)
    at = Curves(draws.random((trials, 2))[numbers], np.tile([2.0, 6.0, 12.0], trials), numbers)
    whole = covariance(kernel, at, at) + kernel.noise * np.eye(len(at))
    return at, np.linalg.cholesky(whole) @ draws.normal(size=len(at))


def test_the_fit_tells_smooth_from_rough_and_quiet_from_loud() -> None:
    def fitted(kernel: Kernel) -> list[Kernel]:
        return [fit(*drawn(kernel, 35, seed)) for seed in range(4)]

    rough = fitted(Kernel((0.2, 1.6), 3.0, 0.05, 0.01))
    loud = fitted(Kernel((0.2, 1.6), 3.0, 0.05, 0.6))
    assert all(one.lengths[0] < one.lengths[1] for one in rough)
    assert max(one.noise for one in rough) < min(one.noise for one in loud)
    assert {one.noise for one in rough + loud} <= set(NOISES)
    assert {length for one in rough for length in one.lengths} <= set(LENGTHS)


def test_equal_measurements_are_no_singular_matrix() -> None:
    at = Curves(np.zeros((5, 2)), np.full(5, 2.0), np.zeros(5, dtype=np.int64))
    means, variances = Process(Kernel((0.4, 0.4), noise=1e-12), at, np.ones(5)).predict(at)
    assert means == pytest.approx(np.ones(5), abs=1e-5)
    assert (variances >= 0).all()
