"""The fast forms of the model against its textbook forms, through the one switch between them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from safr_study.model import SafrClassifier, ffn1_weights, kernels, loss_terms
from safr_study.settings import Penalties, Preset

IDS = torch.tensor([[2, 3, 4, 2, 7], [5, 6, 0, 0, 0], [0, 0, 0, 0, 0], [9, 0, 0, 0, 0]])
LABELS = torch.tensor([0, 1, 2, 1])
WEIGHTS = Penalties(lambda_imp=0.7, lambda_inter=1.3, vmask_beta=0.2)


def losses_and_gradients(model: SafrClassifier, preset: Preset) -> list[torch.Tensor]:
    output = model.train()(IDS, noise=torch.Generator().manual_seed(1))
    weights = WEIGHTS.model_copy(update={"lambda_ortho": 2.0})
    losses = loss_terms(output, LABELS, IDS, weights, preset, None, ffn1_weights(model))
    total = losses.pop("total")
    return [*losses.values(), *torch.autograd.grad(total, tuple(model.parameters()))]


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("ffn_topk", [1.0, 0.3])
def test_a_step_of_training_is_that_of_the_textbook(
    small: Callable[..., SafrClassifier],
    monkeypatch: pytest.MonkeyPatch,
    preset: Preset,
    layers: int,
    ffn_topk: float,
) -> None:
    model = small(preset, layers=layers, ffn_topk=ffn_topk)
    fast = losses_and_gradients(model, preset)
    monkeypatch.setattr(kernels, "FAST", False)
    plain = losses_and_gradients(model, preset)
    assert len(fast) == len(plain) == 5 + len(list(model.parameters()))
    for one, other in zip(fast, plain, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-12)
    assert max(float(gradient.abs().max()) for gradient in plain[5:]) > 0.1


def test_the_switch_reaches_every_kernel(
    small: Callable[..., SafrClassifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a kernel was called")

    monkeypatch.setattr("safr_study.model.attention.fast_attend", refuse)
    monkeypatch.setattr("safr_study.model.losses.fast_importance", refuse)
    monkeypatch.setattr("safr_study.model.losses.dot_interaction", refuse)
    monkeypatch.setattr("safr_study.model.transformer.perceptron", refuse)
    monkeypatch.setattr("safr_study.model.top_k._largest_fast", refuse)
    monkeypatch.setattr("safr_study.model.kernels.onednn.USES_ONEDNN", True)
    monkeypatch.setattr("safr_study.model.kernels.onednn.LARGE", 0)
    monkeypatch.setattr("safr_study.model.kernels.onednn._OneDnnLinear.apply", refuse)
    model = small(ffn_topk=0.5)
    with pytest.raises(AssertionError, match="a kernel was called"):
        losses_and_gradients(model, "masked")
    monkeypatch.setattr(kernels, "FAST", False)
    losses_and_gradients(model, "masked")
