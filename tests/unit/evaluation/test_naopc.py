"""NAOPC, held against the published numbers of Edin et al. and against trying every order."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from hand_set_model import WORDS, cue_scores, cue_split, hand_set
from numpy.typing import NDArray
from scipy import special
from torch import nn

from safr_study.data import EncodedSplit
from safr_study.evaluation.deletion import take_texts
from safr_study.evaluation.naopc import (
    aopc,
    beam_limits,
    exact_limits,
    limits,
    normalised_aopc,
)
from safr_study.evaluation.prediction import Predictor
from safr_study.model import build_model
from safr_study.settings import DeletionMode, EvaluationConfig, ModelShape

Floats = NDArray[np.float64]
FOLDER = os.environ.get("SAFR_TEST_NAOPC")
"""Folder of all the published files; the repository has ten texts of them."""
MODELS = ("bert-base-uncased-SST-2", "roberta-base-SST-2")
OTHER_LENGTHS = (7, 48, 50)
"""Texts whose attributions have other lengths than the texts."""
CLOSE = 2e-6
"""Error of published means of float32 probabilities, of which the whole text's is from a pass of
its own: of 2,520 scores 13 are more than 1e-6 off, by 1.7e-6 at most."""
NOT_REACHED = {("bert-base-uncased-SST-2", 19), ("roberta-base-SST-2", 47)}
"""Texts whose published upper limit no order has, that which is published with it least of all."""


@dataclass(frozen=True)
class Published:
    """One text under every mask, and what was published of it."""

    number: int
    drops: Floats
    limits: tuple[float, float]
    """Lower and upper."""
    attributions: dict[str, Floats]
    scores: dict[str, tuple[float, float]]
    """Comprehensiveness and sufficiency."""


def committed(golden: Path, model: str) -> Iterator[Published]:
    texts = json.loads((golden / "naopc.json").read_text("utf-8"))["models"][model]
    for number, text in texts.items():
        p = special.expit(np.array(text["log_odds"]))
        lower, upper = text["limits"]
        attributions = {name: np.array(values) for name, values in text["attributions"].items()}
        drops = dropped(text["prob"], p)
        yield Published(int(number), drops, (lower, upper), attributions, text["scores"])


def dropped(whole: float, p: Floats) -> Floats:
    """Drops under each mask; the whole text's p was published from another pass than the masks'."""
    drops: Floats = whole - p
    drops[0] = 0.0
    return drops


def whole_folder(folder: Path, model: str) -> Iterator[Published]:
    import pandas as pd

    masks = pd.read_parquet(folder / f"{model}-masks.parquet")
    attributions = pd.read_parquet(folder / f"{model}-attributions.parquet")
    scores = pd.read_csv(folder / f"{model}-scores.csv")
    published = pd.read_parquet(folder / f"{model}-limits.parquet").set_index("id")
    for number, of_text in masks.groupby("id"):
        if number in OTHER_LENGTHS:
            continue
        removed = [json.loads(key) for key in of_text.word_key]
        p = np.full(1 << max(max(words, default=0) for words in removed), np.nan)
        places = [sum(1 << (word - 1) for word in words) for words in removed]
        p[places] = special.expit(of_text.positive_logit - of_text.negative_logit)
        assert not np.isnan(p).any()
        ours = attributions[attributions.id == number]
        theirs = scores[scores.id == number]
        row = published.loc[number]
        yield Published(
            int(number),  # type: ignore[call-overload]
            dropped(theirs.prob.iloc[0], p),
            (row.lower_limit, row.upper_limit),
            {
                name: np.array(values)[1:-1]
                for name, values in zip(
                    ours.explanation_method, ours.word_attributions, strict=True
                )
            },
            {
                name: (comprehensiveness, sufficiency)
                for name, comprehensiveness, sufficiency in zip(
                    theirs.explanation_method,
                    theirs.comprehensiveness,
                    theirs.sufficiency,
                    strict=True,
                )
            },
        )


@pytest.mark.parametrize("model", MODELS)
def test_the_published_scores_are_met_and_our_limits_are_as_wide(golden: Path, model: str) -> None:
    texts = list(whole_folder(Path(FOLDER), model) if FOLDER else committed(golden, model))
    assert len(texts) == (63 if FOLDER else 10)
    errors = []
    for text in texts:
        drops = of_table(text.drops)
        for method, published in text.scores.items():
            order = np.argsort(-text.attributions[method], kind="stable")
            ours = aopc(order, 0, drops), aopc(order[::-1], 0, drops)
            errors += np.abs(np.subtract(ours, published)).tolist()
        lower, upper = exact_limits(text.drops)
        assert lower <= text.limits[0] + CLOSE
        if (model, text.number) in NOT_REACHED:
            every = (aopc(np.array(one), 0, drops) for one in itertools.permutations(range(7)))
            assert max(every) == pytest.approx(upper)
        else:
            assert upper >= text.limits[1] - CLOSE
        assert (lower, upper) == pytest.approx(text.limits, abs=0.05), "and not just any limits"
    assert max(errors) < CLOSE
    assert np.mean(np.array(errors) < 1e-6) > 0.98


def of_table(*tables: Floats):  # type: ignore[no-untyped-def]
    def drops(texts: NDArray[np.int64], masks: NDArray[np.int64]) -> Floats:
        return np.array([tables[text][mask] for text, mask in zip(texts, masks, strict=True)])

    return drops


def random_table(words: int, seed: int) -> Floats:
    table = np.random.default_rng(seed).normal(size=1 << words)
    table[0] = 0.0
    return table


@pytest.mark.parametrize("words", [1, 2, 5])
def test_exact_limits_are_those_of_all_orders(words: int) -> None:
    table = random_table(words, seed=words)
    drops = of_table(table)
    every = [aopc(np.array(one), 0, drops) for one in itertools.permutations(range(words))]
    assert exact_limits(table) == pytest.approx((min(every), max(every)))


def test_beam_search_stays_within_the_limits_and_finds_them_when_wide() -> None:
    tables = [random_table(7, seed=seed) for seed in range(6)]
    exact = [exact_limits(table) for table in tables]
    sizes, drops = [7] * 6, of_table(*tables)
    wide = beam_limits(range(6), sizes, drops, width=40)
    for found, true in zip(wide, exact, strict=True):
        assert found == pytest.approx(true)
    narrow = beam_limits(range(6), sizes, drops, width=1)
    for (lower, upper), (least, most) in zip(narrow, exact, strict=True):
        assert least - 1e-12 <= lower <= upper <= most + 1e-12
    assert not np.allclose(narrow, exact), "one path alone misses some"


def test_short_and_long_texts_have_their_limits_in_place() -> None:
    tables = [random_table(words, seed=words) for words in (3, 11, 2)]
    found = limits([3, 11, 2], of_table(*tables))
    assert found[0] == pytest.approx(exact_limits(tables[0]))
    assert found[2] == pytest.approx(exact_limits(tables[2]))
    assert found[1] == pytest.approx(beam_limits([1], [3, 11, 2], of_table(*tables))[0])


def measured(
    model: nn.Module, split: EncodedSplit, scores: Floats, **config: object
) -> dict[str, float]:
    predictor = Predictor(model, 16, None, torch.device("cpu"))
    full = predictor.logits(split)
    found = normalised_aopc(
        predictor, split, EvaluationConfig.parse(config), scores=scores, full=full
    )
    return {name: measure.value for name, measure in found.items()}


def test_the_cue_first_is_the_best_order_and_last_the_worst() -> None:
    model, split = hand_set(), cue_split()
    best = measured(model, split, cue_scores(split))
    assert best["naopc"] == pytest.approx(1.0)
    assert best["naopc_sufficiency"] == pytest.approx(0.0)
    assert best["naopc_texts"] == np.isin(split.labels, 0)[:50].sum(), "the others do not move"
    worst = measured(model, split, -cue_scores(split))
    assert worst["naopc"] == pytest.approx(0.0)


@pytest.mark.parametrize("mode", ["remove", "unk", "gate"])
def test_a_model_is_measured_as_by_trying_every_order(mode: DeletionMode) -> None:
    shape = ModelShape(embed_dim=8, ffn_dim=12, heads=2, mask_hidden_dim=6)
    model = build_model(
        shape, preset="masked", vocabulary_size=WORDS, classes=2, max_len=20, seed=1
    ).double()
    rng = np.random.default_rng(0)
    lengths = np.array([4, 3, 5, 1, 0, 12])
    split = EncodedSplit(
        tokens=rng.integers(2, WORDS, lengths.sum()).astype(np.int32),
        offsets=np.concatenate(([0], np.cumsum(lengths))),
        labels=np.zeros(6, np.int64),
    )
    scores = rng.random(lengths.sum())
    found = measured(model, split, scores, mode=mode, naopc_words=5)
    predictor = Predictor(model, 16, None, torch.device("cpu"))
    slow = []
    for row in range(3):
        text = take_texts(split, np.array([row]))
        n = int(lengths[row])

        def p(gone: tuple[int, ...], text: EncodedSplit = text, n: int = n) -> float:
            keep = np.array([word not in gone for word in range(n)])
            return special.softmax(predictor.logits(text, keep, mode))[0]

        y = int(p(()).argmax())
        of = {
            order: np.mean([p(())[y] - p(order[:j])[y] for j in range(1, n + 1)])
            for order in itertools.permutations(range(n))
        }
        own = of[tuple(np.argsort(-scores[split.offsets[row] :][:n]).tolist())]
        low, high = min(of.values()), max(of.values())
        slow.append((own - low) / (high - low))
    assert found["naopc"] == pytest.approx(np.mean(slow), abs=1e-6)
    assert found["naopc_texts"] == 3, "one word, none and too many do not count"
    longer = measured(model, split, scores, mode=mode)
    assert longer["naopc_texts"] == 4
    assert 0.0 <= longer["naopc"] <= 1.0


def test_without_a_short_text_there_is_no_number() -> None:
    split = cue_split()
    assert measured(hand_set(), split, cue_scores(split), naopc_words=3) == {}
