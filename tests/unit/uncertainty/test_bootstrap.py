from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from safr_study.pareto import front_numbers
from safr_study.uncertainty import bootstrap
from safr_study.uncertainty.bootstrap import (
    crossed_bootstrap,
    front_probability,
)
from safr_study.uncertainty.summary import SeedValues, front_chances

SMALL = st.integers(-2, 2).map(float)
RESAMPLED = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 3)).flatmap(
    lambda shape: st.tuples(
        hnp.arrays(float, shape, elements=SMALL),
        st.lists(st.booleans(), min_size=shape[2], max_size=shape[2]),
    )
)


def draws(seed: int, resamples: int, items: int, stream: int) -> np.ndarray:
    """Which items each resample holds: stream 0 for examples, stream S for S seeds."""
    source = np.random.SeedSequence(seed, spawn_key=(stream,))
    return np.random.default_rng(source).integers(0, items, size=(resamples, items))


def means_of(values, **options: int) -> np.ndarray:
    """Resampled means `[R, configs]` of configurations with one objective each."""
    tables = values.values() if isinstance(values, dict) else values
    return crossed_bootstrap([[table] for table in tables], **options)[..., 0]


def over_seeds(values, maximise: list[bool], **options: int) -> np.ndarray:
    """The chances `[configs]` of `[configs][objectives]` tables."""
    known = [[SeedValues.of_texts(table, range(len(table))) for table in one] for one in values]
    return np.array(front_chances(known, maximise, **options))


def by_loops(table: np.ndarray, seed: int, resamples: int) -> list[float]:
    seeds, texts = draws(seed, resamples, len(table), len(table)), table.shape[1]
    examples = draws(seed, resamples, texts, 0)
    means = []
    for resample in range(resamples):
        total = 0.0
        for row in seeds[resample]:
            for column in examples[resample]:
                total += table[row, column]
        means.append(total / table.size)
    return means


@pytest.mark.parametrize("cells", [1, 23, 2_000_000])
def test_means_equal_a_double_loop_over_the_same_draws(monkeypatch, cells: int) -> None:
    monkeypatch.setattr(bootstrap, "_CELLS", cells)
    rng = np.random.default_rng(0)
    values = {"two": rng.normal(size=(2, 5)), "four": rng.normal(size=(4, 5))}
    found = means_of(values, resamples=40, seed=3)
    expected = np.array([by_loops(table, 3, 40) for table in values.values()]).T
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)


def test_means_are_distributed_as_all_the_possible_resamples() -> None:
    """27 draws of three seeds times 27 of three examples, each as likely as the others."""
    table = np.array([[0.0, 1.0, 5.0], [2.0, -7.0, 3.0], [1.0, 4.0, 0.5]])
    triples = [list(drawn) for drawn in itertools.product(range(3), repeat=3)]
    possible = np.sort([table[np.ix_(s, m)].mean() for s in triples for m in triples])
    found = means_of([table], resamples=40_000, seed=1)[:, 0]
    assert set(found.round(9)) <= set(possible.round(9))
    # 1.95 / sqrt(R) is exceeded once in a thousand; ties only make the distance smaller.
    reached = np.searchsorted(np.sort(found), possible + 1e-9, side="right") / len(found)
    expected = np.searchsorted(possible, possible + 1e-9, side="right") / len(possible)
    assert np.abs(reached - expected).max() < 1.95 / np.sqrt(len(found))


@pytest.mark.parametrize("shape", [(30, 1), (1, 30)], ids=["seeds alone", "examples alone"])
def test_one_way_equals_scipy(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(7).exponential(size=30)
    found = means_of([values.reshape(shape)], resamples=30_000, seed=2)[:, 0]
    oracle = stats.bootstrap(
        (values,), np.mean, n_resamples=30_000, method="percentile", rng=np.random.default_rng(5)
    )
    ends = (oracle.confidence_interval.low, oracle.confidence_interval.high)
    np.testing.assert_allclose(
        np.quantile(found, [0.025, 0.975]), ends, rtol=0, atol=0.04 * oracle.standard_error
    )
    assert found.std(ddof=1) == pytest.approx(oracle.standard_error, rel=0.02)


def test_one_set_of_examples_and_seeds_serves_all_configurations() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, 6, 30))
    together = means_of(np.stack([first, second, first - second]), resamples=200)
    np.testing.assert_allclose(together[:, 0] - together[:, 1], together[:, 2], atol=1e-12)
    # Not so for draws of their own.
    apart = means_of([second], resamples=200, seed=1)[:, 0]
    assert not np.allclose(together[:, 0] - apart, together[:, 2], atol=0.05)


