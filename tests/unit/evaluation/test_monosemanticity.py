"""What neurons stand for: entropy by word, and neurons that are always on."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch

from safr_study.data import EncodedSplit
from safr_study.evaluation.monosemanticity import TokenEntropy, word_types
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.scoring import evaluate_model
from safr_study.model import SafrClassifier, build_model
from safr_study.settings import EvaluationConfig, ModelShape, Wanted

TOKENS = np.array([7, 3, 7, 7, 9, 3, 12, 9], np.int32)


def entropy_of(activations: torch.Tensor, seed: int = 0) -> float | None:
    types, count = word_types(TOKENS, seed=seed)
    meter = TokenEntropy(count)
    numbers = torch.from_numpy(types)
    for part in (slice(0, 3), slice(3, 8)):
        meter.add(activations[part].double(), numbers[part])
    return meter.value


def by_hand(words: list[int], values: list[float]) -> float:
    sums: Counter[int] = Counter()
    for word, value in zip(words, values, strict=True):
        sums[word] += abs(value)  # type: ignore[assignment]
    total = sum(sums.values())
    return -sum(s / total * math.log(s / total) for s in sums.values() if s)


def test_a_neuron_for_one_word_has_less_than_the_words_at_random() -> None:
    fires = torch.from_numpy(TOKENS == 7)[:, None].float()
    found = entropy_of(fires)
    shuffled = np.array([3, 7, 9, 12])[word_types(TOKENS, seed=0)[0][:, 1]].tolist()
    assert sorted(shuffled) == sorted(TOKENS.tolist())
    assert found == pytest.approx(-by_hand(shuffled, fires[:, 0].tolist()))
    assert found is not None
    assert found < -0.3


def test_a_neuron_that_is_the_same_everywhere_has_what_the_words_have() -> None:
    assert entropy_of(torch.full((8, 1), 2.5)) == pytest.approx(0.0, abs=1e-12)


def test_it_is_the_mean_over_neurons_that_are_ever_active_and_free_of_scale() -> None:
    values = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
    values[:, 2] = 0
    shuffled = np.array([3, 7, 9, 12])[word_types(TOKENS, seed=4)[0][:, 1]].tolist()
    each = [
        by_hand(TOKENS.tolist(), values[:, j].tolist()) - by_hand(shuffled, values[:, j].tolist())
        for j in (0, 1, 3, 4)
    ]
    assert entropy_of(values, seed=4) == pytest.approx(np.mean(each), abs=1e-6)
    scaled = values * torch.tensor([1.0, 10.0, 1.0, 0.1, 3.0])
    assert entropy_of(scaled, seed=4) == pytest.approx(np.mean(each), abs=1e-6)
    assert entropy_of(torch.zeros(8, 3)) is None


def random_split() -> EncodedSplit:
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 9, 40)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    tokens = rng.integers(2, 20, offsets[-1]).astype(np.int32)
    return EncodedSplit(tokens, offsets, rng.integers(0, 2, 40))


def model_of() -> SafrClassifier:
    shape = ModelShape(embed_dim=8, ffn_dim=10, heads=2, mask_hidden_dim=6, layers=2)
    return build_model(
        shape, preset="masked", vocabulary_size=20, classes=2, max_len=12, seed=3
    ).eval()


def test_a_model_has_both_after_the_activation_alone() -> None:
    model, split = model_of(), random_split()
    with torch.no_grad():
        model.layers[1].ff.linear1.bias[:3] = 100.0
        model.layers[1].ff.linear1.bias[3] = -100.0
    found = evaluate_model(
        model,
        split,
        split_name="dev",
        config=EvaluationConfig(batch_size=7, sample_tokens=10_000),
        want=Wanted(superposition=True),
        preset="masked",
        device=torch.device("cpu"),
    ).scores
    rows: list[torch.Tensor] = []
    predictor = Predictor(model, 1, None, torch.device("cpu"))
    order = np.argsort(split.lengths, kind="stable")
    with predictor.measuring():
        for _, output in predictor.outputs(split):
            rows.append(output.ffn1_post_relu[1][0])
    at = np.concatenate([np.arange(split.offsets[i], split.offsets[i + 1]) for i in order])
    activations = torch.empty(len(split.tokens), 10)
    activations[torch.from_numpy(at)] = torch.cat(rows)
    types, count = word_types(split.tokens, seed=0)
    meter = TokenEntropy(count)
    meter.add(activations.double(), torch.from_numpy(types))
    assert found.value("token_entropy.ffn1_post") == pytest.approx(meter.value, abs=1e-6)
    on = (activations > 0).double().mean(dim=0) > 0.99
    assert bool(on[:3].all())
    assert not bool(on[3])
    assert found.value("always_on_share.ffn1_post") == pytest.approx(float(on.double().mean()))
    for layer in found.superposition:
        assert (layer.always_on_share is None) == (layer.layer != "ffn1_post")
        has_entropy = layer.layer == "ffn1_post" and layer.block == 1
        assert (layer.token_entropy is not None) == has_entropy
    # What has neither is written as it was before there were any.
    plain = found.to_plain()["superposition"]
    assert ["token_entropy" in one for one in plain] == [
        layer.token_entropy is not None for layer in found.superposition
    ]
