"""What of the recorded steps runs without a GPU; tests/gpu has the rest."""

from __future__ import annotations

import numpy as np
import pytest

from safr_study.training.graphs import LENGTHS, padded


@pytest.mark.parametrize(
    ("length", "longest", "expected"),
    [(1, 128, 8), (8, 128, 8), (9, 128, 16), (121, 128, 128), (100, 100, 100), (97, 100, 100)],
)
def test_texts_get_few_lengths_and_no_more_positions_than_there_are(
    length: int, longest: int, expected: int
) -> None:
    ids = np.arange(1, 2 * length + 1, dtype=np.int64).reshape(2, length)
    found = padded(ids, longest)
    assert found.shape == (2, expected)
    np.testing.assert_array_equal(found[:, :length], ids)
    assert not found[:, length:].any()


def test_the_lengths_of_a_corpus_are_few() -> None:
    lengths = {padded(np.ones((1, n), np.int64), 128).shape[1] for n in range(1, 129)}
    assert lengths == set(range(LENGTHS, 129, LENGTHS))
