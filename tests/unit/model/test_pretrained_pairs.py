"""Pairs read by encoders of each family, held against the library ``transformers``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_encoder import FAMILIES, oracle, tiny_encoder
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from safr_study.data import WordSplitter, encode_rows
from safr_study.data.batching import batch_of, evaluation_batches, piece_lengths
from safr_study.data.encoder_files import read_encoder
from safr_study.data.encoding import EncodedSplit
from safr_study.model import loss_terms, piece_counts, piece_table
from safr_study.model.piece_layout import lay_out
from safr_study.model.pretrained import PretrainedClassifier
from safr_study.settings import SEP, ModelShape, Penalties

PAIRS = (
    ("A gripping, funny film.", "a film"),
    ("superpositioned", "neurons aren't monosemantic quotes"),
    ("", "3.5 stars!"),
    ("a", "Ünïcode superpositioned a"),
    ("a b", ""),
)
LABELS = torch.tensor([0, 1, 1, 0, 1])


@dataclass(frozen=True)
class Both:
    """An encoder by us and by the library, on the same pairs."""

    ours: PretrainedClassifier
    split: EncodedSplit
    ids: Tensor
    words: Tensor
    theirs: Any
    tokenizer: PreTrainedTokenizerFast
    inputs: Any
    belongs: list[list[tuple[int, int] | None]]
    """Side and number of the word of each piece of each pair; ``None``: special."""


@pytest.fixture(scope="module", params=FAMILIES)
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Both:
    folder = tiny_encoder(request.param, tmp_path_factory.mktemp("encoders") / request.param)
    files = read_encoder(folder)
    learned = files.tokenizer(pairs=True)
    learned.learn(word for pair in PAIRS for text in pair for word in text.split())
    read = encode_rows(PAIRS, learned.words, 64, WordSplitter(), pairs=True, pieces=learned)
    split = EncodedSplit(read.tokens, read.offsets, LABELS.numpy(), second=read.second)
    batch = batch_of(split, np.arange(len(PAIRS)), None)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        ours = PretrainedClassifier(
            files.shape, ModelShape(vmask=False), classes=2, table=piece_table(learned), pairs=True
        )
    ours.load_state_dict(files.weights(), strict=False)
    theirs, tokenizer = oracle(folder)
    firsts, seconds = ([pair[side].split() for pair in PAIRS] for side in (0, 1))
    inputs = tokenizer(
        firsts, seconds, is_split_into_words=True, padding=True, return_tensors="pt",
        return_token_type_ids=True,
    )  # fmt: skip
    if request.param == "distilbert":
        inputs.pop("token_type_ids")
    belongs = [
        [
            None if word is None else (side, word)
            for side, word in zip(inputs.sequence_ids(row), inputs.word_ids(row), strict=True)
        ]
        for row in range(len(PAIRS))
    ]
    return Both(
        ours.double().eval(), split, torch.from_numpy(batch.ids), torch.from_numpy(batch.words),
        theirs, tokenizer, inputs, belongs,
    )  # fmt: skip


def by_word(both: Both, values: Tensor) -> Tensor:
    """Mean of each word's pieces ``[T, F]``, one word after the other."""
    found = []
    for row, pieces in enumerate(both.belongs):
        for word in dict.fromkeys(piece for piece in pieces if piece is not None):
            places = [place for place, own in enumerate(pieces) if own == word]
            found.append(values[row, places].mean(dim=0))
    return torch.stack(found)


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


def test_pieces_are_the_library_s(both: Both) -> None:
    at = lay_out(both.ids, both.ours.table, both.ours.shape)
    assert torch.equal(at.pieces, both.inputs.input_ids)
    assert torch.equal(at.real, both.inputs.attention_mask.bool())
    sizes = piece_counts(both.ours)
    assert sizes is not None
    lengths = piece_lengths(both.split, sizes) + 2
    assert lengths.tolist() == both.inputs.attention_mask.sum(dim=1).tolist()
    (batch,) = evaluation_batches(both.split, 9, pieces=sizes)
    assert batch.pieces == lengths.max() - 2


def test_every_layer_is_the_library_s(both: Both) -> None:
    inputs = dict(both.inputs)
    expected = both.theirs(**inputs, output_hidden_states=True, output_attentions=True)
    found = both.ours(both.ids)
    for layer, block in enumerate(found.block):
        close(block[both.words], by_word(both, expected.hidden_states[layer + 1]))
        attention = found.attention[layer]
        for row, pieces in enumerate(both.belongs):
            words = dict.fromkeys(piece for piece in pieces if piece is not None)
            places = [[at for at, own in enumerate(pieces) if own == word] for word in words]
            theirs = expected.attentions[layer][row]
            ours = attention[row][:, both.words[row]][:, :, both.words[row]]
            for i, query in enumerate(places):
                for j, key in enumerate(places):
                    close(ours[:, i, j], theirs[:, query][:, :, key].sum(dim=2).mean(dim=1))
    assert both.ours.shape.has_sides == bool(inputs.get("token_type_ids", torch.zeros(1)).any())
    if both.ours.shape.has_sides:
        inputs["token_type_ids"] = torch.zeros_like(inputs["token_type_ids"])
        same = both.theirs(**inputs).last_hidden_state
        assert not torch.allclose(found.block[-1][both.words], by_word(both, same), rtol=1e-3)


