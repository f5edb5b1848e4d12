from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from safr_study.model import (
    SafrClassifier,
    importance_loss,
    interaction_loss,
    kernels,
    loss_terms,
    vmask_information,
)
from safr_study.settings import Penalties


@pytest.fixture(params=["fast", "textbook"], autouse=True, scope="module")
def forms(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test of this file is run with both forms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "FAST", request.param == "fast")
        yield


def random_rows(seed: int, *shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def random_attention(seed: int, lengths: list[int], heads: int = 2) -> tuple[Tensor, Tensor]:
    """Attention as the masked model makes it, and the mark of the real tokens."""
    longest = max(lengths)
    real = torch.arange(longest) < torch.tensor(lengths)[:, None]
    scores = random_rows(seed, len(lengths), heads, longest, longest)
    attention = scores.masked_fill(~real[:, None, None, :], -1e9).softmax(-1)
    return attention * real[:, None, :, None], real


def brute_importance(rows: Tensor, counted: Tensor) -> float:
    terms = []
    for text, marks in zip(rows.tolist(), counted.tolist(), strict=True):
        tokens = [row for row, mark in zip(text, marks, strict=True) if mark]
        for i, h in enumerate(tokens):
            norm = math.sqrt(sum(value * value for value in h))
            dots = (
                sum(a * b for a, b in zip(h, other, strict=True))
                for j, other in enumerate(tokens)
                if j != i
            )
            terms.append(math.sqrt(sum((dot / (1e-5 + norm)) ** 2 for dot in dots) / len(h)))
    return sum(terms) / len(terms)


def brute_interaction(attention: Tensor, lengths: list[int], power: int, *, row: bool) -> float:
    texts = []
    for text, n in zip(attention, lengths, strict=True):
        total = 0.0
        for head in text[:, :n, :n].tolist():
            for i in range(n):
                for j in range(n):
                    if i != j:
                        dot = sum(a * b for a, b in zip(head[i], head[j], strict=True))
                        total += head[i][j] * (1 - dot**power)
        pairs = n if row else n * (n - 1)
        texts.append(total / (len(text) * pairs) if n > 1 else 0.0)
    return sum(texts) / len(texts)


def test_importance_of_the_recorded_texts(golden_measures: dict[str, Any]) -> None:
    measures = golden_measures["measures"]
    for case in measures:
        rows = torch.tensor(case["H"], dtype=torch.float64)[None]
        found = importance_loss(rows, torch.ones(rows.shape[:2], dtype=torch.bool)).item()
        assert found == pytest.approx(case["importance_term"], rel=1e-10)


def test_interaction_of_the_recorded_attention(golden_measures: dict[str, Any]) -> None:
    cases = golden_measures["interaction"]
    for case in cases:
        attention = torch.tensor(case["A"], dtype=torch.float64)[None]
        real = torch.ones(1, attention.shape[-1], dtype=torch.bool)
        for padding_aware, expected in ((True, case["masked"]), (False, case["reference"])):
            found = interaction_loss(attention, real, padding_aware=padding_aware).item()
            assert found == pytest.approx(expected, rel=1e-10)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(0, 1000))
def test_importance_equals_the_loops(lengths: list[int], seed: int) -> None:
    rows = random_rows(seed, len(lengths), 5, 3)
    counted = torch.arange(5) < torch.tensor(lengths)[:, None]
    expected = brute_importance(rows, counted) if any(lengths) else 0.0
    assert importance_loss(rows, counted).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("interference", ["dot", "squared"])
@pytest.mark.parametrize("scale", ["cell", "row"])
def test_interaction_equals_the_loops(interference: Any, scale: Any) -> None:
    lengths = [5, 3, 1, 0, 2]
    attention, real = random_attention(3, lengths)
    found = interaction_loss(
        attention, real, padding_aware=True, interference=interference, scale=scale
    )
    power = 2 if interference == "squared" else 1
    expected = brute_interaction(attention, lengths, power, row=scale == "row")
    assert found.item() == pytest.approx(expected, rel=1e-12)


def test_row_scale_multiplies_by_the_length() -> None:
    attention, real = random_attention(0, [6, 6])
    for padding_aware, factor in ((True, 5), (False, 6)):
        cell, row = (
            interaction_loss(attention, real, padding_aware=padding_aware, scale=scale).item()
            for scale in ("cell", "row")
        )
        assert row == pytest.approx(factor * cell, rel=1e-12)


