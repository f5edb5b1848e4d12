from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from safr_study.model import SafrClassifier, build_model, loss_terms
from safr_study.model.dropout import dropout
from safr_study.model.kernels.onednn import Linear, linear, perceptron
from safr_study.model.top_k import top_k
from safr_study.model.vmask import hard_gate, logistic_like
from safr_study.settings import ModelShape, Penalties

IDS = torch.tensor([[2, 3, 4, 3, 2], [6, 7, 2, 0, 0]])


def build(seed: int, *, vmask: bool = True) -> SafrClassifier:
    shape = ModelShape(embed_dim=8, ffn_dim=12, heads=2, mask_hidden_dim=6, vmask=vmask)
    return build_model(shape, preset="masked", vocabulary_size=20, classes=2, max_len=9, seed=seed)


def test_the_seed_alone_decides_the_weights() -> None:
    torch.manual_seed(1)
    first = build(5).state_dict()
    torch.manual_seed(2)
    torch.rand(3)
    second = build(5).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)
    other = build(6).state_dict()
    assert not torch.equal(first["embedding.weight"], other["embedding.weight"])


def test_building_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    build(0)
    assert torch.equal(torch.rand(4), expected)


def test_the_baseline_has_the_same_other_weights() -> None:
    full, baseline = build(4).state_dict(), build(4, vmask=False).state_dict()
    assert {name for name in full if name not in baseline} == {
        "vmask.linear_layer.weight",
        "vmask.linear_layer.bias",
        "vmask.hidden2p.weight",
        "vmask.hidden2p.bias",
    }
    assert all(torch.equal(full[name], baseline[name]) for name in baseline)


def test_a_word_has_one_probability_and_one_scaled_embedding(
    small: Callable[..., SafrClassifier],
) -> None:
    model = small()
    output = model(IDS)
    assert model.vmask is not None
    scaled = model.embedding(IDS) * math.sqrt(8)
    hidden = torch.tanh(model.vmask.linear_layer(scaled))
    keep = model.vmask.hidden2p(hidden).softmax(-1)[..., 1] * (IDS != 0)
    assert torch.allclose(output.embeddings, scaled, atol=1e-14)
    assert torch.allclose(output.keep_probability, keep, atol=1e-14)
    assert torch.allclose(output.masked_embeddings, keep[..., None] * scaled, atol=1e-14)


def test_shapes_of_the_output(small: Callable[..., SafrClassifier]) -> None:
    output = small(layers=2)(IDS)
    assert output.logits.shape == (2, 3)
    for name, shape in (
        ("attention", (2, 2, 5, 5)),
        ("attention_output", (2, 5, 8)),
        ("ffn1_pre_relu", (2, 5, 12)),
        ("ffn1_post_relu", (2, 5, 12)),
        ("ffn2", (2, 5, 8)),
        ("block", (2, 5, 8)),
    ):
        assert [value.shape for value in getattr(output, name)] == [shape, shape], name


@pytest.mark.parametrize("vmask", [True, False])
def test_the_gate_argument_multiplies_the_gate(
    small: Callable[..., SafrClassifier], vmask: bool
) -> None:
    model = small(vmask=vmask)
    gate = torch.tensor([[1.0, 0.0, 0.5, 1.0, 1.0]] * 2, dtype=torch.float64)
    free, gated = model(IDS), model(IDS, gate=gate)
    assert torch.allclose(gated.masked_embeddings, free.masked_embeddings * gate[..., None])
    assert not torch.allclose(gated.logits, free.logits)
    assert (free.keep_probability is None) == (not vmask)


def test_training_mode_needs_noise(small: Callable[..., SafrClassifier]) -> None:
    with pytest.raises(ValueError, match="noise generator"):
        small().train()(IDS)


def test_training_noise_comes_from_the_generator_alone(
    small: Callable[..., SafrClassifier],
) -> None:
    model = small().train()
    torch.manual_seed(0)
    first = model(IDS, noise=torch.Generator().manual_seed(7)).logits
    torch.manual_seed(1)
    second = model(IDS, noise=torch.Generator().manual_seed(7)).logits
    assert torch.equal(first, second)
    assert not torch.equal(first, model(IDS, noise=torch.Generator().manual_seed(8)).logits)