def test_logits_and_gradients_are_the_library_s(both: Both) -> None:
    penalties = Penalties(lambda_imp=0.0, lambda_inter=0.0)
    both.ours.zero_grad()
    found = both.ours(both.ids)
    loss_terms(found, LABELS, both.ids, penalties, "masked")["total"].backward()
    hidden = both.theirs(**both.inputs).last_hidden_state
    pooled = torch.stack(
        [
            hidden[row, [own is not None for own in pieces]].mean(dim=0)
            for row, pieces in enumerate(both.belongs)
        ]
    )
    logits = F.linear(pooled, both.ours.fc.weight, both.ours.fc.bias)
    close(found.logits, logits)
    both.theirs.zero_grad()
    F.cross_entropy(logits, LABELS).backward()
    ours = both.ours.embedding.weight.grad
    theirs = both.theirs.get_input_embeddings().weight.grad
    assert ours is not None
    used = torch.unique(both.inputs.input_ids)
    close(ours[used], theirs[used])
    if both.ours.segment is not None:
        segments = both.theirs.embeddings.token_type_embeddings.weight.grad
        assert both.ours.segment.weight.grad is not None
        close(both.ours.segment.weight.grad, segments)
        assert (segments != 0).any(dim=1).tolist() == [True, both.ours.shape.has_sides]


def test_hidden_words_are_hidden_and_the_separator_is_not(both: Both) -> None:
    between = both.ids == SEP
    at = lay_out(both.ids, both.ours.table, both.ours.shape, shown=between)
    special = torch.tensor([[own is None for own in row] for row in both.belongs])
    assert torch.equal(at.pieces[special], both.inputs.input_ids[special])
    hidden = at.pieces[~special]
    assert (hidden == both.ours.shape.hidden).all()


def test_penalties_leave_the_special_pieces_out(both: Both) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        model = PretrainedClassifier(
            both.ours.shape, ModelShape(mask_hidden_dim=6), classes=2, table=both.ours.table,
            pairs=True,
        )  # fmt: skip
    model.load_state_dict({**model.state_dict(), **both.ours.state_dict()})
    output = model.double().eval()(both.ids)
    assert output.keep_probability is not None
    assert (output.keep_probability[both.ids == SEP] == 1).all()
    for across in ("all", "across"):
        penalties = Penalties.parse({"lambda_inter": 1.0, "interaction_pairs": across})
        found = loss_terms(output, LABELS, both.ids, penalties, "masked")["interaction"]
        each = []
        for attention in output.attention:
            for row in range(len(PAIRS)):
                words = both.words[row].nonzero()[:, 0]
                side = words > int((both.ids[row] == SEP).nonzero())
                own = attention[row][:, words][:, :, words]
                apart = ~torch.eye(len(words), dtype=torch.bool)
                if across == "across":
                    apart = side[:, None] != side
                values = (own * (1 - own @ own.mT))[:, apart]
                each.append(values.mean() if values.numel() else torch.zeros(()).double())
        close(found, torch.stack(each).mean())


def test_a_long_pair_is_cut_by_pieces_with_whole_words(both: Both) -> None:
    learned = read_encoder_of(both)
    whole = encode_rows(PAIRS, learned.words, 64, WordSplitter(), pairs=True, pieces=learned)
    sizes = np.diff(learned.offsets)
    most = 2 + len(both.ours.shape.between) + 9
    cut = encode_rows(PAIRS, learned.words, most, WordSplitter(), pairs=True, pieces=learned)
    special = most - 9
    assert cut.cut.any()
    for row in range(len(PAIRS)):
        sides = []
        for read in (whole, cut):
            place = slice(read.offsets[row], read.offsets[row + 1])
            assert read.second is not None
            sides.append([read.tokens[place][read.second[place] == side] for side in (0, 1)])
        full, kept = ([sizes[side].sum() for side in both_sides] for both_sides in sides)
        assert sum(kept) <= 9
        first, second = full
        while first + second > 9:
            first, second = (first - 1, second) if first > second else (first, second - 1)
        for side, room in ((0, first), (1, second)):
            words = sides[0][side]
            fitting = int((np.cumsum(sizes[words]) <= room).sum())
            assert sides[1][side].tolist() == words[:fitting].tolist()
    assert special == 3 + (both.ours.shape.family == "roberta")


def read_encoder_of(both: Both) -> Any:
    from safr_study.data.pieces import PieceTokenizer

    learned = PieceTokenizer(both.tokenizer.backend_tokenizer, both.ours.shape, pairs=True)
    learned.learn(word for pair in PAIRS for text in pair for word in text.split())
    return learned
