"""What a corpus is: texts with labels in two or three splits, and seeded stratified samples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from safr_study.errors import BadInput

DEV_SHARE = 0.2
"""Share of train that becomes dev, where no dev split is given."""
_FEW_CLASSES = 20
"""More labels than this, and than half the texts, are no classes."""
_DEV_STREAM, _LIMIT_STREAM = 1, 2
Ints = npt.NDArray[np.int64]
Marks = npt.NDArray[np.int8]
Text = str | tuple[str, str]
"""A text, or a pair of them."""
Permission = Literal["allow_small", "allow_duplicates"]
"""Fields of `CorpusSpec`, and options of ``search``, that let a study of doubtful data begin."""


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Texts with their labels, in the order of the source."""

    texts: list[str]
    """May hold empty texts."""
    labels: Ints
    """``[N]``, each in 0..C-1."""
    rationale: list[Marks] | None = None
    """Marks of each text, one per white-space token: 1 = evidence for the label; of a pair, those
    of the first text, then those of the second."""
    groups: Ints | None = None
    """``[N]``: texts that belong together have the same number."""
    seconds: list[str] | None = None
    """The second text of each pair, of which ``texts`` has the first; ``None``: single texts."""

    @property
    def examples(self) -> int:
        """Number of texts, or of pairs."""
        return len(self.texts)

    @property
    def rows(self) -> Sequence[Text]:
        """The texts, or the pairs."""
        if self.seconds is None:
            return self.texts
        return list(zip(self.texts, self.seconds, strict=True))

    @property
    def each(self) -> list[str]:
        """Every text: of pairs the first and the second, then those of the next pair."""
        return each_text(self.rows)

    @property
    def rationale_of_each(self) -> list[Marks] | None:
        """The marks of every text, in the order of ``each``."""
        if self.rationale is None or self.seconds is None:
            return self.rationale
        words = [len(text.split()) for text in self.texts]
        rows = zip(self.rationale, words, strict=True)
        return [part for marks, first in rows for part in (marks[:first], marks[first:])]

    def take(self, rows: Ints) -> Split:
        """The given rows, in the given order."""
        return Split(
            texts=[self.texts[row] for row in rows],
            labels=self.labels[rows],
            rationale=None if self.rationale is None else [self.rationale[row] for row in rows],
            groups=None if self.groups is None else self.groups[rows],
            seconds=None if self.seconds is None else [self.seconds[row] for row in rows],
        )


@dataclass(frozen=True, slots=True)
class Concern:
    """Something doubtful about data: they can be read, but a study of them may mislead."""

    problem: str
    """What is wrong."""
    remedy: str
    """What to do about it."""
    permission: Permission | None = None
    """What lets a study begin all the same; ``None``: nothing keeps it from that."""
    stops: bool = False
    """Whether no study begins with it, whatever the settings allow."""

    @property
    def sentence(self) -> str:
        """What is wrong and what to do, as a warning."""
        return f"{self.problem}; {self.remedy}"


@dataclass(frozen=True, slots=True, eq=False)
class Corpus:
    """A data set as a study uses it: with a dev split, within its limits."""

    name: str
    """Name as the user gave it."""
    source: str
    """Where it was found, one phrase."""
    class_names: tuple[str, ...]
    """Class names by label."""
    train: Split
    dev: Split
    test: Split | None = None
    unlabelled_test: int = 0
    """Texts of a test split that was left out because labels are missing."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Rows labelled -1 that were left out, by split; one without any is not named."""
    repeated: Mapping[str, int] = field(default_factory=dict)
    """Texts of dev that are in train too, and of test in train or dev, likewise."""
    concerns: tuple[Concern, ...] = ()
    """What is doubtful about data of the user's own, before limits."""


def each_text(rows: Iterable[Text]) -> list[str]:
    """Every text: of pairs the first and the second, then those of the next pair."""
    return [text for row in rows for text in ((row,) if isinstance(row, str) else row)]


