"""Two numbers that are high for a bad reason, shown by the corpora that were made for it.

Capacity is high for words that occur once in their text (``repeated``), and SRS is high for a
model that counts words (``length``). docs/metrics.md quotes the numbers of this page.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
import torch
from plain_scores import deletion_at, numbers
from planted_rules import CPU, CueRule, Floats, LengthRule, covers, marks, measured, planted

from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.evaluation.agreement import rationale_agreement
from safr_study.evaluation.deletion import deletion_counts, random_scores
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import CONTROL_DRAW, measured_scores
from safr_study.evaluation.scoring import evaluate_model
from safr_study.model import SafrClassifier, build_model
from safr_study.records import Scores
from safr_study.settings import DeletionMode, EvaluationConfig, ModelShape, Wanted

K = 0.3
LONGEST = 26
"""Tokens up to which a text is called class 0: 24 fillers, the middle of 8 to 40, and two."""


def random_ranking(split: EncodedSplit) -> Floats:
    return random_scores(split.offsets, 0.0, CONTROL_DRAW, seed=0)


# Uniqueness: every word has a direction of its own, whatever it says about the label.


class Words:
    """A variant under a rule whose hidden rows are one orthogonal vector for each word."""

    def __init__(self, variant: str) -> None:
        self.corpus = planted(variant)
        self.split = self.corpus.split("test")
        self.rule = CueRule(self.corpus, hidden="words")
        predictor = Predictor(self.rule, 128, None, CPU)
        _, scores = measured_scores(predictor, self.split, {"capacity"}, "ffn1_pre_relu")
        self.capacity = scores["capacity"]
        texts = np.split(self.split.tokens, self.split.offsets[1:-1])
        counted = [(Counter(text.tolist()), text.tolist()) for text in texts]
        self.copies = np.array([count[word] for count, text in counted for word in text])
        self.unique = np.array([sum(n == 1 for n in count.values()) for count, _ in counted])
        """`[N]`: words that occur once in their text; cue and distractor are among them."""

    def of(self, kind: str) -> np.ndarray:
        return marks(self.corpus, self.split, kind)


@pytest.fixture(scope="module")
def repeated() -> Words:
    return Words("repeated")


@pytest.fixture(scope="module")
def plain() -> Words:
    return Words("single")


def test_capacity_is_one_over_the_copies_of_a_word(repeated: Words, plain: Words) -> None:
    for words in (repeated, plain):
        np.testing.assert_allclose(words.capacity, 1 / words.copies, rtol=1e-12)
        for kind in ("cue", "dis"):
            assert (words.capacity[words.of(kind) == 1] == 1).all()
    assert repeated.capacity[repeated.of("f") == 1].mean() == pytest.approx(0.247, abs=5e-4)
    assert plain.capacity[plain.of("f") == 1].mean() == pytest.approx(0.820, abs=5e-4)


def test_repetition_makes_capacity_find_cues_and_distractors_alike(
    repeated: Words, plain: Words
) -> None:
    """A cue is anywhere among the u words that occur once: its place is uniform on 1..u.

    A distractor, which says nothing about the label, is found just as well.
    """
    precisions = {}
    for name, words in (("repeated", repeated), ("plain", plain)):
        n, u = words.split.lengths, words.unique
        harmonic = np.array([sum(1 / place for place in range(1, m + 1)) for m in u])
        for kind in ("cue", "dis"):
            found = numbers(
                rationale_agreement(words.capacity, words.of(kind), words.split.offsets)
            )
            expected = float(np.mean(harmonic / u))
            assert covers(found.average_precision, found.average_precision_se, expected)
            assert covers(found.precision_at_gold, found.precision_at_gold_se, np.mean(1 / u))
            # Ahead of the words with copies, even with the others without.
            assert found.auroc == pytest.approx(np.mean((n - u + (u - 1) / 2) / (n - 1)))
            precisions[name, kind] = found.average_precision, found.auroc
    assert (repeated.unique == 2).all(), "so average precision is 3/4"
    assert precisions["repeated", "cue"] == pytest.approx((0.747, 0.975), abs=5e-4)
    assert precisions["repeated", "dis"] == pytest.approx((0.753, 0.975), abs=5e-4)
    assert precisions["plain", "cue"] == pytest.approx((0.204, 0.622), abs=5e-4)
    found = numbers(
        rationale_agreement(
            random_ranking(repeated.split), repeated.of("cue"), repeated.split.offsets
        )
    )
    lengths = repeated.split.lengths
    by_chance = np.mean([sum(1 / place for place in range(1, n + 1)) / n for n in lengths])
    assert by_chance == pytest.approx(0.166, abs=5e-4)
    assert covers(found.average_precision, found.average_precision_se, float(by_chance))


def test_repetition_alone_makes_srs_by_capacity_that_of_the_oracle(
    repeated: Words, plain: Words
) -> None:
    """The cue is deleted with probability min(1, q / u), and a half of those texts is lost."""
    found = {}
    for name, words in (("repeated", repeated), ("plain", plain)):
        n, q = words.split.lengths, deletion_counts(words.split.lengths, K)
        srs = 50 * float(np.mean(np.minimum(1, q / words.unique)))
        by_chance = 50 * float(np.mean(q / n))
        found[name] = measured(words.rule, words.split, words.capacity)
        assert covers(found[name].srs, found[name].srs_se, srs)
        assert covers(found[name].srs_excess, found[name].srs_excess_se, srs - by_chance)
        assert by_chance == pytest.approx(15, abs=0.1)
        assert srs == pytest.approx({"repeated": 50, "plain": 20.1}[name], abs=0.05)
    # The same rule, the same kind of cues: nothing but the copies of other words is different.
    gain = found["repeated"].srs_excess - found["plain"].srs_excess
    assert gain == pytest.approx(30, abs=6)
    # Neither excess nor contrast sees that the ranking knows no more than before.
    assert found["repeated"].contrast == pytest.approx(50, abs=5)


# Length: words say nothing at all.


@pytest.fixture(scope="module")
def length() -> EncodedCorpus:
    return planted("length")


def rankings(split: EncodedSplit) -> dict[str, Floats]:
    oracle = split.rationale.astype(float)
    return {"oracle": oracle, "worst": -oracle, "random": random_ranking(split)}


@pytest.mark.parametrize("ranking", ["oracle", "worst", "random"])
def test_a_model_that_counts_words_has_srs_under_remove_alone(
    length: EncodedCorpus, ranking: str
) -> None:
    split = length.split("test")
    n, long = split.lengths, split.labels == 1
    left = n - deletion_counts(n, K)
    before, after = (100 * np.mean((m > LONGEST) == long) for m in (n, left))
    by = rankings(split)[ranking]
    found = measured(LengthRule(LONGEST), split, by)
    assert found.accuracy_top + found.srs == pytest.approx(before)
    assert before == pytest.approx(78.1)
    assert found.srs == pytest.approx(before - after)
    assert found.srs == pytest.approx(12.8)
    assert found.srs > 7 * found.srs_se
    assert not found.saturated, "a model that collapses would be marked"
    # As much is lost whichever words are deleted.
    assert found.srs_excess == found.contrast == found.srs_excess_se == found.contrast_se == 0
    hidden = measured(LengthRule(LONGEST), split, by, mode="unk")
    assert hidden.srs == hidden.srs_excess == hidden.contrast == 0


def test_srs_from_length_meets_its_closed_form() -> None:
    """Class 0 has the smaller of two draws from 8..40 as its fillers, class 1 the larger."""
    draws = range(8, 41)
    pairs = [(a, b) for a in draws for b in draws]

    def accuracy(left: dict[int, int]) -> float:
        right = [(left[min(p) + 2] <= LONGEST) + (left[max(p) + 2] > LONGEST) for p in pairs]
        return 100 * sum(right) / (2 * len(pairs))

    whole = {n: n for n in range(10, 43)}
    shorter = {n: n - round(K * n) for n in whole}
    assert accuracy(whole) == pytest.approx(74.98, abs=0.005)
    assert accuracy(whole) - accuracy(shorter) == pytest.approx(12.12, abs=0.005)


def test_srs_from_length_needs_lengths_that_go_with_the_label() -> None:
    split = planted("single").split("test")
    found = measured(LengthRule(LONGEST), split, random_ranking(split))
    assert covers(found.srs, found.srs_se, 0)
    assert found.srs_excess == found.contrast == 0


def test_a_mean_over_positions_keeps_its_length_under_attn(length: EncodedCorpus) -> None:
    split = length.split("test")
    rule = LengthRule(LONGEST, reads="positions")
    removed, kept = (
        measured(rule, split, random_ranking(split), mode=mode) for mode in ("remove", "attn")
    )
    assert removed.srs == pytest.approx(12.8)
    assert covers(kept.srs, kept.srs_se, 0)
    assert covers(kept.contrast, kept.contrast_se, 0)
    assert kept.srs < 2


@pytest.fixture(scope="module")
def wordless(length: EncodedCorpus) -> SafrClassifier:
    """A model all of whose words are the zero vector: it has nothing but the positions.

    Its classifier is the least-squares fit to the labels of the training texts.
    """
    shape = ModelShape(embed_dim=16, ffn_dim=16, heads=2, mask_hidden_dim=8)
    model = build_model(
        shape,
        preset="masked",
        vocabulary_size=length.vocabulary_size,
        classes=2,
        max_len=64,
        seed=0,
    ).eval()
    classifier = model.fc
    with torch.no_grad():
        model.embedding.weight.zero_()
        model.fc = torch.nn.Identity()  # type: ignore[assignment]
        pooled = Predictor(model, 128, None, CPU).logits(length.train)  # [N, E]
        model.fc = classifier
        inputs = np.column_stack((pooled, np.ones(len(pooled))))
        weights = np.linalg.lstsq(inputs, 2.0 * length.train.labels - 1, rcond=None)[0]
        classifier.weight.zero_()
        classifier.bias.zero_()
        classifier.weight[1] = torch.from_numpy(weights[:-1])
        classifier.bias[1] = weights[-1]
    return model


def scored(model: SafrClassifier, corpus: EncodedCorpus, mode: DeletionMode) -> Scores:
    return evaluate_model(
        model,
        corpus.split("test"),
        split_name="test",
        config=EvaluationConfig(mode=mode),
        want=Wanted(shares=(K,), random=True, bottom=True, controls=("random",)),
        preset="masked",
        device=CPU,
    ).scores


@pytest.mark.parametrize("mode", ["remove", "unk", "attn", "gate"])
def test_a_model_without_words_has_srs_where_texts_are_shortened(
    length: EncodedCorpus, wordless: SafrClassifier, mode: DeletionMode
) -> None:
    scores = scored(wordless, length, mode)
    found = deletion_at(scores, K)
    by_chance = numbers(scores.rankings["random"])
    assert scores.accuracy == pytest.approx(78, abs=1)
    if mode == "remove":
        assert 10 < found.srs < 15
        assert found.srs == by_chance.srs
        assert found.srs_excess == found.contrast == 0
    elif mode == "attn":
        # Not quite free: the mean over fewer positions is a less exact measure of the length. How
        # much that costs hangs on the fit's rounding; no more than the shorter texts themselves.
        assert not covers(by_chance.srs, by_chance.srs_se, 0)
        removed = deletion_at(scored(wordless, length, "remove"), K)
        gap = by_chance.srs - removed.srs
        assert gap < 0 or covers(gap, math.hypot(by_chance.srs_se, removed.srs_se), 0)
    else:
        assert found.srs == found.srs_excess == found.contrast == by_chance.srs == 0
