from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from safr_study.evaluation.capacity import capacity
from safr_study.evaluation.superposition import (
    hoyer_sparsity,
    interference_energy,
    mean_cosine,
    spectrum,
)

MATRICES = st.tuples(st.integers(1, 8), st.integers(2, 6), st.integers(0, 2**32 - 1)).map(
    lambda shape: np.random.default_rng(shape[2]).normal(size=shape[:2])
)
SPECTRAL = ("participation_ratio", "effective_rank", "stable_rank")


def spectral(rows: Any) -> dict[str, float]:
    found = spectrum(torch.as_tensor(np.asarray(rows, dtype=np.float64)))
    return {name: float(value) for name, value in found.items()}


def rotation(width: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(1).normal(size=(width, width)))[0]


def test_spectral_measures_equal_the_golden_values(golden_measures) -> None:
    for measured in golden_measures["measures"]:
        rows = torch.tensor(measured["H"], dtype=torch.float64)
        found = spectral(rows) | {"interference_energy": float(interference_energy(rows))}
        expected = {name: measured[name] for name in found}
        assert found == pytest.approx(expected, rel=0, abs=1e-9)


@given(MATRICES)
def test_spectral_measures_equal_their_equations(rows: np.ndarray) -> None:
    values = np.linalg.svd(rows, compute_uv=False)
    shares = values / values.sum()
    expected = {
        "participation_ratio": (values**2).sum() ** 2 / (values**4).sum(),
        "effective_rank": math.exp(-(shares * np.log(shares)).sum()),
        "stable_rank": (rows**2).sum() / values[0] ** 2,
    }
    assert spectral(rows) == pytest.approx(expected, rel=1e-9)
    rank = np.linalg.matrix_rank(rows)
    assert all(1 - 1e-9 <= value <= rank + 1e-9 for value in spectral(rows).values())


@given(MATRICES, st.floats(1e-3, 1e3))
def test_measures_ignore_scale_and_rotation(rows: np.ndarray, scale: float) -> None:
    moved = scale * rows @ rotation(rows.shape[1])
    assert spectral(moved) == pytest.approx(spectral(rows), rel=1e-9)
    for measure in (interference_energy, mean_cosine):
        before, after = (float(measure(torch.from_numpy(h))) for h in (rows, moved))
        assert after == pytest.approx(before, abs=1e-9, nan_ok=True)


def test_hoyer_sparsity_ignores_scale_but_not_rotation() -> None:
    rows = torch.eye(4, dtype=torch.float64)
    turned = rows @ torch.from_numpy(rotation(4))
    assert torch.equal(hoyer_sparsity(3.0 * rows), torch.ones(4, dtype=torch.float64))
    assert not torch.allclose(hoyer_sparsity(turned), hoyer_sparsity(rows), atol=0.05)


@given(MATRICES)
def test_the_participation_ratio_of_unit_rows_is_n_times_the_harmonic_mean_of_capacity(
    rows: np.ndarray,
) -> None:
    unit = torch.from_numpy(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    found = capacity(unit[None], torch.ones(1, len(unit), dtype=torch.bool))[0]
    harmonic = len(unit) / float((1 / found).sum())
    assert spectral(unit)["participation_ratio"] == pytest.approx(len(unit) * harmonic, rel=1e-9)


def test_rows_of_unequal_norm_break_that_identity() -> None:
    rows = torch.tensor([[1.0, 0.0], [2.0, 2.0]], dtype=torch.float64)
    found = capacity(rows[None], torch.ones(1, 2, dtype=torch.bool))[0]
    assert spectral(rows)["participation_ratio"] != pytest.approx(
        4 / float((1 / found).sum()), abs=0.05
    )


@given(MATRICES)
def test_interference_and_cosines_equal_the_loops(rows: np.ndarray) -> None:
    rows = np.vstack([rows, np.zeros(rows.shape[1])])
    tokens = range(len(rows))
    gram = [
        [sum(a * b for a, b in zip(rows[i], rows[j], strict=True)) for j in tokens] for i in tokens
    ]
    off = sum(gram[i][j] ** 2 for i in tokens for j in tokens if i != j)
    every = sum(gram[i][j] ** 2 for i in tokens for j in tokens)
    found = torch.from_numpy(rows)
    assert float(interference_energy(found)) == pytest.approx(off / every, abs=1e-12)
    cosines = [
        abs(gram[i][j]) / math.sqrt(gram[i][i] * gram[j][j])
        for i in tokens
        for j in range(i)
        if gram[i][i] and gram[j][j]
    ]
    expected = sum(cosines) / len(cosines) if cosines else math.nan
    assert float(mean_cosine(found)) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_measures_of_orthogonal_rows_and_of_copies() -> None:
    orthogonal, copies = torch.diag(torch.tensor([2.0, 2.0, 2.0])), torch.ones(3, 4)
    assert list(spectral(orthogonal).values()) == pytest.approx([3.0, 3.0, 3.0])
    assert list(spectral(copies).values()) == pytest.approx([1.0, 1.0, 1.0])
    assert float(interference_energy(orthogonal)) == 0
    assert float(mean_cosine(orthogonal)) == 0
    assert float(interference_energy(copies)) == pytest.approx(6 / 9)
    assert float(mean_cosine(copies)) == pytest.approx(1)


def test_a_single_token_interferes_with_nothing_and_has_no_pair() -> None:
    alone = torch.tensor([[0.3, -0.2, 0.9]])
    assert spectral(alone) == pytest.approx(dict.fromkeys(SPECTRAL, 1.0))
    assert float(interference_energy(alone)) == 0
    assert math.isnan(mean_cosine(alone))


def test_rows_of_zeros_have_no_spectrum() -> None:
    zeros = torch.zeros(3, 4)
    assert all(math.isnan(value) for value in spectral(zeros).values())
    assert math.isnan(interference_energy(zeros))
    assert math.isnan(mean_cosine(zeros))
    assert hoyer_sparsity(zeros).isnan().all()


def test_several_texts_at_once_equal_each_alone() -> None:
    rows = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    rows[2] = 0
    for measure in (
        *(lambda h, name=name: spectrum(h)[name] for name in SPECTRAL),
        interference_energy,
    ):
        alone = torch.stack([measure(text) for text in rows])
        torch.testing.assert_close(measure(rows), alone, equal_nan=True, rtol=1e-12, atol=0)


def test_hoyer_sparsity_by_hand() -> None:
    rows = torch.tensor([[0.0, -3.0, 0.0, 0.0], [1.0, -1.0, 1.0, 1.0], [3.0, 4.0, 0.0, 0.0]])
    assert hoyer_sparsity(rows).tolist() == pytest.approx([1.0, 0.0, 2 - 7 / 5])
    assert hoyer_sparsity(torch.ones(2, 1)).isnan().all()
