"""What a perfect model must score where the evidence is known (definitions, section 5)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from safr_study.data import EncodedCorpus, EncodedSplit, encode_corpus, planted_corpus
from safr_study.evaluation import (
    Predictor,
    delete_and_score,
    deletion_counts,
    random_scores,
    rank_tokens,
    score_model,
    without_top,
)
from safr_study.records import DeletionScores
from safr_study.settings import CorpusSpec, EvaluationConfig, Wanted

CPU = torch.device("cpu")
K = 0.3


class CueRule(torch.nn.Module):
    """Knows the class of every cue word; without a cue, a fair coin decided by the text.

    The hidden rows of the cues are orthogonal to those of all other words, which are equal: so the
    capacity of a cue is 1 and that of another word 1 / (their number).
    """

    def __init__(self, class_of_word: torch.Tensor) -> None:
        super().__init__()
        self.class_of_word = class_of_word

    def forward(self, ids: torch.Tensor) -> Any:
        found = self.class_of_word[ids]  # [B, L], -1 for other words
        cue = found.max(dim=1).values
        coin = (ids * (1 + torch.arange(ids.shape[1]))).sum(dim=1) // 7 % 2
        hidden = F.one_hot((found >= 0).long(), 2).double()
        return SimpleNamespace(
            logits=F.one_hot(torch.where(cue >= 0, cue, coin), 2).double(),
            ffn1_pre_relu=(hidden,),
            keep_probability=None,
        )


@pytest.fixture(scope="module")
def corpus() -> EncodedCorpus:
    spec = CorpusSpec(dataset="planted:single", min_count=1)
    return encode_corpus(planted_corpus(spec.dataset, seed=0), spec)


@pytest.fixture(scope="module")
def rule(corpus: EncodedCorpus) -> CueRule:
    class_of_word = torch.full((corpus.vocabulary_size,), -1)
    train = corpus.train
    cues = np.flatnonzero(train.rationale)
    class_of_word[train.tokens[cues]] = torch.from_numpy(np.repeat(train.labels, train.lengths))[
        cues
    ]
    return CueRule(class_of_word)


def measured(rule: CueRule, split: EncodedSplit, scores: np.ndarray) -> DeletionScores:
    """Rank by any scores, delete, predict, score."""
    predictor = Predictor(rule, 128, None, CPU)
    ranks = rank_tokens(scores, split.offsets)
    return delete_and_score(
        lambda keep: predictor.logits(split, keep),
        split,
        top=without_top(ranks, split.offsets, deletion_counts(split.lengths, K)),
        ranks=ranks,
        k=K,
        full=predictor.logits(split),
        draws=10,
        bottom=True,
        alone=True,
        majority=50.0,
    ).scores


def test_an_oracle_ranking_meets_the_closed_forms(corpus: EncodedCorpus, rule: CueRule) -> None:
    test = corpus.split("test")
    oracle = test.rationale.astype(float)
    found = measured(rule, test, oracle)
    q = deletion_counts(test.lengths, K)
    left_by_random = 100 * float(np.mean(1 - q / (2 * test.lengths)))
    assert left_by_random == pytest.approx(85, abs=1)
    assert abs(found.srs - 50) < 2.6 * found.srs_se
    assert found.accuracy_random == pytest.approx(left_by_random, abs=1.5)
    assert abs(found.srs_excess - (left_by_random - 50)) < 2.6 * found.srs_excess_se
    assert found.contrast == pytest.approx(50, abs=2.6 * found.contrast_se)
    assert found.accuracy_bottom == 100.0
    # All that could be lost is lost: nothing above the majority remains.
    assert found.headroom == pytest.approx(1.0, abs=0.2)
    assert found.sufficiency == 0.0
    assert not found.saturated


def test_capacity_is_the_oracle_where_cues_have_their_own_direction(
    corpus: EncodedCorpus, rule: CueRule
) -> None:
    test = corpus.split("test")
    scores = score_model(
        rule,
        test,
        split_name="test",
        classes=2,
        config=EvaluationConfig(),
        want=Wanted(shares=(K,), random=True),
        preset="masked",
        device=CPU,
    )
    assert scores.accuracy == 100.0
    oracle = measured(rule, test, test.rationale.astype(float))
    assert scores.deletion(K).srs == oracle.srs
    assert scores.deletion(K).srs_excess == oracle.srs_excess


def test_a_random_ranking_has_neither_excess_nor_contrast(
    corpus: EncodedCorpus, rule: CueRule
) -> None:
    test = corpus.split("test")
    scores = random_scores(test.offsets, K, 0, seed=99)
    found = measured(rule, test, scores)
    assert found.srs == pytest.approx(15, abs=2.6 * found.srs_se)
    assert abs(found.srs_excess) < 2.6 * found.srs_excess_se
    assert abs(found.contrast) < 2.6 * found.contrast_se


def test_the_worst_ranking_loses_nothing(corpus: EncodedCorpus, rule: CueRule) -> None:
    test = corpus.split("test")
    found = measured(rule, test, -test.rationale.astype(float))
    assert found.srs == 0.0
    assert found.srs_excess < -10