def split_dev(train: Split, class_names: tuple[str, ...], seed: int) -> tuple[Split, Split]:
    """Cut a stratified dev split of 20 % out of train; both keep the order of the source.

    Groups stay whole; dev then has at most its share.

    Raises:
        BadInput: a class has fewer than two examples, or is in one group alone, so it cannot be on
            both sides.
    """
    if len(class_names) > max(_FEW_CLASSES, train.examples / 2):
        raise BadInput(
            "label-column",
            f"it has {len(class_names)} different values in {train.examples} texts, so it is no "
            "column of classes; name the one that is, or give more texts of each class",
        )
    sizes = np.bincount(train.labels, minlength=len(class_names))
    for name, size in zip(class_names, sizes, strict=True):
        if size == 1:
            raise BadInput(
                "dataset",
                f"class {name!r} has 1 training example, too few to make a dev split; "
                "give a validation split, or two examples or more of each class",
            )
    present = int(np.count_nonzero(sizes))
    wanted = max(round(DEV_SHARE * train.examples), present)
    rows = _drawn_rows(train, wanted, np.random.default_rng([seed, _DEV_STREAM]))
    rest = np.setdiff1d(np.arange(train.examples), rows, assume_unique=True)
    if min(len(np.unique(train.labels[part])) for part in (rows, rest)) < present:
        raise BadInput(
            "group-column",
            "the groups cannot be cut so that train and dev have texts of every class; give a "
            "validation split, or smaller groups",
        )
    return train.take(rest), train.take(rows)


def limit_split(split: Split, limit: int | None, seed: int, *, field: str) -> Split:
    """A stratified sample of at most ``limit`` texts, whole groups, in the order of the source.

    Raises:
        BadInput: the limit is below the number of classes, or holds too few whole groups for all
            of them; ``field`` names it.
    """
    if limit is None or split.examples <= limit:
        return split
    present = len(np.unique(split.labels))
    if limit < present:
        raise BadInput(field, f"{limit} texts cannot hold {present} classes; raise the limit")
    rows = _drawn_rows(split, limit, np.random.default_rng([seed, _LIMIT_STREAM]))
    if len(rows) > limit or len(np.unique(split.labels[rows])) < present:
        raise BadInput(
            field,
            f"{limit} texts cannot hold whole groups of all {present} classes; raise the limit",
        )
    return split.take(rows)


def _drawn_rows(split: Split, size: int, rng: np.random.Generator) -> Ints:
    """Rows of a stratified sample of so many texts, or of whole groups of at most so many.

    Groups are drawn like texts are, a kind being those that have the same labels: of originals and
    their revisions every pair has one text of each class, so any share of them is balanced. One
    group is drawn at least, and the classes may not all be there.
    """
    if split.groups is None:
        return stratified_rows(split.labels, size, rng)
    _, group, sizes = np.unique(split.groups, return_inverse=True, return_counts=True)
    by_group = split.labels[np.lexsort((split.labels, group))]
    ends = np.cumsum(sizes)
    labels = [
        tuple(by_group[end - count : end].tolist()) for end, count in zip(ends, sizes, strict=True)
    ]
    numbers = {kind: number for number, kind in enumerate(sorted(set(labels)))}
    kinds = np.array([numbers[kind] for kind in labels], dtype=np.int64)
    wanted = max(1, size * len(sizes) // split.examples)
    if wanted >= len(numbers):
        drawn = stratified_rows(kinds, wanted, rng)
    else:
        drawn = rng.choice(len(sizes), size=wanted, replace=False).astype(np.int64)
    while len(drawn) > 1 and sizes[drawn].sum() > size:
        drawn = np.delete(drawn, rng.integers(len(drawn)))
    return np.flatnonzero(np.isin(group, drawn)).astype(np.int64)


def stratified_rows(labels: Ints, size: int, rng: np.random.Generator) -> Ints:
    """Draw ``size`` rows so that each class has its share, rounded, and at least one.

    Args:
        labels: ``[N]``.
        size: rows to draw; at least the number of classes present, at most N.
        rng: decides which rows of a class.

    Returns:
        ``[size]`` row numbers, ascending.
    """
    classes, counts = np.unique(labels, return_counts=True)
    quotas = _quotas(counts, size)
    drawn = [
        rng.choice(np.flatnonzero(labels == label), size=quota, replace=False)
        for label, quota in zip(classes, quotas, strict=True)
    ]
    return np.sort(np.concatenate(drawn)).astype(np.int64)


def _quotas(counts: Ints, size: int) -> Ints:
    """Largest remainders; then a class without any takes one from the most favoured class."""
    shares = counts * size / counts.sum()
    quotas: Ints = np.floor(shares).astype(np.int64)
    remainders = np.argsort(-(shares - quotas), kind="stable")
    quotas[remainders[: size - quotas.sum()]] += 1
    while (quotas == 0).any():
        favour = np.where(quotas > 1, quotas - shares, -np.inf)
        quotas[np.argmax(favour)] -= 1
        quotas[np.argmin(quotas)] += 1
    return quotas