def test_gates_are_hard_in_training_and_soft_in_evaluation(
    small: Callable[..., SafrClassifier],
) -> None:
    model = small(dropout=0.0)
    soft = model(IDS)
    hard = model.train()(IDS, noise=torch.Generator().manual_seed(0))
    real = IDS != 0
    ratio = (hard.masked_embeddings / hard.embeddings)[real]
    assert set(ratio.flatten().tolist()) == {0.0, 1.0}
    assert not hard.masked_embeddings[~real].any()
    assert torch.allclose(hard.keep_probability, soft.keep_probability)


def test_gates_open_as_often_as_their_probability() -> None:
    p = torch.tensor([0.1, 0.5, 0.8], dtype=torch.float64)
    log_odds = torch.logit(p).expand(20_000, 3).clone().requires_grad_()
    noise = torch.Generator().manual_seed(0)
    gate = hard_gate(log_odds, temperature=0.7, noise=noise)
    assert torch.equal(gate.unique(), torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert torch.allclose(gate.mean(0), p, atol=0.015)
    gate.sum().backward()  # type: ignore[no-untyped-call]
    same = logistic_like(log_odds, torch.Generator().manual_seed(0))
    soft = torch.sigmoid((log_odds.detach() + same) / 0.7)
    assert torch.allclose(log_odds.grad, soft * (1 - soft) / 0.7, atol=1e-12)  # type: ignore[arg-type]


def test_logistic_noise_is_the_difference_of_gumbels() -> None:
    draws = logistic_like(torch.empty(50_000), torch.Generator().manual_seed(1))
    quantiles = torch.tensor([0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99])
    assert torch.allclose(draws.quantile(quantiles), torch.logit(quantiles), atol=0.15)


@pytest.mark.parametrize("share", [0.1, 0.5])
def test_dropout_zeroes_its_share_and_keeps_the_mean(share: float) -> None:
    x = torch.ones(300, 333)
    dropped = dropout(x, share, torch.Generator().manual_seed(0))
    assert (dropped == 0).double().mean().item() == pytest.approx(share, abs=0.01)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / (1 - share)], rel=1e-4)
    assert dropped.mean().item() == pytest.approx(1, abs=0.01)
    assert dropout(x, share, None) is x
    assert dropout(x, 0.0, torch.Generator()) is x


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("rows", [1, 31, 32, 45])
def test_a_large_linear_is_torchs_linear(
    monkeypatch: pytest.MonkeyPatch, rows: int, onednn: bool
) -> None:
    monkeypatch.setattr("safr_study.model.kernels.onednn.USES_ONEDNN", onednn)
    noise = torch.Generator().manual_seed(0)
    mine = Linear(144, 160)
    theirs = nn.Linear(144, 160)
    with torch.no_grad():
        for parameter in mine.parameters():
            parameter.normal_(std=0.1, generator=noise)
    theirs.load_state_dict(mine.state_dict())
    x = torch.randn(2, rows, 144, generator=noise).requires_grad_()
    y = x.detach().clone().requires_grad_()
    for layer, values in ((mine, x), (theirs, y)):
        torch.tanh(layer(values)).sum().backward()  # type: ignore[no-untyped-call]
    assert mine(x).shape == (2, rows, 160)
    assert torch.allclose(mine(x), theirs(y), atol=1e-5)
    assert torch.allclose(x.grad, y.grad, atol=1e-5)  # type: ignore[arg-type]
    for name, parameter in mine.named_parameters():
        grad = theirs.get_parameter(name).grad
        assert torch.allclose(parameter.grad, grad, atol=1e-4), name  # type: ignore[arg-type]
    assert mine(torch.empty(0, 5, 144)).shape == (0, 5, 160)


