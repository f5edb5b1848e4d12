from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from counted_passes import count_passes
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from safr_study.data import EncodedSplit
from safr_study.evaluation.deletion import sample_rows
from safr_study.evaluation.faithfulness import leave_one_out, log_probability
from safr_study.evaluation.prediction import Predictor
from safr_study.model import SafrClassifier, build_model
from safr_study.settings import DeletionMode, ModelShape, Preset

MAX_LEN = 14


def exact_model(preset: Preset = "masked") -> SafrClassifier:
    shape = ModelShape(embed_dim=8, ffn_dim=12, heads=2, mask_hidden_dim=6)
    model = build_model(
        shape, preset=preset, vocabulary_size=30, classes=3, max_len=MAX_LEN, seed=1
    )
    return model.double().eval()


def predictor_of(model: SafrClassifier) -> Predictor:
    return Predictor(model, 7, None if model.padding_aware else MAX_LEN, torch.device("cpu"))


@pytest.mark.parametrize("preset", ["masked", "reference"])
@pytest.mark.parametrize("mode", ["remove", "unk", "attn", "gate"])
def test_it_equals_one_call_for_each_token(
    ragged_split: EncodedSplit, preset: Preset, mode: DeletionMode
) -> None:
    predictor = predictor_of(exact_model(preset))
    logits = predictor.logits(ragged_split)
    found = leave_one_out(predictor, ragged_split, logits, mode)
    expected = []
    for row, (a, b) in enumerate(pairwise(ragged_split.offsets)):
        alone = EncodedSplit(
            ragged_split.tokens[a:b], np.array([0, b - a]), ragged_split.labels[row : row + 1]
        )
        p = special.softmax(predictor.logits(alone)[0])
        for i in range(b - a):
            without = predictor.logits(alone, np.arange(b - a) != i, mode)[0]
            expected.append(p.max() - special.softmax(without)[p.argmax()])
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-12)
    assert found.min() < -1e-3
    assert found.max() > 1e-3


def test_the_memory_bound_does_not_change_the_numbers(
    ragged_split: EncodedSplit, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = exact_model()
    predictor = predictor_of(model)
    logits = predictor.logits(ragged_split)
    batches = count_passes(monkeypatch)
    at_once = leave_one_out(predictor, ragged_split, logits)
    assert len(batches) == -(-len(ragged_split.tokens) // 7)
    for bound in (500, 1):
        monkeypatch.setattr("safr_study.evaluation.faithfulness._TOKENS_AT_ONCE", bound)
        fewer = len(batches)
        batches.clear()
        in_portions = leave_one_out(predictor, ragged_split, logits)
        assert len(batches) > fewer
        np.testing.assert_allclose(in_portions, at_once, rtol=0, atol=1e-12)


def test_empty_texts_have_nothing_to_leave_out() -> None:
    empty = EncodedSplit(np.empty(0, np.int32), np.zeros(4, np.int64), np.array([0, 1, 1]))
    predictor = predictor_of(exact_model())
    assert leave_one_out(predictor, empty, predictor.logits(empty)).shape == (0,)


def test_without_its_only_token_a_text_is_decided_by_the_bias() -> None:
    model = exact_model()
    one = EncodedSplit(np.array([7], np.int32), np.array([0, 1]), np.array([0]))
    logits = predictor_of(model).logits(one)
    bias = special.softmax(model.fc.bias.detach().numpy())
    expected = special.softmax(logits[0]).max() - bias[logits[0].argmax()]
    found = leave_one_out(predictor_of(model), one, logits)
    assert found.tolist() == pytest.approx([expected], abs=1e-12)


@given(st.integers(0, 60), st.integers(1, 80), st.integers(0, 5))
def test_a_sample_is_fixed_ascending_and_part_of_a_larger_one(
    examples: int, size: int, seed: int
) -> None:
    rows = sample_rows(examples, size, seed)
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert len(rows) == min(size, examples)
    assert all(0 <= row < examples for row in rows)
    assert rows.tolist() == sample_rows(examples, size, seed).tolist()
    assert set(rows.tolist()) <= set(sample_rows(examples, size + 3, seed).tolist())


def test_a_sample_is_spread_over_the_split_and_decided_by_the_seed() -> None:
    rows = sample_rows(10_000, 500, 0)
    counts = np.histogram(rows, bins=5, range=(0, 10_000))[0]
    assert counts.min() > 60
    assert len(set(rows.tolist()) & set(sample_rows(10_000, 500, 1).tolist())) < 60


def test_extreme_logits_stay_finite() -> None:
    logits = np.array([[1e4, -1e4, 0.0]] * 3)
    assert log_probability(logits, np.arange(3)).tolist() == [0.0, -2e4, -1e4]
