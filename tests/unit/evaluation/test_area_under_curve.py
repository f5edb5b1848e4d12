from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import auc

from safr_study.evaluation.srs import area_under_curve
from safr_study.settings import CURVE_SHARES


def test_a_straight_line_from_the_origin_has_half_its_last_height() -> None:
    for shares in (CURVE_SHARES, CURVE_SHARES[1:], (0.02, 0.31)):
        assert area_under_curve(shares, [80 * share for share in shares]) == pytest.approx(
            40 * shares[-1]
        )


def test_the_area_by_hand() -> None:
    # (0, 0) - (.1, 10) - (.4, 30): .5 + 6 = 6.5, over .4.
    assert area_under_curve([0.1, 0.4], [10.0, 30.0]) == pytest.approx(16.25)
    # The nominal shares would give another area than the realised ones.
    assert area_under_curve([0.2, 0.5], [10.0, 30.0]) != pytest.approx(16.25, abs=0.5)


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(-100, 100)), min_size=1, max_size=8))
def test_the_area_equals_the_oracle_whatever_shares_repeat(points) -> None:
    shares = np.round(sorted(share for share, _ in points), 1)  # Rounded: some repeat.
    values = np.where(shares > 0, [value for _, value in points], 0.0)
    found = area_under_curve(shares.tolist(), values.tolist())
    if shares[-1] == 0:
        assert found is None
    else:
        expected = auc([0.0, *shares], [0.0, *values]) / shares[-1]
        assert found == pytest.approx(expected, abs=1e-9)


def test_two_k_that_delete_the_same_tokens_count_once() -> None:
    assert area_under_curve([0.0, 0.2, 0.2, 0.4], [0.0, 5.0, 5.0, 9.0]) == pytest.approx(
        area_under_curve([0.2, 0.4], [5.0, 9.0])
    )


def test_there_is_no_curve_where_nothing_is_deleted() -> None:
    assert area_under_curve([0.0, 0.0], [0.0, 0.0]) is None
    assert area_under_curve([], []) is None
