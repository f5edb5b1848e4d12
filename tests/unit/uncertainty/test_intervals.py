from __future__ import annotations

import math
import statistics as plain

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from safr_study.uncertainty.bootstrap import crossed_bootstrap
from safr_study.uncertainty.intervals import (
    Interval,
    intervals,
    noise_floor,
    normal_interval,
    t_interval,
)
from safr_study.uncertainty.summary import SeedValues, summarise

PER_SEED = st.lists(st.floats(-100, 100), min_size=2, max_size=9)


def two_way(seeds: int, texts: int, rng: np.random.Generator) -> np.ndarray:
    """A skewed table with effects of the seeds, of the texts and of their meeting."""
    of_seeds, of_texts = rng.normal(size=(seeds, 1)), rng.exponential(size=texts)
    return 3 * of_seeds + 20 * of_texts + 10 * rng.normal(size=(seeds, texts))


def interval(values: object, **options: int) -> Interval | None:
    """The interval of one configuration by itself."""
    return intervals({0: values}, **options)[0]  # type: ignore[dict-item]


def difference(a: np.ndarray, b: np.ndarray) -> Interval:
    """The interval of a - b; row s of both is the seed s."""
    first, second = (SeedValues.of_texts(table, range(len(table))) for table in (a, b))
    pair = first.minus(second)
    assert pair is not None
    found = summarise({0: pair})[0]
    assert found is not None
    return found


@given(PER_SEED, st.sampled_from([0.8, 0.95, 0.99]))
def test_t_interval_equals_scipy(values: list[float], confidence: float) -> None:
    found = t_interval(values, confidence)
    assert found is not None
    assert (found.method, found.points) == ("student-t", tuple(values))
    spread = np.ptp(values)
    if spread > 1e-6:
        oracle = stats.ttest_1samp(values, 0.0).confidence_interval(confidence)
        assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-9)
    assert found.mean == pytest.approx(plain.fmean(values), abs=1e-9)


def test_t_interval_by_the_printed_table() -> None:
    """t(0.975) is 12.706, 4.303 and 2.776 for 1, 2 and 4 degrees of freedom."""
    for values, t in (([1.0, 2.0], 12.706), ([1.0, 2.0, 6.0], 4.303), ([1.0, 2, 3, 4, 5], 2.776)):
        found = t_interval(values)
        half = t * plain.stdev(values) / math.sqrt(len(values))
        assert found is not None
        assert found.high - found.mean == pytest.approx(half, rel=2e-4)
        assert found.mean - found.low == pytest.approx(half, rel=2e-4)


def test_one_seed_has_no_interval_over_seeds() -> None:
    assert t_interval([71.0]) is None
    assert interval(np.ones((1, 50))) is None
    assert noise_floor([71.0]) is None


def test_normal_interval_of_one_run() -> None:
    found = normal_interval(10.0, 2.0)
    assert found == Interval(10.0, found.low, found.high, "normal", (10.0,))
    assert (found.low, found.high) == pytest.approx((10 - 3.919928, 10 + 3.919928))
    assert normal_interval(1.0, 1.0, 0.5).high == pytest.approx(1 + 0.6744898)
    assert normal_interval(3.0, 0.0).low == 3.0


@pytest.mark.parametrize("bad", [(math.nan, 1.0), (1.0, math.nan), (1.0, -0.1), (1.0, math.inf)])
def test_normal_interval_refuses_what_is_no_error(bad: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="se >= 0"):
        normal_interval(*bad)


@pytest.mark.parametrize("bad", [[], [1.0, math.nan], [[1.0, 2.0]]])
def test_values_per_seed_are_a_finite_row(bad) -> None:
    for function in (t_interval, noise_floor):
        with pytest.raises(ValueError, match="per seed"):
            function(bad)


@pytest.mark.parametrize("bad", [[1.0], np.empty((3, 0)), [[1.0, math.inf]]])
def test_values_per_example_are_a_finite_table(bad) -> None:
    with pytest.raises(ValueError, match=r"\[seeds, examples\]|not finite"):
        interval(bad)
    with pytest.raises(ValueError, match="at least 2"):
        interval(np.arange(10.0).reshape(10, 1), resamples=2)


def test_noise_floor_is_the_sample_deviation_over_seeds() -> None:
    values = [72.0, 73.5, 71.0, 74.0]
    assert noise_floor(values) == pytest.approx(plain.stdev(values))
    assert noise_floor(values) != pytest.approx(plain.pstdev(values), rel=0.05)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(-1.0, 2.0, True), (0.0, 2.0, True), (-2.0, 0.0, True), (0.1, 2.0, False), (-2.0, -1, False)],
)
def test_a_difference_is_noise_when_its_interval_holds_zero(low, high, expected) -> None:
    assert Interval((low + high) / 2, low, high, "student-t", ()).contains(0.0) is expected


def test_few_seeds_show_student_t_and_many_the_bootstrap() -> None:
    table = two_way(10, 40, np.random.default_rng(0))
    few, many = interval(table[:9]), interval(table, resamples=500)
    assert few is not None
    assert many is not None
    assert few == t_interval(table[:9].mean(axis=1))
    assert many.method == "crossed bootstrap"
    assert many.mean == pytest.approx(table.mean())
    assert many.points == pytest.approx(table.mean(axis=1))
    assert many.low < many.mean < many.high


