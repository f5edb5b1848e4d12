"""What a corpus is: texts with labels in two or three splits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Marks = npt.NDArray[np.int8]


@dataclass(frozen=True, slots=True, eq=False)
class Split:
    """Texts with their labels, in the order of the source."""

    texts: list[str]
    """May hold empty texts."""
    labels: Ints
    """``[N]``, each in 0..C-1."""
    rationale: list[Marks] | None = None
    """Marks of each text, one per white-space token: 1 = evidence for the label."""

    @property
    def examples(self) -> int:
        """Number of texts."""
        return len(self.texts)

    def take(self, rows: Ints) -> Split:
        """The given rows, in the given order."""
        return Split(
            texts=[self.texts[row] for row in rows],
            labels=self.labels[rows],
            rationale=None if self.rationale is None else [self.rationale[row] for row in rows],
        )


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
    test: Split | None
    unlabelled_test: int = 0
    """Texts of a test split that was left out because labels are missing."""
