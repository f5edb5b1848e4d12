"""What every variant of the planted corpus must score under a rule that knows its cues.

The expectations are worked out for each text from its n tokens and its q deleted ones alone: the
rule is right where enough cues are left, and guesses fairly elsewhere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pytest
from planted_rules import CPU, CueRule, Floats, covers, measured, planted

from safr_study.data import EncodedSplit
from safr_study.data.planted import VARIANTS
from safr_study.evaluation.deletion import deletion_counts, random_scores
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.rankings import CONTROL_DRAW

SHARES = (0.1, 0.3)


@dataclass(frozen=True)
class Known:
    """A variant: when its rule still knows the class, and how right it is then."""

    name: str
    cues: int
    enough: int
    """Cues that must be left."""
    classes: int = 2
    right: float = 1.0
    """Share of the labels that follow the rule."""

    def with_left(self, cues: int) -> bool:
        return cues >= self.enough

    def after_top(self, q: int) -> float:
        """P(known) when the cues go first."""
        return float(self.with_left(max(0, self.cues - q)))

    def after_bottom(self, n: int, q: int) -> float:
        """P(known) when the cues go last."""
        return float(self.with_left(min(self.cues, n - q)))

    def alone(self, q: int) -> float:
        """P(known) when nothing but the top is left."""
        return float(self.with_left(min(self.cues, q)))

    def after_random(self, n: int, q: int) -> float:
        """P(known) when any q of the n tokens go."""
        ways = sum(
            math.comb(self.cues, left) * math.comb(n - self.cues, n - q - left)
            for left in range(min(self.cues, n - q) + 1)
            if self.with_left(left)
        )
        return ways / math.comb(n, q)

    def accuracy(self, known: Floats) -> float:
        """Expected accuracy in points, from P(known) of every text."""
        share = float(known.mean())
        return 100 * (share * self.right + (1 - share) / self.classes)


KNOWN = [
    Known("single", cues=1, enough=1),
    Known("redundant", cues=3, enough=1),
    Known("conjunction", cues=2, enough=2),
    Known("repeated", cues=1, enough=1),
    Known("length", cues=1, enough=1),
    Known("4class", cues=1, enough=1, classes=4),
    Known("noise", cues=1, enough=1, right=0.95),
]


@dataclass(frozen=True, eq=False)
class Case:
    known: Known
    rule: CueRule
    split: EncodedSplit

    def expected(self, k: float) -> dict[str, float]:
        """Accuracy in points after each kind of deletion."""
        n = self.split.lengths.tolist()
        q = deletion_counts(self.split.lengths, k).tolist()
        known = self.known
        each = {
            "top": [known.after_top(b) for b in q],
            "random": [known.after_random(a, b) for a, b in zip(n, q, strict=True)],
            "bottom": [known.after_bottom(a, b) for a, b in zip(n, q, strict=True)],
        }
        return {kind: known.accuracy(np.array(found)) for kind, found in each.items()}

    @property
    def full(self) -> float:
        return 100 * self.known.right


@pytest.fixture(scope="module", params=KNOWN, ids=lambda known: known.name)
def case(request: pytest.FixtureRequest) -> Case:
    known: Known = request.param
    corpus = planted(known.name)
    rule = CueRule(corpus, conjunction=known.name == "conjunction")
    return Case(known, rule, corpus.split("test"))


def test_every_variant_is_here() -> None:
    assert {known.name for known in KNOWN} == set(VARIANTS)


@pytest.mark.parametrize("known", KNOWN[:3], ids=lambda known: known.name)
def test_the_chance_of_a_random_deletion_is_that_of_all_of_them(known: Known) -> None:
    for n in (4, 7):
        for q in range(n + 1):
            kept = [sum(i < known.cues for i in left) for left in combinations(range(n), n - q)]
            expected = np.mean([known.with_left(cues) for cues in kept])
            assert known.after_random(n, q) == pytest.approx(expected)


def test_the_closed_forms_of_the_definitions() -> None:
    single, redundant, conjunction = KNOWN[:3]
    for n, q in ((10, 3), (26, 8), (42, 13)):
        assert single.after_random(n, q) == pytest.approx(1 - q / n)
        gone = q * (q - 1) * (q - 2) / (n * (n - 1) * (n - 2))
        assert redundant.after_random(n, q) == pytest.approx(1 - gone)
        both = (n - q) * (n - q - 1) / (n * (n - 1))
        assert conjunction.after_random(n, q) == pytest.approx(both)


def test_the_rule_is_as_right_as_its_labels(case: Case) -> None:
    classes = Predictor(case.rule, 128, None, CPU).logits(case.split).argmax(axis=1)
    assert 100 * np.mean(classes == case.split.labels) == case.full


@pytest.mark.parametrize("k", SHARES)
def test_an_oracle_ranking_meets_its_expectations(case: Case, k: float) -> None:
    split, expected = case.split, case.expected(k)
    majority = 100 / case.known.classes
    oracle = split.rationale.astype(float)
    found = measured(case.rule, split, oracle, k=k)
    assert covers(found.srs, found.srs_se, case.full - expected["top"])
    assert covers(found.srs_excess, found.srs_excess_se, expected["random"] - expected["top"])
    assert covers(found.contrast, found.contrast_se, expected["bottom"] - expected["top"])
    assert max(found.srs_se, found.srs_excess_se, found.contrast_se) < 2, "intervals say little"
    # Nobody guesses where the cues go last.
    assert found.accuracy_bottom == expected["bottom"] == case.full
    share = expected["random"] / 100
    error = 100 * math.sqrt(share * (1 - share) / (10 * split.examples))
    assert found.accuracy_random == pytest.approx(expected["random"], abs=4 * error)
    assert found.headroom is not None
    room = expected["random"] - majority
    headroom = (expected["random"] - expected["top"]) / room
    assert covers(found.headroom, found.srs_excess_se / room, headroom)


@pytest.mark.parametrize("k", SHARES)
def test_probabilities_under_an_oracle_ranking_meet_their_expectations(
    case: Case, k: float
) -> None:
    """A guess changes the predicted class (C - 1) / C of the time, and then costs one nat."""
    known, split = case.known, case.split
    found = measured(case.rule, split, split.rationale.astype(float), k=k, random=False)
    q = deletion_counts(split.lengths, k).tolist()
    guessed = 1 - np.mean([known.after_top(b) for b in q])
    gap = (math.e - 1) / (math.e + known.classes - 1)
    changes = 100 * guessed * (known.classes - 1) / known.classes
    assert covers(found.comprehensiveness, found.comprehensiveness_se, gap * changes)
    assert found.flip_rate == pytest.approx(found.comprehensiveness / gap)
    assert found.log_odds == pytest.approx(-found.flip_rate / 100)
    not_enough = 1 - np.mean([known.alone(b) for b in q])
    left = 100 * gap * not_enough * (known.classes - 1) / known.classes
    assert covers(found.sufficiency, found.sufficiency_se, left)


@pytest.mark.parametrize("k", SHARES)
def test_a_random_ranking_has_srs_but_neither_excess_nor_contrast(case: Case, k: float) -> None:
    split = case.split
    ranking = random_scores(split.offsets, 0.0, CONTROL_DRAW, seed=0)
    found = measured(case.rule, split, ranking, k=k)
    # Where no text changes the standard error is 0, though one of them might have.
    error = max(found.srs_se, 100 / split.examples)
    assert covers(found.srs, error, case.full - case.expected(k)["random"])
    assert covers(found.srs_excess, found.srs_excess_se, 0)
    assert covers(found.contrast, found.contrast_se, 0)


def test_what_the_variants_are_for(case: Case) -> None:
    """The numbers, so that a change of the corpus or of a rule is seen."""
    found = case.expected(0.3)
    srs, random, excess, contrast = {
        "single": (50, 85, 35, 50),
        "redundant": (50, 99, 49, 50),  # One cue of three is enough.
        "conjunction": (50, 74, 24, 50),  # One of two is worth nothing.
        "repeated": (50, 85, 35, 50),
        "length": (50, 85, 35, 50),
        "4class": (75, 78, 53, 75),
        "noise": (45, 82, 32, 45),
    }[case.known.name]
    assert case.full - found["top"] == pytest.approx(srs)
    assert found["random"] == pytest.approx(random, abs=0.6)
    assert found["random"] - found["top"] == pytest.approx(excess, abs=0.6)
    assert found["bottom"] - found["top"] == pytest.approx(contrast)


def test_redundant_evidence_hides_from_small_deletions() -> None:
    """At k = 10 % a third of the texts lose fewer than their three cues, and nothing happens."""
    known = next(known for known in KNOWN if known.name == "redundant")
    lengths = planted("redundant").split("test").lengths
    q = deletion_counts(lengths, 0.1)
    unhurt = float(np.mean(q < 3))
    assert 0.3 < unhurt < 0.4
    expected = known.accuracy(np.array([known.after_top(b) for b in q.tolist()]))
    assert 100 - expected == pytest.approx(50 * (1 - unhurt))