@pytest.mark.parametrize("onednn", [True, False])
def test_tanh_of_a_large_linear(monkeypatch: pytest.MonkeyPatch, onednn: bool) -> None:
    monkeypatch.setattr("safr_study.model.kernels.onednn.USES_ONEDNN", onednn)
    torch.manual_seed(0)
    layer = Linear(144, 160)
    leaves = [torch.randn(45, 144), layer.weight.detach(), layer.bias.detach()]
    results = []
    for dtype in (torch.float32, torch.float64):
        x, weight, bias = (leaf.to(dtype).requires_grad_() for leaf in leaves)
        value = linear(x, weight, bias, tanh=True)
        results.append([value, *torch.autograd.grad(value.square().sum(), (x, weight, bias))])
    assert torch.allclose(results[1][0], torch.tanh(F.linear(*(leaf.double() for leaf in leaves))))
    for found, exact in zip(*results, strict=True):
        assert (found - exact).abs().max() <= 2e-6 * exact.abs().max()


def test_float32_is_near_float64(small: Callable[..., SafrClassifier]) -> None:
    exact = small(embed_dim=128, ffn_dim=160, mask_hidden_dim=130)
    rough = small(embed_dim=128, ffn_dim=160, mask_hidden_dim=130).float()
    labels = torch.tensor([0, 1])
    penalties = Penalties(lambda_imp=1.0, lambda_inter=1.0, vmask_beta=1.0)
    for model in (exact, rough):
        loss_terms(model(IDS), labels, IDS, penalties, "masked")["total"].backward()  # type: ignore[no-untyped-call]
    for name, parameter in exact.named_parameters():
        other = rough.get_parameter(name).grad
        assert other is not None
        assert parameter.grad is not None
        bound = 1e-4 * max(parameter.grad.abs().max().item(), 1e-3)
        assert (other.double() - parameter.grad).abs().max().item() < bound, name


def test_attention_is_torchs_attention(small: Callable[..., SafrClassifier]) -> None:
    model = small()
    layer = model.layers[0].attention
    x = torch.randn(2, 5, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    real = IDS != 0
    found, _ = layer(x, real)
    heads = [
        projection(x).view(2, 5, 2, 4).transpose(1, 2)
        for projection in (layer.query, layer.key, layer.value)
    ]
    mixed = F.scaled_dot_product_attention(*heads, attn_mask=real[:, None, None, :])
    expected = layer.out(mixed.transpose(1, 2).reshape(2, 5, 8))
    assert torch.allclose(found[real], expected[real], atol=1e-12)


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("sizes", [(128, 160), (160, 128), (3, 5)])
@pytest.mark.parametrize("rows", [32, 33])
@pytest.mark.parametrize("kept", [None, 2])
def test_perceptron_and_its_gradients(
    monkeypatch: pytest.MonkeyPatch,
    rows: int,
    sizes: tuple[int, int],
    onednn: bool,
    kept: int | None,
) -> None:
    monkeypatch.setattr("safr_study.model.kernels.onednn.USES_ONEDNN", onednn)
    width, hidden = sizes
    torch.manual_seed(0)
    first, second = nn.Linear(width, hidden), nn.Linear(hidden, width)
    exact = [copy.deepcopy(layer).double() for layer in (first, second)]
    x = torch.randn(rows, 1, width, requires_grad=True)
    precise = x.detach().double().requires_grad_()
    slope = torch.randn(rows, 1, width)

    found = perceptron(x, first, second, kept)
    expected = exact[1](top_k(torch.relu(exact[0](precise)), kept))
    gradients = torch.autograd.grad(found, [x, *first.parameters(), *second.parameters()], slope)
    exact_gradients = torch.autograd.grad(
        expected, [precise, *exact[0].parameters(), *exact[1].parameters()], slope.double()
    )
    for value, right in zip((found, *gradients), (expected, *exact_gradients), strict=True):
        assert value.shape == right.shape
        assert (value - right).abs().max() <= 1e-5 * right.abs().max()


def test_training_gives_no_inner_values_of_the_ffn(small: Callable[..., SafrClassifier]) -> None:
    model = small(layers=2)
    output = model.train()(IDS, noise=torch.Generator().manual_seed(0))
    assert output.ffn1_pre_relu == output.ffn1_post_relu == ()
    asked = model(IDS, noise=torch.Generator().manual_seed(0), ffn1=True)
    assert [values.shape[-1] for values in asked.ffn1_post_relu] == [12, 12]
    assert torch.allclose(asked.logits, output.logits, atol=1e-12)
    assert len(output.ffn2) == 2
