"""Which models and texts a report looks at: by a rule that no model has a part in."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from synthetic_study import complete_trial

from safr_study.data import Corpus, Split
from safr_study.features.report.inspect_models import (
    EXAMPLE_WORDS,
    MOST_MODELS,
    chosen_trials,
    example_texts,
)
from safr_study.pareto import rank_study
from safr_study.records import StudyResult

VALUES = {0: (70.0, 1.0), 1: (69.0, 4.0), 2: (66.0, 12.0), 3: (60.0, 14.0), 4: (59.0, 20.0)}


def ranked(baselines: dict[int, str], saturated: int | None = None) -> StudyResult:
    trials = [
        complete_trial(n, *found, baseline=baselines.get(n), saturated=n == saturated)
        for n, found in VALUES.items()
    ]
    return rank_study("s", "planted", ("accuracy", "srs@30"), (50.0, 0.0), trials, asked=5)


def test_the_knee_the_baselines_and_the_best_are_looked_at() -> None:
    chosen = chosen_trials(ranked({1: "vmask-only"}))
    assert chosen == {
        2: "knee",
        1: "vmask-only",
        0: "best accuracy",
        4: "best SRS(30)",
    }
    assert chosen_trials(ranked({1: "vmask-only"}, saturated=4))[3] == "best SRS(30)"
    empty = replace(ranked({}), ranked=())
    assert chosen_trials(empty) == {}
    many = ranked({n: f"base-{n}" for n in VALUES})
    assert len(chosen_trials(many)) <= MOST_MODELS


def corpus(lengths: list[int]) -> Corpus:
    """Texts of these lengths; three of four are of class 0."""
    rng = np.random.default_rng(0)
    texts = [" ".join(f"w{row}" for _ in range(n)) for row, n in enumerate(lengths)]
    labels = (rng.uniform(size=len(texts)) < 0.25).astype(np.int64)
    dev = Split(texts, labels)
    return Corpus("c", "made", ("no", "yes"), train=dev, dev=dev, test=None)


def test_examples_are_short_of_each_class_in_turn_and_always_the_same() -> None:
    made = corpus([int(n) for n in np.random.default_rng(1).integers(0, 60, 900)])
    found = example_texts(made, 6, seed=0)
    least, most = EXAMPLE_WORDS
    assert [one.label for one in found] == ["no", "yes"] * 3
    assert all(least <= len(one.text.split()) <= most for one in found)
    assert all(made.dev.texts[one.row] == one.text for one in found)
    assert found == example_texts(made, 6, seed=0)
    assert found != example_texts(made, 6, seed=1)
    assert example_texts(made, 2, seed=0) == found[:2]


def test_a_corpus_of_long_texts_gives_its_shortest() -> None:
    lengths = [200 + row for row in range(40)]
    found = example_texts(corpus(lengths), 4, seed=0)
    assert len(found) == 4
    assert max(one.row for one in found) < 20


def test_a_corpus_of_one_class_and_few_texts_gives_what_it_has() -> None:
    made = corpus([8, 9])
    single = replace(made, dev=replace(made.dev, labels=np.zeros(2, dtype=np.int64)))
    assert [one.label for one in example_texts(single, 6, seed=0)] == ["no", "no"]
    assert example_texts(made, 0, seed=0) == []
