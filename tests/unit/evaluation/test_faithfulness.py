from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import special, stats

from safr_study.evaluation.faithfulness import (
    flip_rate,
    kendall_tau_b,
    log_odds,
    log_probability,
    mean_kendall,
    probability_drop,
)

PROBABILITIES = st.integers(1, 30).flatmap(
    lambda n: hnp.arrays(float, (2, n), elements=st.floats(1e-6, 1.0))
)


@given(PROBABILITIES)
def test_drops_of_probability_are_means_over_the_texts_in_points(probabilities) -> None:
    full, other = probabilities
    drops = [100 * (p - q) for p, q in zip(full, other, strict=True)]
    mean, se = probability_drop(full, other)
    assert mean == pytest.approx(sum(drops) / len(drops), abs=1e-9)
    if len(drops) == 1:
        assert se is None
    else:
        assert se == pytest.approx(stats.sem(drops), abs=1e-9)


def test_a_lower_probability_without_the_tokens_is_positive() -> None:
    full, without = np.array([0.9, 0.8]), np.array([0.4, 0.7])
    assert probability_drop(full, without).value == pytest.approx(30.0)
    assert probability_drop(full, without).se == pytest.approx(20.0)
    # The population's standard deviation would give another error.
    assert probability_drop(full, without).se != pytest.approx(20 / math.sqrt(2), abs=1)
    assert log_odds(np.log(full), np.log(without)).value < 0


def test_log_odds_is_the_mean_log_ratio() -> None:
    full, without = np.array([0.9, 0.5, 0.7]), np.array([0.3, 0.6, 0.7])
    ratios = [math.log(q / p) for p, q in zip(full, without, strict=True)]
    mean, se = log_odds(np.log(full), np.log(without))
    assert mean == pytest.approx(sum(ratios) / 3)
    assert se == pytest.approx(stats.sem(ratios))
    # Not the logarithm of the ratio of the means.
    assert mean != pytest.approx(math.log(without.mean() / full.mean()), abs=0.01)


def test_log_odds_of_a_probability_that_underflows_is_finite() -> None:
    full, without = np.array([[900.0, 0.0]]), np.array([[-900.0, 0.0]])
    classes = np.array([0])
    assert special.softmax(without)[0, 0] == 0.0
    found = log_odds(log_probability(full, classes), log_probability(without, classes))
    assert found.value == pytest.approx(-900.0)
    assert found.se is None


@given(hnp.arrays(float, (4, 3), elements=st.floats(-1e3, 1e3)), st.integers(0, 2))
def test_log_probability_is_the_log_softmax_at_the_class(logits, label: int) -> None:
    found = log_probability(logits, np.full(4, label))
    np.testing.assert_allclose(found, special.log_softmax(logits, axis=1)[:, label], atol=1e-9)
    assert (found <= 0).all()


def test_flip_rate_counts_changed_predictions() -> None:
    full, without = np.array([0, 1, 2, 2]), np.array([0, 2, 1, 2])
    assert flip_rate(full, without).value == pytest.approx(50.0)
    assert flip_rate(full, without).se == pytest.approx(stats.sem([0, 100, 100, 0]))
    assert flip_rate(full, full).value == 0


# Few distinct values: most texts have ties, and some nothing else.
RAGGED = st.lists(st.integers(0, 9), min_size=1, max_size=8).flatmap(
    lambda lengths: st.tuples(
        st.just(np.concatenate(([0], np.cumsum(lengths)))),
        hnp.arrays(float, (2, sum(lengths)), elements=st.integers(-2, 2).map(lambda x: x / 3)),
    )
)


@given(RAGGED)
def test_kendall_equals_the_oracle_on_every_text(ragged) -> None:
    offsets, (scores, reference) = ragged
    found = kendall_tau_b(scores, reference, offsets)
    expected = [
        stats.kendalltau(scores[a:b], reference[a:b]).statistic if b - a > 1 else math.nan
        for a, b in pairwise(offsets)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_kendall_is_the_share_of_pairs_and_takes_ties_into_account() -> None:
    offsets = np.array([0, 4, 8, 12])
    scores = np.array([4.0, 3, 2, 1, 4, 3, 2, 1, 1, 1, 2, 3])
    reference = np.array([8.0, 7, 6, 5, 1, 2, 3, 4, 1, 2, 3, 4])
    found = kendall_tau_b(scores, reference, offsets)
    assert found.tolist() == pytest.approx([1.0, -1.0, 5 / math.sqrt(5 * 6)])
    # tau-a, which divides by all the pairs, would not reach it.
    assert found[2] != pytest.approx(5 / 6, abs=0.05)


def test_kendall_of_a_long_text_does_not_overflow() -> None:
    rng = np.random.default_rng(0)
    scores, reference = rng.normal(size=(2, 700))
    found = kendall_tau_b(scores, scores + reference, np.array([0, 700]))[0]
    assert found == pytest.approx(stats.kendalltau(scores, scores + reference).statistic, rel=1e-12)


def test_kendall_is_undefined_without_two_tokens_that_differ() -> None:
    offsets = np.array([0, 0, 1, 3, 5, 7])
    scores = np.array([0.5, 0.2, 0.2, 0.1, 0.3, 0.9, 0.3])
    reference = np.array([0.5, 0.1, 0.7, 0.4, 0.4, 0.8, 0.1])
    found = kendall_tau_b(scores, reference, offsets)
    assert np.isnan(found).tolist() == [True, True, True, True, False]
    assert mean_kendall(found) == {"kendall_tau": (1.0, None), "kendall_texts": (1, None)}
    assert mean_kendall(found[:4]) == {}


def test_mean_kendall_leaves_out_texts_without_a_tau() -> None:
    taus = np.array([0.5, math.nan, -0.25, 0.0])
    found = mean_kendall(taus)
    mean, se = found["kendall_tau"]
    assert found["kendall_texts"].value == 3
    assert mean == pytest.approx(0.25 / 3)
    assert se == pytest.approx(stats.sem([0.5, -0.25, 0.0]))
    # An undefined tau is not a tau of 0.
    assert mean != pytest.approx(0.25 / 4, abs=0.01)
