"""What a perfect model must score where one cue word decides (definitions, section 5, r = 1)."""

from __future__ import annotations

import math

import numpy as np
import pytest
from plain_scores import deletion_at, numbers
from planted_rules import CPU, CueRule, covers, measured, planted

from safr_study.data import EncodedCorpus, EncodedSplit
from safr_study.evaluation.deletion import deletion_counts, random_scores
from safr_study.evaluation.scoring import evaluate_model
from safr_study.records import Scores
from safr_study.settings import CURVE_SHARES, EvaluationConfig, Wanted, everything

K = 0.3
TEXTS = 200
"""Of the sample for leave-one-out."""
GAP = (math.e - 1) / (math.e + 1)
"""p of the class that the rule names, minus p of the other: its logits are 1 and 0."""


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    return planted("single")


@pytest.fixture(scope="module")
def test(corpus: EncodedCorpus) -> EncodedSplit:
    return corpus.split("test")


@pytest.fixture(scope="module")
def rule(corpus: EncodedCorpus) -> CueRule:
    return CueRule(corpus)


@pytest.fixture(scope="module")
def scores(rule: CueRule, test: EncodedSplit) -> Scores:
    """Everything, by capacity: 1 for the cue, 1 / (n - 1) for the others."""
    want = everything(quick=True)
    return evaluate_model(
        rule,
        test,
        split_name="test",
        config=EvaluationConfig(sample_texts=TEXTS),
        want=Wanted(
            shares=want.shares,
            random=True,
            bottom=True,
            alone=True,
            leave_one_out=True,
            agreements=("capacity", "position", "random"),
        ),
        preset="masked",
        device=CPU,
    ).scores


def test_an_oracle_ranking_meets_the_closed_forms(test: EncodedSplit, rule: CueRule) -> None:
    found = measured(rule, test, test.rationale.astype(float))
    q = deletion_counts(test.lengths, K)
    left_by_random = 100 * float(np.mean(1 - q / (2 * test.lengths)))
    assert left_by_random == pytest.approx(85, abs=1)
    assert covers(found.srs, found.srs_se, 50)
    assert found.accuracy_random == pytest.approx(left_by_random, abs=1.5)
    assert covers(found.srs_excess, found.srs_excess_se, left_by_random - 50)
    assert covers(found.contrast, found.contrast_se, 50)
    assert found.accuracy_bottom == 100.0
    # All that could be lost is lost: nothing above the majority remains.
    assert found.headroom == pytest.approx(1.0, abs=0.2)
    assert found.sufficiency == 0.0
    assert not found.saturated
    assert max(found.srs_se, found.srs_excess_se, found.contrast_se) < 2, "the intervals say little"


def test_capacity_is_the_oracle_where_cues_have_their_own_direction(
    test: EncodedSplit, rule: CueRule, scores: Scores
) -> None:
    assert scores.accuracy == 100.0
    oracle = measured(rule, test, test.rationale.astype(float))
    assert deletion_at(scores, K).srs == oracle.srs
    assert deletion_at(scores, K).srs_excess == oracle.srs_excess


def test_a_random_ranking_has_neither_excess_nor_contrast(
    test: EncodedSplit, rule: CueRule
) -> None:
    found = measured(rule, test, random_scores(test.offsets, K, 0, seed=99))
    q = deletion_counts(test.lengths, K)
    assert covers(found.srs, found.srs_se, 100 * float(np.mean(q / (2 * test.lengths))))
    assert covers(found.srs_excess, found.srs_excess_se, 0)
    assert covers(found.contrast, found.contrast_se, 0)


def test_the_worst_ranking_loses_nothing(test: EncodedSplit, rule: CueRule) -> None:
    found = measured(rule, test, -test.rationale.astype(float))
    assert found.srs == 0.0
    assert found.srs_excess < -10


