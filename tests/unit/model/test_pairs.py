"""Models of pairs, from scratch: where the texts are, and losses that leave the separator out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor

from safr_study.model import Inference, SafrClassifier, SafrOutput, build_model, kernels, loss_terms
from safr_study.model.positions import positions_of
from safr_study.settings import SEP, ModelShape, Penalties

IDS = torch.tensor(
    [[3, 4, 5, SEP, 6, 3], [7, SEP, 8, 4, 0, 0], [SEP, 5, 0, 0, 0, 0], [9, 8, SEP, 0, 0, 0]]
)
LABELS = torch.tensor([0, 1, 1, 0])


def a_model(*, vmask: bool = True, layers: int = 2, pairs: bool = True) -> SafrClassifier:
    shape = ModelShape(
        embed_dim=8, ffn_dim=12, heads=2, layers=layers, mask_hidden_dim=6, vmask=vmask
    )
    model = build_model(
        shape, preset="masked", vocabulary_size=12, classes=2, max_len=9, seed=3, pairs=pairs
    )
    return model.double().eval()


@pytest.fixture(params=[True, False], ids=["fast", "textbook"])
def fast(request: pytest.FixtureRequest) -> Iterator[bool]:
    before, kernels.FAST = kernels.FAST, request.param
    yield request.param
    kernels.FAST = before


def test_positions_are_words_separator_and_padding() -> None:
    at = positions_of(IDS, pairs=True)
    assert at.words.tolist()[1] == [True, False, True, True, False, False]
    assert at.real.tolist()[1] == [True, True, True, True, False, False]
    assert at.second is not None
    assert at.second.tolist()[0] == [False, False, False, False, True, True]
    assert at.between is not None
    assert torch.equal(at.between, IDS == SEP)
    single = positions_of(IDS, pairs=False)
    assert torch.equal(single.words, IDS != 0)
    assert single.second is single.between is None


def test_the_input_is_the_gated_word_plus_position_plus_segment() -> None:
    model = a_model()
    found = model(IDS)
    assert model.segment is not None
    seen: list[Tensor] = []
    model.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model(IDS)
    for row, ids in enumerate(IDS.tolist()):
        after = ids.index(SEP)
        for place, word in enumerate(ids):
            if not word:
                continue
            embedded = model.embedding.weight[word] * math.sqrt(8)
            assert model.vmask is not None
            gate = 1.0 if word == SEP else torch.sigmoid(model.vmask(embedded))
            expected = gate * embedded + model.positions[place]
            expected = expected + model.segment.weight[int(place > after)]
            torch.testing.assert_close(seen[0][row, place], expected, rtol=1e-12, atol=1e-12)
    assert found.keep_probability is not None
    assert (found.keep_probability[IDS == SEP] == 1).all()


def test_pooling_is_over_the_words_and_the_separator_attends() -> None:
    model = a_model()
    found = model(IDS)
    block = found.block[-1]
    for row, ids in enumerate(IDS.tolist()):
        words = [block[row, place] for place, word in enumerate(ids) if word not in (0, SEP)]
        expected = model.fc(torch.stack(words).mean(dim=0))
        torch.testing.assert_close(found.logits[row], expected, rtol=1e-12, atol=1e-12)
    attention = found.attention[0]
    assert (attention[0, :, :, 3] > 0).all()
    torch.testing.assert_close(attention[0].sum(dim=-1), torch.ones(2, 6).double())


def test_sides_and_separator_matter() -> None:
    model = a_model()
    swapped = torch.tensor([[3, 4, SEP, 5, 6, 3]])
    assert not torch.allclose(model(IDS[:1]).logits, model(swapped).logits, atol=1e-4)
    with torch.no_grad():
        before = model(IDS).logits
        model.embedding.weight[SEP] += 1.0
    assert not torch.allclose(before, model(IDS).logits, atol=1e-4)


@pytest.mark.parametrize("vmask", [True, False])
def test_logits_alone_are_the_same_fast(vmask: bool) -> None:
    for layers in (1, 2):
        model = a_model(vmask=vmask, layers=layers)
        torch.testing.assert_close(Inference(model)(IDS), model(IDS).logits, rtol=1e-9, atol=1e-9)


def in_training(model: SafrClassifier) -> SafrOutput:
    output: SafrOutput = model.train()(IDS, noise=torch.Generator().manual_seed(1))
    return output


def by_loops(output: SafrOutput, *, across: bool, scale: str, squared: bool) -> dict[str, Tensor]:
    """The penalties word by word."""
    importance, information, interaction = [], [], []
    keep = output.keep_probability
    assert keep is not None
    rows = output.masked_embeddings
    for text, ids in enumerate(IDS.tolist()):
        words = [place for place, word in enumerate(ids) if word not in (0, SEP)]
        side = {place: place > ids.index(SEP) for place in words}
        for i in words:
            unit = rows[text, i] / (1e-5 + rows[text, i].norm())
            parts = [(unit @ rows[text, j]) ** 2 for j in words if j != i]
            total = torch.stack(parts).sum() if parts else torch.zeros((), dtype=torch.float64)
            importance.append((total / rows.shape[-1]).sqrt() if total > 0 else 0.0 * total)
            p = keep[text, i]
            information.append(p * p.log() + (1 - p) * (1 - p).log())
        pairs = [
            (i, j) for i, j in itertools.permutations(words, 2) if not across or side[i] != side[j]
        ]
        for attention in output.attention:
            for head in attention[text]:
                cells = [
                    head[i, j] * (1 - sum(head[i, k] * head[j, k] for k in words) ** (1 + squared))
                    for i, j in pairs
                ]
                summed = torch.stack(cells).sum() if cells else 0.0 * head.sum()
                count = len(words) if scale == "row" else len(pairs)
                interaction.append(summed / max(1, count))
    return {
        "importance": torch.stack(importance).mean(),
        "interaction": torch.stack(interaction).mean(),
        "vmask_information": torch.stack(information).mean(),
    }


@pytest.mark.parametrize("across", [False, True], ids=["all", "across"])
@pytest.mark.parametrize(("scale", "form"), [("cell", "dot"), ("row", "dot"), ("cell", "squared")])
def test_penalties_are_those_of_loops_over_the_words(
    fast: bool, across: bool, scale: Any, form: Any
) -> None:
    model = a_model()
    penalties = Penalties(
        lambda_imp=0.7,
        lambda_inter=1.3,
        vmask_beta=0.2,
        interference=form,
        interaction_scale=scale,
        interaction_pairs="across" if across else "all",
    )
    output = in_training(model)
    found = loss_terms(output, LABELS, IDS, penalties, "masked")
    expected = by_loops(output, across=across, scale=scale, squared=form == "squared")
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, rtol=1e-9, atol=1e-12)
    parameters = dict(model.named_parameters())
    for name, value in expected.items():
        ours = torch.autograd.grad(
            found[name], tuple(parameters.values()), retain_graph=True, allow_unused=True
        )
        theirs = torch.autograd.grad(
            value, tuple(parameters.values()), retain_graph=True, allow_unused=True
        )
        for of, one, other in zip(parameters, ours, theirs, strict=True):
            one = torch.zeros(()).double() if one is None else one
            other = torch.zeros(()).double() if other is None else other
            torch.testing.assert_close(
                one.expand(torch.broadcast_shapes(one.shape, other.shape)),
                other.expand(torch.broadcast_shapes(one.shape, other.shape)),
                rtol=1e-7, atol=1e-10, msg=lambda m, of=of, name=name: f"{name} of {of}: {m}",
            )  # fmt: skip
    assert fast == kernels.FAST


def test_across_is_another_number_and_nothing_for_a_text_alone() -> None:
    output = in_training(a_model())

    def loss(ids: Tensor, output: SafrOutput, pairs: Any) -> float:
        penalties = Penalties(lambda_inter=1.0, interaction_pairs=pairs)
        return loss_terms(output, LABELS[: len(ids)], ids, penalties, "masked")[
            "interaction"
        ].item()

    assert abs(loss(IDS, output, "all") - loss(IDS, output, "across")) > 1e-3
    model = a_model().eval()
    alone = IDS[3:]
    assert loss(alone, model(alone), "across") == 0.0
    assert loss(alone, model(alone), "all") > 0.0


def test_the_separator_is_no_part_of_a_loss() -> None:
    """Masked embeddings and attention of SEP may be anything."""
    model = a_model()
    output = model(IDS)
    penalties = Penalties(lambda_imp=1.0, lambda_inter=1.0, vmask_beta=1.0)
    before = loss_terms(output, LABELS, IDS, penalties, "masked")
    between = IDS == SEP
    with torch.no_grad():
        output.masked_embeddings[between] = 100.0
        output.keep_probability[between] = 0.3
        for attention in output.attention:
            attention.transpose(1, 2)[between] = 7.0
            attention.permute(0, 3, 1, 2)[between] = 7.0
    after = loss_terms(output, LABELS, IDS, penalties, "masked")
    for name in ("importance", "interaction", "vmask_information"):
        torch.testing.assert_close(before[name], after[name])


def test_a_model_of_single_texts_has_no_segment_and_the_weights_of_its_seed() -> None:
    single, pairs = a_model(pairs=False), a_model()
    assert single.segment is None
    assert "segment.weight" not in single.state_dict()
    assert torch.equal(single.layers[0].norm1.weight, pairs.layers[0].norm1.weight)
    assert torch.equal(single.embedding.weight, pairs.embedding.weight)