def test_a_configuration_has_the_same_means_in_any_company() -> None:
    rng = np.random.default_rng(1)
    values = {"a": rng.normal(size=(3, 9)), "b": rng.normal(size=(5, 9))}
    values["c"] = values["a"].copy()
    together = means_of(values, resamples=50, seed=4)
    for column, table in zip(together.T, values.values(), strict=True):
        alone = means_of([table], resamples=50, seed=4)[:, 0]
        np.testing.assert_allclose(column, alone, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(together[:, 0], together[:, 2])
    assert not np.allclose(together, means_of(values, resamples=50, seed=5))


def test_examples_are_shared_by_different_numbers_of_seeds() -> None:
    """Rows that do not depend on the seed leave the examples' draw alone."""
    row = np.random.default_rng(2).normal(size=40)
    found = means_of({"a": np.tile(row, (2, 1)), "b": np.tile(row, (5, 1))}, resamples=99)
    np.testing.assert_allclose(found[:, 0], found[:, 1], rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ([], "at least one"),
        (np.zeros((2, 3)), r"\[seeds, examples\]"),
        (np.zeros((2, 3, 0)), r"\[seeds, examples\]"),
        ({"a": np.zeros((2, 3)), "b": np.zeros((2, 4))}, "same examples"),
        ({"a": [[0.0, np.nan]]}, "not finite"),
    ],
)
def test_values_that_cannot_be_resampled_are_refused(values, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        means_of(values, resamples=2)


@given(RESAMPLED)
def test_front_probability_equals_the_sorted_fronts_of_each_resample(drawn) -> None:
    points, maximise = drawn
    signs = np.where(maximise, 1.0, -1.0)
    expected = np.mean([front_numbers(resample * signs) == 0 for resample in points], axis=0)
    np.testing.assert_allclose(front_probability(points, maximise), expected, atol=1e-12)


def test_front_probability_by_hand() -> None:
    """Higher accuracy, lower sufficiency; the last two are equal and so never part."""
    points = [
        [[70.0, 5.0], [72.0, 4.0], [71.0, 6.0], [71.0, 6.0]],
        [[70.0, 3.0], [72.0, 4.0], [73.0, 6.0], [73.0, 6.0]],
    ]
    np.testing.assert_array_equal(front_probability(points, [True, False]), [0.5, 1.0, 0.5, 0.5])
    np.testing.assert_array_equal(front_probability(points, [True, True]), [0.0, 0.5, 1.0, 1.0])


@pytest.mark.parametrize(
    ("points", "problem"),
    [
        (np.zeros((3, 2)), "directions"),
        (np.zeros((3, 2, 1)), "directions"),
        (np.zeros((0, 2, 2)), "directions"),
        (np.full((1, 2, 2), np.nan), "not finite"),
    ],
)
def test_front_probability_refuses_other_points(points, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        front_probability(points, [True, True])


def test_front_over_seeds_equals_loops_over_the_same_draws() -> None:
    rng = np.random.default_rng(3)
    counts = (3, 3, 2)
    accuracy, srs = ([rng.normal(size=(s, 6)) for s in counts] for _ in range(2))
    values = list(zip(accuracy, srs, strict=True))
    found = over_seeds(values, [True, False], resamples=60, seed=9)
    points = np.array([[by_loops(table, 9, 60) for table in side] for side in (accuracy, srs)])
    on_front = np.zeros(3)
    for resample in points.transpose(2, 1, 0):  # [configs, objectives]
        for mine in range(3):
            beaten = [
                other[0] >= resample[mine][0]
                and other[1] <= resample[mine][1]
                and tuple(other) != tuple(resample[mine])
                for other in resample
            ]
            on_front[mine] += not any(beaten)
    np.testing.assert_allclose(found, on_front / 60, atol=1e-12)
    assert 0 < found.min() < found.max()


def test_configurations_that_are_equal_but_for_rounding_share_the_front() -> None:
    table = np.random.default_rng(4).random((3, 50)) / 3
    rounded = table + np.array([[1e-15], [-1e-15], [1e-15]])
    found = over_seeds([[table] * 2, [rounded] * 2], [True, True], resamples=200)
    np.testing.assert_array_equal(found, [1.0, 1.0])


def test_a_sure_front_is_sure_and_an_even_race_is_even() -> None:
    rng = np.random.default_rng(5)
    weak = rng.normal(size=(5, 400))
    (sure,) = over_seeds([[weak], [weak + 1]], [True], resamples=300)[1:]
    assert sure == 1.0
    even = over_seeds([[weak], [weak[:, ::-1]]], [True], resamples=4000)
    assert even.sum() == pytest.approx(1.0)
    assert even == pytest.approx([0.5, 0.5], abs=0.05)


def test_front_over_seeds_refuses_objectives_that_do_not_fit() -> None:
    table = np.zeros((2, 3))
    with pytest.raises(ValueError, match="same objectives"):
        over_seeds([[table, table], [table]], [True, True])
    with pytest.raises(ValueError, match="same seeds"):
        over_seeds([[table, np.zeros((3, 3))]], [True, True])
    with pytest.raises(ValueError, match="directions"):
        over_seeds([[table]], [True, True], resamples=2)
