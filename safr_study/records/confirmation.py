"""A confirmation: trials of a study that were trained anew, under seeds the search did not use.

Each run is kept in the study's ledger as plain JSON (schema 1). Accuracies and what derives from
them are in percentage points.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from safr_study.records.bits import (
    MAX_DRAWS,
    Right,
    are_bits,
    are_counts,
    pack_bits,
    pack_counts,
    unpack_bits,
    unpack_counts,
)
from safr_study.records.scores import Scores, scores_from_plain
from safr_study.records.training import CheckpointRef

SCHEMA_VERSION = 1
"""Of what the ledger keeps of a run; raise it when a field changes."""


@dataclass(frozen=True, slots=True)
class Answers:
    """Which texts of a split were predicted right, whole and after each deletion.

    Deletions are by k in percent as text, as in a metric's name: ``30``. Bits and counts are
    packed as `records.bits` does.
    """

    examples: int
    full: str
    """Bits of the whole texts."""
    top: Mapping[str, str] = field(default_factory=dict)
    """Bits without the top k."""
    draws: int = 0
    """B, of the random deletions; 0: there are none."""
    random: Mapping[str, str] = field(default_factory=dict)
    """In how many of the draws each text was right without a random k; empty where there are more
    draws than a digit holds."""

    def __post_init__(self) -> None:
        if not all(are_bits(digits, self.examples) for digits in (self.full, *self.top.values())):
            raise ValueError(f"{self.examples} texts need as many bits, as hexadecimal digits")
        if not all(are_counts(c, self.examples, self.draws) for c in self.random.values()):
            raise ValueError(f"{self.examples} texts need counts of at most {self.draws} draws")

    @classmethod
    def pack(cls, full: Right, deleted: Mapping[float, tuple[Right, Right | None]]) -> Self:
        """From `full` `[N]` and, by k in (0, 1], what was right without the top and at random.

        Args:
            full: `[N]`.
            deleted: top `[N]`, and random `[B, N]` or ``None``.
        """
        drawn = {k: random for k, (_, random) in deleted.items() if random is not None}
        draws = max((len(random) for random in drawn.values()), default=0)
        if draws > MAX_DRAWS:
            drawn, draws = {}, 0
        return cls(
            examples=len(full),
            full=pack_bits(full),
            top={_percent(k): pack_bits(top) for k, (top, _) in deleted.items()},
            draws=draws,
            random={_percent(k): pack_counts(random) for k, random in drawn.items()},
        )

    def whole(self) -> Right:
        """`[N]`: right on the whole text."""
        return unpack_bits(self.full, self.examples)

    def without_top(self, k: float) -> Right:
        """`[N]`: right without the top k.

        Raises:
            KeyError: that k was not deleted.
        """
        return unpack_bits(self.top[_percent(k)], self.examples)

    def without_random(self, k: float) -> NDArray[np.float64] | None:
        """`[N]`: share of the draws that were right, in [0, 1]; ``None``: not kept."""
        counts = self.random.get(_percent(k))
        return None if counts is None else unpack_counts(counts) / self.draws


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on one split."""

    scores: Scores
    values: tuple[float | None, ...]
    """The study's objectives, in its order; ``None`` where one is undefined, on test alone."""
    answers: Answers


@dataclass(frozen=True, slots=True)
class ConfirmedRun:
    """One trial, trained anew under one seed."""

    trial: int
    seed: int
    dev: Measured | None = None
    """``None``: it failed."""
    checkpoint: CheckpointRef | None = None
    violations: tuple[float, ...] = ()
    """As of a trial."""
    epochs: int = 0
    """That ran."""
    seconds: float = 0.0
    """Training and evaluation on dev, on the worker."""
    device: str = ""
    ended: str = ""
    """When, ISO 8601 in UTC."""
    failure: str | None = None
    """The sentence, for a run that failed."""
    test: Measured | None = None
    test_read: str | None = None
    """When the test set was read for this model, ISO 8601 in UTC."""

    @property
    def values(self) -> tuple[float, ...]:
        """The objectives on dev; empty for a failed run."""
        if self.dev is None:
            return ()
        return tuple(value for value in self.dev.values if value is not None)

    @property
    def saturated(self) -> bool:
        """Whether its SRS on dev measures a collapsed prediction."""
        return self.dev is not None and self.dev.scores.saturated


@dataclass(frozen=True, slots=True)
class ReadingOfTest:
    """One time that the test set was opened; written before it is."""

    at: str
    """ISO 8601 in UTC."""
    runs: tuple[tuple[int, int], ...]
    """(trial, seed) of the models it was read for."""
    chosen: Mapping[str, int]
    """Trial number by role (``knee`` and so on), as decided on dev by then."""


def run_from_plain(plain: Mapping[str, Any]) -> ConfirmedRun:
    """The inverse of ``to_plain`` for a run."""
    checkpoint = plain["checkpoint"]
    return ConfirmedRun(
        **{
            **plain,
            "dev": _measured(plain["dev"]),
            "test": _measured(plain["test"]),
            "checkpoint": None if checkpoint is None else CheckpointRef(**checkpoint),
            "violations": tuple(plain["violations"]),
        }
    )


def measured_from_plain(plain: Mapping[str, Any]) -> Measured:
    """The inverse of ``to_plain`` for what was measured."""
    return Measured(
        scores=scores_from_plain(plain["scores"]),
        values=tuple(plain["values"]),
        answers=Answers(**plain["answers"]),
    )


def reading_from_plain(plain: Mapping[str, Any]) -> ReadingOfTest:
    """The inverse of ``to_plain`` for a reading of the test set."""
    runs = tuple((trial, seed) for trial, seed in plain["runs"])
    return ReadingOfTest(plain["at"], runs, dict(plain["chosen"]))


def _measured(plain: Mapping[str, Any] | None) -> Measured | None:
    return None if plain is None else measured_from_plain(plain)


def _percent(k: float) -> str:
    return f"{100 * k:g}"
