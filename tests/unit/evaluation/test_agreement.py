from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from plain_scores import numbers
from scipy import stats
from sklearn.metrics import average_precision_score, roc_auc_score

from safr_study.evaluation.agreement import rationale_agreement

# Few distinct scores, so that most texts have ties; texts without gold tokens, or with no others.
RAGGED = st.lists(st.integers(0, 7), min_size=1, max_size=8).flatmap(
    lambda lengths: st.tuples(
        st.just(np.concatenate(([0], np.cumsum(lengths)))),
        hnp.arrays(float, sum(lengths), elements=st.integers(-2, 2).map(lambda x: x / 3)),
        hnp.arrays(np.int8, sum(lengths), elements=st.integers(0, 1)),
    )
)


def brute_force(scores: list[float], gold: list[int]) -> tuple[float, float, float]:
    """Average precision, AUROC and precision@|gold| of one text, from their definitions."""
    ranking = sorted(range(len(scores)), key=lambda token: (-scores[token], token))
    precisions = [
        sum(gold[token] for token in ranking[: place + 1]) / (place + 1)
        for place in range(len(ranking))
        if gold[ranking[place]]
    ]
    wins = [
        1.0 if mine > other else 0.5 if mine == other else 0.0
        for mine, yes in zip(scores, gold, strict=True)
        for other, also in zip(scores, gold, strict=True)
        if yes and not also
    ]
    hits = sum(gold[token] for token in ranking[: sum(gold)])
    return sum(precisions) / len(precisions), sum(wins) / len(wins), hits / sum(gold)


def per_text(scores: np.ndarray, gold: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    return np.array(
        [
            brute_force(scores[a:b].tolist(), gold[a:b].tolist())
            for a, b in pairwise(offsets)
            if 0 < gold[a:b].sum() < b - a
        ]
    )


@given(RAGGED)
def test_agreement_equals_the_loops_also_with_ties(ragged) -> None:
    offsets, scores, gold = ragged
    measures = rationale_agreement(scores, gold, offsets)
    expected = per_text(scores, gold, offsets)
    if not len(expected):
        assert measures == {}
        return
    found = numbers(measures)
    assert found.rationale_texts == len(expected)
    means = [found.average_precision, found.auroc, found.precision_at_gold]
    np.testing.assert_allclose(means, expected.mean(axis=0), atol=1e-12)
    errors = [found.average_precision_se, found.auroc_se, found.precision_at_gold_se]
    if len(expected) == 1:
        assert errors == [None, None, None]
    else:
        np.testing.assert_allclose(errors, stats.sem(expected), atol=1e-12)


def test_agreement_equals_the_oracle_without_ties() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, 40, size=60)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    gold = rng.integers(0, 2, size=offsets[-1])
    scores = rng.normal(size=offsets[-1]) + 0.5 * gold
    found = numbers(rationale_agreement(scores, gold, offsets))
    texts = [(a, b) for a, b in pairwise(offsets) if 0 < gold[a:b].sum() < b - a]
    assert found.rationale_texts == len(texts)
    assert found.average_precision == pytest.approx(
        np.mean([average_precision_score(gold[a:b], scores[a:b]) for a, b in texts])
    )
    assert found.auroc == pytest.approx(
        np.mean([roc_auc_score(gold[a:b], scores[a:b]) for a, b in texts])
    )
    # One ranking of the tokens of all texts together is another question.
    assert found.auroc != pytest.approx(roc_auc_score(gold, scores), abs=1e-3)


def eraser_spans(marks: list[int]) -> set[tuple[int, ...]]:
    """The maximal runs of 1, each as its tokens."""
    found: list[list[int]] = []
    for token, mark in enumerate(marks):
        if mark and found and found[-1][-1] == token - 1:
            found[-1].append(token)
        elif mark:
            found.append([token])
    return {tuple(span) for span in found}


def eraser_iou_f1(scores: np.ndarray, gold: np.ndarray, offsets: np.ndarray) -> float:
    """As the benchmark's own program computes it, with sets of tokens."""
    precisions, recalls = [], []
    for a, b in pairwise(offsets):
        marks = gold[a:b].tolist()
        if not 0 < sum(marks) < b - a:
            continue
        ranking = sorted(range(b - a), key=lambda token: (-scores[a + token], token))
        top = set(ranking[: sum(marks)])
        chosen = eraser_spans([int(token in top) for token in range(b - a)])
        truth = eraser_spans(marks)
        best = [
            max(len({*one} & {*other}) / len({*one} | {*other}) for other in truth)
            for one in chosen
        ]
        matched = sum(iou >= 0.5 for iou in best)
        precisions.append(matched / len(chosen))
        recalls.append(matched / len(truth))
    p, r = float(np.mean(precisions)), float(np.mean(recalls))
    return 0.0 if p == 0 or r == 0 else 2 * p * r / (p + r)


