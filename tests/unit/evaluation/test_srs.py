from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from safr_study.evaluation import srs

PAIRS = st.integers(1, 40).flatmap(
    lambda m: st.tuples(hnp.arrays(bool, m), hnp.arrays(bool, m), hnp.arrays(bool, (3, m)))
)


def test_every_metric_equals_the_golden_values(golden_measures) -> None:
    for measured in golden_measures["deletion"]:
        full, top, bottom, random = (
            np.array(measured[f"right_{which}"], dtype=bool)
            for which in ("full", "top", "bottom", "random")
        )
        found = {
            "accuracy": srs.accuracy(full),
            "srs": srs.srs(full, top),
            "srs_se": srs.srs_se(full, top),
            "mcnemar_exact_p": srs.mcnemar_exact_p(full, top),
            "accuracy_random": srs.accuracy(random),
            "srs_excess": srs.gain(random, top).value,
            "srs_excess_se": srs.gain(random, top).se,
            "contrast": srs.gain(bottom, top).value,
        }
        expected = {name: measured[name] for name in found}
        assert found == pytest.approx(expected, rel=0, abs=1e-9)


@given(PAIRS)
def test_metrics_equal_the_per_text_definitions(arrays) -> None:
    full, top, random = arrays
    texts = len(full)
    differences = full.astype(float) - top
    assert srs.srs(full, top) == pytest.approx(100 * differences.mean(), abs=1e-9)
    assert srs.srs_se(full, top) == pytest.approx(
        100 * differences.std() / math.sqrt(texts), abs=1e-9
    )
    z = random.mean(axis=0) - top
    assert srs.gain(random, top).value == pytest.approx(100 * z.mean(), abs=1e-9)
    if texts > 1:
        sem = stats.sem(differences, ddof=0)
        assert srs.srs_se(full, top) == pytest.approx(100 * sem, abs=1e-9)
        assert srs.gain(random, top).se == pytest.approx(100 * stats.sem(z), abs=1e-9)
    else:
        assert srs.gain(random, top).se is None


@given(PAIRS)
def test_contrast_error_is_that_of_the_paired_t_test(arrays) -> None:
    bottom, top, _ = arrays
    if len(top) == 1:
        assert srs.gain(bottom, top).se is None
        return
    found = srs.gain(bottom, top).se
    assert found == pytest.approx(100 * stats.sem(bottom.astype(float) - top), abs=1e-9)
    if found and abs(srs.gain(bottom, top).value) > 1e-9:
        paired = stats.ttest_rel(bottom.astype(float), top.astype(float))
        ratio = srs.gain(bottom, top).value / found
        assert ratio == pytest.approx(paired.statistic, rel=1e-9)


def test_contrast_error_uses_the_pairs() -> None:
    """Texts that are right, or wrong, on both sides say nothing about the difference."""
    bottom = np.array([True] * 60 + [False] * 40)
    top = np.array([True] * 50 + [False] * 50)
    by_hand = 100 * math.sqrt((10 - 10**2 / 100) / 99 / 100)
    assert srs.gain(bottom, top).se == pytest.approx(by_hand)
    unpaired = math.hypot(srs.accuracy_se(bottom), srs.accuracy_se(top))
    assert srs.gain(bottom, top).se < 0.6 * unpaired


@given(PAIRS)
def test_mcnemar_equals_the_binomial_test(arrays) -> None:
    full, top, _ = arrays
    lost, flips = int((full & ~top).sum()), int((full != top).sum())
    expected = stats.binomtest(lost, flips).pvalue if flips else 1.0
    assert srs.mcnemar_exact_p(full, top) == pytest.approx(expected, rel=1e-9)


def test_mcnemar_of_many_flips_does_not_overflow() -> None:
    full, top = np.arange(5000) < 2600, np.arange(5000) >= 2600
    assert srs.mcnemar_exact_p(full, top) == pytest.approx(
        stats.binomtest(2600, 5000).pvalue, rel=1e-9
    )


@pytest.mark.parametrize("texts", [500, 825, 1743])
def test_accuracy_is_the_nearest_number_to_its_quotient(texts: int) -> None:
    for right in range(texts + 1):
        measured = srs.accuracy(np.arange(texts) < right)
        assert measured == float(Fraction(100 * right, texts))


def test_accuracy_and_its_error_by_hand() -> None:
    right = np.array([True] * 8 + [False] * 2)
    assert srs.accuracy(right) == pytest.approx(80.0)
    assert srs.accuracy_se(right) == pytest.approx(100 * math.sqrt(0.8 * 0.2 / 10))


def test_headroom_is_null_where_nothing_could_be_lost() -> None:
    assert srs.headroom(10.0, 75.0, 50.0) == pytest.approx(0.4)
    assert srs.headroom(10.0, 52.0, 50.0) == pytest.approx(5.0)
    assert srs.headroom(10.0, 51.9, 50.0) is None
