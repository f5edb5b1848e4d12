"""Rivals of SAFR's penalties: L1 on FFN1, orthogonal neurons, Top-k; each against loops."""

from __future__ import annotations

import itertools
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
    activation_l1,
    ffn1_weights,
    kernels,
    loss_terms,
    orthogonality,
)
from safr_study.model.top_k import kept_neurons, top_k
from safr_study.settings import ModelShape, Penalties, TrainConfig

IDS = torch.tensor([[2, 3, 4, 2, 7], [5, 6, 0, 0, 0], [0, 0, 0, 0, 0], [9, 0, 0, 0, 0]])
LABELS = torch.tensor([0, 1, 2, 1])
NONE = Penalties(lambda_imp=None, lambda_inter=None)


@pytest.fixture(params=["fast", "textbook"], autouse=True, scope="module")
def forms(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test of this file is run with both forms."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kernels, "FAST", request.param == "fast")
        yield


def terms_of(
    model: SafrClassifier, penalties: Penalties, preset: Any = "masked"
) -> dict[str, Tensor]:
    output = model(IDS, noise=torch.Generator().manual_seed(0), ffn1=True)
    return loss_terms(output, LABELS, IDS, penalties, preset, None, ffn1_weights(model))


def kept_by_hand(row: list[float], kept: int) -> list[float]:
    order = sorted(range(len(row)), key=lambda j: (-abs(row[j]), j))[:kept]
    return [value if j in order else 0.0 for j, value in enumerate(row)]


VALUES = st.sampled_from([-2.0, -1.0, -0.5, 0.0, 0.0, 0.5, 0.5, 1.0, 3.0])
ROWS = st.integers(1, 6).flatmap(
    lambda d: st.lists(st.lists(VALUES, min_size=d, max_size=d), min_size=1, max_size=4)
)


@given(ROWS, st.integers(1, 6), st.sampled_from([torch.float64, torch.float32, torch.bfloat16]))
def test_the_largest_stay_and_of_equal_ones_the_first(
    rows: list[list[float]], kept: int, dtype: torch.dtype
) -> None:
    kept = min(kept, len(rows[0]))
    found = top_k(torch.tensor(rows, dtype=dtype)[None], kept)
    expected = torch.tensor([kept_by_hand(row, kept) for row in rows], dtype=dtype)
    assert torch.equal(found[0], expected)


def test_many_neurons_without_ties_lose_the_smallest() -> None:
    rows = torch.randn(3, 7, 500, generator=torch.Generator().manual_seed(0))
    found = top_k(rows, 50)
    assert ((found != 0).sum(dim=-1) == 50).all()
    least = torch.where(found != 0, found.abs(), math.inf).amin(dim=-1)
    assert (torch.where(found == 0, rows.abs(), 0.0).amax(dim=-1) < least).all()


def test_what_is_not_finite_stays_so() -> None:
    for value in (math.nan, math.inf):
        row = torch.tensor([0.1, value, 0.3, 0.2])
        assert not top_k(row, 1).isfinite().all()


def test_what_is_dropped_gets_no_gradient() -> None:
    row = torch.tensor([0.5, -2.0, 1.0, 0.25], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(top_k(row, 2).sum(), [row])
    assert gradient.tolist() == [0.0, 1.0, 1.0, 0.0]
    assert torch.autograd.gradcheck(lambda x: top_k(x, 2), [row])
    assert top_k(row, None) is row


@pytest.mark.parametrize(
    ("share", "neurons", "kept"), [(1.0, 7, None), (0.5, 7, 4), (0.001, 7, 1), (0.999, 7, 7)]
)
def test_the_number_that_is_kept(share: float, neurons: int, kept: int | None) -> None:
    assert kept_neurons(share, neurons) == kept


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("preset", ["masked", "reference"])
def test_top_k_acts_in_every_block_before_ffn2(
    small: Callable[..., SafrClassifier], preset: Any, layers: int
) -> None:
    model = small(preset, layers=layers, ffn_topk=0.25)
    output = model(IDS)
    for block in range(layers):
        rows = torch.relu(output.ffn1_pre_relu[block])
        expected = [kept_by_hand(row, 3) for row in rows.flatten(0, 1).tolist()]
        after = output.ffn1_post_relu[block]
        assert torch.equal(after.flatten(0, 1), torch.tensor(expected, dtype=after.dtype))
        assert torch.allclose(output.ffn2[block], model.layers[block].ff.linear2(after))
    assert (rows - after).abs().max().detach().item() > 0.01


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("vmask", [True, False])
def test_l1_is_a_mean_over_words_neurons_and_blocks(
    small: Callable[..., SafrClassifier], preset: Any, layers: int, vmask: bool
) -> None:
    model = small(preset, layers=layers, vmask=vmask).train()
    output = model(IDS, noise=torch.Generator().manual_seed(0), ffn1=True)
    means = []
    for rows in output.ffn1_post_relu:
        counted = [
            row
            for text, ids in zip(rows.tolist(), IDS.tolist(), strict=True)
            for row, word in zip(text, ids, strict=True)
            if word or preset == "reference"
        ]
        means.append(sum(abs(a) for row in counted for a in row) / len(counted) / 12)
    found = terms_of(model, NONE.model_copy(update={"lambda_l1": 3.0}), preset)
    assert list(found) == ["total", "cross_entropy", "l1"]
    assert found["l1"].item() == pytest.approx(sum(means) / layers, rel=1e-12)
    total = found["cross_entropy"] + 3.0 * found["l1"]
    assert found["total"].item() == pytest.approx(total.item(), rel=1e-12)


def test_l1_of_nothing_is_0() -> None:
    assert activation_l1(torch.ones(2, 3, 4), torch.zeros(2, 3, dtype=torch.bool)).item() == 0.0


@given(st.integers(1, 7), st.integers(1, 5), st.integers(0, 1000))
def test_orthogonality_equals_the_loops(neurons: int, width: int, seed: int) -> None:
    weights = torch.randn(
        neurons, width, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    squares = []
    for one, other in itertools.permutations(weights.tolist(), 2):
        dot = sum(a * b for a, b in zip(one, other, strict=True))
        squares.append((dot / math.hypot(*one) / math.hypot(*other)) ** 2)
    expected = sum(squares) / len(squares) if squares else 0.0
    found = orthogonality(weights).item()
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    if neurons > width:
        assert found >= (neurons - width) / (width * (neurons - 1)) - 1e-12
    # The length of a row plays no part.
    assert orthogonality(7.0 * weights).item() == pytest.approx(found, rel=1e-9, abs=1e-12)


def test_orthogonality_of_known_rows() -> None:
    angles = torch.arange(3, dtype=torch.float64) * 2 * math.pi / 3
    star = torch.stack((angles.cos(), angles.sin()), dim=1)
    # Three rows in a plane at equal angles: as orthogonal as they can be.
    assert orthogonality(star).item() == pytest.approx((3 - 2) / (2 * (3 - 1)))
    assert orthogonality(torch.eye(4)).item() == 0.0
    assert orthogonality(torch.ones(4, 2)).item() == pytest.approx(1.0)
    assert orthogonality(torch.cat((torch.ones(2, 2), torch.zeros(1, 2)))).item() == (
        pytest.approx(2 / 6)
    )


@pytest.mark.parametrize("neurons", [3, 6])
def test_gradients_of_both_penalties(neurons: int) -> None:
    draws = torch.Generator().manual_seed(1)
    weights = torch.randn(neurons, 4, dtype=torch.float64, generator=draws, requires_grad=True)
    assert torch.autograd.gradcheck(orthogonality, [weights])
    rows = torch.randn(2, 3, neurons, dtype=torch.float64, generator=draws, requires_grad=True)
    counted = torch.tensor([[True, True, False], [True, False, False]])
    assert torch.autograd.gradcheck(lambda x: activation_l1(x, counted), [rows])


def test_orthogonality_is_a_mean_over_blocks_and_turns_neurons_apart(
    small: Callable[..., SafrClassifier],
) -> None:
    model = small(layers=2)
    penalties = NONE.model_copy(update={"lambda_ortho": 2.0})
    found = terms_of(model, penalties)["orthogonality"]
    each = [orthogonality(block.ff.linear1.weight) for block in model.layers]
    assert found.item() == pytest.approx((each[0] + each[1]).item() / 2, rel=1e-12)
    before = found.item()
    rows = ffn1_weights(model)
    for _ in range(20):
        loss = terms_of(model, penalties)["orthogonality"]
        with torch.no_grad():
            for row, slope in zip(rows, torch.autograd.grad(loss, rows), strict=True):
                row -= 5.0 * slope
    assert terms_of(model, penalties)["orthogonality"].item() < 0.9 * before


def test_without_a_rival_every_number_is_as_before(small: Callable[..., SafrClassifier]) -> None:
    plain, asked = small(layers=2), small(layers=2, ffn_topk=1.0)
    penalties = Penalties(lambda_imp=0.3, lambda_inter=0.2)
    given_ = penalties.model_copy(update={"lambda_l1": 0.0, "lambda_ortho": 0.0})
    ours = loss_terms(plain(IDS), LABELS, IDS, penalties, "masked")
    theirs = terms_of(asked, given_)
    assert {name: term.item() for name, term in ours.items()} == {
        name: term.item() for name, term in theirs.items()
    }
    # What was stored before there were any has the fingerprint that it had.
    fields = {"lambda_l1", "lambda_ortho", "ffn_topk"}
    written = TrainConfig().model_dump(mode="json")
    assert fields.isdisjoint({*written["shape"], *written["penalties"]})
    again = TrainConfig.model_validate(
        {**written, "shape": {"ffn_topk": 0.5}, "penalties": {"lambda_l1": 1.0}}
    )
    assert (again.shape, again.penalties.lambda_l1) == (ModelShape(ffn_topk=0.5), 1.0)
