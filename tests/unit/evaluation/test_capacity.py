from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safr_study.evaluation.capacity import capacity

SHAPES = st.tuples(st.integers(1, 8), st.integers(1, 6), st.integers(0, 2**32 - 1))


def of_text(rows: Any) -> np.ndarray:
    matrix = torch.as_tensor(np.asarray(rows, dtype=np.float64))
    return capacity(matrix[None], torch.ones(1, len(matrix), dtype=torch.bool))[0].numpy()


def random_rows(shape: tuple[int, int, int]) -> np.ndarray:
    tokens, width, seed = shape
    return np.random.default_rng(seed).normal(size=(tokens, width))


def test_capacity_equals_the_golden_values_and_norm_over_norm_plus_polysemanticity(
    golden_measures,
) -> None:
    for measured in golden_measures["measures"]:
        rows = torch.tensor(measured["H"], dtype=torch.float64)[None]
        mask = torch.ones(rows.shape[:2], dtype=torch.bool)
        found = capacity(rows, mask)[0]
        np.testing.assert_allclose(found, measured["capacity"], rtol=0, atol=1e-9)
        squared_norms = rows[0].square().sum(dim=1).numpy()
        known = squared_norms > 0
        others = np.array(measured["polysemanticity"])[known]
        expected = squared_norms[known] / (squared_norms[known] + others)
        np.testing.assert_allclose(found[known], expected, rtol=0, atol=1e-9)


def test_a_batch_equals_its_texts_one_by_one_whatever_lies_in_the_padding() -> None:
    rng = np.random.default_rng(0)
    lengths = [*range(7), 3] * 5  # More texts than are held at once.
    rows = torch.full((len(lengths), 6, 4), float("nan"))
    mask = torch.zeros(len(lengths), 6, dtype=torch.bool)
    for text, length in enumerate(lengths):
        rows[text, :length] = torch.from_numpy(rng.normal(size=(length, 4))).float()
        mask[text, :length] = True
    together = capacity(rows, mask)
    assert together.dtype == torch.float64
    assert not together[~mask].any()
    for text, length in enumerate(lengths):
        alone = capacity(rows[text : text + 1, :length], mask[text : text + 1, :length])[0]
        torch.testing.assert_close(together[text, :length], alone, rtol=1e-12, atol=1e-12)


@given(SHAPES)
def test_capacity_lies_in_0_to_1_and_sums_to_at_most_the_rank(shape) -> None:
    rows = random_rows(shape)
    found = of_text(rows)
    assert (found >= 0).all()
    assert (found <= 1).all()
    assert 1 - 1e-9 <= found.sum() <= np.linalg.matrix_rank(rows) + 1e-9


@given(SHAPES, st.integers(1, 4))
def test_the_sum_is_bounded_by_the_rank_not_by_the_number_of_tokens(shape, rank: int) -> None:
    tokens, width, seed = shape
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(tokens, rank)) @ rng.normal(size=(rank, width))
    assert 1 - 1e-9 <= of_text(rows).sum() <= min(tokens, width, rank) + 1e-9


@given(SHAPES, st.floats(1e-3, 1e3))
def test_capacity_ignores_scale_and_rotation(shape, scale: float) -> None:
    rows = random_rows(shape)
    rotation, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(rows.shape[1],) * 2))
    np.testing.assert_allclose(of_text(scale * rows @ rotation), of_text(rows), atol=1e-9)


def test_capacity_depends_on_the_scale_of_single_rows() -> None:
    rows = np.array([[1.0, 0.0], [1.0, 1.0]])
    assert not np.allclose(of_text(rows), of_text(rows * [[3.0], [1.0]]), atol=0.05)


@given(st.integers(1, 6))
def test_copies_share_one_capacity(copies: int) -> None:
    rows = np.vstack([np.tile([0.0, 3.0, 0.0], (copies, 1)), [[2.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]])
    np.testing.assert_allclose(of_text(rows), [1 / copies] * copies + [1.0, 1.0], rtol=1e-12)


@given(st.integers(1, 4), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_copies_of_an_otherwise_orthogonal_token_share_it_whatever_the_norms(
    copies: int, others: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    directions = np.linalg.qr(rng.normal(size=(6, 6)))[0] * rng.uniform(0.1, 10, size=(6, 1))
    rows = directions[[0] * copies + list(range(1, others + 1))]
    np.testing.assert_allclose(of_text(rows), [1 / copies] * copies + [1.0] * others, atol=1e-9)


def test_copies_that_are_not_exact_do_not_share_equally() -> None:
    assert not np.allclose(of_text([[1.0, 0.0], [2.0, 0.0]]), 0.5, atol=0.1)


@given(st.integers(1, 6), st.floats(1e-30, 1e30), st.integers(0, 2**32 - 1))
def test_a_text_of_one_token_has_capacity_1(width: int, scale: float, seed: int) -> None:
    row = np.random.default_rng(seed).normal(size=(1, width)) + 0.01
    assert of_text(scale * row).tolist() == pytest.approx([1.0], rel=1e-12)


def test_other_positions_take_capacity_but_have_none_of_their_own() -> None:
    rng = np.random.default_rng(2)
    rows, lengths = torch.from_numpy(rng.normal(size=(3, 5, 4))), torch.tensor([5, 2, 0])
    mask = torch.arange(5) < lengths[:, None]
    others = torch.tensor([[True] * 5, [True] * 4 + [False], [True] * 5])
    found = capacity(rows, mask, others=others)
    whole = capacity(rows, others)
    assert torch.equal(found[mask], whole[mask])
    assert not found[~mask].any()
    assert not torch.allclose(found[1, :2], capacity(rows, mask)[1, :2], atol=1e-3)
    assert torch.equal(capacity(rows, mask, others=mask), capacity(rows, mask))


def test_a_zero_row_has_none_and_a_single_token_has_all() -> None:
    assert of_text([[0.0, 0.0], [1.0, 2.0]]).tolist() == [0.0, 1.0]
    assert of_text([[0.3, -0.2, 0.9]]).tolist() == [1.0]
    assert of_text([[0.0, 0.0]]).tolist() == [0.0]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_float32_rows_of_extreme_size_neither_vanish_nor_overflow(scale: float) -> None:
    rows = torch.tensor([[[1.0, 0.0], [1.0, 1.0]]]) * scale
    np.testing.assert_allclose(
        capacity(rows, torch.ones(1, 2).bool())[0], of_text([[1.0, 0.0], [1.0, 1.0]]), rtol=1e-6
    )