@given(RAGGED)
def test_iou_f1_equals_the_benchmarks_own_form(ragged) -> None:
    offsets, scores, gold = ragged
    measures = rationale_agreement(scores, gold, offsets)
    if measures:
        expected = eraser_iou_f1(scores, gold, offsets)
        assert measures["iou_f1"].value == pytest.approx(expected, abs=1e-12)


def test_iou_f1_of_long_texts_and_its_standard_error() -> None:
    rng = np.random.default_rng(1)
    lengths = rng.integers(20, 60, size=120)
    offsets = np.concatenate(([0], np.cumsum(lengths)))
    # Spans of some length, and scores that are smooth enough to hit some of them.
    gold = (np.convolve(rng.normal(size=offsets[-1]), np.ones(6), "same") > 2).astype(np.int8)
    noise = np.convolve(rng.normal(size=offsets[-1]), np.ones(4), "same")
    scores = np.convolve(gold, np.ones(3), "same") + 0.6 * noise

    def of(texts: np.ndarray) -> float:
        parts = [np.arange(offsets[text], offsets[text + 1]) for text in texts]
        places = np.concatenate(parts)
        ends = np.concatenate(([0], np.cumsum([len(part) for part in parts])))
        return rationale_agreement(scores[places], gold[places], ends)["iou_f1"].value

    found = rationale_agreement(scores, gold, offsets)["iou_f1"]
    assert found.value == pytest.approx(eraser_iou_f1(scores, gold, offsets), abs=1e-12)
    assert 0.05 < found.value < 0.95
    resampled = [of(rng.integers(0, 120, size=120)) for _ in range(300)]
    assert found.se == pytest.approx(np.std(resampled), rel=0.2)
    # Precision and recall are averaged before F1 is taken: the mean of each text's F1 is another.
    each = [
        of(np.array([text])) for text in range(120) if gold[offsets[text] : offsets[text + 1]].any()
    ]
    assert found.value != pytest.approx(np.mean(each), abs=1e-3)


def test_a_span_counts_from_half_of_the_union() -> None:
    offsets, gold = np.array([0, 8]), np.array([0, 0, 1, 1, 1, 0, 0, 0])

    def of(chosen: list[int]) -> float:
        scores = np.zeros(8)
        scores[chosen] = 1.0
        return rationale_agreement(scores, gold, offsets)["iou_f1"].value

    assert of([2, 3, 4]) == 1.0
    # 2 of 4 tokens: exactly one half.
    assert of([3, 4, 5]) == of([1, 2, 3]) == 1.0
    # 1 of 5 tokens.
    assert of([4, 5, 6]) == 0.0
    # Two spans: the first has 2 of 3 tokens, the second none of them.
    assert of([2, 3, 7]) == pytest.approx(2 * 0.5 * 1 / 1.5)
    # The right tokens in another order are the same rationale; scattered ones are none.
    assert of([0, 3, 6]) == 0.0


def test_equal_scores_are_judged_in_the_order_in_which_they_are_deleted() -> None:
    offsets, scores = np.array([0, 4]), np.full(4, 0.25)
    first = numbers(rationale_agreement(scores, np.array([1, 0, 0, 0]), offsets))
    last = numbers(rationale_agreement(scores, np.array([0, 0, 0, 1]), offsets))
    assert (first.average_precision, first.precision_at_gold) == (1.0, 1.0)
    assert (last.average_precision, last.precision_at_gold) == (0.25, 0.0)
    assert first.auroc == last.auroc == 0.5


def test_equal_scores_of_two_texts_are_no_ties() -> None:
    offsets, gold = np.array([0, 2, 5]), np.array([1, 0, 0, 0, 1])
    found = numbers(rationale_agreement(np.array([0.5, 0.1, 0.5, 0.6, 0.7]), gold, offsets))
    assert found.auroc == 1.0


def test_a_perfect_and_the_opposite_ranking() -> None:
    offsets, gold = np.array([0, 3, 7]), np.array([0, 1, 0, 1, 1, 0, 0])
    best = numbers(rationale_agreement(gold.astype(float), gold, offsets))
    assert (best.average_precision, best.auroc, best.precision_at_gold) == (1.0, 1.0, 1.0)
    worst = numbers(rationale_agreement(-gold.astype(float), gold, offsets))
    assert (worst.auroc, worst.precision_at_gold) == (0.0, 0.0)
    assert worst.average_precision == pytest.approx((1 / 3 + (1 / 3 + 2 / 4) / 2) / 2)


def test_texts_that_are_all_gold_or_have_none_do_not_count() -> None:
    offsets = np.array([0, 2, 2, 4, 6])
    gold, scores = np.array([1, 1, 0, 0, 0, 1]), np.arange(6.0)
    assert rationale_agreement(scores, gold, offsets)["rationale_texts"].value == 1
    assert rationale_agreement(scores[:4], gold[:4], offsets[:4]) == {}
