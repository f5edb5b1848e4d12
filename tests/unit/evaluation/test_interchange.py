"""Neurons put from one text into its counterfactual twin."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hand_set_model import CUES, WORDS, hand_set
from torch import nn

from safr_study.data import EncodedSplit
from safr_study.evaluation.interchange import interchange, twins
from safr_study.evaluation.neurons import Passes, Site
from safr_study.evaluation.prediction import Predictor
from safr_study.model import build_model
from safr_study.settings import EvaluationConfig, ModelShape


def twin_texts(pairs: int = 20) -> EncodedSplit:
    """Pairs of texts, of which one has a cue where the other has another word; one without twin."""
    rng = np.random.default_rng(2)
    rows = []
    for _ in range(pairs):
        words = rng.integers(4, WORDS, rng.integers(4, 9))
        twin = words.copy()
        twin[rng.integers(len(words))] = rng.choice(CUES)
        rows += [words, twin]
    rows.append(rng.integers(4, WORDS, 5))
    return EncodedSplit(
        tokens=np.concatenate(rows).astype(np.int32),
        offsets=np.cumsum([0, *map(len, rows)]),
        labels=np.array([0, 1] * pairs + [0]),
        groups=np.arange(2 * pairs + 1) // 2,
    )


def exchanged(model: nn.Module, split: EncodedSplit) -> dict[str, float]:
    predictor = Predictor(model, 8, None, torch.device("cpu"))
    predicted = predictor.logits(split).argmax(axis=1)
    found = interchange(predictor, split, EvaluationConfig(), predicted)
    return {name: measure.value for name, measure in found.items()}


def test_the_neuron_of_the_cue_turns_the_prediction_and_no_other_word_s_does() -> None:
    # The cue's neuron turns a text without it; the neurons of another word leave the cue's alone.
    expected = {"interchange": 50.0, "interchange_control": 0.0, "interchange_pairs": 40}
    assert exchanged(hand_set(), twin_texts()) == expected


def test_a_model_that_reads_nothing_of_it_turns_nowhere() -> None:
    # It predicts both texts alike: there is no pair that counts.
    assert exchanged(hand_set(reads=7), twin_texts()) == {}


def split_of(*texts: list[int], second: list[list[int]] | None = None) -> EncodedSplit:
    return EncodedSplit(
        tokens=np.concatenate([np.array(text, np.int32) for text in texts]),
        offsets=np.cumsum([0, *map(len, texts)]),
        labels=np.arange(len(texts)) % 2,
        groups=np.zeros(len(texts), np.int64),
        second=None if second is None else np.concatenate(second).astype(np.int8),
    )


def test_words_are_aligned_by_difference() -> None:
    split = split_of([5, 6, 7, 8, 9], [5, 6, 20, 21, 22, 9, 10])
    first, second = twins(split, np.array([0, 1]), seed=0)
    assert (first.row, first.other) == (0, 1)
    assert first.changed == ((2, 2), (3, 3)), "the first words of a longer stretch"
    assert set(first.same) <= {(0, 0), (1, 1), (4, 5)}
    assert len(first.same) == 2
    assert second.changed == tuple((j, i) for i, j in first.changed)


@pytest.mark.parametrize(
    ("labels", "predicted"),
    [([0, 0], [0, 1]), ([0, 1], [1, 1])],
    ids=["one label", "one prediction"],
)
def test_pairs_that_do_not_differ_do_not_count(labels: list[int], predicted: list[int]) -> None:
    split = split_of([5, 6], [5, 7])
    other = EncodedSplit(split.tokens, split.offsets, np.array(labels), groups=split.groups)
    assert list(twins(other, np.array(predicted), seed=0)) == []
    assert len(list(twins(split, np.array([0, 1]), seed=0))) == 2


def test_words_added_alone_are_no_change_and_sides_are_not_mixed() -> None:
    assert list(twins(split_of([5, 6], [5, 8, 6]), np.array([0, 1]), seed=0)) == []
    sides = split_of([5, 6, 7], [5, 9, 7], second=[[0, 0, 1], [0, 1, 1]])
    assert list(twins(sides, np.array([0, 1]), seed=0)) == []


def test_sums_and_passes_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    shape = ModelShape(embed_dim=8, ffn_dim=16, heads=2, mask_hidden_dim=6)
    model = build_model(
        shape, preset="masked", vocabulary_size=WORDS, classes=2, max_len=20, seed=7
    ).double()
    split = twin_texts()
    predictor = Predictor(model, 8, None, torch.device("cpu"))
    # As if half of the texts were predicted to be of either class.
    args = (predictor, split, EvaluationConfig(), split.labels)
    summed = interchange(*args)
    monkeypatch.setattr(Site, "patches", lambda self, batch, read: Passes(self, batch, read))
    assert interchange(*args) == summed
    assert summed["interchange_pairs"].value == 40
