"""Texts that are shortened at random in training."""

from __future__ import annotations

import dataclasses
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pairs import random_pairs

from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.evaluation.deletion import take_texts
from safr_study.settings import TrainConfig
from safr_study.training import FitResult, fit
from safr_study.training.augmentation import shortened

CPU = torch.device("cpu")
LENGTHS = np.random.default_rng(0).integers(0, 30, 2000)
OFFSETS = np.concatenate(([0], np.cumsum(LENGTHS)))
# Every token is another one, so that what is gone is known.
SPLIT = EncodedSplit(
    tokens=np.arange(OFFSETS[-1], dtype=np.int32), offsets=OFFSETS, labels=np.arange(2000) % 2
)


def texts_of(split: EncodedSplit) -> list[list[int]]:
    return [split.tokens[a:b].tolist() for a, b in itertools.pairwise(split.offsets)]


def short(split: EncodedSplit = SPLIT, **changes: Any) -> EncodedSplit:
    return shortened(split, **{"share": 0.4, "bound": 0.6, "seed": 3, "epoch": 1, **changes})


def test_a_share_of_the_texts_loses_up_to_the_bound() -> None:
    found = short()
    assert found.labels.tolist() == SPLIT.labels.tolist()
    lost = LENGTHS - found.lengths
    assert (lost <= np.rint(0.6 * LENGTHS)).all()
    assert lost.max() >= 15
    long = LENGTHS >= 10
    # A text of 10 words and more loses none in one of twelve draws at most.
    assert 0.4 * 0.9 < (lost[long] > 0).mean() < 0.4 * 1.05
    every = LENGTHS - short(share=1.0).lengths
    assert every.sum() / LENGTHS.sum() == pytest.approx(0.3, abs=0.02)
    for whole, left in zip(texts_of(SPLIT), texts_of(found), strict=True):
        assert [token for token in whole if token in left] == left
    places = np.concatenate([np.array(t) - OFFSETS[i] for i, t in enumerate(texts_of(found)) if t])
    assert places.mean() == pytest.approx(
        np.concatenate([np.arange(n) for n in LENGTHS]).mean(), rel=0.03
    )


def test_what_a_text_loses_depends_on_seed_row_and_epoch_alone() -> None:
    first = texts_of(short())
    assert texts_of(short()) == first
    assert texts_of(short(take_texts(SPLIT, np.arange(50)))) == first[:50]
    for other in (short(epoch=2), short(seed=4)):
        changed = [a != b for a, b in zip(texts_of(other), first, strict=True)]
        assert np.mean(changed) > 0.4
    assert short(share=0.0) is SPLIT


def test_words_of_a_pair_stay_on_their_side() -> None:
    pairs = random_pairs(40, words=30)
    assert pairs.second is not None
    marked = dataclasses.replace(pairs, tokens=np.arange(len(pairs.tokens), dtype=np.int32))
    found = short(marked, share=1.0)
    assert found.second is not None
    assert len(found.tokens) < len(marked.tokens)
    assert found.second.tolist() == pairs.second[found.tokens].tolist()


def augmented(config: TrainConfig, **changes: Any) -> TrainConfig:
    return config.model_copy(update={"epochs": 3, "patience": 3, **changes})


def weights(result: FitResult) -> list[bytes]:
    return [value.numpy().tobytes() for value in result.model.state_dict().values()]


def test_a_resumed_training_loses_the_same_words(
    config: TrainConfig, corpus: EncodedCorpus, tmp_path: Path
) -> None:
    asked = augmented(config, deletion_augmentation=0.5)
    whole = fit(asked, corpus, device=CPU)

    def stop(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fit(asked, corpus, device=CPU, resume_from=tmp_path, on_epoch=stop)
    resumed = fit(asked, corpus, device=CPU, resume_from=tmp_path)
    assert weights(resumed) == weights(whole)
    losses = [epoch.train.total for epoch in whole.epochs]
    assert [epoch.train.total for epoch in resumed.epochs] == losses
    plain = fit(augmented(config), corpus, device=CPU)
    assert weights(plain) != weights(whole)
    # Where no text is shortened, the bound is of no account.
    unused = fit(augmented(config, deletion_bound=0.1), corpus, device=CPU)
    assert weights(unused) == weights(plain)


def test_it_is_written_only_where_it_is_set() -> None:
    assert {"deletion_augmentation", "deletion_bound"}.isdisjoint(TrainConfig().model_dump())


def test_a_model_is_trained_further_in_place(config: TrainConfig, corpus: EncodedCorpus) -> None:
    first = fit(augmented(config, epochs=1), corpus, device=CPU)
    before = weights(first)
    nothing = augmented(config, epochs=1, learning_rate=1e-12)
    again = fit(nothing, corpus, device=CPU, model=first.model)
    assert again.model is first.model
    for one, other in zip(before, weights(again), strict=True):
        assert np.allclose(np.frombuffer(one, "f4"), np.frombuffer(other, "f4"), atol=1e-7)
    fresh = fit(nothing, corpus, device=CPU)
    assert fresh.epochs[0].train.total > again.epochs[0].train.total
