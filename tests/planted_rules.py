"""Hand-written rules over the planted corpora, and what deletion leaves of them.

A rule stands in the place of a trained model: what it knows is known, so the scores of a ranking
can be worked out by hand.
"""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from plain_scores import numbers
from torch import Tensor

from safr_study.data import EncodedCorpus, EncodedSplit, encode_corpus, planted_corpus
from safr_study.evaluation.prediction import Predictor
from safr_study.evaluation.srs import delete_and_score
from safr_study.model.positions import positions_of
from safr_study.settings import CorpusSpec, DeletionMode, EvaluationConfig, Wanted
from safr_study.uncertainty.intervals import normal_interval

CPU = torch.device("cpu")
CONFIDENCE = 0.99
"""Of the intervals below: there are so many that some of them would miss at 95 %."""

Floats = NDArray[np.float64]
Hidden = Literal["cues", "words"]


@cache
def planted(variant: str) -> EncodedCorpus:
    """The corpus of a variant with all of its words."""
    spec = CorpusSpec(dataset=f"planted:{variant}", min_count=1)
    return encode_corpus(planted_corpus(spec.dataset, seed=0), spec)


def marks(corpus: EncodedCorpus, split: EncodedSplit, kind: str) -> NDArray[np.int8]:
    """`[T]`, 1 where a word is a cue (``cue``), a distractor (``dis``) or a filler (``f``)."""
    of_kind = np.array([word.startswith(kind) for word in corpus.vocabulary])
    return of_kind[split.tokens].astype(np.int8)


class CueRule(torch.nn.Module):
    """Knows the class of every cue word; without them, a fair coin decided by the rest.

    Its hidden rows are one vector for all the cues and one for all other words, at right angles
    (``cues``), or a vector at right angles to all others for each word (``words``).
    """

    def __init__(
        self, corpus: EncodedCorpus, *, conjunction: bool = False, hidden: Hidden = "cues"
    ) -> None:
        super().__init__()
        words = corpus.vocabulary
        classes = [int(word[3]) if word.startswith("cue") else -1 for word in words]
        self.class_of_word = torch.tensor(classes)
        self.classes = len(corpus.class_names)
        self.conjunction = conjunction
        self.hidden = hidden

    def forward(self, ids: Tensor) -> Any:
        found = self.class_of_word[ids]  # [B, L], -1 for other words
        if self.conjunction:
            known = (found >= 0).sum(dim=1) == 2
            named = (found * (found >= 0)).sum(dim=1) % 2  # Exclusive or.
        else:
            named = found.amax(dim=1)
            known = named >= 0
        coin = (ids * (1 + torch.arange(ids.shape[1]))).sum(dim=1) // 7 % self.classes
        place = (found >= 0).long()
        if self.hidden == "words":
            place = torch.unique(ids, return_inverse=True)[1]
        return SimpleNamespace(
            logits=F.one_hot(torch.where(known, named, coin), self.classes).double(),
            ffn1_pre_relu=(F.one_hot(place).double(),),
            keep_probability=None,
            positions=positions_of(ids, pairs=False),
        )


class LengthRule(torch.nn.Module):
    """Class 1 for texts of more than `longest` tokens; what the words are does not matter.

    It counts the positions that hold a word (``count``), or takes the mean of those that it may
    see (``positions``), which is (n - 1) / 2 for a whole text: as a mean over the rows of a text
    does that hold nothing but their positions.
    """

    def __init__(self, longest: int, *, reads: Literal["count", "positions"] = "count") -> None:
        super().__init__()
        self.longest = longest
        self.reads = reads

    def forward(self, ids: Tensor, *, visible: Tensor | None = None) -> Any:
        words = ids != 0
        if self.reads == "count":
            long = words.sum(dim=1) > self.longest
        else:
            seen = (words if visible is None else words & visible).double()
            mean = (seen * torch.arange(ids.shape[1])).sum(dim=1) / seen.sum(dim=1).clamp(min=1)
            long = mean > (self.longest - 1) / 2
        return SimpleNamespace(
            logits=F.one_hot(long.long(), 2).double(),
            keep_probability=None,
            positions=positions_of(ids, pairs=False),
        )


def measured(
    rule: torch.nn.Module,
    split: EncodedSplit,
    scores: Floats,
    *,
    k: float = 0.3,
    random: bool = True,
    mode: DeletionMode = "remove",
) -> Any:
    """Rank by any scores, delete, predict, score."""
    predictor = Predictor(rule, 128, None, CPU)
    return numbers(
        delete_and_score(
            predictor,
            split,
            EvaluationConfig(mode=mode),
            Wanted(random=random, bottom=True, alone=True),
            scores=scores,
            k=k,
            full=predictor.logits(split),
        ).values
    )


def covers(value: float | None, se: float | None, expected: float) -> bool:
    """Whether the interval of one run holds what is expected of it."""
    assert value is not None
    assert se is not None
    found = normal_interval(value, se, CONFIDENCE)
    # An interval of no width is left by the rounding of a sum.
    return found.low - 1e-9 <= expected <= found.high + 1e-9
