from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from safr_study.model import SafrClassifier, loss_terms
from safr_study.settings import Penalties, Preset

IDS = torch.tensor([[2, 3, 4, 5, 3], [6, 7, 0, 0, 0], [8, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
LABELS = torch.tensor([0, 1, 2, 0])
ALL = Penalties(lambda_imp=1.0, lambda_inter=1.0, vmask_beta=1.0)


def run(model: SafrClassifier, ids: Tensor, preset: Preset) -> tuple[Tensor, dict[str, Tensor]]:
    output = model(ids)
    return output.logits, loss_terms(output, LABELS, ids, ALL, preset)


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_masked_does_not_depend_on_padding(
    small: Callable[..., SafrClassifier], dtype: torch.dtype, bound: float
) -> None:
    model = small(layers=2, embed_dim=128, ffn_dim=130).to(dtype)
    logits, losses = run(model, IDS, "masked")
    logits_padded, losses_padded = run(model, F.pad(IDS, (0, 7)), "masked")
    assert (logits - logits_padded).abs().max() < bound
    for name in ("total", "importance", "interaction", "vmask_information"):
        assert abs(losses[name] - losses_padded[name]) < bound, name


def test_reference_depends_on_padding(small: Callable[..., SafrClassifier]) -> None:
    model = small("reference")
    logits, losses = run(model, IDS, "reference")
    logits_padded, losses_padded = run(model, F.pad(IDS, (0, 7)), "reference")
    assert (logits[0] - logits_padded[0]).abs().max() > 1e-4
    assert abs(losses["importance"] - losses_padded["importance"]) > 1e-2
    assert abs(losses["interaction"] - losses_padded["interaction"]) > 1e-2


def test_a_text_does_not_depend_on_its_batch(small: Callable[..., SafrClassifier]) -> None:
    model = small()
    together = model(IDS)
    for row, n in ((0, 5), (1, 2), (2, 1)):
        alone = model(IDS[row : row + 1, :n])
        assert torch.allclose(alone.logits[0], together.logits[row], atol=1e-12)
        assert torch.allclose(alone.block[0][0], together.block[0][row, :n], atol=1e-12)


def test_pad_has_no_gate_no_attention_and_no_embedding(
    small: Callable[..., SafrClassifier],
) -> None:
    model = small()
    output = model(IDS)
    pad = IDS == 0
    assert output.keep_probability is not None
    assert not output.embeddings[pad].any()
    assert not output.keep_probability[pad].any()
    attention = output.attention[0].sum(dim=1)
    assert not attention[pad].any()
    assert not attention.transpose(1, 2)[pad].any()
    rows = output.attention[0].sum(dim=-1)[(~pad)[:, None].expand(-1, 2, -1)]
    assert torch.allclose(rows, torch.ones_like(rows), atol=1e-12)


def test_the_bias_decides_an_empty_text(small: Callable[..., SafrClassifier]) -> None:
    model = small()
    assert torch.allclose(model(IDS).logits[3], model.fc.bias, atol=1e-15)
    assert torch.allclose(model(torch.zeros(1, 1, dtype=torch.int64)).logits[0], model.fc.bias)


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("bias", [0.0, -200.0], ids=["gates drawn", "gates closed"])
def test_no_gradient_is_nan(
    small: Callable[..., SafrClassifier], preset: Preset, bias: float
) -> None:
    model = small(preset).float().train()
    assert model.vmask is not None
    with torch.no_grad():
        model.vmask.hidden2p.bias[1] += bias
    for ids in (IDS, IDS[2:3, :1], IDS[3:]):
        model.zero_grad()
        output = model(ids, noise=torch.Generator().manual_seed(0))
        if bias:
            assert not output.masked_embeddings.any()
        loss = loss_terms(output, LABELS[: len(ids)], ids, ALL, preset)["total"]
        loss.backward()  # type: ignore[no-untyped-call]
        assert torch.isfinite(loss)
        for name, parameter in model.named_parameters():
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_the_pad_row_is_trained_in_reference_only(small: Callable[..., SafrClassifier]) -> None:
    for preset, trained in (("masked", False), ("reference", True)):
        model = small(preset)
        _, losses = run(model, IDS, preset)  # type: ignore[arg-type]
        losses["total"].backward()  # type: ignore[no-untyped-call]
        assert model.embedding.weight.grad is not None
        assert bool(model.embedding.weight.grad[0].any()) == trained
        assert bool(model.embedding.weight[0].any()) == trained