def test_reference_interaction_is_the_known_difference() -> None:
    attention, real = random_attention(1, [7, 7])
    dots = attention @ attention.transpose(-1, -2)
    dots = dots * (1 - torch.eye(7, dtype=torch.float64))
    expected = 1 / 7 - (attention * dots).mean().item()
    found = interaction_loss(attention, real, padding_aware=False).item()
    assert found == pytest.approx(expected, rel=1e-12)
    assert 0 <= found <= 1 / 7


@given(st.lists(st.integers(1, 6), min_size=1, max_size=4), st.integers(0, 1000))
def test_reference_interaction_lies_in_0_to_1_over_the_length(
    lengths: list[int], seed: int
) -> None:
    # PAD is no key, but a query like any other: every row of the attention sums to 1.
    real = torch.arange(6) < torch.tensor(lengths)[:, None]
    scores = random_rows(seed, len(lengths), 2, 6, 6) * 3
    attention = scores.masked_fill(~real[:, None, None, :], -1e9).softmax(-1)
    dots = attention @ attention.transpose(-1, -2) * (1 - torch.eye(6, dtype=torch.float64))
    found = interaction_loss(attention, real, padding_aware=False).item()
    assert found == pytest.approx(1 / 6 - (attention * dots).mean().item(), abs=1e-12)
    assert -1e-12 <= found <= 1 / 6 + 1e-12


def test_interaction_of_the_real_pairs_is_another_number() -> None:
    attention, real = random_attention(1, [7, 7])
    masked, reference = (
        interaction_loss(attention, real, padding_aware=padding_aware).item()
        for padding_aware in (True, False)
    )
    dots = (attention @ attention.transpose(-1, -2)) * (1 - torch.eye(7, dtype=torch.float64))
    pairs = 1 - torch.eye(7, dtype=torch.float64)
    # The same sum without the diagonal, over 42 pairs and not 49 cells.
    expected = (attention * pairs * (1 - dots)).sum(dim=(-2, -1)).mean().item() / 42
    assert masked == pytest.approx(expected, rel=1e-12)
    assert masked != pytest.approx(reference, rel=0.01)


@pytest.mark.parametrize("interference", ["dot", "squared"])
@pytest.mark.parametrize("padding_aware", [True, False])
def test_gradient_of_interaction(interference: Any, padding_aware: bool) -> None:
    attention, real = random_attention(2, [4, 2, 1])
    assert torch.autograd.gradcheck(
        lambda a: interaction_loss(a, real, padding_aware=padding_aware, interference=interference),
        attention.requires_grad_(),
    )


def test_gradient_of_importance() -> None:
    rows = random_rows(4, 2, 4, 3).requires_grad_()
    counted = torch.tensor([[True, True, True, False], [True, False, False, False]])
    assert torch.autograd.gradcheck(lambda h: importance_loss(h, counted), rows)


@given(st.integers(0, 1000), st.floats(0.01, 100))
def test_importance_is_homogeneous_up_to_the_epsilon(seed: int, scale: float) -> None:
    rows = random_rows(seed, 2, 6, 4)
    counted = torch.ones(2, 6, dtype=torch.bool)
    once, scaled = (importance_loss(a * rows, counted).item() for a in (1.0, scale))
    # Each term has the factor (|h| + e) / (|h| + e / a), e the epsilon, beside a.
    slack = 1e-5 * abs(1 - 1 / scale) / float(rows.norm(dim=-1).min())
    assert scaled == pytest.approx(scale * once, rel=slack + 1e-12)


def test_importance_of_tiny_rows_is_not_homogeneous() -> None:
    rows = 1e-5 * random_rows(5, 1, 6, 4)
    counted = torch.ones(1, 6, dtype=torch.bool)
    once, twice = (importance_loss(a * rows, counted).item() for a in (1.0, 2.0))
    assert twice != pytest.approx(2 * once, rel=0.01)