def test_the_curves_meet_their_closed_forms(test: EncodedSplit, scores: Scores) -> None:
    """The cue is deleted once q is 1 or more: a half of the texts is lost then, and a random
    deletion loses q / (2n)."""
    n = test.lengths
    shares, srs, excess, errors = [0.0], [0.0], [0.0], [0.0]
    for k in CURVE_SHARES[1:]:
        q = deletion_counts(n, k)
        shares.append(q.sum() / n.sum())
        srs.append(50 * float(np.mean(q >= 1)))
        excess.append(srs[-1] - 50 * float(np.mean(q / n)))
        errors.append(
            2.6 * max(deletion_at(scores, k).srs_se, deletion_at(scores, k).srs_excess_se)
        )

    def area(heights: list[float]) -> float:
        strips = [
            (shares[i + 1] - shares[i]) * (heights[i + 1] + heights[i]) / 2
            for i in range(len(shares) - 1)
        ]
        return sum(strips) / shares[-1]

    # Half of the first strip is lost on the way to 5 %, where the shortest texts lose no token.
    assert 47 < srs[1] < 50
    assert area(srs) == pytest.approx(47.5, abs=0.5)
    assert area(excess) == pytest.approx(35, abs=0.5)
    assert scores.value("srs_auc") == pytest.approx(area(srs), abs=area(errors))
    assert scores.value("srs_excess_auc") == pytest.approx(area(excess), abs=area(errors))
    assert area(errors) < 5


def test_the_probabilities_meet_their_closed_forms(test: EncodedSplit, scores: Scores) -> None:
    """Without its cue a text keeps its prediction one time in two, else the probability of the
    predicted class falls by GAP. The cue alone is enough; an empty text is of class 0."""
    comprehensiveness, sufficiency, error = [], [], []
    for k in CURVE_SHARES[1:]:
        q = deletion_counts(test.lengths, k)
        comprehensiveness.append(100 * GAP * 0.5 * float(np.mean(q >= 1)))
        sufficiency.append(100 * GAP * float(np.mean((q == 0) & (test.labels == 1))))
        found = deletion_at(scores, k)
        assert covers(found.comprehensiveness, found.comprehensiveness_se, comprehensiveness[-1])
        assert found.sufficiency == pytest.approx(sufficiency[-1])
        # A prediction that changes costs one nat: the logits are 1 and 0.
        assert found.flip_rate == pytest.approx(found.comprehensiveness / GAP)
        assert found.log_odds == pytest.approx(-found.flip_rate / 100)
        error.append(2.6 * found.comprehensiveness_se)
    assert 0 < sufficiency[0] < 2
    assert sufficiency[1:] == [0.0] * 5
    assert scores.value("sufficiency_aopc") == pytest.approx(float(np.mean(sufficiency)))
    expected = float(np.mean(comprehensiveness))
    assert scores.value("comprehensiveness_aopc") == pytest.approx(
        expected, abs=float(np.mean(error))
    )
    assert expected == pytest.approx(100 * GAP / 2, abs=0.2)


def test_capacity_is_the_cue_and_what_leave_one_out_finds(
    test: EncodedSplit, scores: Scores
) -> None:
    """A text has a tau where its prediction changes without the cue: one in two."""
    assert scores.value("kendall_tau") == pytest.approx(1.0)
    assert scores.value("kendall_texts") == pytest.approx(TEXTS / 2, abs=2.6 * math.sqrt(TEXTS) / 2)
    by_capacity = numbers(scores.values)
    by_chance = [numbers(scores.rankings[name]) for name in ("position", "random")]
    assert by_capacity.average_precision == by_capacity.auroc == by_capacity.precision_at_gold == 1
    assert by_capacity.rationale_texts == test.examples
    # A cue that may be anywhere is found at a place that is uniform on 1..n.
    n = test.lengths
    harmonic = np.array([sum(1 / place for place in range(1, length + 1)) for length in n])
    for found in by_chance:
        precision = float(np.mean(harmonic / n))
        assert covers(found.average_precision, found.average_precision_se, precision)
        assert covers(found.auroc, found.auroc_se, 0.5)
        assert covers(found.precision_at_gold, found.precision_at_gold_se, float(np.mean(1 / n)))
