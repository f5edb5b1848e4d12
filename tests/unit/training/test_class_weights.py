"""Class weights: n / (C n_c) in the cross-entropy, and none by default."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.evaluation.deletion import take_texts
from safr_study.model import build_model, loss_terms
from safr_study.settings import ModelShape, Penalties, StudySpec, TrainConfig, fingerprint_of
from safr_study.training import fit
from safr_study.training.steps import balanced_weights

CPU = torch.device("cpu")
BALANCED = TrainConfig(class_weights="balanced")


def split_of(labels: list[int]) -> EncodedSplit:
    count = len(labels)
    tokens, offsets = np.full(count, 2, np.int32), np.arange(count + 1)
    return EncodedSplit(tokens, offsets, np.array(labels, np.int64), None)


def test_the_weights_are_n_over_c_times_n_c_and_none_by_default() -> None:
    split = split_of([0] * 6 + [1] * 3 + [2])
    weights = balanced_weights(BALANCED, split, 3, CPU)
    assert weights is not None
    assert weights.tolist() == pytest.approx([10 / 18, 10 / 9, 10 / 3])
    assert balanced_weights(TrainConfig(), split, 3, CPU) is None
    absent = balanced_weights(BALANCED, split_of([0, 0, 2]), 3, CPU)
    assert absent is not None
    assert absent.tolist() == pytest.approx([0.5, 0.0, 1.0])


def test_the_loss_is_the_mean_over_classes_of_their_means_and_equal_ones_change_nothing() -> None:
    shape = ModelShape(embed_dim=4, ffn_dim=8, heads=1, mask_hidden_dim=4, dropout=0.0)
    model = build_model(
        shape, preset="masked", vocabulary_size=9, classes=3, max_len=4, seed=0
    ).eval()
    ids = torch.arange(20).reshape(10, 2) % 8 + 1
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = balanced_weights(BALANCED, split_of(labels.tolist()), 3, CPU)

    def cross_entropy(weights: torch.Tensor | None) -> float:
        terms = loss_terms(model(ids), labels, ids, Penalties(), "masked", weights)
        assert terms["total"] is terms["cross_entropy"]
        return float(terms["total"].detach())

    logits = model(ids).logits.detach().double().numpy()
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(10), labels.numpy()]
    by_class = [losses[labels.numpy() == c].mean() for c in range(3)]
    assert cross_entropy(weights) == pytest.approx(np.mean(by_class), rel=1e-5)
    assert cross_entropy(None) == pytest.approx(losses.mean(), rel=1e-5)
    assert abs(np.mean(by_class) - losses.mean()) > 1e-4, "the two must differ to tell"
    assert cross_entropy(torch.ones(3)) == pytest.approx(cross_entropy(None), rel=1e-6)


def test_without_weights_a_training_is_written_as_before_the_setting() -> None:
    assert "class_weights" not in TrainConfig().model_dump(mode="json")
    # Of the code before the setting; running states and stored studies are found by such.
    before = "22132f9c4a2558942db8aa6277d3cab3fa3a823343e1855df9b6f48a578d32ad"
    assert fingerprint_of(TrainConfig(seed=3).model_dump(mode="json")) == before
    assert BALANCED.model_dump()["class_weights"] == "balanced"
    for config in (TrainConfig(), BALANCED):
        assert TrainConfig.model_validate(config.model_dump(mode="json")) == config


def test_they_are_part_of_a_studys_identity() -> None:
    def spec(train: TrainConfig) -> StudySpec:
        space = {"name": "x", "parameters": {"layers": {"type": "int", "low": 1, "high": 2}}}
        return StudySpec.model_validate(
            {"name": "s", "corpus": {"dataset": "planted"}, "space": space, "train": train}
        )

    plain, balanced = spec(TrainConfig()), spec(BALANCED)
    assert plain.identity() != balanced.identity()
    assert "class_weights" not in plain.model_dump(mode="json")["train"]


def test_training_on_rare_texts_of_a_class_finds_them_with_weights_alone(
    corpus: EncodedCorpus, config: TrainConfig
) -> None:
    labels = corpus.train.labels
    rare = np.concatenate([np.flatnonzero(labels == 0), np.flatnonzero(labels == 1)[:8]])
    skewed = replace(corpus, train=take_texts(corpus.train, np.sort(rare)))

    def trained(corpus: EncodedCorpus, **changes: object) -> tuple[float, float]:
        """Accuracy on the balanced dev texts, and the last epoch's training cross-entropy."""
        changed = TrainConfig.model_validate({**config.model_dump(), "epochs": 3, **changes})
        last = fit(changed, corpus, device=CPU).epochs[-1]
        return last.dev_accuracy, last.train.cross_entropy

    plain, weighted = trained(skewed), trained(skewed, class_weights="balanced")
    assert plain[0] < 55 < 65 < weighted[0]
    # Control: classes of equal size weigh 1 each.
    assert trained(corpus, class_weights="balanced") == pytest.approx(trained(corpus), rel=1e-4)
