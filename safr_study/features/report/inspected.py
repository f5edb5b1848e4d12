"""Chosen models of a study, looked at closely for its report."""

from __future__ import annotations

from dataclasses import dataclass

from safr_study.records.explanation import Explanation
from safr_study.records.scores import Scores


@dataclass(frozen=True, slots=True)
class Example:
    """A dev text that every chosen model is asked about."""

    row: int
    """In the dev split, from 0."""
    label: str
    """Its class."""
    text: str


@dataclass(frozen=True, slots=True, eq=False)
class LookedAt:
    """One model of a study."""

    trial: int
    role: str
    """Why it was chosen: ``knee``, ``best-srs``, the name of a baseline."""
    curve: Scores | None = None
    """On dev texts, deleted at the k of the curves; ``None``: not measured."""
    explanations: tuple[Explanation, ...] = ()
    """One for each example, in their order; empty: not made."""
    problem: str | None = None
    """Why something is missing, in a sentence."""

    @property
    def name(self) -> str:
        """For a legend: ``knee #9``."""
        return f"{self.role} #{self.trial}"


@dataclass(frozen=True, slots=True)
class Examples:
    """What the models were shown."""

    texts: tuple[Example, ...] = ()
    rule: str = ""
    """How they were chosen, in a sentence."""
    curve_texts: int = 0
    """Dev texts behind the curves."""
    dev_texts: int = 0
    """In all."""
    problem: str | None = None
    """Why there are none, in a sentence."""
