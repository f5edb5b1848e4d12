"""The planted corpus: texts whose evidence is known, made without any download.

A text has m ~ U{8..40} filler words (2,000 of them, Zipf(1.0) frequencies), r cue words of its
class (20 per class) and r distractor words, at uniform positions. There are as many distractors
as cues, so both have the same frequencies, but distractors are independent of the label. The
rationale marks the cues.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from safr_study.data.corpus import Corpus, Ints, Marks, Split
from safr_study.errors import BadInput, did_you_mean

PLANTED = "planted"
GENERATOR_VERSION = 1
"""Part of a cached corpus's key: raise it whenever the same seed gives other texts."""
SIZES = {"train": 2_000, "dev": 500, "test": 1_000}
FILLERS = 2_000
CUES_PER_CLASS = 20
SHORTEST, LONGEST = 8, 40
"""Filler words of a text."""
_REPEATS = 4


@dataclass(frozen=True, slots=True)
class Variant:
    """How one variant differs from the plain corpus."""

    description: str
    classes: int = 2
    cues: int = 1
    """r: cue words of a text, and as many distractors."""
    noise: float = 0.0
    """Share of the labels that are wrong."""
    twist: Literal["none", "conjunction", "repeated", "length"] = "none"


VARIANTS: dict[str, Variant] = {
    "single": Variant("one cue word decides the class"),
    "redundant": Variant("three cue words say the same", cues=3),
    "conjunction": Variant("a second cue flips the first", cues=2, twist="conjunction"),
    "repeated": Variant("fillers repeated inside a text", twist="repeated"),
    "length": Variant("text length correlated with the label", twist="length"),
    "4class": Variant("one cue word, four classes", classes=4),
    "noise": Variant("one cue word, 5 % of the labels wrong", noise=0.05),
}


def is_planted(dataset: str) -> bool:
    """Whether the name is ``planted`` or ``planted:<variant>``."""
    return dataset.partition(":")[0] == PLANTED


def planted_corpus(dataset: str, seed: int) -> Corpus:
    """Make ``planted[:variant]``; equal seeds give equal texts.

    Classes are exactly balanced in each split, label noise included (as many labels leave a class
    as enter it). Variants next to ``single``, ``redundant``, ``4class`` and ``noise``:

    - ``conjunction``: two cues of any classes. The label is the class of the first cue when the
      second one is of class 0, and the other class when the second is of class 1 (exclusive or).
      No cue alone says anything about the label; both are rationale.
    - ``repeated``: ceil(m / 4) fillers are drawn and repeated in turn until there are m.
    - ``length``: m is the smaller of two draws in class 0 and the larger in class 1.

    Raises:
        BadInput: there is no such variant.
    """
    name = dataset.partition(":")[2] or "single"
    if name not in VARIANTS:
        raise BadInput(
            "dataset",
            f"no planted variant {name!r}; choose one of {', '.join(VARIANTS)}"
            + did_you_mean(name, VARIANTS),
        )
    variant = VARIANTS[name]
    splits: dict[str, Any] = {
        split: _split(variant, size, np.random.default_rng([seed, GENERATOR_VERSION, number]))
        for number, (split, size) in enumerate(SIZES.items())
    }
    return Corpus(
        name=dataset,
        source="built in",
        class_names=tuple(str(label) for label in range(variant.classes)),
        unlabelled_test=0,
        **splits,
    )


def _split(variant: Variant, size: int, rng: np.random.Generator) -> Split:
    labels = rng.permutation(np.arange(size, dtype=np.int64) % variant.classes)
    cumulative = np.cumsum(1.0 / np.arange(1, FILLERS + 1))
    cumulative /= cumulative[-1]
    texts, rationale = [], []
    for label in labels:
        fillers = _fillers(variant, int(label), cumulative, rng)
        cues = _cues(variant, int(label), rng)
        drawn = rng.choice(CUES_PER_CLASS * variant.classes, size=variant.cues, replace=False)
        distractors = [f"dis{word:02d}" for word in drawn]
        words, marks = _mix(cues, [*distractors, *fillers], rng)
        texts.append(" ".join(words))
        rationale.append(marks)
    return Split(texts, _noisy(labels, variant, rng), rationale)


def _fillers(
    variant: Variant, label: int, cumulative: np.ndarray, rng: np.random.Generator
) -> list[str]:
    lengths = rng.integers(SHORTEST, LONGEST, size=2, endpoint=True)
    count = int(lengths[0])
    if variant.twist == "length":
        count = int(lengths.min() if label == 0 else lengths.max())
    distinct = -(-count // _REPEATS) if variant.twist == "repeated" else count
    drawn = np.searchsorted(cumulative, rng.random(distinct), side="right")
    return [f"f{word:04d}" for word in np.resize(drawn, count)]


def _cues(variant: Variant, label: int, rng: np.random.Generator) -> list[str]:
    classes = [label] * variant.cues
    if variant.twist == "conjunction":
        second = int(rng.integers(2))
        classes = [label ^ second, second]
    words = rng.choice(CUES_PER_CLASS, size=variant.cues, replace=False)
    return [f"cue{cls}_{word:02d}" for cls, word in zip(classes, words, strict=True)]


def _mix(cues: list[str], others: list[str], rng: np.random.Generator) -> tuple[list[str], Marks]:
    """Put the cues, in their order, at uniform positions among the others."""
    total = len(cues) + len(others)
    places = np.sort(rng.choice(total, size=len(cues), replace=False))
    marks = np.zeros(total, dtype=np.int8)
    marks[places] = 1
    shuffled = [others[row] for row in rng.permutation(len(others))]
    words = np.empty(total, dtype=object)
    words[marks == 1] = cues
    words[marks == 0] = shuffled
    return list(words), marks


def _noisy(labels: Ints, variant: Variant, rng: np.random.Generator) -> Ints:
    """Move the same number of labels of each class on to the next class."""
    wrong = round(variant.noise * len(labels) / variant.classes)
    noisy = labels.copy()
    for label in range(variant.classes):
        rows = rng.choice(np.flatnonzero(labels == label), size=wrong, replace=False)
        noisy[rows] = (label + 1) % variant.classes
    return noisy
