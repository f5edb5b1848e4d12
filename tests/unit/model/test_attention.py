"""The attention with its own backward pass against plain operations."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from safr_study.model.attention import MASKED_SCORE, attend
from safr_study.model.kernels.attention import attend as fast_attend

REAL = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0]], dtype=torch.bool)
HEADS = 2


def projected() -> Tensor:
    values = torch.randn(3, 4, 18, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return values.requires_grad_()


def masks(kind: str) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Keys, hidden scores, queries."""
    if kind == "full":
        return None, None, None
    keys = REAL.double()
    hidden = torch.where(REAL, 0.0, MASKED_SCORE).double()
    return keys, hidden, keys if kind == "masked" else None


@pytest.mark.parametrize("kind", ["full", "reference", "masked"])
@pytest.mark.parametrize("used", ["both", "mixed", "attention"])
@pytest.mark.parametrize("share", [0.0, 0.4])
def test_values_and_gradients_equal_those_of_plain_operations(
    kind: str, used: str, share: float
) -> None:
    keys, hidden, queries = masks(kind)
    fast, plain = projected(), projected()
    drawn = [torch.Generator().manual_seed(2) for _ in range(2)]
    found = fast_attend(fast, HEADS, keys, hidden, queries, share, drawn[0])
    expected = attend(plain, HEADS, keys, hidden, queries, share, drawn[1])
    undropped = attend(plain, HEADS, keys, hidden, queries)
    assert torch.equal(expected[1], undropped[1])
    assert torch.equal(expected[0], undropped[0]) is (share == 0.0)
    weights = torch.Generator().manual_seed(1)
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one, other, atol=1e-13)
    sums = []
    for values in (found, expected):
        weights.manual_seed(1)
        terms = [
            (value * torch.randn(value.shape, dtype=torch.float64, generator=weights)).sum()
            for value in values
        ]
        sums.append({"both": terms[0] + terms[1], "mixed": terms[0], "attention": terms[1]}[used])
    (of_fast,) = torch.autograd.grad(sums[0], fast)
    (of_plain,) = torch.autograd.grad(sums[1], plain)
    assert of_plain.abs().max() > 0.1
    assert torch.allclose(of_fast, of_plain, atol=1e-13)


def test_without_positions_there_is_nothing() -> None:
    mixed, attention = fast_attend(torch.empty(1, 0, 12), HEADS, None, None, None)
    assert mixed.shape == (1, 0, 4)
    assert attention.shape == (1, HEADS, 0, 0)