def test_a_text_of_one_token_counts_as_zero() -> None:
    rows = random_rows(6, 2, 3, 4)
    alone = torch.tensor([[True, True, True], [False, False, False]])
    with_single = torch.tensor([[True, True, True], [True, False, False]])
    expected = importance_loss(rows, alone).item() * 3 / 4
    assert importance_loss(rows, with_single).item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_closed_gates_have_a_finite_gradient(dtype: torch.dtype) -> None:
    gates = torch.zeros(2, 4, 1, dtype=dtype, requires_grad=True)
    words = random_rows(7, 2, 4, 3).to(dtype).requires_grad_()
    loss = importance_loss(gates * words, torch.ones(2, 4, dtype=torch.bool))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert gates.grad is not None
    assert words.grad is not None
    assert torch.equal(gates.grad, torch.zeros_like(gates))
    assert torch.equal(words.grad, torch.zeros_like(words))


def test_information_is_the_negative_entropy() -> None:
    p = torch.tensor([[0.5, 0.25, 0.9]], dtype=torch.float64)
    counted = torch.tensor([[True, True, False]])
    entropies = [-(q * math.log(q) + (1 - q) * math.log(1 - q)) for q in (0.5, 0.25)]
    assert vmask_information(p, counted).item() == pytest.approx(-sum(entropies) / 2, rel=1e-12)


def test_information_of_saturated_gates_is_finite() -> None:
    p = torch.tensor([[0.0, 1.0, 0.0]], requires_grad=True)
    loss = vmask_information(p, torch.tensor([[True, True, False]]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert p.grad is not None
    assert torch.isfinite(p.grad).all()


def test_a_penalty_of_weight_zero_is_not_computed(small: Callable[..., SafrClassifier]) -> None:
    ids = torch.tensor([[2, 3, 4], [5, 0, 0]])
    labels = torch.tensor([0, 2])
    output = small()(ids)
    plain = loss_terms(output, labels, ids, Penalties(), "masked")
    assert list(plain) == ["total", "cross_entropy"]
    assert plain["total"].item() == plain["cross_entropy"].item()
    for weight, term in (
        ("lambda_imp", "importance"),
        ("lambda_inter", "interaction"),
        ("vmask_beta", "vmask_information"),
    ):
        one = loss_terms(output, labels, ids, Penalties(**{weight: 1.0}), "masked")
        assert list(one) == ["total", "cross_entropy", term]
        assert one["total"].item() == (one["cross_entropy"] + one[term]).item()


def test_without_vmask_there_is_no_penalty(small: Callable[..., SafrClassifier]) -> None:
    ids = torch.tensor([[2, 3, 4]])
    output = small(vmask=False)(ids)
    penalties = Penalties(lambda_imp=1.0, lambda_inter=1.0, vmask_beta=1.0)
    losses = loss_terms(output, torch.tensor([1]), ids, penalties, "masked")
    assert list(losses) == ["total", "cross_entropy"]
    assert losses["total"].item() == losses["cross_entropy"].item()


def test_interaction_of_several_blocks_is_their_mean(small: Callable[..., SafrClassifier]) -> None:
    ids = torch.tensor([[2, 3, 4, 5]])
    output = small(layers=3)(ids)
    losses = loss_terms(output, torch.tensor([1]), ids, Penalties(lambda_inter=2.0), "masked")
    each = [
        interaction_loss(attention, ids != 0, padding_aware=True).item()
        for attention in output.attention
    ]
    assert losses["interaction"].item() == pytest.approx(sum(each) / 3, rel=1e-12)
    assert max(each) - min(each) > 1e-6
    assert losses["total"].item() == pytest.approx(
        losses["cross_entropy"].item() + 2 * losses["interaction"].item(), rel=1e-12
    )


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("longest", [40, 150])
def test_penalties_of_long_texts_in_float32_and_their_gradients(
    monkeypatch: pytest.MonkeyPatch, longest: int, onednn: bool
) -> None:
    attention, real = random_attention(5, [longest, 11, 130 % longest])
    rows = random_rows(6, *real.shape, 256)

    def values(dtype: torch.dtype) -> list[Tensor]:
        leaves = [x.to(dtype).requires_grad_() for x in (attention, rows)]
        terms = (
            interaction_loss(leaves[0], real, padding_aware=True),
            importance_loss(leaves[1], real),
        )
        return [*(term.detach() for term in terms), *torch.autograd.grad(sum(terms), leaves)]

    exact = values(torch.float64)
    monkeypatch.setattr("safr_study.model.kernels.onednn.USES_ONEDNN", onednn)
    for found, value in zip(values(torch.float32), exact, strict=True):
        assert (found - value).abs().max() <= 3e-6 * value.abs().max()