def test_shown_interval_is_the_percentile_one_stretched_to_the_variance_components() -> None:
    seeds, texts = 11, 30
    table = two_way(seeds, texts, np.random.default_rng(1))
    mean = table.mean()
    of_seeds, of_texts = table.mean(axis=1), table.mean(axis=0)
    squares = [0.0, 0.0, 0.0]
    for s in range(seeds):
        for m in range(texts):
            squares[0] += (of_seeds[s] - mean) ** 2 / (seeds - 1)
            squares[1] += (of_texts[m] - mean) ** 2 / (texts - 1)
            rest = table[s, m] - of_seeds[s] - of_texts[m] + mean
            squares[2] += rest**2 / (seeds - 1) / (texts - 1)
    z = 1.959964
    variance = 2.228139**2 * squares[0] + z**2 * (squares[1] - squares[2])
    half = math.sqrt(variance / (seeds * texts))
    means = crossed_bootstrap([[table]], resamples=800)[:, 0, 0]
    stretch = half / (z * means.std())
    low, high = mean + stretch * (np.quantile(means, [0.025, 0.975]) - mean)
    found = interval(table, resamples=800)
    assert found is not None
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-6)
    assert abs(stretch - 1) > 0.02


def test_width_is_student_t_where_the_examples_do_not_matter() -> None:
    table = np.repeat(np.random.default_rng(2).normal(size=(12, 1)), 30, axis=1)
    found, t = interval(table, resamples=20_000), t_interval(table[:, 0])
    low, high = np.quantile(crossed_bootstrap([[table]], resamples=20_000), [0.025, 0.975])
    assert found is not None
    assert t is not None
    assert found.high - found.low == pytest.approx(t.high - t.low, rel=0.03)
    assert high - low < 0.9 * (t.high - t.low)


def test_width_is_normal_where_the_seeds_do_not_matter() -> None:
    row = np.random.default_rng(2).normal(size=400)
    found = interval(np.tile(row, (12, 1)), resamples=20_000)
    normal = normal_interval(row.mean(), float(stats.sem(row)))
    assert found is not None
    assert found.high - found.low == pytest.approx(normal.high - normal.low, rel=0.03)


def test_no_spread_is_an_interval_of_no_width() -> None:
    found = interval(np.full((10, 4), 5.0), resamples=50)
    assert found == Interval(5.0, 5.0, 5.0, "crossed bootstrap", (5.0,) * 10)
    few = interval(np.full((3, 4), 5.0))
    assert few == Interval(5.0, 5.0, 5.0, "student-t", (5.0,) * 3)


@settings(max_examples=20)
@given(st.integers(2, 14), st.floats(0.1, 10), st.floats(-50, 50))
def test_an_interval_moves_and_scales_with_its_values(seeds, scale, shift) -> None:
    table = two_way(seeds, 12, np.random.default_rng(3))
    before, after = (interval(values, resamples=60) for values in (table, scale * table + shift))
    assert before is not None
    assert after is not None
    expected = [scale * value + shift for value in (before.mean, before.low, before.high)]
    assert [after.mean, after.low, after.high] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("seeds", [4, 10])
def test_a_difference_is_paired_on_seeds_and_examples(seeds: int) -> None:
    rng = np.random.default_rng(4)
    common = two_way(seeds, 60, rng)
    a, b = common + 1 + rng.normal(size=common.shape), common
    found = difference(a, b)
    assert found == interval(a - b)
    assert found.mean == pytest.approx(a.mean() - b.mean())
    assert not found.contains(0.0)
    # The same numbers under other pairs are not so sure.
    unpaired = difference(a, b[rng.permutation(seeds)])
    shuffled = difference(a, b[:, rng.permutation(60)])
    for other in (unpaired, shuffled if seeds == 10 else unpaired):
        assert other.mean == pytest.approx(found.mean)
        assert other.high - other.low > 2 * (found.high - found.low)


def test_a_difference_changes_sign_with_its_sides() -> None:
    rng = np.random.default_rng(5)
    a, b = two_way(10, 30, rng), two_way(10, 30, rng)
    forth, back = difference(a, b), difference(b, a)
    assert (forth.low, forth.high) == pytest.approx((-back.high, -back.low))


def test_a_difference_needs_the_same_examples_and_is_over_the_seeds_of_both() -> None:
    with pytest.raises(ValueError, match="same texts"):
        difference(np.zeros((5, 6)), np.zeros((5, 5)))
    rng = np.random.default_rng(8)
    a, b = two_way(5, 6, rng), two_way(3, 6, rng)
    first, second = SeedValues.of_texts(a, (4, 7, 2, 0, 9)), SeedValues.of_texts(b, (9, 1, 4))
    pair = first.minus(second)
    assert pair is not None
    assert pair.seeds == (4, 9)
    expected = [(a[0] - b[2]).mean(), (a[4] - b[0]).mean()]
    assert list(pair.values) == pytest.approx(expected)
    assert first.minus(SeedValues.of_texts(b, (1, 3, 5))) is None


def test_many_intervals_equal_each_alone() -> None:
    rng = np.random.default_rng(6)
    values = {str(seeds): two_way(seeds, 20, rng) for seeds in (1, 4, 10, 13)}
    values["again"] = two_way(10, 20, rng)
    found = intervals(values, resamples=300, seed=2)
    assert list(found) == list(values)
    for name, table in values.items():
        alone = interval(table, resamples=300, seed=2)
        if alone is None:
            assert found[name] is None
        else:
            together = found[name]
            assert together is not None
            assert together.method == alone.method
            assert (together.low, together.high) == pytest.approx((alone.low, alone.high))
    assert intervals({}) == {}
