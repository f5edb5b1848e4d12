from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from safr_study.model import SafrClassifier
from safr_study.settings import Preset

IDS = torch.tensor(
    [[2, 3, 4, 5, 3, 9], [6, 7, 8, 2, 0, 0], [8, 9, 0, 0, 0, 0], [4, 0, 0, 0, 0, 0], [0] * 6]
)
VISIBLE = torch.tensor(
    [
        [False, True, True, False, True, True],
        [True, False, True, True, True, True],
        [False, False, True, True, True, True],  # No token is left.
        [True, True, False, False, True, True],
        [True, True, True, True, True, True],
    ]
)
ONES = torch.ones(IDS.shape, dtype=torch.float64)
SHAPES = pytest.mark.parametrize(
    ("preset", "vmask", "layers"),
    [("masked", True, 2), ("masked", False, 1), ("reference", True, 2), ("reference", False, 1)],
)


def scaled_embeddings(model: SafrClassifier) -> Tensor:
    rows: Tensor = (model.embedding(IDS) * 8**0.5).detach()
    return rows


def by_hand(
    model: SafrClassifier,
    embeddings: Tensor,
    visible: Tensor | None = None,
    *,
    fixed_gate: bool = False,
) -> Tensor:
    """Logits of IDS from a row per position; invisible positions are cut out of the sequence."""
    texts = []
    for ids, x, marks in zip(IDS, embeddings, visible if visible is not None else IDS, strict=True):
        real = ids != 0
        if model.vmask is not None:
            keep = torch.sigmoid(model.vmask(x.detach() if fixed_gate else x))
            x = x * (keep * real if model.padding_aware else keep)[:, None]
        x = x + model.positions[: len(ids)]
        if visible is not None:
            x, real = x[marks], real[marks]
        x = x[None]
        if x.numel():
            for layer in model.layers:
                x = layer(x, real[None], None).block
        rows = x[0, real] if model.padding_aware else x[0]
        texts.append(model.fc(rows.sum(0) / max(1, len(rows))))
    return torch.stack(texts)


@SHAPES
def test_invisible_positions_are_cut_out_of_the_sequence(
    small: Callable[..., SafrClassifier], preset: Preset, vmask: bool, layers: int
) -> None:
    model = small(preset, vmask=vmask, layers=layers)
    found = model(IDS, visible=VISIBLE).logits
    torch.testing.assert_close(found, by_hand(model, scaled_embeddings(model), VISIBLE))
    assert (found - model(IDS).logits)[:3].abs().amax(dim=1).min() > 1e-3


def test_the_visible_tokens_keep_their_positions(small: Callable[..., SafrClassifier]) -> None:
    model = small()
    kept = model(IDS[:1], visible=VISIBLE[:1]).logits
    closed_ranks = model(IDS[:1][VISIBLE[:1]][None]).logits
    assert (kept - closed_ranks).abs().max() > 1e-3


@pytest.mark.parametrize("preset", ["masked", "reference"])
def test_no_attention_reaches_an_invisible_key(
    small: Callable[..., SafrClassifier], preset: Preset
) -> None:
    attention = small(preset)(IDS, visible=VISIBLE).attention[0]
    assert not attention.transpose(-1, -2)[(~VISIBLE)[:, None].expand(-1, 2, -1)].any()
    queries = attention.sum(dim=-1)
    seeing = VISIBLE & (IDS != 0) if preset == "masked" else torch.ones_like(VISIBLE)
    expected = seeing[:, None].expand(-1, 2, -1).to(queries.dtype)
    torch.testing.assert_close(queries, expected)


@SHAPES
def test_nothing_visible_leaves_the_bias(
    small: Callable[..., SafrClassifier], preset: Preset, vmask: bool, layers: int
) -> None:
    model = small(preset, vmask=vmask, layers=layers)
    logits = model(IDS, visible=torch.zeros_like(VISIBLE)).logits
    torch.testing.assert_close(logits, model.fc.bias.expand(5, -1))


@SHAPES
def test_everything_visible_and_a_scale_of_one_change_nothing(
    small: Callable[..., SafrClassifier], preset: Preset, vmask: bool, layers: int
) -> None:
    model = small(preset, vmask=vmask, layers=layers)
    plain = model(IDS)
    for changed in (model(IDS, visible=torch.ones_like(VISIBLE)), model(IDS, scale=ONES)):
        for name in ("logits", "embeddings", "masked_embeddings", "keep_probability", "block"):
            torch.testing.assert_close(getattr(changed, name), getattr(plain, name))


@SHAPES
def test_the_scale_multiplies_what_vmask_sees(
    small: Callable[..., SafrClassifier], preset: Preset, vmask: bool, layers: int
) -> None:
    model = small(preset, vmask=vmask, layers=layers)
    scale = torch.rand(IDS.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    output = model(IDS, scale=scale)
    rows = scaled_embeddings(model) * scale[..., None]
    torch.testing.assert_close(output.embeddings, rows)
    torch.testing.assert_close(output.logits, by_hand(model, rows))
    if vmask:
        torch.testing.assert_close(
            output.masked_embeddings, rows * output.keep_probability[..., None]
        )


@SHAPES
def test_the_gradient_at_one_is_gradient_x_input(
    small: Callable[..., SafrClassifier], preset: Preset, vmask: bool, layers: int
) -> None:
    model = small(preset, vmask=vmask, layers=layers)
    scale = ONES.clone().requires_grad_()
    (found,) = torch.autograd.grad(model(IDS, scale=scale).logits[:, 1].sum(), scale)

    def gradient_x_input(*, fixed_gate: bool) -> Tensor:
        leaf = scaled_embeddings(model).requires_grad_()
        (gradient,) = torch.autograd.grad(
            by_hand(model, leaf, fixed_gate=fixed_gate)[:, 1].sum(), leaf
        )
        return (leaf.detach() * gradient).sum(dim=-1)

    torch.testing.assert_close(found, gradient_x_input(fixed_gate=False))
    assert found.abs().max() > 1e-2
    difference = (found - gradient_x_input(fixed_gate=True)).abs().max()
    assert difference > 1e-3 if vmask else difference < 1e-12
