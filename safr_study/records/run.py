"""A run: one training under one seed, measured.

Trials of a search, the runs of a confirmation and the rows of the paper's tables all end as one of
these. Accuracies and what derives from them are in percentage points.
"""

from __future__ import annotations

import math
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
from safr_study.records.plain import to_plain
from safr_study.records.scores import Scores, scores_from_plain
from safr_study.records.study import Replicate
from safr_study.records.training import CheckpointRef, EpochReport

RunKey = tuple[int, int]
"""Trial number and seed."""


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
    """B, the number of random deletions; 0: there are none."""
    random: Mapping[str, str] = field(default_factory=dict)
    """Number of draws in which each text was right without a random k; empty where there are more
    draws than a digit holds."""

    def __post_init__(self) -> None:
        if not all(are_bits(digits, self.examples) for digits in (self.full, *self.top.values())):
            raise ValueError(f"{self.examples} texts need as many bits, as hexadecimal digits")
        if not all(are_counts(c, self.examples, self.draws) for c in self.random.values()):
            raise ValueError(f"{self.examples} texts need counts of at most {self.draws} draws")

    @classmethod
    def pack(cls, full: Right, deleted: Mapping[float, tuple[Right, Right | None]]) -> Self:
        """Pack `full` `[N]` and, by k in (0, 1], the texts right without the top and at random.

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


NO_ANSWERS = Answers(0, "")
"""Answers where they were not kept."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One model on one split."""

    scores: Scores
    values: tuple[float | None, ...]
    """The study's objectives, in its order; ``None`` where one is undefined, on test alone."""
    answers: Answers = NO_ANSWERS


@dataclass(frozen=True, slots=True)
class RunResult:
    """The end of one training under one seed: what was measured and kept, or why it failed."""

    trial: int
    """Number of the trial, or of the run in a table of the paper."""
    seed: int
    dev: Measured | None = None
    """``None``: it failed."""
    checkpoint: CheckpointRef | None = None
    violations: tuple[float, ...] = ()
    """Violations of the space's constraints; means over the seeds of a trial."""
    epochs: int = 0
    """Number of epochs trained."""
    seconds: float = 0.0
    """Training and evaluation on dev, on the worker."""
    device: str = ""
    ended: str = ""
    """Time of its end, ISO 8601 in UTC."""
    failure: str | None = None
    """The sentence, for a run that failed."""
    test: Measured | None = None
    test_read: str | None = None
    """Time at which the test set was read for this model, ISO 8601 in UTC."""
    node: str = ""
    """Ray's id of the node on which it ended."""
    replicates: tuple[Replicate, ...] = ()
    """The objectives under each seed of a search's trial, its own first."""
    reports: tuple[EpochReport, ...] = ()
    """All epochs, with those that were saved but not reported before an interruption; not kept by
    a confirmation."""
    line: str | None = None
    """The JSON line of a run of the paper's tables."""

    @property
    def key(self) -> RunKey:
        """Trial and seed."""
        return self.trial, self.seed

    @property
    def values(self) -> tuple[float, ...]:
        """The objectives on dev; empty for a failed run."""
        if self.dev is None:
            return ()
        return tuple(value for value in self.dev.values if value is not None)

    @property
    def mean_values(self) -> tuple[float, ...]:
        """The objectives on dev, means over the seeds."""
        columns = zip(*(replicate.values for replicate in self.replicates), strict=True)
        return tuple(math.fsum(column) / len(self.replicates) for column in columns)

    @property
    def saturated(self) -> bool:
        """Whether its SRS on dev measures a collapsed prediction."""
        return self.dev is not None and self.dev.scores.saturated


_NOT_IN_SCHEMA = ("node", "replicates", "reports", "line")
"""Fields that schema 1 of a confirmed run does not have."""


def run_to_plain(run: RunResult) -> dict[str, Any]:
    """A run as a confirmation keeps and shows it."""
    plain: dict[str, Any] = to_plain(run)
    return {name: value for name, value in plain.items() if name not in _NOT_IN_SCHEMA}


def run_from_plain(plain: Mapping[str, Any]) -> RunResult:
    """The inverse of ``run_to_plain``."""
    checkpoint = plain["checkpoint"]
    splits = {name: plain[name] for name in ("dev", "test")}
    measured = {n: None if one is None else measured_from_plain(one) for n, one in splits.items()}
    return RunResult(
        **{
            **plain,
            **measured,
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


def _percent(k: float) -> str:
    return f"{100 * k:g}"
