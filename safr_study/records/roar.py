"""ROAR (remove and retrain): what a model learns from texts that lack the top tokens.

Accuracies and what derives from them are in percentage points.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RoarRun:
    """One pair of trainings with the same seed: without the top tokens, without random ones."""

    seed: int
    """Seed of both trainings, and of the random removal."""
    accuracy_top: float
    """Accuracy of the model trained without the top tokens, on texts without theirs."""
    accuracy_random: float
    """The same of the random removal."""
    roar: float
    """``accuracy_random`` - ``accuracy_top``."""
    roar_se: float
    """Standard error of ``roar`` from the paired examples of this run."""
    mcnemar_p: float
    """Two-sided exact McNemar test that the two accuracies differ, in [0, 1]."""


@dataclass(frozen=True, slots=True)
class RoarScores:
    """ROAR(k) of one ranking (definitions, section 3.10); means over the seeds."""

    k: float
    """Share of the tokens removed from each text, in (0, 1]."""
    realised_share: float
    """sum(q) / sum(n): the share really removed after rounding, in the texts measured on."""
    accuracy_original: float
    """Accuracy of the model that ranked, on the whole texts."""
    accuracy_top: float
    accuracy_random: float
    roar: float
    """``accuracy_random`` - ``accuracy_top``: higher = the ranking found what the task needs."""
    roar_low: float | None
    """Student-t 95 % interval of ``roar`` over the seeds; ``None`` for one seed, as the next."""
    roar_high: float | None
    runs: tuple[RoarRun, ...]
    """One per seed."""

    @property
    def only_run(self) -> RoarRun | None:
        """The run, where there is one seed: its standard error and p stand for the interval."""
        return self.runs[0] if len(self.runs) == 1 else None
