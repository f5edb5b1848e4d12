"""Encoders of each family, held against the library ``transformers``."""

from __future__ import annotations

import contextlib
import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_encoder import FAMILIES, TEXTS, oracle, tiny_encoder
from torch import Tensor

from safr_study.data import EncodedSplit
from safr_study.data.encoder_files import EncoderFiles, read_encoder
from safr_study.evaluation.prediction import Predictor
from safr_study.model import ffn1_weights
from safr_study.model.losses import interaction_loss, loss_terms, orthogonality
from safr_study.model.piece_layout import SPECIAL, PieceTable, lay_out, piece_table
from safr_study.model.pretrained import PretrainedClassifier
from safr_study.settings import PAD, UNK, ModelShape, Penalties

LABELS = torch.tensor([0, 1, 1, 0, 1])


@dataclass(frozen=True)
class Both:
    """An encoder by us and by the library, on the same texts."""

    files: EncoderFiles
    ours: PretrainedClassifier
    ids: Tensor
    theirs: Any
    inputs: Any
    words: list[list[int | None]]
    """Number of the word of each piece of each text; ``None``: special."""


@pytest.fixture(scope="module", params=FAMILIES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tiny_encoder(request.param, tmp_path_factory.mktemp("encoders") / request.param)
    files = read_encoder(folder)
    texts = [text.split() for text in TEXTS]
    vocabulary = sorted({word for text in texts for word in text})
    table = table_of(files, vocabulary)
    place = {word: number for number, word in enumerate(vocabulary, start=2)}
    ids = torch.nn.utils.rnn.pad_sequence(
        [torch.tensor([place[word] for word in text], dtype=torch.int64) for text in texts],
        batch_first=True,
    )
    theirs, tokenizer = oracle(folder)
    inputs = tokenizer(texts, is_split_into_words=True, padding=True, return_tensors="pt")
    inputs.pop("token_type_ids", None)
    words = [inputs.word_ids(row) for row in range(len(texts))]
    return Both(files, made(files, table, vmask=False), ids, theirs, inputs, words)


def table_of(files: EncoderFiles, vocabulary: list[str]) -> PieceTable:
    tokenizer = files.tokenizer()
    tokenizer.learn(vocabulary)
    return piece_table(tokenizer)


def made(
    files: EncoderFiles, table: PieceTable, *, vmask: bool, **shape: Any
) -> PretrainedClassifier:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        model = PretrainedClassifier(
            files.shape,
            ModelShape(vmask=vmask, mask_hidden_dim=16, **shape),
            classes=2,
            table=table,
        )
    weights = files.weights()
    left = model.load_state_dict(weights, strict=False)
    assert not left.unexpected_keys
    own = ("fc.", "vmask.")
    assert all(name.startswith(own) for name in left.missing_keys)
    return model.double().eval()


def by_word(both: Both, values: Tensor) -> Tensor:
    """Mean of each word's pieces, one by one: ``[B, L, F]``."""
    found = torch.zeros(*both.ids.shape, values.shape[-1], dtype=values.dtype)
    for row, words in enumerate(both.words):
        for word in {w for w in words if w is not None}:
            pieces = [at for at, own in enumerate(words) if own == word]
            found[row, word] = values[row, pieces].mean(dim=0)
    return found


def test_pieces_and_their_places_are_the_library_s(both: Both) -> None:
    at = lay_out(both.ids, both.ours.table, both.files.shape)
    assert torch.equal(at.pieces, both.inputs.input_ids)
    assert torch.equal(at.real, both.inputs.attention_mask.bool())
    assert int(at.counts.max()) > 1


def test_every_layer_is_the_library_s(both: Both) -> None:
    kept: dict[str, list[Tensor]] = {"pre": [], "fed": []}
    theirs = both.theirs
    hooks = []
    for name, module in theirs.named_modules():
        if name.endswith(("intermediate.dense", "ffn.lin1")):
            hooks.append(module.register_forward_hook(lambda _m, _i, out: kept["pre"].append(out)))
        if name.endswith(("output.dense", "ffn.lin2")) and "attention" not in name:
            hooks.append(module.register_forward_hook(lambda _m, _i, out: kept["fed"].append(out)))
    expected = theirs(**both.inputs, output_hidden_states=True, output_attentions=True)
    for hook in hooks:
        hook.remove()
    found = both.ours(both.ids)
    for layer in range(both.files.shape.layers):
        pre, fed = kept["pre"][layer], kept["fed"][layer]
        close(found.ffn1_pre_relu[layer], by_word(both, pre))
        close(found.ffn1_post_relu[layer], by_word(both, F.gelu(pre)))
        close(found.ffn2[layer], by_word(both, fed))
        close(found.block[layer], by_word(both, expected.hidden_states[layer + 1]))
        close(found.attention[layer], attention_by_word(both, expected.attentions[layer]))
    own = theirs.get_input_embeddings()(both.inputs.input_ids)
    close(found.embeddings, by_word(both, own))
    far = by_word(both, expected.hidden_states[1])
    assert not torch.allclose(found.block[-1], far, rtol=1e-3)


def attention_by_word(both: Both, attention: Tensor) -> Tensor:
    """Mean over query pieces of the sum over key pieces, one by one: ``[B, H, L, L]``."""
    length = both.ids.shape[1]
    found = torch.zeros(*attention.shape[:2], length, length, dtype=attention.dtype)
    for row, words in enumerate(both.words):
        numbers = sorted({w for w in words if w is not None})
        at = {w: [place for place, own in enumerate(words) if own == w] for w in numbers}
        for query, key in itertools.product(numbers, numbers):
            part = attention[row][:, at[query]][:, :, at[key]]
            found[row, :, query, key] = part.sum(dim=2).mean(dim=1)
    return found


def close(found: Tensor, expected: Tensor, within: float = 1e-10) -> None:
    torch.testing.assert_close(found, expected, rtol=within, atol=within)


def test_logits_and_every_gradient_are_those_of_plain_fine_tuning(both: Both) -> None:
    ours, theirs = both.ours, both.theirs
    ours.zero_grad()
    theirs.zero_grad()
    real = torch.tensor([[w is not None for w in words] for words in both.words])
    hidden = theirs(**both.inputs).last_hidden_state
    shares = real.double() / real.sum(dim=1, keepdim=True).clamp(min=1)
    logits = torch.bmm(shares[:, None], hidden)[:, 0] @ ours.fc.weight.T + ours.fc.bias
    found = ours(both.ids)
    close(found.logits, logits)
    penalties = Penalties(lambda_imp=None, lambda_inter=None)
    loss_terms(found, LABELS, both.ids, penalties, "masked")["total"].backward()
    F.cross_entropy(logits, LABELS).backward()
    from safr_study.data.encoder_files import _names, _plain_name

    by_name = {
        _plain_name(name, both.files.shape.family): parameter
        for name, parameter in theirs.named_parameters()
    }
    compared = 0
    for name, theirs_name in _names(both.files.shape).items():
        parameter = ours.get_parameter(name)
        expected = by_name[theirs_name].grad
        if expected is not None:
            assert parameter.grad is not None
            pad = both.files.shape.pad
            if name == "embedding.weight":
                assert torch.equal(parameter.grad[pad], torch.zeros_like(parameter.grad[pad]))
                expected = expected.clone()
                expected[pad] = 0.0
            close(parameter.grad, expected)
            compared += 1
    assert compared == len(_names(both.files.shape))


def test_pooling_at_the_beginning_is_the_vector_of_the_first_special_piece(both: Both) -> None:
    model = made(both.files, both.ours.table, vmask=False, pooling="cls")
    first = both.theirs(**both.inputs).last_hidden_state[:, 0]
    expected = first @ model.fc.weight.T + model.fc.bias
    close(model(both.ids).logits, expected)
    assert not torch.allclose(both.ours(both.ids).logits[0], expected[0], rtol=1e-4)


def test_over_an_encoder_each_piece_of_a_word_counts(both: Both) -> None:
    model = made(both.files, both.ours.table, vmask=False, ffn_topk=0.2)
    fed: list[Tensor] = []
    hooks = [
        block.linear2.register_forward_pre_hook(lambda _, given: fed.append(given[0]))
        for block in model.layers
    ]
    penalties = Penalties(lambda_imp=None, lambda_inter=None, lambda_l1=1.0, lambda_ortho=1.0)
    output = model(both.ids)
    for hook in hooks:
        hook.remove()
    kept = max(1, round(0.2 * both.files.shape.ffn_dim))
    real = torch.tensor([[word is not None for word in words] for words in both.words])
    for rows, found in zip(fed, output.ffn1_post_relu, strict=True):
        assert int((rows != 0).sum(dim=-1).max()) == kept
        close(found, by_word(both, rows))
    labels = torch.zeros(len(both.ids), dtype=torch.int64)
    weights = ffn1_weights(model)
    terms = loss_terms(output, labels, both.ids, penalties, "masked", None, weights)
    means = [rows[real].abs().mean().item() for rows in fed]
    assert terms["l1"].item() == pytest.approx(sum(means) / len(means), rel=1e-12)
    each = [orthogonality(block.linear1.weight).item() for block in model.layers]
    assert terms["orthogonality"].item() == pytest.approx(sum(each) / len(each), rel=1e-12)


def test_a_word_s_first_piece_is_its_vector_at_ffn1_alone(both: Both) -> None:
    model = made(both.files, both.ours.table, vmask=False, word_vector="first")
    found, mean = model(both.ids), both.ours(both.ids)
    kept: list[Tensor] = []
    for name, module in both.theirs.named_modules():
        if name.endswith(("intermediate.dense", "ffn.lin1")):
            module.register_forward_hook(lambda _m, _i, out: kept.append(out))
    both.theirs(**both.inputs)
    for layer in range(both.files.shape.layers):
        expected = torch.zeros_like(found.ffn1_pre_relu[layer])
        for row, words in enumerate(both.words):
            for word in {w for w in words if w is not None}:
                expected[row, word] = kept[layer][row, words.index(word)]
        close(found.ffn1_pre_relu[layer], expected)
        seen = (both.ids != PAD)[..., None]
        close(found.ffn1_post_relu[layer], F.gelu(expected) * seen)
        assert not torch.allclose(mean.ffn1_pre_relu[layer], expected, rtol=1e-3)
    for kind in ("attention", "attention_output", "ffn2", "block"):
        for one, other in zip(getattr(found, kind), getattr(mean, kind), strict=True):
            close(one, other)
    close(found.embeddings, mean.embeddings)


def test_single_precision_is_close(both: Both) -> None:
    expected = both.theirs(**both.inputs).last_hidden_state
    ours = made(both.files, both.ours.table, vmask=False).float()
    found = ours(both.ids).block[-1].double()
    torch.testing.assert_close(found, by_word(both, expected), rtol=1e-5, atol=2e-5)


def test_a_text_is_alone_in_its_batch(both: Both) -> None:
    whole = both.ours(both.ids)
    for row, text in enumerate(both.ids):
        alone = both.ours(text[: max(1, int((text != PAD).sum()))][None])
        close(alone.logits[0], whole.logits[row])


def test_open_gates_change_nothing_and_closed_ones_do(both: Both) -> None:
    plain = both.ours(both.ids)
    one = torch.ones(both.ids.shape, dtype=torch.float64)
    close(both.ours(both.ids, gate=one).logits, plain.logits)
    close(both.ours(both.ids, scale=one).logits, plain.logits)
    close(both.ours(both.ids, visible=one.bool()).logits, plain.logits)
    closed = both.ours(both.ids, gate=one * 0.3)
    assert not torch.allclose(closed.logits[0], plain.logits[0], rtol=1e-6)


def test_room_for_more_pieces_changes_nothing(both: Both) -> None:
    plain = both.ours(both.ids)
    found = both.ours(F.pad(both.ids, (0, 3)), pieces=both.inputs.input_ids.shape[1] + 5)
    close(found.logits, plain.logits)
    length = both.ids.shape[1]
    close(found.ffn1_pre_relu[1][:, :length], plain.ffn1_pre_relu[1])
    close(found.attention[0][:, :, :length, :length], plain.attention[0])
    assert not found.attention[0][:, :, length:].any()


def test_a_hidden_word_has_the_hidden_piece_for_each_of_its_own(both: Both) -> None:
    shown = torch.ones_like(both.ids, dtype=torch.bool)
    shown[0, 1] = shown[1, 0] = False
    pieces = both.inputs.input_ids.clone()
    for row, hidden in ((0, 1), (1, 0)):
        places = [place for place, word in enumerate(both.words[row]) if word == hidden]
        assert len(places) > 1
        pieces[row, places] = both.files.shape.hidden
    expected = both.theirs(**{**both.inputs, "input_ids": pieces}).last_hidden_state
    found = both.ours(both.ids, shown=shown)
    close(found.block[-1], by_word(both, expected))
    # The predictor's deletion is this one.
    lengths = (both.ids != PAD).sum(dim=1).numpy()
    split = EncodedSplit(
        both.ids[both.ids != PAD].numpy().astype(np.int32),
        np.concatenate(([0], np.cumsum(lengths))),
        LABELS.numpy(),
    )
    keep = shown[both.ids != PAD].numpy()
    predictor = Predictor(both.ours, 3, None, torch.device("cpu"))
    logits = torch.from_numpy(predictor.logits(split, keep, "unk"))
    close(logits, found.logits.detach())
    one_piece = torch.where(shown, both.ids, UNK).masked_fill(both.ids == PAD, PAD)
    assert not torch.allclose(both.ours(one_piece).logits[0], logits[0], rtol=1e-4)


@pytest.mark.parametrize("penalty", [None, 0.5])
def test_a_step_s_shapes_follow_from_those_of_its_batch(
    both: Both, penalty: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a GPU's recorded step must: tensors without data run through it, forward and back."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())
    model = made(both.files, both.ours.table, vmask=penalty is not None).train().to("meta")
    ids, labels = both.ids.to("meta"), LABELS.to("meta")
    penalties = Penalties(lambda_imp=penalty, lambda_inter=penalty)
    output = model(ids, noise=torch.Generator(), pieces=both.inputs.input_ids.shape[1] - SPECIAL)
    loss_terms(output, labels, ids, penalties, "masked")["total"].backward()
    assert model.embedding.weight.grad is not None
    # Without it the longest text is looked for.
    with pytest.raises(RuntimeError, match="meta"):
        model(ids, noise=torch.Generator())


def test_an_invisible_word_is_as_if_its_pieces_were_no_keys(both: Both) -> None:
    visible = torch.ones_like(both.ids, dtype=torch.bool)
    visible[0, 1] = False
    found = both.ours(both.ids, visible=visible)
    mask = both.inputs.attention_mask.clone()
    for place, word in enumerate(both.words[0]):
        mask[0, place] = int(word != 1) * mask[0, place]
    inputs = {**both.inputs, "attention_mask": mask}
    expected = by_word(both, both.theirs(**inputs).last_hidden_state)
    seen = visible & (both.ids != PAD)
    close(found.block[-1][seen], expected[seen])


def test_a_gate_is_one_for_all_pieces_of_a_word_and_reaches_its_embedding_alone(
    both: Both,
) -> None:
    model = made(both.files, both.ours.table, vmask=True)
    found = model(both.ids)
    assert found.keep_probability is not None
    keep = found.keep_probability
    assert torch.equal(keep != 0, both.ids != PAD)
    close(found.masked_embeddings, found.embeddings * keep[..., None])
    gated = both.ours(both.ids, gate=keep)
    close(gated.block[-1], found.block[-1])
    noise = torch.Generator().manual_seed(0)
    drawn = model.train()(both.ids, noise=noise)
    ratio = drawn.masked_embeddings / drawn.embeddings
    values = ratio[both.ids != PAD]
    assert set(values.detach().round(decimals=9).flatten().tolist()) <= {0.0, 1.0, -0.0}


def test_both_penalties_reach_vmask_and_encoder(both: Both) -> None:
    model = made(both.files, both.ours.table, vmask=True).train()
    for layer in model.layers:
        layer.dropout = layer.output_dropout = layer.attention_dropout = 0.0
    output = model(both.ids, noise=torch.Generator().manual_seed(0))
    penalties = Penalties(lambda_imp=0.5, lambda_inter=0.5)
    terms = loss_terms(output, LABELS, both.ids, penalties, "masked")
    attention = torch.stack(tuple(output.attention))
    each = [interaction_loss(a, both.ids != PAD, padding_aware=True) for a in attention]
    close(terms["interaction"], torch.stack(each).mean())
    for term in ("importance", "interaction"):
        model.zero_grad()
        terms[term].backward(retain_graph=True)
        assert model.vmask is not None
        gradient = model.embedding.weight.grad
        assert gradient is not None
        assert bool((gradient != 0).any())
        assert any(
            bool((p.grad != 0).any()) for p in model.vmask.parameters() if p.grad is not None
        )


def test_training_without_noise_is_refused(both: Both) -> None:
    model = made(both.files, both.ours.table, vmask=False).train()
    with pytest.raises(ValueError, match="noise"):
        model(both.ids)
    model.eval()


def test_a_gradient_of_scale_is_that_of_the_embedding(both: Both) -> None:
    scale = torch.ones(both.ids.shape, dtype=torch.float64, requires_grad=True)
    logit = both.ours(both.ids, scale=scale).logits[:, 0].sum()
    (found,) = torch.autograd.grad(logit, scale)
    before = logit.detach()
    step = 1e-6
    moved = torch.ones_like(scale)
    moved[1, 0] += step
    other = both.ours(both.ids, scale=moved).logits[:, 0].sum().detach()
    assert float((other - before) / step) == pytest.approx(float(found[1, 0]), rel=1e-4, abs=1e-7)
